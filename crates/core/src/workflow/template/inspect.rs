//! What a template names, what it gives, and what is wrong with it, found without running it.

use std::collections::{BTreeMap, BTreeSet};

use super::Reference;
use super::habits;
use super::kind::Type;
use super::library::{self, FUNCTIONS};
use super::span::{Problem, Span};
use super::tree::{Expr, ExprKind, Piece};
use crate::workflow::diagnostic::nearest;

/// The roots of version 1. No name of one's own may hide one.
pub(crate) const ROOTS: [&str; 7] = ["inputs", "steps", "env", "secrets", "run", "index", "previous"];
/// How much a name may hold: lists that hold each other twice grow without end.
const WEIGHT: u64 = 100_000;

/// What is known of a template before it runs.
#[derive(Clone, Debug)]
pub(crate) struct Inspected {
    /// Every place where it names a value.
    pub(crate) uses: Vec<Use>,
    /// What it gives. Texts that are written out stand in it as they are: see [`Type::widened`].
    pub(crate) result: Type,
    /// What is wrong with it.
    pub(crate) problems: Vec<Problem>,
}

/// One place where a template names a value.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    /// Which leaf of nested YAML it is in, as a JSON pointer; empty for a text of its own.
    pub(crate) leaf: String,
    /// Where in that text.
    pub(crate) span: Span,
    /// What it names. `steps` alone, or with an index that is not written out, has no path.
    pub(crate) reference: Reference,
    /// Whether it is printed or passed on as it is, by no operator and no filter.
    pub(crate) bare: bool,
    /// For `steps.x…`: whether the expression, or an `{% if %}` around it, names `steps.x.status` too.
    pub(crate) tested: bool,
}

/// A name that a template gives a value to.
#[derive(Clone, Debug)]
struct Local {
    kind: Type,
    weight: u64,
}

/// Walks the trees of one text.
pub(super) struct Inspector<'a> {
    /// What is known of a root, or of `steps.x`.
    lookup: &'a mut dyn FnMut(&Reference) -> Option<Type>,
    pub(super) uses: Vec<Use>,
    pub(super) problems: Vec<Problem>,
    locals: Vec<BTreeMap<String, Local>>,
    /// Steps whose status an `{% if %}` around tests.
    tested: Vec<BTreeSet<String>>,
}

impl<'a> Inspector<'a> {
    pub(super) fn new(lookup: &'a mut dyn FnMut(&Reference) -> Option<Type>) -> Self {
        let locals = vec![BTreeMap::new()];
        Inspector { lookup, uses: Vec::new(), problems: Vec::new(), locals, tested: Vec::new() }
    }

    /// A whole expression.
    pub(super) fn whole(&mut self, expr: &Expr) -> Type {
        let first = self.uses.len();
        let kind = self.expr(expr);
        let mut tested = statuses(&self.uses[first..]);
        tested.extend(self.tested.iter().flatten().cloned());
        let bare = chain(expr).is_some();
        for one in &mut self.uses[first..] {
            one.bare = bare;
            one.tested = one.reference.step().is_some_and(|id| tested.contains(id));
        }
        kind
    }

