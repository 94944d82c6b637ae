//! Whether a step may stand in the plan: its tool, its references, its arguments. What is refused is certainly wrong; a type that is
//! not known lets everything pass.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::draft::{Draft, LineError, place_of};
use super::line::{Comparison, Condition, PlannedStep};
use super::part::Part;
use super::reach::{elements, follow};
use super::read::{choice, misfit};
use super::reference::{ITEM, Key, Reference, each_reference, holds_reference};
use crate::workflow::{Type, did_you_mean, fits, nearest};

/// Keys of a schema that hold other schemas for the same value.
const TOGETHER: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// Looks at one step, or at the answer of the closing line.
pub(super) struct Check<'d> {
    draft: &'d Draft,
    step: Option<&'d PlannedStep>,
    /// Steps behind those of the draft that come into being with the line.
    fresh: Vec<(String, Type)>,
    /// What an item of the fan-out is.
    item: Option<Type>,
    /// Ids that the step cannot wait for, since they wait for it.
    behind: BTreeSet<String>,
    /// Whether references to lost steps are another line's concern.
    moved: bool,
    pub(super) errors: Vec<LineError>,
}

impl<'d> Check<'d> {
    pub(super) fn new(draft: &'d Draft, step: Option<&'d PlannedStep>) -> Self {
        let (fresh, item, behind, moved, errors) = (Vec::new(), None, BTreeSet::new(), false, Vec::new());
        Check { draft, step, fresh, item, behind, moved, errors }
    }

    fn error(&mut self, code: &'static str, place: &str, message: impl Display) {
        self.errors.push(LineError { code, place: place.to_owned(), message: message.to_string() });
    }

    pub(super) fn step(&mut self) {
        let Some(step) = self.step else { return };
        self.replaces(step);
        if let Some(list) = &step.for_each {
            self.item = Some(Type::Any);
            if let Some(kind) = self.kind_of(list, "for_each") {
                match elements(&kind) {
                    Some(of) => self.item = Some(of),
                    None => self.error("type", "for_each", format!("this is {}, and a list is needed", kind.short())),
                }
            }
        }
        if let Some(condition) = &step.condition {
            self.condition(condition);
        }
        for (key, ids) in [("uses", &step.uses), ("after", &step.after)] {
            for id in ids {
                self.place_of(id, key);
            }
        }
        match self.draft.tool(&step.tool) {
            None => {
                let names = self.draft.tools.iter().map(|tool| tool.name.as_str());
                let help = did_you_mean(&step.tool, names.collect::<Vec<_>>()).unwrap_or_default();
                self.error("unknown_tool", "tool", format!("no tool is called `{}`: {help}", step.tool));
                let args = Value::Object(step.args.clone());
                self.references(&args, "args");
            }
            Some(tool) if step.late.is_none() => self.arguments(&Part::whole(&tool.input_schema), &step.args),
            Some(_) => {}
        }
    }

    fn replaces(&mut self, step: &'d PlannedStep) {
        let Some(id) = step.replaces.as_ref().filter(|_| !self.moved) else { return };
        let may = self.draft.replaceable();
        if !self.draft.patching {
            return self.error("standing", "replaces", "only a patch replaces steps");
        }
        if !may.contains(id) {
            let code =
                if place_of(id).is_some_and(|at| at < self.draft.steps.len()) { "standing" } else { "unknown_step" };
            return self.error(code, "replaces", format!("`{id}` cannot be replaced: {}", choice(&may)));
        }
        self.behind = self.draft.behind(id).into_iter().map(|place| self.draft.steps[place].id.clone()).collect();
        self.behind.insert(id.clone());
        if self.draft.tool(&step.tool).is_some() {
            self.errors.extend(self.draft.misfits_behind(step));
        }
    }

    /// The place of a step that may be waited for.
    fn place_of(&mut self, id: &str, at: &str) -> Option<usize> {
        let next = self.draft.steps.len();
        let own = self.step.and_then(|step| place_of(&step.id)).unwrap_or(next);
        let may = || choice(&self.draft.nameable());
        let (code, message) = match place_of(id) {
            _ if id == ITEM => ("unknown_step", "`item` stands in the `args` of a step with `for_each`".to_owned()),
            Some(place) if place == own && self.step.is_some() => ("cycle", "a step cannot wait for itself".to_owned()),
            Some(place) if place >= own => ("forward_reference", format!("`{id}` is not written yet: {}", may())),
            _ if self.behind.contains(id) => ("cycle", format!("`{id}` will wait for this step")),
            Some(place) => match self.draft.lost(place).filter(|_| !self.moved) {
                Some(why) => ("standing", format!("{why}: {}", may())),
                None => return Some(place),
            },
            None => ("unknown_step", format!("no step is called `{id}`: {}", may())),
        };
        self.error(code, at, message);
        None
    }

