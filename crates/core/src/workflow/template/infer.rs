//! The types of expressions, and what can be said against them with certainty.

use serde_json::Value;

use super::applied;
use super::habits;
use super::inspect::{Inspector, chain};
use super::kind::Type;
use super::library::{self, FUNCTIONS, Given};
use super::span::{Problem, Span};
use super::tree::{Argument, Binary, Expr, ExprKind};
use crate::workflow::diagnostic::did_you_mean;

impl Inspector<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Type {
        if let Some(chain) = chain(expr) {
            return self.chain(&chain, expr.span);
        }
        match &expr.kind {
            ExprKind::Name(_) => Type::Any,
            ExprKind::Constant(value) => Type::of_value(value),
            ExprKind::Not(of) => {
                self.expr(of);
                Type::Bool
            }
            ExprKind::Minus(of) => match self.expr(of) {
                kind if kind.is_numeric() => kind,
                _ => Type::Number,
            },
            ExprKind::Binary(op, left, right) => {
                let (a, b) = (self.expr(left), self.expr(right));
                self.binary(*op, (left, &a), (right, &b))
            }
            ExprKind::Chain(first, rest) => {
                let mut left = (&**first, self.expr(first));
                for (op, right) in rest {
                    let kind = self.expr(right);
                    self.binary(*op, (left.0, &left.1), (right, &kind));
                    left = (right, kind);
                }
                Type::Bool
            }
            ExprKind::If { test, then, otherwise } => {
                self.expr(test);
                let then = self.expr(then);
                match otherwise {
                    Some(otherwise) => Type::union([then, self.expr(otherwise)]),
                    None => {
                        let message = "without `else`, this has no value when the condition is false";
                        self.problem(Problem::new("no-else", expr.span, message).help("write `A if B else C`"));
                        then
                    }
                }
            }
            ExprKind::Filter(filter) => applied::filter(self, filter),
            ExprKind::Test(test) => applied::test(self, test),
            ExprKind::Field(of, name) => {
                let kind = self.expr(of);
                let span = Span::new(expr.span.end.saturating_sub(name.len()), expr.span.end);
                self.field(&kind, "", name, span)
            }
            ExprKind::Item(of, index) => {
                let kind = self.expr(of);
                self.expr(index);
                match &index.kind {
                    ExprKind::Constant(Value::String(name)) => self.field(&kind, "", name, index.span),
                    _ => item_of(&kind),
                }
            }
            ExprKind::Slice(of, bounds) => {
                bounds.iter().for_each(|bound| drop(self.expr(bound)));
                match self.expr(of) {
                    Type::Text(_) => Type::TEXT,
                    list @ Type::List(_) => list,
                    // Of null it is a list, too.
                    _ => Type::Any,
                }
            }
            ExprKind::Call(of, arguments) => self.call(of, arguments, expr.span),
            ExprKind::List(items) => {
                let kinds: Vec<_> = items.iter().map(|item| self.expr(item)).collect();
                Type::list(Type::union(kinds))
            }
            ExprKind::Map(fields) => self.map(fields),
        }
    }

    fn map(&mut self, fields: &[(Expr, Expr)]) -> Type {
        let mut known = Vec::new();
        let mut all = true;
        for (key, value) in fields {
            let kind = self.expr(value);
            match &key.kind {
                ExprKind::Constant(Value::String(name)) => known.push((name.as_str(), kind)),
                _ => {
                    self.expr(key);
                    all = false;
                }
            }
        }
        if all { Type::object(known) } else { Type::open() }
    }

    /// The arguments' types, those with a name too.
    pub(super) fn arguments(&mut self, arguments: &[Argument]) -> Vec<Type> {
        arguments.iter().map(|argument| self.expr(&argument.value)).collect()
    }

    fn call(&mut self, of: &Expr, arguments: &[Argument], span: Span) -> Type {
        match &of.kind {
            ExprKind::Name(name) => {
                let kinds = self.arguments(arguments);
                let Some(row) = library::find(FUNCTIONS, name) else {
                    self.problem(unknown_function(name, of.span));
                    return Type::Any;
                };
                let input = kinds.first().cloned().unwrap_or(Type::Any);
                let reached = (name == "get").then(|| applied::path(arguments.get(1))).flatten();
                let reached = reached.and_then(|path| applied::reach(&input, path).ok());
                (row.gives)(&Given {
                    input: &input,
                    arguments: kinds.get(1..).unwrap_or_default(),
                    reached: reached.as_ref(),
                })
            }
            ExprKind::Field(value, name) => {
                // `loop.cycle` and its like have no place here either.
                self.expr(value);
                self.arguments(arguments);
                let message = format!("values have no methods: `.{name}(…)`");
                let problem =
                    Problem::new("method", span, message).maybe_help(habits::foreign_method(name).map(str::to_owned));
                self.problem(problem);
                Type::Any
            }
            _ => {
                self.expr(of);
                self.arguments(arguments);
                self.problem(Problem::new("unknown-function", of.span, "this is no function"));
                Type::Any
            }
        }
    }

    /// An operator between two values.
    pub(super) fn binary(&mut self, op: Binary, left: (&Expr, &Type), right: (&Expr, &Type)) -> Type {
        let (a, b) = (left.1, right.1);
        match op {
            Binary::And | Binary::Or => Type::union([a.clone(), b.clone()]),
            Binary::Join => Type::TEXT,
            Binary::Equal | Binary::NotEqual => {
                self.compared(op, left, right);
                Type::Bool
            }
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                self.ordered(op, left, right);
                Type::Bool
            }
            Binary::In | Binary::NotIn => {
                self.contained(op, left, right);
                Type::Bool
            }
            _ => self.calculated(op, left, right),
        }
    }

    fn calculated(&mut self, op: Binary, left: (&Expr, &Type), right: (&Expr, &Type)) -> Type {
        let (Some(a), Some(b)) = (Class::only(left.1), Class::only(right.1)) else { return Type::Any };
        let both_whole = *left.1 == Type::Integer && *right.1 == Type::Integer;
        match (op, a, b) {
            (Binary::Divide, Class::Number, Class::Number) => Type::Number,
            (_, Class::Number, Class::Number) if both_whole && op != Binary::Power => Type::Integer,
            (_, Class::Number, Class::Number) => Type::Number,
            (Binary::Add, Class::Text, Class::Text) => Type::TEXT,
            (Binary::Add, Class::List, Class::List) => Type::list(Type::union([left.1.element(), right.1.element()])),
            (Binary::Multiply, Class::Text, Class::Number) | (Binary::Multiply, Class::Number, Class::Text) => {
                Type::TEXT
            }
            (Binary::Multiply, Class::List, Class::Number) | (Binary::Multiply, Class::Number, Class::List) => {
                Type::Any
            }
            // minijinja calculates with true and false, too.
            (_, Class::Bool, _) | (_, _, Class::Bool) => Type::Any,
            _ => {
                let sign = op.sign();
                let message = format!("`{sign}` does not work between {} and {}", a.word(), b.word());
                let text = a == Class::Text || b == Class::Text;
                let help = match op {
                    Binary::Add if text => Some("write `~` to join texts, or `value | int` for a number".to_owned()),
                    _ if text => {
                        Some("write `value | int` or `value | float` for the number that a text says".to_owned())
                    }
                    _ => None,
                };
                self.problem(Problem::new("bad-operands", left.0.span.to(right.0.span), message).maybe_help(help));
                Type::Any
            }
        }
    }

    /// `==` and `!=`.
    pub(super) fn compared(&mut self, op: Binary, left: (&Expr, &Type), right: (&Expr, &Type)) {
        let (a, b) = (left.1.without_null(), right.1.without_null());
        let span = left.0.span.to(right.0.span);
        if let Some((one, other)) = apart(&a, &b) {
            let always = if op == Binary::Equal { "never" } else { "always" };
            let message =
                format!("{one} and {other} are {always} {}", if always == "never" { "equal" } else { "different" });
            let help = match (one, other) {
                ("a text", "a number") | ("a number", "a text") => {
                    Some("write a number without quotes; `text | int` makes one of a text")
                }
                ("a text", "true or false") | ("true or false", "a text") => {
                    Some("write `true` and `false` without quotes")
                }
                _ => None,
            };
            self.problem(Problem::new("never-equal", span, message).maybe_help(help.map(str::to_owned)));
        } else {
            self.among(left, right);
        }
    }

    /// A text that is written out must be one of those that the other side can be.
    fn among(&mut self, left: (&Expr, &Type), right: (&Expr, &Type)) {
        for ((constant, kind), (other, of)) in [(left, right), (right, left)] {
            let (ExprKind::Constant(_), Type::Text(Some(written))) = (&constant.kind, kind) else { continue };
            let Some(texts) = texts(of).filter(|_| !matches!(other.kind, ExprKind::Constant(_))) else { continue };
            let missing = written.iter().find(|text| !texts.contains(&text.as_str()));
            if let Some(text) = missing {
                self.problem(not_among(text, &texts, constant.span));
            }
        }
    }

    fn ordered(&mut self, op: Binary, left: (&Expr, &Type), right: (&Expr, &Type)) {
        let (a, b) = (left.1.without_null(), right.1.without_null());
        if let Some((one, other)) = apart(&a, &b) {
            let message = format!("{one} is not compared with {other} by `{}`", op.sign());
            let problem = Problem::new("bad-operands", left.0.span.to(right.0.span), message);
            let number = [one, other].contains(&"a number") && [one, other].contains(&"a text");
            let help =
                number.then(|| "write `text | int` or `text | float` for the number that a text says".to_owned());
            self.problem(problem.maybe_help(help));
        }
    }

    /// `in`: the list's elements are such as the value, or the text has a text as its part.
    pub(super) fn contained(&mut self, op: Binary, left: (&Expr, &Type), right: (&Expr, &Type)) {
        match right.1.without_null() {
            Type::List(of) => {
                if let ExprKind::List(items) = &right.0.kind {
                    for item in items {
                        let ExprKind::Constant(value) = &item.kind else { continue };
                        let kind = Type::of_value(value);
                        if apart(&left.1.without_null(), &kind).is_none() {
                            self.among(left, (item, &kind));
                        }
                    }
                } else {
                    self.among(left, (right.0, &of));
                }
                if let Some((one, other)) = apart(&left.1.without_null(), &of.without_null()) {
                    let message =
                        format!("{one} is never `{}` a list, each of it {other}", op.sign().replace("not ", ""));
                    self.problem(Problem::new("never-equal", left.0.span.to(right.0.span), message));
                }
            }
            kind @ (Type::Integer | Type::Number | Type::Bool) => {
                let message = format!("nothing is in {kind}");
                self.problem(Problem::new("bad-operands", right.0.span, message));
            }
            _ => {}
        }
    }
}

