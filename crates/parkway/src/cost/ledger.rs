//! The ledger: what was spent, by step, run, workflow and tenant.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parkway_core::id::{RunId, StepKey, Time};
use parkway_core::log::{Parent, RunStatus};
use parkway_core::model::Usage;
use serde::Serialize;

use super::call::Told;
use super::elsewhere::{Elsewhere, Price};
use super::rates::Rates;
use super::shares::shares;
use super::spent::{Spent, millis, rounded};

/// What runs have spent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Ledger {
    /// The runs, newest first, those that steps have for themselves among them.
    pub runs: Vec<RunCost>,
    /// Where in it each run is.
    places: HashMap<RunId, usize>,
    /// Where in it the runs are that steps of each have for themselves.
    children: HashMap<RunId, Vec<usize>>,
    calls: Vec<Usage>,
}

/// What one run has spent, without those that its steps have for themselves.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RunCost {
    /// The run.
    pub run: RunId,
    /// The step of another run that it is made for.
    pub parent: Option<Parent>,
    /// Its workflow.
    pub workflow: String,
    /// Whose run it is.
    pub tenant: String,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was created.
    pub created: Time,
    /// What it has spent.
    pub spent: Spent,
    /// Its steps, in the order in which they came into being.
    pub steps: Vec<StepCost>,
}

/// What one step has spent, over all its attempts.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StepCost {
    /// The step.
    pub step: StepKey,
    /// How often it was begun.
    pub attempts: u32,
    /// How many of these failed.
    pub failed: u32,
    /// For how long it was at work: waiting for people, times and other runs left out; what is inside of it counted in.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
    /// Whether other steps are inside of it.
    pub group: bool,
    /// What it has spent itself; what is inside of it has rows of its own.
    pub spent: Spent,
}

/// What the runs of one workflow have spent.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WorkflowCost {
    /// Whose runs they are.
    pub tenant: String,
    /// The workflow.
    pub workflow: String,
    /// How many runs there are, those of steps not counted.
    pub runs: u64,
    /// How many of them completed.
    pub completed: u64,
    /// How many failed or were cancelled.
    pub failed: u64,
    /// How many have not ended.
    pub open: u64,
    /// What all of them have spent, with the runs of their steps.
    pub spent: Spent,
    /// What one that completed has cost; none where none has.
    pub per_success: Option<PerSuccess>,
}

/// All that was spent, on runs that failed too, by the number of those that completed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PerSuccess {
    /// Tokens of prompts and answers.
    pub tokens: f64,
    /// Milliseconds of this machine.
    pub machine_ms: f64,
    /// Millijoules, as far as they are known.
    pub energy_mj: f64,
    /// Money, by currencies, as far as prices are known.
    pub money: BTreeMap<String, f64>,
}

impl Ledger {
    pub(super) fn of(told: Vec<Told>, rates: &Rates) -> Ledger {
        let here = || told.iter().flat_map(|run| &run.calls).filter(|call| call.server().is_none());
        let mut machine = shares(&here().map(|call| (call.began(), call.ended)).collect::<Vec<_>>()).into_iter();
        let calls = told.iter().flat_map(|run| &run.calls).map(|call| call.usage).collect();
        let mut runs = Vec::with_capacity(told.len());
        for run in told {
            let mut of_steps: HashMap<&StepKey, Spent> = HashMap::new();
            for call in &run.calls {
                // In the order in which they were shared out.
                let share = if call.server().is_none() { machine.next().unwrap_or_default() } else { Duration::ZERO };
                of_steps.entry(&call.key).or_default().add(&rates.spent(call, share));
            }
            let steps: Vec<_> = run
                .traces
                .iter()
                .map(|trace| StepCost {
                    step: trace.key.clone(),
                    attempts: trace.attempts,
                    failed: trace.failed,
                    took: trace.took,
                    group: trace.group,
                    spent: of_steps.remove(&trace.key).unwrap_or_default(),
                })
                .collect();
            runs.push(RunCost {
                run: run.run,
                parent: run.parent,
                workflow: run.workflow,
                tenant: run.tenant,
                status: run.status,
                created: run.created,
                spent: Spent::sum(steps.iter().map(|step| &step.spent)),
                steps,
            });
        }
        let places: HashMap<RunId, usize> = runs.iter().enumerate().map(|(place, run)| (run.run, place)).collect();
        let mut children: HashMap<RunId, Vec<usize>> = HashMap::new();
        for (place, run) in runs.iter().enumerate() {
            if let Some(parent) = &run.parent {
                children.entry(parent.run).or_default().push(place);
            }
        }
        Ledger { runs, places, children, calls }
    }