    /// The type of what a reference leads to; none where that was told to be wrong.
    fn kind_of(&mut self, found: &Reference, at: &str) -> Option<Type> {
        let in_args = at.starts_with("args");
        let root = match self.item.clone().filter(|_| found.root == ITEM && in_args) {
            Some(item) => item,
            None => {
                let place = self.place_of(&found.root, at)?;
                let fresh = || self.fresh.get(place - self.draft.kinds.len()).map(|(_, kind)| kind);
                self.draft.kinds.get(place).or_else(fresh)?.clone()
            }
        };
        match follow(&root, &found.path) {
            Ok(kind) => Some(kind),
            Err(missing) => {
                let message = match &missing.key {
                    Key::At(_) => format!("there is no list at `[…]` in `{found}`"),
                    Key::Name(name) => {
                        let known = missing.known.iter().map(String::as_str).collect::<Vec<_>>();
                        let help = did_you_mean(name, known).map(|help| format!(": {help}")).unwrap_or_default();
                        format!("`{found}` has no field `{name}`{help}")
                    }
                };
                self.error("unknown_field", at, message);
                None
            }
        }
    }

    fn condition(&mut self, condition: &Condition) {
        let Some(kind) = self.kind_of(&condition.left, "if") else { return };
        let kind = kind.widened();
        let may = |kinds: &[Type]| kinds.iter().any(|wanted| fits(&kind, wanted));
        let list = || Type::list(Type::Any);
        let right = Type::of_value(&condition.right);
        let number = |kind: &Type| matches!(kind, Type::Integer | Type::Number);
        let needed = match condition.is {
            Comparison::True if !may(&[Type::Bool]) => "true or false is needed".to_owned(),
            Comparison::Equal | Comparison::NotEqual if right != Type::Null && !fits(&right, &kind) => {
                format!("it is compared with {}", right.short())
            }
            Comparison::More | Comparison::Less if !may(&[Type::Number]) || !number(&right) => {
                "two numbers are needed".to_owned()
            }
            Comparison::Contains if !may(&[Type::TEXT, list()]) => "a text or a list is needed".to_owned(),
            Comparison::Contains => {
                let of = elements(&kind).filter(|of| fits(&right, of));
                if of.is_some() || may(&[Type::TEXT]) && fits(&right, &Type::TEXT) {
                    return;
                }
                format!("it cannot contain {}", right.short())
            }
            Comparison::Empty | Comparison::NotEmpty if !may(&[Type::TEXT, list(), Type::open()]) => {
                "a text or a list is needed".to_owned()
            }
            _ => return,
        };
        self.error("type", "if", format!("`{}` is {}, and {needed}", condition.left, kind.short()));
    }

    fn arguments(&mut self, part: &Part<'_>, args: &Map<String, Value>) {
        let before = self.errors.len();
        let args = Value::Object(args.clone());
        if args.get("$ref").is_some() {
            self.error("shape", "args", "`args` as a whole cannot be a reference; write one at each argument");
        }
        let resolved = part.resolved();
        self.object(&resolved, args.as_object().unwrap_or(&Map::new()), "args");
        self.together(&resolved, &args, "args");
        if before == self.errors.len() && !holds_reference(&args) {
            self.literal(part, &args, "args");
        }
    }

    /// Holds a value in which references may stand against a schema.
    pub(super) fn value(&mut self, part: &Part<'_>, value: &Value, at: &str) {
        match Reference::of(value) {
            Some(Ok(found)) => {
                if let Some(kind) = self.kind_of(&found, at) {
                    let wanted = part.kind();
                    if !fits(&kind, &wanted) {
                        self.error("type", at, misfit(&kind, &wanted));
                    }
                }
            }
            Some(Err(())) => self.broken(at),
            None if holds_reference(value) => self.mixed(part, value, at),
            None => self.literal(part, value, at),
        }
    }

    fn broken(&mut self, at: &str) {
        self.error("shape", at, "a reference stands alone, and leads to a step: {\"$ref\":\"s1.files\"}");
    }

    fn literal(&mut self, part: &Part<'_>, value: &Value, at: &str) {
        if let Err(message) = part.check(value) {
            self.error("type", at, message);
        }
    }

    /// A value with references deeper in it.
    fn mixed(&mut self, part: &Part<'_>, value: &Value, at: &str) {
        let part = part.resolved();
        match value {
            Value::Object(_) if !part.may_be("object") => self.error("type", at, no_such(&part.kind(), "an object")),
            Value::Array(_) if !part.may_be("array") => self.error("type", at, no_such(&part.kind(), "a list")),
            Value::Object(map) => self.object(&part, map, at),
            Value::Array(list) => self.list(&part, list, at),
            _ => {}
        }
        self.together(&part, value, at);
    }

