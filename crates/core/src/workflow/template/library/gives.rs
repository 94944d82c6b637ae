//! The types of what filters give.

use super::super::kind::Type;

/// What a filter, test or function is given.
#[derive(Debug)]
pub(in super::super) struct Given<'a> {
    pub(in super::super) input: &'a Type,
    pub(in super::super) arguments: &'a [Type],
    /// The type of what `map`, `groupby` or `get` reach for, where that is known.
    pub(in super::super) reached: Option<&'a Type>,
}

impl Given<'_> {
    fn argument(&self, i: usize) -> Type {
        self.arguments.get(i).cloned().unwrap_or(Type::Any)
    }
}

pub(super) fn any(_: &Given<'_>) -> Type {
    Type::Any
}

pub(super) fn text(_: &Given<'_>) -> Type {
    Type::TEXT
}

pub(super) fn text_or_null(_: &Given<'_>) -> Type {
    Type::TEXT.or_null()
}

pub(super) fn boolean(_: &Given<'_>) -> Type {
    Type::Bool
}

pub(super) fn whole(_: &Given<'_>) -> Type {
    Type::Integer
}

pub(super) fn number(_: &Given<'_>) -> Type {
    Type::Number
}

pub(super) fn texts(_: &Given<'_>) -> Type {
    Type::list(Type::TEXT)
}

pub(super) fn numbers(_: &Given<'_>) -> Type {
    Type::list(Type::Integer)
}

/// A number of the kind that it is given.
pub(super) fn same_number(given: &Given<'_>) -> Type {
    if given.input.is_numeric() { given.input.clone() } else { Type::Number }
}

/// A list of what the input has.
pub(super) fn same_list(given: &Given<'_>) -> Type {
    Type::list(given.input.element())
}

pub(super) fn lists(given: &Given<'_>) -> Type {
    Type::list(Type::list(given.input.element()))
}

pub(super) fn flat(given: &Given<'_>) -> Type {
    let element = given.input.element();
    let inner = |kind: &Type| match kind {
        Type::List(of) => (**of).clone(),
        other => other.clone(),
    };
    Type::list(Type::union(element.members().iter().map(inner)))
}

/// An element of the input, which may have none.
pub(super) fn element(given: &Given<'_>) -> Type {
    given.input.element()
}

pub(super) fn sum(given: &Given<'_>) -> Type {
    match given.reached.cloned().unwrap_or_else(|| given.input.element()) {
        kind if kind.is_numeric() && kind != Type::Any => kind,
        _ => Type::Any,
    }
}

pub(super) fn reversed(given: &Given<'_>) -> Type {
    match given.input {
        Type::Text(_) => Type::TEXT,
        list @ Type::List(_) => list.clone(),
        _ => Type::Any,
    }
}

pub(super) fn pairs(_: &Given<'_>) -> Type {
    Type::list(Type::list(Type::Any))
}

pub(super) fn mapped(given: &Given<'_>) -> Type {
    Type::list(given.reached.cloned().unwrap_or(Type::Any))
}

/// A group has the fields `grouper` and `list`, and is passed on as a pair.
pub(super) fn groups(_: &Given<'_>) -> Type {
    Type::list(Type::Any)
}

pub(super) fn or_default(given: &Given<'_>) -> Type {
    let other = if given.arguments.is_empty() { Type::TEXT } else { given.argument(0) };
    Type::union([given.input.without_null(), other])
}

/// `get(value, 'a.b', default)`, as a function or as a filter.
pub(super) fn reached(given: &Given<'_>) -> Type {
    let otherwise = given.arguments.last().filter(|_| given.arguments.len() >= 2).cloned().unwrap_or(Type::Null);
    Type::union([given.reached.map_or(Type::Any, Type::without_null), otherwise])
}
