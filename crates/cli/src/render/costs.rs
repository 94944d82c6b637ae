//! Tables of what runs have cost. What is an estimate has the word beside it, and what is not known is no 0.

use std::collections::HashMap;
use std::time::Duration;

use parkway::cost::{Elsewhere, EnergySpent, Ledger, Money, PerSuccess, Rates, RunCost, Spent, StepCost};
use parkway::id::{RunId, StepKey};

use super::words::{clean, elapsed, local, width};

/// What stands for what there is none of.
const NONE: &str = "-";

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) rates: &'a Rates,
}

/// All items and rounds of a step.
struct Row {
    name: String,
    attempts: u32,
    failed: u32,
    took: Duration,
    spent: Spent,
}

impl Costs<'_> {
    /// A run, step by step, with the runs that its steps have for themselves.
    pub(crate) fn run(self, run: RunId) -> Vec<String> {
        let runs = self.ledger.with_children(run);
        let Some(whole) = runs.first() else { return Vec::new() };
        let head = format!("run {run}  {}  {}", clean(&whole.workflow), whole.status.as_str());
        let mut names: HashMap<RunId, String> = HashMap::new();
        let mut rows: Vec<Row> = Vec::new();
        for run in runs {
            let parent = run.parent.as_ref().and_then(|parent| Some((names.get(&parent.run)?, &parent.step)));
            let prefix = parent.map_or_else(String::new, |(before, step)| format!("{before}{}/", plain(step)));
            for step in run.steps.iter().filter(|step| !step.group && step.attempts > 0) {
                Row::put(&mut rows, format!("{prefix}{}", plain(&step.step)), step);
            }
            names.insert(run.run, prefix);
        }
        let title = ["STEP", "BEGUN", "TIME"];
        let cells = rows.iter().map(|row| {
            let failed = if row.failed > 0 { format!(", {} failed", row.failed) } else { String::new() };
            (vec![clean(&row.name), format!("{}{failed}", row.attempts), elapsed(row.took)], &row.spent)
        });
        let total = self.ledger.total();
        let all: Duration = rows.iter().map(|row| row.took).sum();
        let cells = cells.chain([(vec!["all".into(), String::new(), elapsed(all)], &total)]);
        let mut lines = vec![head, String::new()];
        lines.extend(self.table(&title, cells));
        lines
    }

    /// The runs of a workflow.
    pub(crate) fn runs(self) -> Vec<String> {
        let roots: Vec<&RunCost> = self.ledger.roots().collect();
        let spent: Vec<_> = roots.iter().map(|root| self.whole(root.run)).collect();
        let cells = roots
            .iter()
            .zip(&spent)
            .map(|(run, spent)| (vec![run.run.to_string(), run.status.as_str().to_owned(), local(run.created)], spent));
        let total = self.ledger.total();
        let cells = cells.chain([(vec!["all".into(), String::new(), String::new()], &total)]);
        let mut lines = self.table(&["RUN", "STATUS", "STARTED"], cells);
        lines.extend(self.per_success());
        lines
    }

    /// All workflows, and what each tenant has spent.
    pub(crate) fn workflows(self) -> Vec<String> {
        let workflows = self.ledger.workflows();
        let tenants = self.ledger.tenants();
        let several = tenants.len() > 1;
        let cells = workflows.iter().map(|one| {
            let name = if several { format!("{}: {}", one.tenant, one.workflow) } else { one.workflow.clone() };
            let counts = [one.runs, one.completed, one.failed, one.open].map(|count| count.to_string());
            ([vec![clean(&name)], counts.to_vec()].concat(), &one.spent)
        });
        let of_tenants = tenants.iter().map(|(tenant, spent)| {
            ([vec![format!("tenant {}", clean(tenant))], vec![String::new(); 4]].concat(), spent)
        });
        let mut lines = self.table(&["WORKFLOW", "RUNS", "COMPLETED", "FAILED", "OPEN"], cells.chain(of_tenants));
        lines.extend(self.per_success());
        lines
    }

    /// What a completed run has cost.
    fn per_success(self) -> Vec<String> {
        let mut lines =
            vec![String::new(), "for each run that completed, what failed and open runs have spent counted in".into()];
        let workflows = self.ledger.workflows();
        let widest = workflows.iter().map(|one| width(&clean(&one.workflow))).max().unwrap_or(0);
        for one in &workflows {
            let name = clean(&one.workflow);
            let pad = " ".repeat(widest.saturating_sub(width(&name)));
            let told = match &one.per_success {
                None => "none has completed".to_owned(),
                Some(cost) => each(cost, &one.spent),
            };
            lines.push(format!("  {name}{pad}  {told}"));
        }
        lines
    }

    /// What is measured, and what is not.
    pub(crate) fn notes(self) -> Vec<String> {
        let total = self.ledger.total();
        if total.calls == 0 {
            return vec![String::new(), "  no model was asked".into()];
        }
        let mut tokens = vec!["counted by the models".to_owned()];
        if total.guessed_calls > 0 {
            let calls = super::words::counted(total.guessed_calls, "call");
            tokens.push(format!("estimate for {calls}: the server counts none, and a token is taken for 3 bytes"));
        }
        let time = format!(
            "measured; models of this machine computed for {}, calls at the same time counted once",
            elapsed(total.machine)
        );
        let mut lines = vec![String::new()];
        lines.extend(listed("tokens", tokens, ""));
        lines.extend(listed("time", vec![time], ""));
        let mut energy = Vec::new();
        if total.energy.measured_calls > 0 {
            let parts: Vec<_> = total.energy.measured.iter().map(|part| clean(part)).collect();
            energy.push(format!("measured ({}): {}", parts.join(", "), joules(total.energy.measured_mj)));
        }
        if let (true, Some(watts)) = (total.energy.estimate_calls > 0, self.rates.watts) {
            energy.push(format!(
                "estimate: {}, {watts} W for the time of this machine",
                joules(total.energy.estimate_mj)
            ));
        }
        if total.energy.unknown_calls > 0 {
            let calls = super::words::counted(total.energy.unknown_calls, "call");
            energy.push(format!("not known for {calls}: no meter was read, and `[cost]` names no `watts`"));
        }
        lines.extend(listed("energy", energy, "none of this machine"));
        let money = &total.money;
        let mut told: Vec<_> = money.prices.iter().map(|price| clean(price)).collect();
        if money.estimate {
            told.push(
                "an estimate: energy that was not metered, tokens that nobody counted, or list prices, which need not be what was billed"
                    .into(),
            );
        }
        if money.unpriced_calls > 0 {
            let calls = super::words::counted(money.unpriced_calls, "call");
            told.push(format!(
                "no price set for {calls}: say `kwh` or `hour` of this machine, or the price of a server's model, under `[cost]`"
            ));
        }
        lines.extend(listed("money", told, "nothing"));
        lines
    }

    /// What the same tokens would have cost.
    pub(crate) fn elsewhere(models: &[Elsewhere]) -> Vec<String> {
        let cells = models.iter().map(|one| {
            let from = match one.from {
                "list" => format!("list prices as known on {}", one.as_of),
                _ => format!("your price of {}", one.as_of),
            };
            let cached = if one.amount_if_cached < one.amount {
                format!("{} if what was kept here were kept there", amount(one.amount_if_cached, &one.currency))
            } else {
                String::new()
            };
            let unpriced =
                if one.unpriced_calls > 0 { format!("{} calls not priced", one.unpriced_calls) } else { String::new() };
            vec![
                format!("  {}", clean(&one.model)),
                format!("{} estimate", amount(one.amount, &one.currency)),
                from,
                cached,
                unpriced,
            ]
        });
        columns(cells.collect())
    }

    fn whole(self, run: RunId) -> Spent {
        let mut whole = Spent::default();
        self.ledger.with_children(run).iter().for_each(|run| whole.add(&run.spent));
        whole
    }

    fn table<'s>(self, title: &[&str], rows: impl Iterator<Item = (Vec<String>, &'s Spent)>) -> Vec<String> {
        let title = title.iter().chain(&["CALLS", "IN", "CACHED", "OUT", "ENERGY", "MONEY"]);
        let mut cells = vec![title.map(|word| (*word).to_owned()).collect::<Vec<_>>()];
        cells.extend(rows.map(|(row, spent)| [row, spending(spent)].concat()));
        columns(cells)
    }
}