    fn object(&mut self, part: &Part<'_>, map: &Map<String, Value>, at: &str) {
        let combined = TOGETHER.iter().any(|key| part.at.get(key).is_some());
        let others = part.at.get("additionalProperties");
        let named: Vec<_> = part.fields().map(|(name, _)| name).collect();
        let patterns = part.at.get("patternProperties").is_some();
        let closed = others == Some(&Value::Bool(false))
            || others.is_none() && !named.is_empty() && !combined && part.at.get("$ref").is_none();
        for (name, value) in map {
            let at = format!("{at}.{name}");
            match (part.child(&["properties", name]), part.child(&["additionalProperties"])) {
                (Some(child), _) => self.value(&child, value, &at),
                (None, _) if patterns => self.references(value, &at),
                (None, _) if closed => {
                    let near = nearest(name, named.iter().copied().filter(|name| !map.contains_key(*name)));
                    let help = near.map(|near| format!("did you mean `{near}`?"));
                    let help = help.or_else(|| did_you_mean(name, named.clone())).unwrap_or_default();
                    self.error("unknown_argument", &at, format!("there is no argument `{name}`: {help}"));
                    self.references(value, &at);
                }
                (None, Some(child)) => self.value(&child, value, &at),
                (None, _) => self.references(value, &at),
            }
        }
        for name in part.required().filter(|name| !map.contains_key(*name)) {
            let kind = part.child(&["properties", name]).map_or(Type::Any, |child| child.kind());
            self.error("missing_argument", &format!("{at}.{name}"), format!("{} is needed here", kind.short()));
        }
    }

    fn list(&mut self, part: &Part<'_>, list: &[Value], at: &str) {
        let first = part.options("prefixItems");
        let count = |key: &str| part.at.get(key).and_then(Value::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "a line has few elements")]
        let length = list.len() as f64;
        if let Some(least) = count("minItems").filter(|least| length < *least) {
            self.error("type", at, format!("a list of {least} elements at least is needed"));
        }
        if let Some(most) = count("maxItems").filter(|most| length > *most) {
            self.error("type", at, format!("a list has {most} elements at most here"));
        }
        for (i, value) in list.iter().enumerate() {
            let at = format!("{at}[{i}]");
            match first.get(i).cloned().or_else(|| part.child(&["items"])) {
                Some(child) => self.value(&child, value, &at),
                None => self.references(value, &at),
            }
        }
    }

    /// Other schemas for the same value: one of them must allow it, or all. With references in it, which one cannot be told
    /// exactly, so that one is enough for `oneOf`, too.
    fn together(&mut self, part: &Part<'_>, value: &Value, at: &str) {
        if !holds_reference(value) {
            return;
        }
        for key in ["anyOf", "oneOf"] {
            let before = self.errors.len();
            let mut best: Option<Vec<LineError>> = None;
            for option in part.options(key) {
                self.mixed(&option, value, at);
                let found = self.errors.split_off(before);
                if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                    best = Some(found);
                }
            }
            self.errors.extend(best.into_iter().flatten());
        }
        part.options("allOf").iter().for_each(|option| self.mixed(option, value, at));
        let known = self.errors.split_off(0);
        let unique: BTreeSet<_> = known.iter().cloned().collect();
        let mut left = unique;
        self.errors = known.into_iter().filter(|error| left.remove(error)).collect();
    }

    /// References where no schema says what is needed.
    fn references(&mut self, value: &Value, at: &str) {
        let mut all = Vec::new();
        each_reference(value, &mut |found| all.push(found));
        for found in &all {
            self.kind_of(found, at);
        }
    }
}

fn no_such(wanted: &Type, given: &str) -> String {
    format!("this is {given}, and {} is needed", wanted.short())
}

impl Draft {
    /// What would be wrong with the steps that move behind one that replaces another.
    pub(super) fn misfits_behind(&self, step: &PlannedStep) -> Vec<LineError> {
        let Some(replaced) = &step.replaces else { return Vec::new() };
        let mut fresh = vec![(step.id.clone(), self.gives(step))];
        let mut found = Vec::new();
        for moved in self.moved_behind(step) {
            let mut check = Check { fresh: fresh.clone(), moved: true, ..Check::new(self, Some(&moved)) };
            check.step();
            let old = moved.replaces.clone().unwrap_or_default();
            found.extend(check.errors.into_iter().map(|error| LineError {
                code: error.code,
                place: "replaces".into(),
                message: format!(
                    "`{old}` waits for `{replaced}`, and could not stand behind this: at `{}` {}; drop `{old}` before",
                    error.place, error.message
                ),
            }));
            fresh.push((moved.id.clone(), self.gives(&moved)));
        }
        found
    }
}
