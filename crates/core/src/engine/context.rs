//! What templates see of a run: inputs, the outputs of steps, items. Only what a template names is loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use minijinja::Value as Seen;
use minijinja::value::Serde;
use serde_json::Value;

use crate::engine::lazy::{Items, Part, Row};
use crate::engine::shelf::Shelf;
use crate::id::Seq;
use crate::label::Labels;
use crate::log::{Commitment, Payload, RunState, StepIndex, StepStatus};
use crate::store::{Store, StoreError};
use crate::workflow::{Reference, Template, TemplateError, misplaced_secret};

/// Where a template stands: which steps and items it sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// Where looking for a step begins: the group, or the fan-out, around it; `None` at top level.
    pub(crate) scope: Option<StepIndex>,
    /// The item that it stands in itself.
    pub(crate) item: Option<(StepIndex, u32)>,
    /// The round that it stands in itself.
    round: Option<Round>,
}

/// A round of a step that is repeated.
#[derive(Clone, Copy, Debug)]
struct Round {
    host: StepIndex,
    /// From 1.
    number: u32,
    /// Whether it has ended: `previous` is its own output, not that of the round before.
    ended: bool,
}

impl Round {
    /// The round whose output is `previous`; there is none before the first.
    fn previous(self, state: &RunState) -> Option<StepIndex> {
        let place = if self.ended { self.number.checked_sub(1) } else { self.number.checked_sub(2) };
        state.at(self.host).rounds.as_ref()?.begun.get(place? as usize).copied()
    }
}

impl Site {
    /// At top level.
    pub(crate) const TOP: Site = Site { scope: None, item: None, round: None };

    /// The body of a step that exists.
    pub(crate) fn of(state: &RunState, index: StepIndex) -> Site {
        let step = state.at(index);
        let round = step.parent.zip(step.round());
        let round = round.map(|(host, number)| Round { host, number, ended: false });
        Site { scope: step.parent, item: step.parent.zip(step.item()), round }
    }

    /// The body of an item of `fan` that may not have come into being.
    pub(crate) fn in_item(fan: StepIndex, item: u32) -> Site {
        Site { scope: Some(fan), item: Some((fan, item)), round: None }
    }

    /// The body of a round of `host`, from 1, that may not have come into being.
    pub(crate) fn in_round(host: StepIndex, number: u32) -> Site {
        Site { scope: Some(host), item: None, round: Some(Round { host, number, ended: false }) }
    }

    /// Beside `host`, after that round of it.
    pub(crate) fn after_round(host: StepIndex, number: u32) -> Site {
        Site { scope: Some(host), item: None, round: Some(Round { host, number, ended: true }) }
    }

    /// Inside a group: its members come first.
    pub(crate) fn inside(index: StepIndex) -> Site {
        Site { scope: Some(index), item: None, round: None }
    }
}

/// Why a template has no value.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a template is evaluated to find out what it looks at, before all that it names is read.
const ROUNDS: usize = 3;
/// How many payloads are read at once.
const PART: usize = 4_096;

/// The values of a run: what templates see, read when it is needed.
pub(crate) struct Values {
    store: Arc<dyn Store>,
    shelf: Shelf,
    /// What templates see of fan-outs and groups that have ended: made once, and the same from then on.
    ended: HashMap<StepIndex, Part>,
}

