//! `parkway config show`: the settings that apply, and where each of them is said.

use std::env;
use std::path::Path;

use parkway::settings::{Origin, Setting, Settings};
use serde_json::{Value, json};

use crate::args::{ConfigArgs, ConfigCommand, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::{harmless, width};

/// How far to the right the places begin at most.
const WIDE: usize = 56;

/// Shows settings.
pub(crate) fn config(global: &Global, args: ConfigArgs, out: &mut Out) -> Result<Exit, Failure> {
    let ConfigCommand::Show { json: as_json } = args.command;
    let project = Project::find(global)?;
    let settings = &project.settings;
    if as_json {
        out.pretty(&json!({
            "root": settings.root().display().to_string(),
            "profile": settings.profile(),
            "hash": settings.digest().to_string(),
            "settings": settings.list().iter().map(|setting| data(settings, setting)).collect::<Value>(),
            "warnings": settings.warnings(),
        }))?;
        return Ok(Exit::Done);
    }
    let marked = if project.marked { "" } else { ": the working directory, without a parkway.toml above it" };
    out.text(&format!("# root {}{marked}", project.root.display()))?;
    if let Some(profile) = settings.profile() {
        out.text(&format!("# profile {profile}"))?;
    }
    let rows: Vec<_> =
        settings.list().iter().map(|setting| (format!("{} = {}", setting.key, setting.value), setting)).collect();
    let column = rows.iter().map(|(said, _)| width(&harmless(said))).filter(|wide| *wide <= WIDE).max().unwrap_or(0);
    for (said, setting) in rows {
        let said = harmless(&said);
        let there = match is_there(settings, setting) {
            Some(true) => "; there",
            Some(false) => "; not there now",
            None => "",
        };
        let pad = " ".repeat(column.saturating_sub(width(&said)));
        out.text(&format!("{said}{pad}  # {}{there}", shown(&setting.origin)))?;
        for (value, origin) in &setting.over {
            out.text(&format!("{:column$}  #   not {value} of {}", "", shown(origin)))?;
        }
    }
    out.flush()?;
    settings.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    Ok(Exit::Done)
}

fn data(settings: &Settings, setting: &Setting) -> Value {
    let over: Vec<_> =
        setting.over.iter().map(|(value, origin)| json!({ "value": value, "from": place(origin) })).collect();
    let mut data = json!({ "key": setting.key, "value": setting.value, "from": place(&setting.origin), "over": over });
    if let Some(there) = is_there(settings, setting) {
        data["there"] = json!(there);
    }
    data
}

fn place(origin: &Origin) -> Value {
    match origin {
        Origin::File { path, line } => json!({ "file": path.display().to_string(), "line": line }),
        Origin::Environment(name) => json!({ "variable": name }),
        Origin::Flag(name) => json!({ "flag": name }),
        _ => json!("default"),
    }
}

/// Whether a secret's source has something now; `None` for what is no secret.
fn is_there(settings: &Settings, setting: &Setting) -> Option<bool> {
    let name = setting.key.strip_prefix("secrets.")?;
    Some(settings.secret_source(name)?.is_there(settings.root()))
}

/// The place as seen from here.
fn shown(origin: &Origin) -> String {
    let here = env::current_dir().ok();
    match (origin, here) {
        (Origin::File { path, line }, Some(here)) => {
            format!("{}:{line}", path.strip_prefix(here).unwrap_or(Path::new(path)).display())
        }
        (origin, _) => origin.to_string(),
    }
}
