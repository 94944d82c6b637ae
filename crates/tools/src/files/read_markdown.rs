//! `files.read_markdown`: the sections of one file.

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::markdown::{Flaw, Markdown, Part};
use super::read::Document;
use super::roots::Roots;
use crate::builtin::Builtin;

/// Reads a Markdown file.
pub(crate) struct ReadMarkdown {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `docs/guide.md`.
    path: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The `title` of the front matter, else the first heading of level 1; null if there is neither.
    title: Option<String>,
    /// The map between two lines `---` at the beginning of the file; null without any.
    front_matter: Option<Map<String, Value>>,
    /// The sections, in order. What stands before the first heading is one of level 0 without a title.
    sections: Vec<Section>,
    /// The whole text behind the front matter.
    text: String,
    /// The file's path from the project root.
    path: String,
}

/// A heading and what stands under it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Section {
    /// The level of its heading, from 1 to 6; 0 for what stands before the first one.
    level: u8,
    /// The text of its heading, without marks.
    title: String,
    /// What stands under the heading, up to the next one of any level.
    text: String,
    /// The line of the file in which the heading stands, from 1.
    line: usize,
}

impl Builtin for ReadMarkdown {
    const NAME: &'static str = "files.read_markdown";
    const DESCRIPTION: &'static str = "Reads a Markdown file (UTF-8, at most 1 MiB) and returns its title, front matter \
         and sections, each section with the line in which it begins, so that it can be cited.";
    const EFFECT: Effect = Effect::Read;
    const LABELS: Labels = Labels::UNTRUSTED;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let document = Document::read(&self.roots, &input.path, context)?;
        let markdown = Markdown::new(&document.text).map_err(|Flaw { line, what }| document.malformed(line, what))?;
        let section =
            |part: Part| Section { level: part.level, title: part.title, text: part.text.to_owned(), line: part.line };
        let sections: Vec<Section> = markdown.parts().into_iter().map(section).collect();
        let named = markdown.front_matter.as_ref().and_then(|map| map.get("title")).and_then(Value::as_str);
        let headed = || sections.iter().find(|section| section.level == 1).map(|section| section.title.as_str());
        Ok(Output {
            title: named.or_else(headed).map(str::to_owned),
            text: markdown.body.to_owned(),
            front_matter: markdown.front_matter,
            sections,
            path: document.path,
        })
    }
}