impl Row {
    fn put(rows: &mut Vec<Row>, name: String, step: &StepCost) {
        let place = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            rows.push(Row { name, attempts: 0, failed: 0, took: Duration::ZERO, spent: Spent::default() });
            rows.len() - 1
        });
        let row = &mut rows[place];
        row.attempts += step.attempts;
        row.failed += step.failed;
        row.took += step.took;
        row.spent.add(&step.spent);
    }
}

/// The step, whichever item or round it is.
fn plain(key: &StepKey) -> String {
    key.path().iter().map(|segment| segment.id.as_str()).collect::<Vec<_>>().join(".")
}

fn spending(spent: &Spent) -> Vec<String> {
    if spent.calls == 0 {
        return vec![NONE.to_owned(); 6];
    }
    let tokens = [spent.calls, spent.prompt_tokens, spent.cached_tokens, spent.output_tokens].map(|n| n.to_string());
    let joules = energy(&spent.energy, spent.energy.known_mj());
    let energy = joules.unwrap_or_else(|| if spent.energy.unknown_calls > 0 { "not known" } else { NONE }.to_owned());
    [tokens.to_vec(), vec![energy, money(&spent.money)]].concat()
}

/// So many millijoules of what was spent, if any of it is known.
fn energy(spent: &EnergySpent, millijoules: u64) -> Option<String> {
    let estimate = if spent.estimate_calls > 0 { " estimate" } else { "" };
    let more = if spent.unknown_calls > 0 { ", and more" } else { "" };
    let known = spent.measured_calls + spent.estimate_calls > 0;
    known.then(|| format!("{}{estimate}{more}", joules(millijoules)))
}

