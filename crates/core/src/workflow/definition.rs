//! The workflow file, version 1, as an author writes it: its shape is checked here, its meaning in `compile` and `plan`.

mod goal;
mod read;
mod source;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub(super) use goal::{DelegateDef, GoalDef, OfferDef};
pub use source::{AdapterSpec, GgufSpec, GpuLayers, GpuSplit, Isolation, ModelSpec, OpenAiSpec, Timeouts};
pub(super) use step::{ChatDef, ForEachDef, RetryDef, StepDef, SubDef, VerbDef, WaitDef};

use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::field::{Field, object_schema};
use super::plan::Limits;
use super::reading::{Files, Reader};
use super::template::literal;
use super::tree::{At, Entries, Kind, Tree};
use super::yaml;
use crate::id::Digest;
use crate::policy::Rule;

/// How deep workflows may stand within workflows.
const MAX_LEVELS: usize = 16;

/// A workflow file that was read: its shape is right, its meaning is not checked yet.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name in messages.
    pub(crate) file: String,
    pub(crate) source: String,
    pub(crate) top: Top,
    /// The texts of the files that it and its sub-workflows name, by their paths relative to it.
    pub(crate) texts: Arc<BTreeMap<String, String>>,
    /// What is doubtful in it.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// All that a file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Top {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) inputs: InputsDef,
    pub(crate) env: Vec<At<String>>,
    pub(crate) secrets: Vec<At<String>>,
    pub(crate) models: Entries<ModelSpec>,
    pub(crate) tools: Entries<Tree>,
    pub(crate) policy: Vec<At<Rule>>,
    pub(crate) budget: BudgetDef,
    pub(crate) deadline: Option<At<Duration>>,
    pub(crate) defaults: DefaultsDef,
    pub(crate) steps: Entries<StepDef>,
    pub(crate) outputs: Option<At<Entries<Tree>>>,
    pub(crate) ensure: Vec<Tree>,
}

impl Top {
    /// What a run may use.
    pub(super) fn limits(&self) -> Limits {
        let millis = |duration: &At<Duration>| u64::try_from(duration.value.as_millis()).unwrap_or(u64::MAX);
        Limits {
            tokens: self.budget.tokens.as_ref().map(|count| count.value),
            tool_calls: self.budget.tool_calls.as_ref().map(|count| count.value),
            wall_ms: self.budget.wall.as_ref().map(millis),
            money_micro: self.budget.money.as_ref().map(|money| money.value),
            deadline_ms: self.deadline.as_ref().map(millis),
        }
    }
}

/// What a workflow is given: fields, or a whole JSON Schema.
#[derive(Clone, Debug)]
pub(crate) enum InputsDef {
    Fields(Entries<Field>),
    Schema(At<Value>),
}

impl Default for InputsDef {
    fn default() -> Self {
        InputsDef::Fields(Entries::default())
    }
}

impl InputsDef {
    /// JSON Schema of the inputs: an object.
    pub(crate) fn schema(&self) -> Value {
        match self {
            InputsDef::Fields(fields) => object_schema(fields),
            InputsDef::Schema(schema) => schema.value.clone(),
        }
    }
}

/// The shape of an answer or a form: fields, or a whole JSON Schema.
#[derive(Clone, Debug)]
pub(crate) enum SchemaDef {
    Fields(At<Entries<Field>>),
    Schema(At<Value>),
}

impl SchemaDef {
    pub(crate) fn schema(&self) -> Value {
        match self {
            SchemaDef::Fields(fields) => object_schema(&fields.value),
            SchemaDef::Schema(schema) => schema.value.clone(),
        }
    }

    /// The fields whose default is a template, and that.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (&str, &Tree)> {
        let fields = match self {
            SchemaDef::Fields(fields) => Some(&fields.value),
            SchemaDef::Schema(_) => None,
        };
        fields
            .into_iter()
            .flat_map(Entries::iter)
            .filter_map(move |(name, field)| Some((name.value.as_str(), field.filled.as_ref()?)))
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            SchemaDef::Fields(fields) => fields.place,
            SchemaDef::Schema(schema) => schema.place,
        }
    }
}

/// A text, which may stand in a file of its own.
#[derive(Clone, Debug)]
pub(crate) struct TextDef {
    /// The text; for one in a file, a tree of one text with places in that file.
    pub(crate) tree: Tree,
    /// The file, relative to the top workflow's folder.
    pub(crate) file: Option<String>,
}

impl TextDef {
    /// A value that is shown as JSON: a text without templates.
    fn json(tree: &Tree) -> TextDef {
        let text = literal(&tree.to_value().to_string());
        TextDef { tree: Tree { place: tree.place, written: Box::default(), kind: Kind::Text(text) }, file: None }
    }

