//! The templates of a step: where each stands, and what it sees.

use super::{Compiled, is_text, leaves, leaves_of};
use crate::workflow::definition::{StepDef, TextDef, VerbDef, WaitDef};
use crate::workflow::diagnostic::Place;
use crate::workflow::graph::NodeIndex;
use crate::workflow::template::{Span, Template};
use crate::workflow::tree::Tree;

/// A template, and where its names are looked up.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The step that it belongs to; `None` at the ends of a file.
    pub(crate) node: Option<NodeIndex>,
    /// The workflow whose file it stands in.
    pub(crate) frame: usize,
    /// The scalar that it is.
    pub(crate) tree: &'a Tree,
    /// The file that the scalar is the text of, where it is one of its own.
    pub(crate) file: Option<&'a str>,
    pub(crate) form: Form,
    pub(crate) scope: Scope,
    /// Whether an output that may be missing must be tested here.
    pub(crate) guarded: bool,
    /// Whether it stands at the end of a workflow, under `outputs` or `ensure`.
    pub(crate) end: bool,
    /// The key that it stands under: `if`.
    pub(crate) key: &'static str,
}

/// How a scalar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One expression, wrapped or bare.
    Expression,
    /// One expression that keeps its type, or a text with expressions.
    Value,
    /// A text with expressions.
    Text,
}

/// What a template sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Beside the step: its siblings, then what encloses it.
    Beside,
    /// Beside the step, with the item or the round of its own.
    Item,
    /// Inside the step: its members first.
    Inside,
}

impl<'a> Site<'a> {
    pub(crate) fn template(&self) -> Template<'a> {
        let text = self.tree.as_text().unwrap_or_default();
        match self.form {
            Form::Expression => Template::Expression(text),
            Form::Value => Template::Leaf(text),
            Form::Text => Template::Text(text),
        }
    }

    /// Where a character of the template stands in its file.
    pub(crate) fn locate(&self, line: u32, column: u32) -> Place {
        self.tree.locate(line, column)
    }

    /// Where a part of the template begins in its file.
    pub(crate) fn locate_span(&self, span: Span) -> Place {
        let (line, column) = span.line_column(self.tree.as_text().unwrap_or_default());
        self.locate(line, column)
    }
}

impl<'a> Compiled<'a> {
    /// All templates: those of each step, then those at the ends of each workflow.
    pub(crate) fn sites(&self) -> Vec<Site<'a>> {
        let mut sites = Vec::new();
        for (i, origin) in self.origins.iter().enumerate() {
            let node = NodeIndex(u32::try_from(i).unwrap_or(u32::MAX));
            self.step_sites(node, origin.step, origin.frame, &mut sites);
        }
        for (frame, origin) in self.frames.iter().enumerate() {
            let mut add = |tree: &'a Tree, form, key| {
                let scope = Scope::Inside;
                sites.push(Site {
                    node: origin.node,
                    frame,
                    tree,
                    file: None,
                    form,
                    scope,
                    guarded: true,
                    end: true,
                    key,
                });
            };
            for ensure in origin.top.ensure.iter().filter(|tree| is_text(tree)) {
                add(ensure, Form::Expression, "ensure");
            }
            for output in origin.top.outputs.iter().flat_map(|outputs| leaves_of(&outputs.value)) {
                add(output, Form::Value, "outputs");
            }
        }
        sites.retain(|site| is_text(site.tree));
        sites
    }

    fn step_sites(&self, node: NodeIndex, step: &'a StepDef, frame: usize, sites: &mut Vec<Site<'a>>) {
        let guarded = step.run_if.is_some();
        let loops = step.for_each.is_some() || step.repeat.is_some();
        let body = if loops { Scope::Item } else { Scope::Beside };
        let mut add = |tree: &'a Tree, form, scope, guarded, key| {
            sites.push(Site { node: Some(node), frame, tree, file: None, form, scope, guarded, end: false, key });
        };
        let add_text = |text: &'a TextDef, key, sites: &mut Vec<Site<'a>>| {
            let (tree, file, form) = (&text.tree, text.file.as_deref(), Form::Text);
            sites.push(Site { node: Some(node), frame, tree, file, form, scope: body, guarded, end: false, key });
        };
        if let Some(condition) = &step.condition {
            add(condition, Form::Expression, Scope::Beside, guarded, "if");
        }
        if let Some(for_each) = &step.for_each {
            match is_text(&for_each.list) {
                true => add(&for_each.list, Form::Expression, Scope::Beside, guarded, "for_each"),
                false => {
                    for leaf in leaves(&for_each.list) {
                        add(leaf, Form::Value, Scope::Beside, guarded, "for_each");
                    }
                }
            }
            if let Some(key) = &for_each.key {
                add(key, Form::Expression, Scope::Item, guarded, "key");
            }
        }
        if let Some(repeat) = &step.repeat {
            // It sees what the step itself sees, and the step as `previous`.
            add(&repeat.value.until, Form::Expression, Scope::Item, guarded, "repeat");
        }
        match &step.verb {
            Some(VerbDef::Tool { with, .. }) => {
                leaves_of(&with.value).into_iter().for_each(|leaf| add(leaf, Form::Value, body, guarded, "with"));
            }
            Some(VerbDef::Workflow(sub)) => {
                leaves_of(&sub.with.value).into_iter().for_each(|leaf| add(leaf, Form::Value, body, guarded, "with"));
            }
            Some(VerbDef::Set(values)) => {
                leaves_of(&values.value).into_iter().for_each(|leaf| add(leaf, Form::Value, body, guarded, "set"));
            }
            Some(VerbDef::Approve(approve)) => {
                add(&approve.value.prompt, Form::Text, body, guarded, "prompt");
                for leaf in approve.value.show.iter().flat_map(leaves) {
                    add(leaf, Form::Value, body, guarded, "show");
                }
            }
            Some(VerbDef::Input(input)) => {
                add(&input.value.prompt, Form::Text, body, guarded, "prompt");
                for (_, filled) in input.value.form.filled() {
                    add(filled, Form::Value, body, guarded, "default");
                }
            }
            Some(VerbDef::Wait(wait)) => match &wait.value {
                WaitDef::For(_) => {}
                WaitDef::Until(time) => add(time, Form::Text, body, guarded, "until"),
                WaitDef::Signal { name, .. } => add(name, Form::Text, body, guarded, "signal"),
            },
            Some(VerbDef::Steps { result, .. }) => {
                for leaf in result.iter().flat_map(leaves) {
                    add(leaf, Form::Value, Scope::Inside, true, "result");
                }
            }
            Some(VerbDef::Chat(chat)) => {
                for message in &chat.value.messages {
                    add_text(&message.text, "prompt", sites);
                }
            }
            Some(VerbDef::Goal(goal)) => add_text(&goal.value.goal, "goal", sites),
            None => {}
        }
    }
}