impl Values {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Values { store, shelf: Shelf::default(), ended: HashMap::new() }
    }

    /// Takes payloads in that are recorded, and may not be on disk yet.
    pub(crate) fn keep(&mut self, payloads: &[Payload]) {
        payloads.iter().for_each(|payload| self.shelf.put(payload.clone()));
    }

    /// Lets go of what was not used for long, now that the run is at `head` and `on_disk` of it can be read again.
    pub(crate) fn age(&mut self, head: Seq, on_disk: Seq) {
        self.shelf.age(head, on_disk);
    }

    /// The value of a payload. One that was erased is null.
    pub(crate) async fn value(&mut self, commitment: Commitment) -> Result<Value, StoreError> {
        self.load([commitment].into_iter()).await?;
        let seen = self.shelf.get(commitment)?.unwrap_or_default();
        serde_json::to_value(&seen).map_err(|e| StoreError::Corrupt(e.to_string()))
    }

    /// The value of a template, and the labels of all that it names.
    pub(crate) async fn evaluate(
        &mut self,
        state: &RunState,
        site: Site,
        template: Template<'_>,
    ) -> Result<(Value, Labels), EvaluateError> {
        self.evaluate_with(state, site, template, &[]).await
    }

    /// The same, with more roots.
    pub(crate) async fn evaluate_with(
        &mut self,
        state: &RunState,
        site: Site,
        template: Template<'_>,
        more: &[(&str, Value)],
    ) -> Result<(Value, Labels), EvaluateError> {
        let references = template.references()?;
        let given = more.iter().any(|(name, _)| *name == "secrets");
        if let Some(message) = misplaced_secret(template, given) {
            return Err(TemplateError { message: message.to_owned(), problem: None }.into());
        }
        let mut needed = Vec::new();
        for reference in &references {
            needed_by(state, site, reference, &mut needed);
        }
        self.load(needed.into_iter()).await?;
        for round in 1.. {
            let roots = self.roots(state, site, &references, more);
            let result = template.evaluate(&roots);
            let missing = self.shelf.take_missing();
            if missing.is_empty() {
                return Ok((result?, named_labels(state, site, &references)));
            }
            self.load(missing.into_iter()).await?;
            if round == ROUNDS {
                self.load_all_steps(state, site, &references).await?;
            }
        }
        Err(StoreError::Corrupt("a template looks at something else each time".into()).into())
    }

    /// What a template sees.
    fn roots(
        &mut self,
        state: &RunState,
        site: Site,
        references: &BTreeSet<Reference>,
        more: &[(&str, Value)],
    ) -> Seen {
        let mut roots: BTreeMap<String, Seen> = BTreeMap::new();
        let names: BTreeSet<_> = references.iter().map(|reference| reference.root.as_str()).collect();
        let named = |name: &str, commitment: Option<Commitment>| {
            let commitment = commitment.filter(|_| names.contains(name));
            commitment.map_or(Seen::from(()), |commitment| self.shelf.see(commitment))
        };
        roots.insert("inputs".into(), named("inputs", inputs(state, site)));
        roots.insert("env".into(), named("env", state.env()));
        roots.insert("run".into(), run_value(state));
        for part in parts(state, site) {
            let (name, value, index) = match part {
                Around::Item { name, fan, item } => {
                    let list = named(name, state.at(fan).fan.as_ref().map(|fan| fan.list));
                    (name, list.get_item_by_index(item as usize).unwrap_or_default(), item)
                }
                Around::Round(round) => {
                    let before = round.previous(state).filter(|_| names.contains("previous"));
                    let previous = before.map_or(Seen::from(()), |before| self.output(state, before).seen(&self.shelf));
                    ("previous", previous, round.number.saturating_sub(1))
                }
            };
            roots.entry(name.into()).or_insert(value);
            roots.entry("index".into()).or_insert(Seen::from(index));
        }
        let mut steps: BTreeMap<String, Seen> = BTreeMap::new();
        for id in step_ids(references) {
            if let Some(index) = state.resolve(site.scope, id) {
                steps.insert(id.to_owned(), self.step_value(state, index));
            }
        }
        roots.insert("steps".into(), Seen::from_pairs(steps));
        for (name, value) in more {
            roots.insert((*name).to_owned(), Seen::from(Serde(value)));
        }
        Seen::from_pairs(roots)
    }

    /// Reads the payloads that are not at hand.
    async fn load(&mut self, commitments: impl Iterator<Item = Commitment>) -> Result<(), StoreError> {
        let missing: Vec<_> = self.shelf.lacks(commitments).into_iter().collect();
        for missing in missing.chunks(PART) {
            let payloads = self.store.payloads(missing).await?;
            for (commitment, payload) in missing.iter().zip(payloads) {
                match payload {
                    Some(payload) => {
                        self.shelf.put(payload);
                        self.shelf.get(*commitment)?;
                    }
                    None => self.shelf.put_null(*commitment),
                }
            }
        }
        Ok(())
    }

    /// Reads all that can be seen of the steps that are named.
    async fn load_all_steps(
        &mut self,
        state: &RunState,
        site: Site,
        references: &BTreeSet<Reference>,
    ) -> Result<(), StoreError> {
        let mut all = Vec::new();
        for index in step_ids(references).into_iter().filter_map(|id| state.resolve(site.scope, id)) {
            self.step_part(state, index).payloads(&mut |commitment| all.push(commitment));
        }
        let rounds = parts(state, site).into_iter().filter_map(|part| match part {
            Around::Round(round) => round.previous(state),
            Around::Item { .. } => None,
        });
        rounds.for_each(|before| self.output(state, before).payloads(&mut |commitment| all.push(commitment)));
        self.load(all.into_iter()).await
    }

    fn step_value(&mut self, state: &RunState, index: StepIndex) -> Seen {
        self.step_part(state, index).seen(&self.shelf)
    }

    /// `steps.x`: its status, output, error, attempts; a fan-out's items.
    fn step_part(&mut self, state: &RunState, index: StepIndex) -> Part {
        if let Some(part) = self.ended.get(&index) {
            return part.clone();
        }
        let part = self.made_step_part(state, index);
        let step = state.at(index);
        if step.status.ended() && (step.fan.is_some() || !step.members.is_empty()) {
            self.ended.insert(index, part.clone());
        }
        part
    }

    fn made_step_part(&self, state: &RunState, index: StepIndex) -> Part {
        let step = state.at(index);
        let mut fields = vec![
            ("attempts".into(), Part::Known(Seen::from(step.attempt))),
            (
                "confidence".into(),
                confidence(state, index).map_or_else(Part::null, |sure| Part::Known(Seen::from(sure))),
            ),
            ("error".into(), self.error(state, index)),
        ];
        if let Some(fan) = &step.fan {
            let row = |item: &StepIndex| Row {
                status: state.at(*item).status.as_str(),
                output: self.output(state, *item),
                error: self.error(state, *item),
            };
            let rows = fan.items.iter().map(row).collect();
            fields.push(("items".into(), Part::Items(Items::new(&self.shelf, fan.list, fan.names, rows))));
        }
        fields.push(("output".into(), self.output(state, index)));
        fields.push(("status".into(), Part::Known(Seen::from(step.status.as_str()))));
        Part::map(&self.shelf, fields)
    }

    fn error(&self, state: &RunState, index: StepIndex) -> Part {
        match &state.at(index).error {
            Some(error) if state.at(index).status == StepStatus::Failed => Part::map(
                &self.shelf,
                vec![
                    ("code".into(), Part::Known(Seen::from(error.code.clone()))),
                    ("message".into(), Part::Payload(error.message)),
                ],
            ),
            _ => Part::null(),
        }
    }

    /// A step's own output, or the one that its members make: a list of the items', a map of the members'.
    fn output(&self, state: &RunState, index: StepIndex) -> Part {
        let step = state.at(index);
        if step.status != StepStatus::Completed {
            return Part::null();
        }
        if let Some(output) = step.output {
            return Part::Payload(output);
        }
        if let Some(rounds) = &step.rounds {
            return rounds.begun.last().map_or(Part::null(), |round| self.output(state, *round));
        }
        if let Some(fan) = &step.fan {
            return Part::list(&self.shelf, fan.items.iter().map(|item| self.output(state, *item)).collect());
        }
        let graph = &state.plan().graph;
        let member = |member: &StepIndex| {
            let id = graph.node(state.at(*member).node).id.clone();
            (id, self.output(state, *member))
        };
        Part::map(&self.shelf, step.members.iter().map(member).collect())
    }
}

