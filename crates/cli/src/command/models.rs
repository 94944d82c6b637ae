//! `parkway models list | show | pull`.

mod pulling;

use std::path::Path;
use std::time::Instant;

use console::Term;
use parkway::models::{Catalog, ModelEntry, Presence, PullError, PullProgress};
use serde_json::{Value, json};

use self::pulling::Pulling;
use crate::args::{Global, ModelsArgs, ModelsCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::render::{Symbols, clean};

/// Looks at model files, or fetches one.
pub(crate) fn models(_: &Global, args: ModelsArgs, out: &mut Out) -> Result<Exit, Failure> {
    let catalog = Catalog::open().map_err(|e| Failure::failed(e.to_string()))?;
    match args.command {
        ModelsCommand::List { json } => list(&catalog, json, out),
        ModelsCommand::Show { name, json } => {
            let entry = catalog.show(&name).map_err(|e| Failure::invalid(e.to_string()))?;
            tell(&entry, json, out)
        }
        ModelsCommand::Pull { name, from, json } => pull(&catalog, &name, from.as_deref(), json, out),
    }
}

fn list(catalog: &Catalog, as_json: bool, out: &mut Out) -> Result<Exit, Failure> {
    let entries = catalog.list().map_err(|e| Failure::failed(e.to_string()))?;
    let most = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
    for entry in &entries {
        if as_json {
            out.json(&value(entry))?;
        } else {
            let about = entry.about.map(|about| format!("  {about}")).unwrap_or_default();
            let (name, here) = (clean(&entry.name), presence(entry));
            out.line(&format!("{name:most$}  {:>7}  {here:<8}{about}", megabytes(entry.size)))?;
        }
    }
    Ok(Exit::Done)
}

fn tell(entry: &ModelEntry, as_json: bool, out: &mut Out) -> Result<Exit, Failure> {
    if as_json {
        out.pretty(&value(entry))?;
        return Ok(Exit::Done);
    }
    out.line(&clean(&entry.name))?;
    let lines = [
        ("about", entry.about.map(str::to_owned)),
        ("licence", entry.licence.map(str::to_owned)),
        ("context", entry.context.map(|context| format!("{context} tokens"))),
        ("size", Some(format!("{} bytes", entry.size))),
        ("sha256", entry.sha256.clone()),
        ("source", entry.source.map(|source| source.to_string())),
        ("file", Some(entry.path.display().to_string())),
        ("here", Some(presence(entry))),
    ];
    for (name, text) in lines {
        if let Some(text) = text {
            out.text(&format!("  {name:<8} {text}"))?;
        }
    }
    Ok(Exit::Done)
}

fn pull(catalog: &Catalog, name: &str, from: Option<&Path>, as_json: bool, out: &mut Out) -> Result<Exit, Failure> {
    if let Some(model) = catalog.known().iter().find(|model| model.name == name) {
        say(&format!("{}: {}", model.name, model.about));
        say(&format!("  licence {}, {}, from {}", model.licence, megabytes(model.size), model.source));
    }
    let term = Term::stderr();
    let (in_place, columns) = (term.is_term() && !console::is_dumb(), usize::from(term.size().1).saturating_sub(1));
    let mut pulling = Pulling::new(if in_place { Pulling::IN_PLACE } else { Pulling::LINES });
    let mut tell = |progress: PullProgress| {
        let Some(line) = pulling.line(progress, Instant::now(), columns, Symbols::from_env()) else { return };
        // Whether the terminal can be written to is not the pull's concern.
        let _ = if in_place { term.clear_line().and_then(|()| term.write_str(&line)) } else { term.write_line(&line) };
    };
    let pulled = match from {
        Some(file) => catalog.pull_from(name, file, &mut tell),
        None => catalog.pull(name, &mut tell),
    };
    if in_place {
        let _ = term.clear_line();
    }
    let path = pulled.map_err(|e| match e {
        PullError::Unknown { .. } => Failure::invalid(e.to_string()),
        _ => Failure::failed(e.to_string()),
    })?;
    if as_json {
        let entry = catalog.show(name).map_err(|e| Failure::failed(e.to_string()))?;
        out.pretty(&value(&entry))?;
    } else {
        out.line(&path.display().to_string())?;
    }
    Ok(Exit::Done)
}

fn value(entry: &ModelEntry) -> Value {
    json!({
        "name": entry.name,
        "path": entry.path.display().to_string(),
        "present": entry.presence == Presence::Present,
        "size": entry.size,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "context": entry.context,
        "about": entry.about,
        "source": entry.source.map(|source| source.to_string()),
    })
}

fn presence(entry: &ModelEntry) -> String {
    match entry.presence {
        Presence::Present => "here".into(),
        Presence::WrongSize(found) => format!("damaged: {found} bytes"),
        _ => "not here".into(),
    }
}

/// `98 MB`.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}