    /// The pieces of a text.
    pub(super) fn pieces(&mut self, pieces: &[Piece]) {
        pieces.iter().for_each(|piece| self.piece(piece));
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Print(expr) => drop(self.whole(expr)),
            Piece::If { test, then, otherwise } => {
                let first = self.uses.len();
                self.whole(test);
                self.unbare(first);
                self.tested.push(statuses(&self.uses[first..]));
                self.pieces(then);
                self.pieces(otherwise);
                self.tested.pop();
            }
            Piece::For { names, list, filter, body, otherwise } => {
                let first = self.uses.len();
                let kind = self.whole(list);
                self.unbare(first);
                let weight = self.weight(list);
                let element = if names.len() == 1 { kind.element() } else { Type::Any };
                self.locals.push(BTreeMap::from([("loop".to_owned(), Local { kind: Type::Any, weight: 1 })]));
                names.iter().for_each(|(name, span)| self.assign(name, *span, element.clone(), weight));
                let first = self.uses.len();
                if let Some(filter) = filter {
                    self.whole(filter);
                    self.unbare(first);
                }
                self.tested.push(statuses(&self.uses[first..]));
                self.pieces(body);
                self.tested.pop();
                self.locals.pop();
                self.pieces(otherwise);
            }
            Piece::Set { names, value } => {
                let first = self.uses.len();
                let kind = self.whole(value);
                self.unbare(first);
                let weight = self.weight(value);
                if weight > WEIGHT {
                    let message = "this value holds others so many times that it is too large";
                    self.problems.push(Problem::new("template", value.span, message));
                }
                let kind = if names.len() == 1 { kind } else { Type::Any };
                names.iter().for_each(|(name, span)| self.assign(name, *span, kind.clone(), weight));
            }
        }
    }

    /// What is tested, walked or given a name is not passed on as it is.
    fn unbare(&mut self, first: usize) {
        self.uses[first..].iter_mut().for_each(|one| one.bare = false);
    }

    fn assign(&mut self, name: &str, span: Span, kind: Type, weight: u64) {
        let root = Reference { root: name.to_owned(), path: Vec::new() };
        let message = if ROOTS.contains(&name) || (self.lookup)(&root).is_some() {
            Some(format!("`{name}` is the name of a root, and cannot be given another value"))
        } else if library::find(FUNCTIONS, name).is_some() {
            Some(format!("`{name}` is the name of a function, and cannot be given a value"))
        } else {
            None
        };
        if let Some(message) = message {
            self.problems.push(Problem::new("shadowed-name", span, message).help("take another name"));
        } else if let Some(scope) = self.locals.last_mut() {
            scope.insert(name.to_owned(), Local { kind, weight });
        }
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find_map(|scope| scope.get(name))
    }

    /// How many parts the value of an expression may have that is made of names.
    fn weight(&self, expr: &Expr) -> u64 {
        let all = |exprs: &mut dyn Iterator<Item = &Expr>| {
            exprs.map(|expr| self.weight(expr)).fold(0_u64, u64::saturating_add)
        };
        match &expr.kind {
            ExprKind::Name(name) => self.local(name).map_or(1, |local| local.weight),
            ExprKind::Constant(_) => 1,
            ExprKind::Not(of) | ExprKind::Minus(of) | ExprKind::Field(of, _) => self.weight(of),
            ExprKind::Binary(_, a, b) | ExprKind::Item(a, b) => self.weight(a).saturating_add(self.weight(b)),
            ExprKind::Chain(..) => 1,
            ExprKind::If { then, otherwise, .. } => {
                self.weight(then).max(otherwise.as_ref().map_or(0, |otherwise| self.weight(otherwise)))
            }
            ExprKind::Filter(applied) | ExprKind::Test(applied) => {
                let arguments = all(&mut applied.arguments.iter().map(|argument| &argument.value));
                self.weight(&applied.input).saturating_add(arguments)
            }
            ExprKind::Slice(of, _) => self.weight(of),
            ExprKind::Call(_, arguments) => all(&mut arguments.iter().map(|argument| &argument.value)).max(1),
            ExprKind::List(items) => all(&mut items.iter()).max(1),
            ExprKind::Map(fields) => all(&mut fields.iter().map(|(_, value)| value)).max(1),
        }
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A name, with the names that follow it.
    pub(super) fn chain(&mut self, chain: &Chain<'_>, span: Span) -> Type {
        if let Some(local) = self.local(chain.root) {
            let kind = local.kind.clone();
            return self.follow(kind, chain.root, &chain.names);
        }
        let path: Vec<String> = chain.names.iter().map(|(name, _)| (*name).to_owned()).collect();
        let reference = Reference { root: chain.root.to_owned(), path };
        let at_root = usize::from(chain.root == "steps").min(chain.names.len());
        let head = Reference { root: reference.root.clone(), path: reference.path[..at_root].to_vec() };
        if chain.root == "steps" && chain.names.is_empty() {
            let message = "`steps` as a whole cannot be used, since the order of steps must be known before they run";
            self.problem(Problem::new("dynamic-step", span, message).help("write `steps.ID.output`"));
        }
        self.uses.push(Use { leaf: String::new(), span, reference, bare: false, tested: false });
        let Some(kind) = (self.lookup)(&head) else { return Type::Any };
        let owner = if at_root == 1 { chain.names[0].0 } else { chain.root };
        self.follow(kind, owner, &chain.names[at_root..])
    }

    fn follow(&mut self, kind: Type, owner: &str, names: &[(&str, Span)]) -> Type {
        let mut at = kind;
        let mut owner = owner;
        for (name, span) in names {
            at = self.field(&at, owner, name, *span);
            owner = name;
        }
        at
    }

    /// The field of a value, which must have it if that can be known.
    pub(super) fn field(&mut self, of: &Type, owner: &str, name: &str, span: Span) -> Type {
        match field_of(of, name) {
            Ok(kind) => kind,
            Err(known) => {
                self.problem(no_field(of, owner, name, span, &known));
                Type::Any
            }
        }
    }
}

