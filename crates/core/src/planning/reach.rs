//! What references can reach: the places in what earlier steps give, and their types.

use std::collections::VecDeque;

use super::draft::Draft;
use super::reference::{Key, Reference};
use crate::workflow::{Type, field_of, fits};

/// How deep below a step places are offered.
const DEPTH: usize = 3;

/// A place, and the type of what is there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) at: Reference,
    pub(super) kind: Type,
}

/// A name that leads nowhere, and the names that there are.
pub(super) struct Missing {
    pub(super) key: Key,
    pub(super) known: Vec<String>,
}

/// The type of what a path leads to.
pub(super) fn follow(kind: &Type, path: &[Key]) -> Result<Type, Missing> {
    path.iter().try_fold(kind.clone(), |at, key| match (key, at.without_null()) {
        (_, Type::Any) => Ok(Type::Any),
        (Key::Name(name), at) => field_of(&at, name).map_err(|known| Missing { key: key.clone(), known }),
        (Key::At(_), at) => elements(&at).ok_or_else(|| Missing { key: key.clone(), known: Vec::new() }),
    })
}

/// The type of the elements of what may be a list.
pub(super) fn elements(kind: &Type) -> Option<Type> {
    let element = |kind: &Type| match kind {
        Type::List(of) => Some((**of).clone()),
        Type::Any => Some(Type::Any),
        _ => None,
    };
    let found: Vec<_> = kind.members().iter().filter_map(element).collect();
    (!found.is_empty()).then(|| Type::union(found))
}

/// Whether it is of this kind for sure, or null.
pub(super) fn surely(kind: &Type, is: fn(&Type) -> bool) -> bool {
    let kind = kind.without_null();
    kind != Type::Null && kind.members().iter().all(is)
}

/// Whether a value of one type is one of the other as far as a plan can care: a free text is none of a few words.
pub(super) fn suits(given: &Type, wanted: &Type) -> bool {
    let words = |kind: &Type| matches!(kind, Type::Text(Some(_)));
    let free = surely(given, |kind| matches!(kind, Type::Text(None)));
    let chosen = wanted.members().iter().any(words) && !wanted.members().contains(&Type::TEXT);
    fits(given, wanted) && !(free && chosen)
}

/// The places at and below a root, the nearest first, at most so many.
pub(super) fn places(root: &str, kind: &Type, most: usize) -> Vec<Place> {
    let mut found = Vec::new();
    let mut queue = VecDeque::from([Place { at: Reference::to(root), kind: kind.clone() }]);
    while let Some(place) = queue.pop_front().filter(|_| found.len() < most) {
        if place.at.path.len() < DEPTH {
            for kind in place.kind.members() {
                match kind {
                    Type::List(of) => {
                        queue.push_back(Place { at: place.at.then(Key::At(0)), kind: (**of).clone() });
                    }
                    Type::Object(fields) => queue.extend(fields.known.iter().map(|(name, field)| Place {
                        at: place.at.then(Key::Name(name.clone())),
                        kind: field.kind.clone(),
                    })),
                    _ => {}
                }
            }
        }
        if place.kind != Type::Null {
            found.push(place);
        }
    }
    found
}

impl Draft {
    /// The places that a line may refer to, of at most so many below each step.
    pub(super) fn places(&self, of_each: usize) -> Vec<Place> {
        let seen = (0..self.steps.len()).filter(|place| self.lost(*place).is_none());
        seen.flat_map(|place| places(&self.steps[place].id, &self.kinds[place], of_each)).collect()
    }

    /// The ids of the steps that a line may name.
    pub(super) fn nameable(&self) -> Vec<String> {
        let seen = (0..self.steps.len()).filter(|place| self.lost(*place).is_none());
        seen.map(|place| self.steps[place].id.clone()).collect()
    }
}
