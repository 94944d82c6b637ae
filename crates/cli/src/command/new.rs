//! `parkway new [TEMPLATE] [FOLDER]`: a workflow to begin with, with its tests.

use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use crate::args::NewArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::quoted;
use crate::out::{Out, say};

struct Template {
    name: &'static str,
    about: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! template {
    ($name:literal, $about:literal, [$($file:literal),* $(,)?]) => {
        Template {
            name: $name,
            about: $about,
            files: &[$(($file, include_str!(concat!("../templates/", $name, "/", $file)))),*],
        }
    };
}

const TEMPLATES: &[Template] = &[
    template!(
        "consolidate",
        "notes that agents remembered become facts, with a model and a person",
        ["consolidate.yaml", "consolidate.test.yaml", "prompts/facts.md"]
    ),
    template!(
        "extract",
        "a folder of texts becomes checked records, with a model",
        ["extract.yaml", "extract.test.yaml", "prompts/extract.md", "data/01-letter.txt", "data/02-note.txt"]
    ),
    template!(
        "report",
        "a report over a folder, with tools alone",
        ["report.yaml", "report.test.yaml", "data/01-march.txt", "data/02-minutes.txt"]
    ),
    template!(
        "review",
        "a draft by a model, edited and approved by people",
        ["review.yaml", "review.test.yaml", "prompts/draft.md"]
    ),
];

/// What marks the folder as a project.
const MARK: &str = "# Settings of this project; `parkway config --help` shows what can stand here.\n";

/// Writes a template's files, or lists the templates.
pub(crate) fn new(args: &NewArgs, out: &mut Out) -> Result<Exit, Failure> {
    let Some(name) = &args.template else {
        for template in TEMPLATES {
            out.line(&format!("{:<12} {}", template.name, template.about))?;
        }
        out.flush()?;
        say("begin with one: parkway new NAME [FOLDER]");
        return Ok(Exit::Done);
    };
    let Some(template) = TEMPLATES.iter().find(|template| template.name == name) else {
        let names: Vec<_> = TEMPLATES.iter().map(|template| template.name).collect();
        return Err(
            Failure::invalid(format!("there is no template `{name}`")).help(format!("there are: {}", names.join(", ")))
        );
    };
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(template.name));
    let mark = [(parkway::settings::FILE, MARK)];
    // Its paths begin in its own folder, also where that lies within another project; the mark of its own stays as it is.
    let mark = mark.into_iter().filter(|(path, _)| !folder.join(path).is_file());
    let files: Vec<_> =
        template.files.iter().copied().chain(mark).map(|(path, text)| (folder.join(path), text)).collect();
    let there: Vec<_> = files.iter().filter(|(path, _)| path.symlink_metadata().is_ok()).collect();
    if !there.is_empty() {
        let names: Vec<_> = there.iter().map(|(path, _)| path.display().to_string()).collect();
        return Err(Failure::invalid(format!("nothing was written, since there is already: {}", names.join(", ")))
            .help(format!("name another folder: parkway new {name} FOLDER")));
    }
    for (path, text) in &files {
        write(path, text)?;
        out.text(&path.display().to_string())?;
    }
    out.flush()?;
    say("next:");
    if !folder.components().all(|part| part == Component::CurDir) {
        say(&format!("  cd {}", quoted(&folder.display().to_string())));
    }
    say("  parkway test                   does it do what it should?");
    say(&format!("  {:<31}what would it do?", format!("parkway check {name}.yaml")));
    say(&format!("what to change stands at the top of {name}.yaml"));
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    // Never over a file that somebody has just made.
    let written = made.and_then(|()| fs::File::create_new(path)).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| Failure::failed(format!("{} cannot be written: {e}", path.display())))
}