/// How sure a model was of the answer that a step holds; of its last round, where it repeats.
fn confidence(state: &RunState, index: StepIndex) -> Option<f64> {
    let step = state.at(index);
    match step.rounds.as_ref().and_then(|rounds| rounds.begun.last()) {
        Some(round) => confidence(state, *round),
        None => step.confidence.map(|milli| f64::from(milli) / 1_000.0),
    }
}

/// The payloads that are read before a template is evaluated: nearly all do look at these.
fn needed_by(state: &RunState, site: Site, reference: &Reference, needed: &mut Vec<Commitment>) {
    let of_step = |index: StepIndex, needed: &mut Vec<Commitment>| {
        let step = state.at(index);
        needed.extend(step.output);
        needed.extend(step.error.as_ref().map(|error| error.message));
    };
    match reference.root.as_str() {
        "env" => needed.extend(state.env()),
        "inputs" => needed.extend(inputs(state, site)),
        "steps" => {
            let index = reference.path.first().and_then(|id| state.resolve(site.scope, id));
            index.into_iter().for_each(|index| of_step(index, needed));
        }
        root => {
            for part in parts(state, site) {
                match part {
                    Around::Item { name, fan, .. } if name == root => {
                        needed.extend(state.at(fan).fan.as_ref().map(|fan| fan.list));
                    }
                    Around::Round(round) if root == "previous" => {
                        round.previous(state).into_iter().for_each(|before| of_step(before, needed));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The labels of all that a template names: found without evaluating it.
pub(crate) fn labels_named(state: &RunState, site: Site, template: Template<'_>) -> Labels {
    template.references().map_or(Labels::NONE, |references| named_labels(state, site, &references))
}

fn named_labels(state: &RunState, site: Site, references: &BTreeSet<Reference>) -> Labels {
    let steps = step_ids(references).into_iter().filter_map(|id| state.resolve(site.scope, id));
    let of_steps = steps.fold(Labels::NONE, |all, index| all.union(state.labels_of(index)));
    let names: BTreeSet<_> = references.iter().map(|reference| reference.root.as_str()).collect();
    let of_inputs = match state.calls_around(site.scope).next() {
        _ if !names.contains("inputs") => Labels::NONE,
        Some((call, ..)) => state.at(call).arg_labels,
        None => state.input_labels(),
    };
    let of_secrets = if names.contains("secrets") { Labels::SECRET } else { Labels::NONE };
    let of_inputs = of_inputs.union(of_secrets);
    let of_steps = of_steps.union(of_inputs);
    let of_part = |part: Around<'_>| match part {
        Around::Item { name, fan, .. } if names.contains(name) => state.at(fan).fan.as_ref().map(|fan| fan.labels),
        Around::Round(round) if names.contains("previous") => {
            round.previous(state).map(|before| state.labels_of(before))
        }
        _ => None,
    };
    parts(state, site).into_iter().filter_map(of_part).fold(of_steps, Labels::union)
}

fn step_ids(references: &BTreeSet<Reference>) -> BTreeSet<&str> {
    let of_steps = references.iter().filter(|reference| reference.root == "steps");
    of_steps.filter_map(|reference| reference.path.first()).map(String::as_str).collect()
}

/// The inputs of the workflow around a site.
fn inputs(state: &RunState, site: Site) -> Option<Commitment> {
    match state.calls_around(site.scope).next() {
        Some((call, ..)) => state.at(call).args,
        None => state.inputs(),
    }
}

fn run_value(state: &RunState) -> Seen {
    Seen::from_pairs(BTreeMap::from([
        ("id", Seen::from(state.run().to_string())),
        ("started_at", Seen::from(state.created().to_string())),
    ]))
}

/// An item or a round around a site.
enum Around<'a> {
    Item { name: &'a str, fan: StepIndex, item: u32 },
    Round(Round),
}

/// The items and rounds around a site, innermost first.
fn parts(state: &RunState, site: Site) -> Vec<Around<'_>> {
    let item = |fan: StepIndex, item: u32| {
        let for_each = state.plan().graph.node(state.at(fan).node).for_each.as_ref();
        for_each.map(|for_each| Around::Item { name: &for_each.item, fan, item })
    };
    let mut found: Vec<_> = site.item.and_then(|(fan, number)| item(fan, number)).into_iter().collect();
    found.extend(site.round.map(Around::Round));
    let mut at = site.scope;
    while let Some(index) = at {
        // A workflow within this one does not see its caller's items.
        if state.called(index).is_some() {
            break;
        }
        let step = state.at(index);
        if let Some(host) = step.parent {
            found.extend(step.item().and_then(|number| item(host, number)));
            found.extend(step.round().map(|number| Around::Round(Round { host, number, ended: false })));
        }
        at = step.parent;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::engine::shelf::KEPT;
    use crate::testing::MemoryStore;

    #[tokio::test]
    async fn payloads_are_not_kept_for_ever_nor_let_go_before_they_are_on_disk() {
        let mut values = Values::new(Arc::new(MemoryStore::new(Arc::new(SystemClock))));
        let payload = |n: u8| Payload::json(&"x".repeat(KEPT), [n; 16]).unwrap();
        let all = [1, 2, 3].map(payload);
        for (payload, head) in all.iter().zip(1..) {
            values.keep(std::slice::from_ref(payload));
            values.age(Seq(head), Seq(0));
        }
        for payload in &all {
            assert!(values.value(payload.commitment).await.unwrap().is_string());
        }
        values.age(Seq(3), Seq(3));
        values.keep(&[payload(4)]);
        values.age(Seq(4), Seq(4));
        // The store of this test never had it.
        assert!(values.value(all[0].commitment).await.unwrap().is_null());
    }
}
