//! Whether a value of one type can be one of another, and where it cannot. A doubt is decided for the author.

use crate::workflow::template::Type;
use crate::workflow::tree::{Kind, Tree};

/// A part of nested YAML that cannot be what is wanted.
pub(super) struct Misfit<'t> {
    pub(super) tree: &'t Tree,
    pub(super) given: Type,
    pub(super) wanted: Type,
}

impl Misfit<'_> {
    /// How the value becomes what is wanted, where a filter does it.
    pub(super) fn way_out(&self) -> Option<String> {
        let is =
            |kind: &Type, test: fn(&Type) -> bool| kind.members().iter().all(|one| *one == Type::Null || test(one));
        let text = |kind: &Type| matches!(kind, Type::Text(_));
        let number = |kind: &Type| matches!(kind, Type::Integer | Type::Number);
        let list = |kind: &Type| matches!(kind, Type::List(_));
        let help = match (&self.given, &self.wanted) {
            (Type::Null, _) => "nothing is `none` here but what may be left out: remove the key",
            (given, wanted) if is(given, text) && is(wanted, number) => "`${{ value | int }}` makes a number of a text",
            (given, wanted) if is(given, number) && is(wanted, text) => {
                "`${{ value | string }}` makes a text of a number"
            }
            (given, wanted) if is(given, text) && is(wanted, |k| *k == Type::Bool) => {
                "compare it: `${{ value == 'yes' }}`"
            }
            (given, wanted) if is(wanted, list) && !is(given, list) => "write `[…]` around one value",
            (given, wanted) if is(given, list) && is(wanted, text) => {
                "`${{ value | join(', ') }}` makes a text of a list"
            }
            _ => return None,
        };
        Some(help.to_owned())
    }
}

/// The first part of `tree` that cannot be what is wanted; `kind` tells the type of a part.
pub(super) fn misfit<'t>(tree: &'t Tree, wanted: &Type, kind: &dyn Fn(&Tree) -> Type) -> Option<Misfit<'t>> {
    let of_shape = |kind: &&Type| match (&tree.kind, kind) {
        (Kind::Map(_), Type::Object(_)) | (Kind::List(_), Type::List(_)) => true,
        (Kind::Map(_) | Kind::List(_), _) => **kind == Type::Any,
        _ => false,
    };
    // Of several types, one may be of the shape that is written: then it is the one that is meant.
    let mut shaped = wanted.members().iter().filter(of_shape);
    let shape = shaped.next().filter(|_| shaped.next().is_none()).unwrap_or(wanted);
    match (&tree.kind, shape) {
        (Kind::Map(map), Type::Object(fields)) => {
            for (name, part) in map {
                let wanted = fields.known.get(&name.value).map(|field| &field.kind).or(fields.rest.as_deref());
                if let Some(found) = wanted.and_then(|wanted| misfit(part, wanted, kind)) {
                    return Some(found);
                }
            }
        }
        (Kind::List(list), Type::List(of)) => {
            if let Some(found) = list.iter().find_map(|part| misfit(part, of, kind)) {
                return Some(found);
            }
        }
        _ => {}
    }
    let given = kind(tree);
    (!fits(&given, wanted)).then(|| Misfit { tree, given, wanted: wanted.clone() })
}

/// Whether some value of one type is one of the other. That one of several is null is no reason to complain: the author may
/// know better.
pub(crate) fn fits(given: &Type, wanted: &Type) -> bool {
    match (given, wanted) {
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::Union(all), _) => all.iter().filter(|kind| **kind != Type::Null).any(|kind| fits(kind, wanted)),
        (_, Type::Union(all)) => all.iter().any(|kind| fits(given, kind)),
        (Type::Null, Type::Null) | (Type::Bool, Type::Bool) => true,
        (Type::Integer | Type::Number, Type::Integer | Type::Number) => true,
        (Type::Text(Some(some)), Type::Text(Some(others))) => some.iter().any(|text| others.contains(text)),
        (Type::Text(_), Type::Text(_)) => true,
        (Type::List(one), Type::List(other)) => fits(one, other),
        (Type::Object(given), Type::Object(wanted)) => {
            wanted.known.iter().all(|(name, field)| match given.known.get(name) {
                Some(one) => !one.required || fits(&one.kind, &field.kind),
                None => !field.required || given.rest.is_some(),
            })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_no_complaint() {
        let text = || Type::one_of(["a", "b"]);
        let may = [
            (Type::Any, Type::Bool),
            (Type::Number, Type::Integer),
            (Type::TEXT, text()),
            (Type::TEXT.or_null(), Type::TEXT),
            (Type::list(Type::Any), Type::list(Type::Integer)),
            (Type::open(), Type::object([("a", Type::Bool)])),
            (Type::union([Type::Bool, Type::TEXT]), Type::Bool),
        ];
        for (given, wanted) in may {
            assert!(fits(&given, &wanted), "{given} as {wanted}");
        }
        let never = [
            (Type::Null, Type::TEXT),
            (Type::TEXT, Type::Integer),
            (Type::Integer, Type::TEXT),
            (Type::one_of(["c"]), text()),
            (Type::list(Type::TEXT), Type::list(Type::Integer)),
            (Type::TEXT, Type::list(Type::TEXT)),
            (Type::object([("b", Type::Bool)]), Type::object([("a", Type::Bool)])),
        ];
        for (given, wanted) in never {
            assert!(!fits(&given, &wanted), "{given} as {wanted}");
        }
    }
}
