//! What templates see of a run: inputs, the outputs of steps, items. Only what a template names is loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use minijinja::Value as Seen;
use minijinja::value::Serde;
use serde_json::Value;

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

/// About how many bytes of payloads are kept in memory, twice: of those used lately, and of those used before.
const KEPT: usize = 16 << 20;

/// The payloads of a run that were written or read lately. The others are read again when they are needed.
pub(crate) struct Values {
    store: Arc<dyn Store>,
    recent: HashMap<Commitment, Known>,
    recent_bytes: usize,
    older: HashMap<Commitment, Known>,
    /// The event by which all of `older` was recorded.
    older_until: Seq,
    /// What templates see of fan-outs and groups that have ended: made once, and the same from then on.
    ended: HashMap<StepIndex, Seen>,
}

#[derive(Clone)]
struct Known {
    value: Seen,
    bytes: usize,
}

impl Values {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Values {
            store,
            recent: HashMap::new(),
            recent_bytes: 0,
            older: HashMap::new(),
            older_until: Seq(0),
            ended: HashMap::new(),
        }
    }

    /// Takes payloads in that are recorded, and may not be on disk yet.
    pub(crate) fn keep(&mut self, payloads: &[Payload]) -> Result<(), StoreError> {
        for payload in payloads {
            self.take_in(payload)?;
        }
        Ok(())
    }

    fn take_in(&mut self, payload: &Payload) -> Result<(), StoreError> {
        let value = Seen::from(Serde(payload.value::<Value>()?));
        self.know(payload.commitment, Known { value, bytes: payload.bytes.len() });
        Ok(())
    }

    fn know(&mut self, commitment: Commitment, known: Known) {
        self.recent_bytes = self.recent_bytes.saturating_add(known.bytes);
        self.recent.insert(commitment, known);
    }

    /// Lets go of what was not used for long, now that the run is at `head` and `on_disk` of it can be read again.
    pub(crate) fn age(&mut self, head: Seq, on_disk: Seq) {
        if self.recent_bytes > KEPT && on_disk >= self.older_until {
            self.older = std::mem::take(&mut self.recent);
            (self.recent_bytes, self.older_until) = (0, head);
            self.ended.clear();
        }
    }

    /// The value of a payload. One that was erased is null.
    pub(crate) async fn value(&mut self, commitment: Commitment) -> Result<Value, StoreError> {
        self.load(&[commitment]).await?;
        let seen = self.known_value(Some(commitment));
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
            self.needed_by(state, site, reference, &mut needed);
        }
        self.load(&needed).await?;
        let mut roots: BTreeMap<String, Seen> = BTreeMap::new();
        roots.insert("inputs".into(), self.known_value(inputs(state, site)));
        roots.insert("env".into(), self.known_value(state.env()));
        roots.insert("run".into(), run_value(state));
        let mut steps: BTreeMap<String, Seen> = BTreeMap::new();
        for id in step_ids(&references) {
            if let Some(index) = state.resolve(site.scope, id) {
                steps.insert(id.to_owned(), self.step_value(state, index));
            }
        }
        roots.insert("steps".into(), Seen::from_pairs(steps));
        for part in parts(state, site) {
            let (name, value, index) = match part {
                Part::Item { name, fan, item } => {
                    let list = self.known_value(state.at(fan).fan.as_ref().map(|fan| fan.list));
                    (name, list.get_item_by_index(item as usize).unwrap_or_default(), item)
                }
                Part::Round(round) => {
                    let previous = round.previous(state).map_or(Seen::from(()), |before| self.output(state, before));
                    ("previous", previous, round.number.saturating_sub(1))
                }
            };
            roots.entry(name.into()).or_insert(value);
            roots.entry("index".into()).or_insert(Seen::from(index));
        }
        for (name, value) in more {
            roots.insert((*name).to_owned(), Seen::from(Serde(value)));
        }
        let value = template.evaluate(&Seen::from_pairs(roots))?;
        Ok((value, named_labels(state, site, &references)))
    }

    /// The payloads that must be at hand to see a reference.
    fn needed_by(&self, state: &RunState, site: Site, reference: &Reference, needed: &mut Vec<Commitment>) {
        match reference.root.as_str() {
            "env" => needed.extend(state.env()),
            "inputs" => needed.extend(inputs(state, site)),
            "steps" => {
                let Some(index) = reference.path.first().and_then(|id| state.resolve(site.scope, id)) else { return };
                if !self.ended.contains_key(&index) {
                    needed_by_output(state, index, needed);
                }
            }
            root => {
                for part in parts(state, site) {
                    match part {
                        Part::Item { name, fan, .. } if name == root => {
                            needed.extend(state.at(fan).fan.as_ref().map(|fan| fan.list));
                        }
                        Part::Round(round) if root == "previous" => {
                            let before = round.previous(state);
                            before.into_iter().for_each(|before| needed_by_output(state, before, needed));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Reads the payloads that are not known yet.
    async fn load(&mut self, commitments: &[Commitment]) -> Result<(), StoreError> {
        let unseen: BTreeSet<_> = commitments.iter().filter(|c| !self.recent.contains_key(c)).copied().collect();
        let mut missing = BTreeSet::new();
        for commitment in unseen {
            match self.older.remove(&commitment) {
                Some(known) => self.know(commitment, known),
                None => drop(missing.insert(commitment)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<_> = missing.into_iter().collect();
        let payloads = self.store.payloads(&missing).await?;
        for (commitment, payload) in missing.into_iter().zip(payloads) {
            match payload {
                Some(payload) => self.take_in(&payload)?,
                None => self.know(commitment, Known { value: Seen::from(()), bytes: 0 }),
            }
        }
        Ok(())
    }

    fn known_value(&self, commitment: Option<Commitment>) -> Seen {
        let known = commitment.and_then(|commitment| self.recent.get(&commitment));
        known.map_or(Seen::from(()), |known| known.value.clone())
    }

    /// `steps.x`: its status, output, error, attempts; a fan-out's items.
    fn step_value(&mut self, state: &RunState, index: StepIndex) -> Seen {
        if let Some(seen) = self.ended.get(&index) {
            return seen.clone();
        }
        let seen = self.made_step_value(state, index);
        let step = state.at(index);
        if step.status.ended() && (step.fan.is_some() || !step.members.is_empty()) {
            self.ended.insert(index, seen.clone());
        }
        seen
    }

    fn made_step_value(&self, state: &RunState, index: StepIndex) -> Seen {
        let step = state.at(index);
        let mut fields: BTreeMap<&str, Seen> = BTreeMap::new();
        fields.insert("status", Seen::from(step.status.as_str()));
        fields.insert("output", self.output(state, index));
        fields.insert("error", self.error(state, index));
        fields.insert("attempts", Seen::from(step.attempt));
        fields.insert("confidence", Seen::from(()));
        if let Some(fan) = &step.fan {
            let list = self.known_value(Some(fan.list));
            let names = self.known_value(fan.names);
            let items: Vec<Seen> = fan
                .items
                .iter()
                .enumerate()
                .map(|(i, item)| {
                    let at = |seq: &Seen| seq.get_item_by_index(i).unwrap_or_default();
                    let key = if fan.names.is_some() { at(&names) } else { Seen::from(i) };
                    Seen::from_pairs([
                        ("index", Seen::from(i)),
                        ("key", key),
                        ("item", at(&list)),
                        ("status", Seen::from(state.at(*item).status.as_str())),
                        ("output", self.output(state, *item)),
                        ("error", self.error(state, *item)),
                    ])
                })
                .collect();
            fields.insert("items", Seen::from(items));
        }
        Seen::from_pairs(fields)
    }

    fn error(&self, state: &RunState, index: StepIndex) -> Seen {
        match &state.at(index).error {
            Some(error) if state.at(index).status == StepStatus::Failed => Seen::from_pairs(BTreeMap::from([
                ("code", Seen::from(error.code.clone())),
                ("message", self.known_value(Some(error.message))),
            ])),
            _ => Seen::from(()),
        }
    }

    /// A step's own output, or the one that its members make: a list of the items', a map of the members'.
    fn output(&self, state: &RunState, index: StepIndex) -> Seen {
        let step = state.at(index);
        if step.status != StepStatus::Completed {
            return Seen::from(());
        }
        if step.output.is_some() {
            return self.known_value(step.output);
        }
        if let Some(rounds) = &step.rounds {
            return rounds.begun.last().map_or(Seen::from(()), |round| self.output(state, *round));
        }
        if let Some(fan) = &step.fan {
            return Seen::from(fan.items.iter().map(|item| self.output(state, *item)).collect::<Vec<_>>());
        }
        let graph = &state.plan().graph;
        Seen::from_pairs(
            step.members
                .iter()
                .map(|member| (graph.node(state.at(*member).node).id.clone(), self.output(state, *member)))
                .collect::<Vec<_>>(),
        )
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
    let of_part = |part: Part<'_>| match part {
        Part::Item { name, fan, .. } if names.contains(name) => state.at(fan).fan.as_ref().map(|fan| fan.labels),
        Part::Round(round) if names.contains("previous") => round.previous(state).map(|before| state.labels_of(before)),
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
enum Part<'a> {
    Item { name: &'a str, fan: StepIndex, item: u32 },
    Round(Round),
}

/// The items and rounds around a site, innermost first.
fn parts(state: &RunState, site: Site) -> Vec<Part<'_>> {
    let item = |fan: StepIndex, item: u32| {
        let for_each = state.plan().graph.node(state.at(fan).node).for_each.as_ref();
        for_each.map(|for_each| Part::Item { name: &for_each.item, fan, item })
    };
    let mut found: Vec<_> = site.item.and_then(|(fan, number)| item(fan, number)).into_iter().collect();
    found.extend(site.round.map(Part::Round));
    let mut at = site.scope;
    while let Some(index) = at {
        // A workflow within this one does not see its caller's items.
        if state.called(index).is_some() {
            break;
        }
        let step = state.at(index);
        if let Some(host) = step.parent {
            found.extend(step.item().and_then(|number| item(host, number)));
            found.extend(step.round().map(|number| Part::Round(Round { host, number, ended: false })));
        }
        at = step.parent;
    }
    found
}

fn needed_by_output(state: &RunState, index: StepIndex, needed: &mut Vec<Commitment>) {
    let step = state.at(index);
    needed.extend(step.output);
    needed.extend(step.error.as_ref().map(|error| error.message));
    if let Some(fan) = &step.fan {
        needed.push(fan.list);
        needed.extend(fan.names);
        fan.items.iter().for_each(|item| needed_by_output(state, *item, needed));
    }
    if let (None, Some(rounds)) = (step.output, &step.rounds) {
        rounds.begun.last().into_iter().for_each(|round| needed_by_output(state, *round, needed));
    }
    if step.output.is_none() && state.plan().graph.node(step.node).verb.has_members() {
        step.members.iter().for_each(|member| needed_by_output(state, *member, needed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::testing::MemoryStore;

    #[tokio::test]
    async fn payloads_are_not_kept_for_ever_nor_let_go_before_they_are_on_disk() {
        let mut values = Values::new(Arc::new(MemoryStore::new(Arc::new(SystemClock))));
        let payload = |n: u8| Payload::json(&"x".repeat(KEPT), [n; 16]).unwrap();
        let all = [1, 2, 3].map(payload);
        for (payload, head) in all.iter().zip(1..) {
            values.keep(std::slice::from_ref(payload)).unwrap();
            values.age(Seq(head), Seq(0));
        }
        for payload in &all {
            assert!(values.value(payload.commitment).await.unwrap().is_string());
        }
        values.age(Seq(3), Seq(3));
        values.keep(&[payload(4)]).unwrap();
        values.age(Seq(4), Seq(4));
        // The store of this test never had it.
        assert!(values.value(all[0].commitment).await.unwrap().is_null());
    }
}