fn money(money: &Money) -> String {
    if money.amounts.is_empty() {
        return "no price set".into();
    }
    let amounts: Vec<_> = money.amounts.iter().map(|(currency, sum)| amount(*sum, currency)).collect();
    let estimate = if money.estimate { " estimate" } else { "" };
    let more = if money.unpriced_calls > 0 { ", and more" } else { "" };
    format!("{}{estimate}{more}", amounts.join(" + "))
}

fn each(cost: &PerSuccess, spent: &Spent) -> String {
    let mut told = vec![format!("{:.0} tokens", cost.tokens)];
    if spent.machine > Duration::ZERO {
        told.push(format!("{:.1}s of this machine", cost.machine_ms / 1_000.0));
    }
    told.extend(energy(&spent.energy, whole(cost.energy_mj)));
    if spent.calls > 0 {
        let mut share = spent.money.clone();
        share.amounts.clone_from(&cost.money);
        told.push(money(&share));
    }
    told.join("; ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an energy is positive")]
fn whole(millijoules: f64) -> u64 {
    millijoules.round() as u64
}

/// `12.3 J`, `1.25 Wh`, `2.10 kWh`.
#[expect(clippy::cast_precision_loss, reason = "only some digits are shown")]
fn joules(millijoules: u64) -> String {
    let joules = millijoules as f64 / 1_000.0;
    match joules {
        ..3_600.0 => format!("{joules:.1} J"),
        ..3_600_000.0 => format!("{:.2} Wh", joules / 3_600.0),
        _ => format!("{:.2} kWh", joules / 3_600_000.0),
    }
}

/// What is small has the digits that tell it from nothing.
fn amount(amount: f64, currency: &str) -> String {
    let currency = clean(currency);
    match amount {
        1.0.. => format!("{amount:.2} {currency}"),
        0.01.. => format!("{amount:.4} {currency}"),
        // Something, and too little to be seen.
        0.000_000_000_001..0.000_000_1 => format!("<0.0000001 {currency}"),
        _ => format!("{amount:.7} {currency}"),
    }
}

/// Facts behind a word, one a line.
fn listed(about: &str, facts: Vec<String>, none: &str) -> Vec<String> {
    let facts = if facts.is_empty() { vec![none.to_owned()] } else { facts };
    let mut about = about;
    facts.into_iter().map(|fact| format!("  {:<6}  {fact}", std::mem::take(&mut about))).collect()
}

/// Cells in columns, each as wide as its widest.
fn columns(rows: Vec<Vec<String>>) -> Vec<String> {
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0);
    let widths: Vec<_> = (0..most).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, most)| format!("{cell}{}", " ".repeat(most.saturating_sub(width(cell)))));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