fn item_of(kind: &Type) -> Type {
    match kind.without_null() {
        Type::List(of) => (*of).clone(),
        Type::Text(_) => Type::TEXT,
        _ => Type::Any,
    }
}

fn unknown_function(name: &str, span: Span) -> Problem {
    let message = format!("no function is called `{name}`");
    let filter = library::find(library::FILTERS, name).map(|row| format!("it is a filter: write `{}`", row.form));
    let help = habits::foreign_function(name).map(str::to_owned).or(filter);
    let help = help.or_else(|| did_you_mean(name, library::names(FUNCTIONS)));
    Problem::new("unknown-function", span, message).maybe_help(help)
}

pub(super) fn not_among(text: &str, texts: &[&str], span: Span) -> Problem {
    let message = format!("it is never '{text}'");
    Problem::new("not-in-enum", span, message).maybe_help(did_you_mean(text, texts.iter().copied()))
}

/// The texts that a value can be, if all of them are known.
fn texts(kind: &Type) -> Option<Vec<&str>> {
    let mut all = Vec::new();
    for member in kind.members() {
        match member {
            Type::Text(Some(texts)) => all.extend(texts.iter().map(String::as_str)),
            Type::Text(None) | Type::Any => return None,
            _ => {}
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Kinds of values that are never equal to one of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Class {
    fn of(kind: &Type) -> Option<Class> {
        Some(match kind {
            Type::Bool => Class::Bool,
            Type::Integer | Type::Number => Class::Number,
            Type::Text(_) => Class::Text,
            Type::List(_) => Class::List,
            Type::Object(_) => Class::Object,
            Type::Any | Type::Null | Type::Union(_) => return None,
        })
    }

    /// The one class of a value that is not null.
    pub(super) fn only(kind: &Type) -> Option<Class> {
        let mut classes = kind.members().iter().map(Class::of);
        let first = classes.next()??;
        classes.all(|class| class == Some(first)).then_some(first)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Class::Bool => "true or false",
            Class::Number => "a number",
            Class::Text => "a text",
            Class::List => "a list",
            Class::Object => "an object",
        }
    }
}

/// The words for two types that have nothing in common.
pub(super) fn apart(a: &Type, b: &Type) -> Option<(&'static str, &'static str)> {
    let classes = |kind: &Type| kind.members().iter().map(Class::of).collect::<Option<Vec<_>>>();
    let (a, b) = (classes(a)?, classes(b)?);
    let common = a.iter().any(|class| b.contains(class));
    let (one, other) = (a.first()?, b.first()?);
    // Elements of a list that are true and 1 are told apart by nothing else.
    let mixed = matches!((one, other), (Class::Bool, Class::Number) | (Class::Number, Class::Bool));
    (!common && !mixed).then(|| (one.word(), other.word()))
}
