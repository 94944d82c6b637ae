//! What a template must give where it stands: a truth value under `if`, a list under `for_each`; and where a secret may be.

use std::collections::BTreeSet;

use super::types::Types;
use crate::workflow::compile::Site;
use crate::workflow::definition::{StepDef, VerbDef, WaitDef};
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::graph::NodeIndex;
use crate::workflow::template::{Reference, Type, Use};
use crate::workflow::tree::{Kind, Tree};

impl<'a> Types<'_, 'a> {
    /// A template's result must be of use where the template stands.
    pub(super) fn result(&mut self, site: &Site<'a>, result: &Type) {
        let may_be = |test: fn(&Type) -> bool| result.members().iter().any(|kind| *kind == Type::Any || test(kind));
        match site.key {
            "if" | "ensure" | "repeat" if !may_be(|kind| *kind == Type::Bool) => {
                self.not_boolean(site.frame, site.tree, site.key, &result.to_string());
            }
            "for_each" if self.is_list_of(site) && !may_be(|kind| matches!(kind, Type::List(_))) => {
                self.not_a_list(site.frame, site.tree, result);
            }
            "key" if !may_be(|kind| !matches!(kind, Type::Null | Type::List(_) | Type::Object(_))) => {
                let message = format!("the `key` of an item is a text, and this is {}", result.short());
                let help = "name a field that is a text, and another for each item";
                self.tell(site.frame, Diagnostic::new("bad-item-key", site.tree.place, message).help(help));
            }
            _ => {}
        }
    }

    /// What stands where an expression is expected and is none: it is known before the run.
    pub(super) fn written_out(&mut self, index: NodeIndex, step: &StepDef) {
        let frame = self.frame_of(index);
        if let Some(condition) = &step.condition {
            self.truth(frame, condition, "if");
        }
        if let Some(repeat) = &step.repeat {
            self.truth(frame, &repeat.value.until, "repeat");
        }
        if let Some(for_each) = &step.for_each {
            let list = &for_each.list;
            if !matches!(list.kind, Kind::Text(_) | Kind::List(_)) {
                self.not_a_list(frame, list, &Type::of_value(&list.to_value()));
            }
        }
        if let Some(VerbDef::Wait(wait)) = &step.verb
            && let WaitDef::Until(time) = &wait.value
            && let Some(text) = time.as_text().filter(|text| !text.contains("${{") && !text.contains("{%"))
            && (text.trim().ends_with("us") || text.trim().parse::<crate::id::Time>().is_err())
        {
            let message = format!("`until` needs a time, and `{text}` is none");
            let help = "write it with its date and its zone: \"2027-01-31T12:00:00Z\"";
            self.tell(frame, Diagnostic::new("bad-value", time.place, message).help(help));
        }
    }

    /// Something under `if`, `until` or `ensure` that is neither an expression nor a truth value.
    pub(super) fn truth(&mut self, frame: usize, tree: &Tree, key: &str) {
        if !matches!(tree.kind, Kind::Text(_) | Kind::Bool(_)) {
            self.not_boolean(frame, tree, key, tree.what());
        }
    }

    fn not_a_list(&mut self, frame: usize, tree: &Tree, kind: &Type) {
        let help = match kind.without_null() {
            Type::Object(_) => Some("`value | items` gives the pairs of an object"),
            Type::Text(_) => Some("`value | lines` or `value | split(',')` makes a list of a text"),
            Type::Integer => Some("`range(n)` counts from 0"),
            _ => None,
        };
        let message = format!("`for_each` takes a list, and this is {}", kind.short());
        let mut diagnostic = Diagnostic::new("not-a-list", tree.place, message);
        diagnostic.help = help.map(str::to_owned);
        self.tell(frame, diagnostic);
    }

    /// An output that may be missing stands in an expression that tests the step's status.
    pub(super) fn guards(&mut self, site: &Site<'a>, uses: &[Use]) {
        let mut told = BTreeSet::new();
        for one in uses.iter().filter(|one| site.guarded && !one.tested) {
            let is_output = one.reference.path.get(1).is_some_and(|field| field == "output");
            let Some(id) = one.reference.step().filter(|_| is_output) else { continue };
            if self.step_named(site, id).is_some_and(|step| self.may_be_missing(step)) && told.insert(id) {
                let message = format!("`steps.{id}.output` may be missing here, since `{id}` may be skipped or fail");
                let help = format!("test it in the same expression: `… if steps.{id}.status == 'completed' else …`");
                let place = site.locate_span(one.span);
                self.site_problem(site, Diagnostic::new("maybe-skipped", place, message).help(help));
            }
        }
    }

    /// Whether the site is the whole list, and not a part of one that is written out.
    fn is_list_of(&self, site: &Site<'a>) -> bool {
        let step = site.node.map(|node| self.step_of(node));
        step.and_then(|step| step.for_each.as_ref()).is_some_and(|for_each| std::ptr::eq(&for_each.list, site.tree))
    }

    fn not_boolean(&mut self, frame: usize, tree: &Tree, key: &str, what: &str) {
        let key = if key == "repeat" { "until" } else { key };
        let message = format!("`{key}` must be true or false, and this is {what}");
        let help = "compare it: `value == 'x'`, `value | length > 0`, `value is not none`";
        self.tell(frame, Diagnostic::new("not-boolean", tree.place, message).help(help));
    }

    /// What a tool gives that gives a secret is not kept, so that there is nothing to refer to.
    pub(super) fn withheld(&mut self, site: &Site<'a>, place: Place, reference: &Reference) {
        let [step, part, ..] = reference.path.as_slice() else { return };
        let tool = self.step_named(site, step).filter(|_| part == "output").and_then(|index| self.tool_of(index));
        let Some(tool) = tool.filter(|tool| tool.labels.secret) else { return };
        let message = format!("what `{}` gives is a secret, and is not kept: there is nothing to refer to", tool.name);
        let help =
            "let the tool that needs it fetch it, or declare it under `secrets` and name its source in `parkway.toml`";
        self.site_problem(site, Diagnostic::new("secret-misused", place, message).help(help));
    }

    /// A secret may stand by itself in the arguments of a tool: what else is made of it could be read in the log.
    pub(super) fn secret(&mut self, site: &Site<'a>, place: Place, bare: bool) {
        let verb = site.node.filter(|_| !site.end).and_then(|node| self.step_of(node).verb.as_ref());
        let diagnostic = match (site.key, verb) {
            ("with", Some(VerbDef::Tool { .. })) if bare => return,
            ("with", Some(VerbDef::Tool { .. })) => {
                let message = "a secret stands by itself, as `${{ secrets.NAME }}`: no operator, no filter";
                Diagnostic::new("secret-misused", place, message)
                    .help("text around it is fine: `Bearer ${{ secrets.NAME }}`")
            }
            ("prompt", Some(VerbDef::Chat(_))) | ("goal", _) => {
                let message = "a secret in a prompt could be read in the model's answer, and in the log";
                Diagnostic::new("secret-in-prompt", place, message).help("give it to a tool, under `with`")
            }
            _ => {
                let message =
                    "a secret may stand in the arguments of a `tool` only: nothing else is kept out of the log";
                Diagnostic::new("secret-misused", place, message)
                    .help("write `${{ secrets.NAME }}` under `with` of the tool that needs it")
            }
        };
        self.site_problem(site, diagnostic);
    }
}