    /// All that was spent.
    pub fn total(&self) -> Spent {
        Spent::sum(self.runs.iter().map(|run| &run.spent))
    }

    /// The runs that no step of another run in this ledger is made for.
    pub fn roots(&self) -> impl Iterator<Item = &RunCost> {
        self.runs.iter().filter(|run| self.parent_of(run).is_none())
    }

    /// A run with those that its steps have for themselves, and so on; itself first.
    pub fn with_children(&self, run: RunId) -> Vec<&RunCost> {
        let mut found: Vec<_> = self.place_of(run).into_iter().collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|one| one.run) {
            let children = self.children.get(&parent).into_iter().flatten();
            found.extend(children.filter_map(|place| self.runs.get(*place)));
            next += 1;
        }
        found
    }

    /// What each workflow has spent, by tenants and names.
    pub fn workflows(&self) -> Vec<WorkflowCost> {
        let mut workflows: BTreeMap<(String, String), WorkflowCost> = BTreeMap::new();
        for run in &self.runs {
            let mut root = run;
            while let Some(parent) = self.parent_of(root) {
                root = parent;
            }
            let entry = workflows.entry((root.tenant.clone(), root.workflow.clone()));
            let workflow = entry.or_insert_with(|| WorkflowCost::new(&root.tenant, &root.workflow));
            workflow.spent.add(&run.spent);
            if root.run == run.run {
                workflow.runs += 1;
                match run.status {
                    RunStatus::Completed => workflow.completed += 1,
                    RunStatus::Failed | RunStatus::Cancelled => workflow.failed += 1,
                    _ => workflow.open += 1,
                }
            }
        }
        let mut workflows: Vec<_> = workflows.into_values().collect();
        for workflow in &mut workflows {
            workflow.per_success = PerSuccess::of(&workflow.spent, workflow.completed);
        }
        workflows
    }

    /// What each tenant has spent.
    pub fn tenants(&self) -> BTreeMap<String, Spent> {
        let mut tenants: BTreeMap<String, Spent> = BTreeMap::new();
        for run in &self.runs {
            tenants.entry(run.tenant.clone()).or_default().add(&run.spent);
        }
        tenants
    }

    /// What the same tokens would have cost elsewhere: an estimate.
    pub fn versus(&self, price: &Price) -> Elsewhere {
        price.of(self.calls.iter().copied())
    }

    fn parent_of(&self, run: &RunCost) -> Option<&RunCost> {
        self.place_of(run.parent.as_ref()?.run)
    }

    fn place_of(&self, run: RunId) -> Option<&RunCost> {
        self.runs.get(*self.places.get(&run)?)
    }
}

impl WorkflowCost {
    fn new(tenant: &str, workflow: &str) -> WorkflowCost {
        WorkflowCost {
            tenant: tenant.to_owned(),
            workflow: workflow.to_owned(),
            runs: 0,
            completed: 0,
            failed: 0,
            open: 0,
            spent: Spent::default(),
            per_success: None,
        }
    }
}

impl PerSuccess {
    #[expect(clippy::cast_precision_loss, reason = "a mean has few digits")]
    fn of(spent: &Spent, completed: u64) -> Option<PerSuccess> {
        let share = |amount: f64| rounded(amount / completed as f64);
        (completed > 0).then(|| PerSuccess {
            tokens: share((spent.prompt_tokens + spent.output_tokens) as f64),
            machine_ms: share(spent.machine.as_secs_f64() * 1_000.0),
            energy_mj: share(spent.energy.known_mj() as f64),
            money: spent.money.amounts.iter().map(|(currency, amount)| (currency.clone(), share(*amount))).collect(),
        })
    }
}
