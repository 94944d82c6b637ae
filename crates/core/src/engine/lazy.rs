//! What templates see of a fan-out: lists whose parts are read when a template looks at them. A part that is not at hand is
//! noted on the shelf; once that is loaded, the template is evaluated again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::Value as Seen;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::engine::shelf::Shelf;
use crate::log::Commitment;

/// A value that may still have to be read.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// It is this.
    Known(Seen),
    /// It is a payload.
    Payload(Commitment),
    /// It is a list.
    List(Arc<List>),
    /// It is an object.
    Map(Arc<Map>),
    /// It is what became of the items of a fan-out.
    Items(Arc<Items>),
}

impl Part {
    pub(super) fn null() -> Self {
        Part::Known(Seen::from(()))
    }

    pub(super) fn list(shelf: &Shelf, parts: Vec<Part>) -> Self {
        Part::List(Arc::new(List { shelf: shelf.clone(), parts }))
    }

    pub(super) fn map(shelf: &Shelf, parts: Vec<(String, Part)>) -> Self {
        Part::Map(Arc::new(Map { shelf: shelf.clone(), parts }))
    }

    /// The value, with what of it is not at hand noted.
    pub(super) fn seen(&self, shelf: &Shelf) -> Seen {
        match self {
            Part::Known(seen) => seen.clone(),
            Part::Payload(commitment) => shelf.see(*commitment),
            Part::List(list) => Seen::from_dyn_object(list.clone()),
            Part::Map(map) => Seen::from_dyn_object(map.clone()),
            Part::Items(items) => Seen::from_dyn_object(items.clone()),
        }
    }

    /// All payloads in it.
    pub(super) fn payloads(&self, each: &mut dyn FnMut(Commitment)) {
        match self {
            Part::Known(_) => {}
            Part::Payload(commitment) => each(*commitment),
            Part::List(list) => list.parts.iter().for_each(|part| part.payloads(each)),
            Part::Map(map) => map.parts.iter().for_each(|(_, part)| part.payloads(each)),
            Part::Items(items) => {
                each(items.list);
                items.names.into_iter().for_each(&mut *each);
                items
                    .rows
                    .iter()
                    .for_each(|row| [&row.output, &row.error].into_iter().for_each(|part| part.payloads(each)));
            }
        }
    }
}

fn want<'a>(shelf: &Shelf, parts: impl Iterator<Item = &'a Part>) {
    let mut all = Vec::new();
    parts.for_each(|part| part.payloads(&mut |commitment| all.push(commitment)));
    shelf.want(all.into_iter());
}

/// A list of parts: `steps.x.output` of a fan-out.
#[derive(Debug)]
pub(super) struct List {
    shelf: Shelf,
    parts: Vec<Part>,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Seen) -> Option<Seen> {
        Some(self.parts.get(key.as_usize()?)?.seen(&self.shelf))
    }

    /// Whoever goes through the list needs all of it.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        want(&self.shelf, self.parts.iter());
        Enumerator::Seq(self.parts.len())
    }

    /// Whoever counts them needs none.
    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.parts.len())
    }
}

/// An object of parts: what a group within a fan-out gives.
#[derive(Debug)]
pub(super) struct Map {
    shelf: Shelf,
    parts: Vec<(String, Part)>,
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Seen) -> Option<Seen> {
        let name = key.as_str()?;
        let part = self.parts.iter().find(|(id, _)| id == name)?;
        Some(part.1.seen(&self.shelf))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.parts.iter().map(|(id, _)| Seen::from(id.as_str())).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.parts.len())
    }
}

/// `steps.x.items` of a fan-out.
#[derive(Debug)]
pub(super) struct Items {
    shelf: Shelf,
    /// The list that was fanned out.
    list: Commitment,
    /// The items' names, where they have some.
    names: Option<Commitment>,
    rows: Vec<Row>,
    /// Whether somebody has gone through them: who looks at a field of one then looks at those of the others too.
    walked: AtomicBool,
}

impl Items {
    pub(super) fn new(shelf: &Shelf, list: Commitment, names: Option<Commitment>, rows: Vec<Row>) -> Arc<Self> {
        Arc::new(Items { shelf: shelf.clone(), list, names, rows, walked: AtomicBool::new(false) })
    }
}

/// What became of an item.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) status: &'static str,
    pub(super) output: Part,
    pub(super) error: Part,
}