    pub(crate) fn text(&self) -> &str {
        self.tree.as_text().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BudgetDef {
    pub(crate) tokens: Option<At<u64>>,
    pub(crate) tool_calls: Option<At<u64>>,
    /// In millionths.
    pub(crate) money: Option<At<u64>>,
    pub(crate) wall: Option<At<Duration>>,
}

/// What steps are without saying it themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefaultsDef {
    pub(crate) retry: Option<At<RetryDef>>,
    pub(crate) timeout: Option<At<Duration>>,
    pub(crate) model: Option<At<String>>,
    pub(crate) max_parallel: Option<At<u32>>,
    pub(crate) temperature: Option<At<f64>>,
    pub(crate) max_tokens: Option<At<u64>>,
}

impl Definition {
    /// Reads a workflow. `file` is its name in messages; `read` gives the text of a file that the workflow, or a workflow
    /// that it uses, names, by its path relative to the workflow, or says why it cannot.
    pub fn parse(
        file: &str,
        source: &str,
        mut read: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<Definition, Diagnostics> {
        let name = file.rsplit(['/', '\\']).next().unwrap_or(file).to_owned();
        let mut files = Files::new(&mut read);
        let stack = [name];
        let mut reader = Reader::new(&mut files, &stack);
        let top = reader.workflow(source);
        let problems = reader.problems;
        let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(Diagnostic::is_error);
        let texts = Arc::new(files.texts);
        match top.filter(|_| errors.is_empty()) {
            Some(top) => Ok(Definition { file: file.into(), source: source.into(), top, texts, warnings }),
            None => Err(Diagnostics::new(file, source, errors.into_iter().chain(warnings).collect()).with_texts(texts)),
        }
    }

    /// The workflow's name: the one in the file, else the file's own without its ending.
    pub fn name(&self) -> String {
        let stem = || {
            let name = self.file.rsplit('/').next().unwrap_or(&self.file);
            name.split('.').next().unwrap_or(name).to_owned()
        };
        self.top.name.clone().unwrap_or_else(stem)
    }

    /// The models that it declares, by their names in it.
    pub fn models(&self) -> BTreeMap<String, ModelSpec> {
        self.top.models.iter().map(|(name, model)| (name.value.clone(), model.clone())).collect()
    }

    /// What the author says about it.
    pub fn description(&self) -> Option<&str> {
        self.top.description.as_deref()
    }

    /// That the site does not allow what the file wants: families of tools with what is wrong, and names under `env`.
    pub fn refused(&self, grants: &[(String, String)], env: &[String]) -> Diagnostics {
        let problem = |place, message: &str| {
            let help = "ask for less, or let the site allow more; `parkway config show` says where its bounds are set";
            Diagnostic::new("out-of-bounds", place, message).help(help)
        };
        let grant = |(family, message): &(String, String)| {
            let key = self.top.tools.iter().map(|(key, _)| key).find(|key| key.value == *family);
            problem(key.map(|key| key.place), message)
        };
        let name = |name: &String| {
            let declared = self.top.env.iter().find(|declared| declared.value == *name);
            problem(declared.map(|declared| declared.place), &format!("the site does not let workflows read `{name}`"))
        };
        self.diagnostics(grants.iter().map(grant).chain(env.iter().map(name)).collect())
    }

    pub(crate) fn diagnostics(&self, list: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics::new(&self.file, &self.source, list).with_texts(self.texts.clone())
    }
}

/// Another workflow's file, as a step uses it.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    /// Its path relative to the top workflow's folder.
    pub(crate) file: String,
    pub(crate) top: Top,
    /// SHA-256 of its file and of all that it names.
    pub(crate) hash: Digest,
    /// How many workflows stand within one another in it, itself counted.
    levels: usize,
}

impl Reader<'_, '_> {
    /// Reads a workflow.
    fn workflow(&mut self, source: &str) -> Option<Top> {
        let (tree, problems) = yaml::parse(source);
        self.problems.extend(problems);
        read::top(self, &tree?)
    }

    /// The workflow in another file, and what is wrong with it. A file is read once, however many steps use it.
    pub(super) fn child(&mut self, path: &At<String>) -> Option<Arc<Child>> {
        let (file, source) = self.file(path)?;
        if self.stack.contains(&file) {
            let circle = format!("{} → {file}", self.stack.join(" → "));
            let message = format!("a workflow cannot contain itself: {circle}");
            self.problem(Diagnostic::new("workflow-cycle", path.place, message).help("use `repeat`, or `for_each`"));
            return None;
        }
        let known = self.files.children.get(&file).cloned();
        let levels = known.iter().flatten().map(|child| child.levels).next().unwrap_or(1);
        if self.stack.len() + levels > MAX_LEVELS {
            let message = format!("workflows stand within workflows more than {MAX_LEVELS} deep");
            self.problem(Diagnostic::new("too-large", path.place, message).help("make one workflow of some of them"));
            return None;
        }
        if let Some(known) = known {
            self.note(known.as_deref());
            return known;
        }
        let child = self.read_child(&file, &source).map(Arc::new);
        self.files.children.insert(file, child.clone());
        self.note(child.as_deref());
        child
    }

    fn note(&mut self, child: Option<&Child>) {
        if let Some(child) = child {
            self.named.push(child.hash);
            self.levels = self.levels.max(child.levels);
        }
    }

    fn read_child(&mut self, file: &str, source: &str) -> Option<Child> {
        let stack: Vec<String> = self.stack.iter().cloned().chain([file.to_owned()]).collect();
        let mut reader = Reader::new(self.files, &stack);
        let top = reader.workflow(source);
        let (problems, named, levels) = (reader.problems, reader.named, reader.levels);
        for mut problem in problems {
            // A problem of a deeper file says so already.
            problem.file.get_or_insert_with(|| file.to_owned());
            self.problem(problem);
        }
        let top = top?;
        let mut hash = Digest::of(&[b"parkway-workflow-1\0", source.as_bytes()]);
        for named in &named {
            hash = Digest::of(&[hash.to_string().as_bytes(), named.to_string().as_bytes()]);
        }
        Some(Child { file: file.to_owned(), top, hash, levels: levels + 1 })
    }
}