/// The type of a field, or the fields that there are.
pub(crate) fn field_of(of: &Type, name: &str) -> Result<Type, Vec<String>> {
    let (mut found, mut known, mut objects) = (Vec::new(), Vec::new(), 0);
    for kind in of.members() {
        match kind {
            Type::Any => return Ok(Type::Any),
            Type::Object(fields) => {
                objects += 1;
                match (fields.known.get(name), &fields.rest) {
                    (Some(field), _) => found.push(field.kind.clone()),
                    (None, Some(rest)) => found.push((**rest).clone()),
                    (None, None) => known.extend(fields.known.keys().cloned()),
                }
            }
            // Where null is one of several, the author knows; where it is all, nothing is known yet.
            Type::Null => found.extend((of == &Type::Null).then_some(Type::Any)),
            _ => {}
        }
    }
    if found.is_empty() && (objects > 0 || of.members().iter().any(|kind| *kind != Type::Null)) {
        return Err(known);
    }
    Ok(Type::union(found))
}

/// `owner` is empty where the value has no name.
fn no_field(of: &Type, owner: &str, name: &str, span: Span, known: &[String]) -> Problem {
    let fields = known.iter().map(String::as_str);
    let near = nearest(name, fields.clone()).map(|near| format!("did you mean `{near}`?"));
    let foreign = habits::foreign_method(name).map(str::to_owned);
    let (subject, list) = match owner {
        "" => ("this value".to_owned(), "list"),
        owner => (format!("`{owner}`"), owner),
    };
    if known.is_empty() {
        let message = format!("{subject} is {}, and has no field `{name}`", of.without_null().short());
        let of_list = matches!(of.without_null(), Type::List(_))
            .then(|| format!("write `{list}[0].{name}` for one, `{list} | map(attribute='{name}')` for each"));
        return Problem::new("unknown-field", span, message).maybe_help(foreign.or(of_list));
    }
    let all: Vec<_> = fields.take(12).collect();
    let help = near.or(foreign).unwrap_or_else(|| format!("it has {}", all.join(", ")));
    Problem::new("unknown-field", span, format!("{subject} has no field `{name}`")).help(help)
}

fn statuses(uses: &[Use]) -> BTreeSet<String> {
    let status = |one: &Use| one.reference.path.get(1).is_some_and(|field| field == "status");
    uses.iter().filter(|one| status(one)).filter_map(|one| one.reference.step().map(str::to_owned)).collect()
}

/// A name, and the names that follow it: `steps.load.output`, `steps['load'].output`.
pub(super) struct Chain<'a> {
    pub(super) root: &'a str,
    pub(super) names: Vec<(&'a str, Span)>,
}

pub(super) fn chain(expr: &Expr) -> Option<Chain<'_>> {
    match &expr.kind {
        ExprKind::Name(root) => Some(Chain { root, names: Vec::new() }),
        ExprKind::Field(of, name) => {
            let mut chain = chain(of)?;
            chain.names.push((name, Span::new(expr.span.end.saturating_sub(name.len()), expr.span.end)));
            Some(chain)
        }
        ExprKind::Item(of, index) => {
            let ExprKind::Constant(serde_json::Value::String(name)) = &index.kind else { return None };
            let mut chain = chain(of)?;
            chain.names.push((name, index.span));
            Some(chain)
        }
        _ => None,
    }
}