impl Object for Items {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Seen) -> Option<Seen> {
        let at = key.as_usize().filter(|at| *at < self.rows.len())?;
        Some(Seen::from_object(Item { of: self.clone(), at }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.walked.store(true, Ordering::Relaxed);
        Enumerator::Seq(self.rows.len())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.rows.len())
    }
}

/// One of them.
#[derive(Debug)]
struct Item {
    of: Arc<Items>,
    at: usize,
}

impl Item {
    fn part(&self, part: fn(&Row) -> &Part) -> Option<Seen> {
        let shelf = &self.of.shelf;
        let seen = part(self.of.rows.get(self.at)?).seen(shelf);
        // Only what the first of them lacks can be what the others lack.
        if self.at == 0 && self.of.walked.load(Ordering::Relaxed) {
            want(shelf, self.of.rows.iter().map(part));
        }
        Some(seen)
    }

    fn element(&self, list: Commitment) -> Seen {
        self.of.shelf.see(list).get_item_by_index(self.at).unwrap_or_default()
    }
}

impl Object for Item {
    fn get_value(self: &Arc<Self>, key: &Seen) -> Option<Seen> {
        match key.as_str()? {
            "index" => Some(Seen::from(self.at)),
            "key" => Some(self.of.names.map_or_else(|| Seen::from(self.at), |names| self.element(names))),
            "item" => Some(self.element(self.of.list)),
            "status" => self.of.rows.get(self.at).map(|row| Seen::from(row.status)),
            "output" => self.part(|row| &row.output),
            "error" => self.part(|row| &row.error),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["index", "key", "item", "status", "output", "error"])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::Payload;
    use crate::workflow::Template;

    /// What the outputs of a fan-out of 1,000 items are, none of them at hand.
    fn outputs() -> (Shelf, Vec<Payload>, Seen) {
        let shelf = Shelf::default();
        let payload = |n: u32| {
            let mut salt = [0; 16];
            salt[..4].copy_from_slice(&n.to_be_bytes());
            Payload::json(&json!({ "n": n }), salt).unwrap()
        };
        let payloads: Vec<_> = (0..1_000).map(payload).collect();
        let row = |payload: &Payload| Row {
            status: "completed",
            output: Part::Payload(payload.commitment),
            error: Part::null(),
        };
        let items = Items::new(&shelf, payload(1_000).commitment, None, payloads.iter().map(row).collect());
        let list = payloads.iter().map(|payload| Part::Payload(payload.commitment)).collect();
        let fields = vec![("output".into(), Part::list(&shelf, list)), ("items".into(), Part::Items(items))];
        let steps = Part::map(&shelf, vec![("f".into(), Part::map(&shelf, fields))]).seen(&shelf);
        (shelf, payloads, Seen::from_pairs([("steps", steps)]))
    }

    /// What an expression gives in the end, and how many payloads each evaluation found to be missing.
    fn check(expression: &str, expected: &Value, missed: &[usize]) {
        let (shelf, payloads, roots) = outputs();
        let mut misses = Vec::new();
        let value = loop {
            let result = Template::Expression(expression).evaluate(&roots);
            let missing = shelf.take_missing();
            if missing.is_empty() {
                break result.unwrap();
            }
            misses.push(missing.len());
            payloads.iter().filter(|p| missing.contains(&p.commitment)).for_each(|p| shelf.put(p.clone()));
        };
        assert_eq!((&value, misses.as_slice()), (expected, missed), "{expression}");
    }

    #[test]
    fn a_glance_at_a_fan_out_reads_all_of_it() {
        check("steps.f.output | length", &json!(1_000), &[]);
        check("steps.f.output[3].n", &json!(3), &[1]);
        check("steps.f.output[-1].n", &json!(999), &[1]);
        check("steps.f.items | selectattr('status', 'eq', 'failed') | list | length", &json!(0), &[]);
        check("steps.f.items[7].output.n", &json!(7), &[1]);
        check("steps.f.output[1000] is undefined", &json!(true), &[]);
    }

    #[test]
    fn who_goes_through_a_fan_out_reads_it_item_by_item() {
        check("steps.f.output | map(attribute='n') | sum", &json!(499_500), &[1_000]);
        check("steps.f.items | map(attribute='output.n') | max", &json!(999), &[1_000]);
        check("steps.f.output[2:4] | map(attribute='n') | list", &json!([2, 3]), &[1_000]);
    }
}
