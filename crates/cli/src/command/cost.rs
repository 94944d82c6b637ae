//! `parkway cost [RUN]`: what runs have cost, from the log only, and what the same tokens would have cost elsewhere.

use parkway::cost::{Elsewhere, Ledger, Price, Rates, Scope};
use parkway::definition::did_you_mean;
use serde_json::{Value, json};

use crate::args::{CostArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say, terminal_columns};
use crate::project::Project;
use crate::render::{Costs, Symbols, cut};

/// What `--versus` can and cannot say.
const VERSUS: &str =
    "the same tokens at these prices; another model would have written other tokens, and counts them otherwise";

/// Tells what runs have cost.
pub(crate) async fn cost(global: &Global, args: CostArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let rates = Rates::of(&project.settings);
    let prices: Vec<_> = args.versus.iter().map(|name| price(name, &rates)).collect::<Result<_, _>>()?;
    let mut scope = Scope::default();
    (scope.workflow, scope.since) = (args.workflow.clone(), args.since);
    let parkway = match &args.run {
        Some(_) => Some(project.need().await?),
        None => project.look().await?,
    };
    let ledger = match &parkway {
        Some(parkway) => {
            if let Some(run) = &args.run {
                scope.run = Some(parkway.find_run(run).await?.run);
            }
            parkway.ledger(&scope).await?
        }
        None => Ledger::default(),
    };
    if let (Some(parkway), Some(name), true) = (&parkway, &args.workflow, ledger.runs.is_empty()) {
        let all = parkway.ledger(&Scope::default()).await?;
        let known = all.workflows();
        if all.runs.iter().any(|run| run.workflow == *name) && args.since.is_none() {
            let failure = Failure::invalid(format!("`{name}` was run by steps of other workflows only"));
            return Err(failure.help("its runs are counted with theirs; `parkway runs` names them"));
        }
        if !known.iter().any(|workflow| workflow.workflow == *name) {
            let help = did_you_mean(name, known.iter().map(|workflow| workflow.workflow.as_str()));
            let failure = Failure::invalid(format!("no run is one of a workflow called `{name}`"));
            return Err(failure.help(help.unwrap_or_else(|| "there are no runs yet".into())));
        }
    }
    let elsewhere: Vec<_> = prices.iter().map(|price| ledger.versus(price)).collect();
    if args.json {
        out.pretty(&as_json(&scope, &ledger, &rates, &elsewhere))?;
        return Ok(Exit::Done);
    }
    if ledger.runs.is_empty() {
        say("there are no such runs; start one with: parkway run FILE");
        return Ok(Exit::Done);
    }
    let costs = Costs { ledger: &ledger, rates: &rates };
    let mut lines = match (&scope.run, &scope.workflow) {
        (Some(run), _) => costs.run(*run),
        (None, Some(_)) => costs.runs(),
        (None, None) => costs.workflows(),
    };
    lines.extend(costs.notes());
    if !elsewhere.is_empty() && ledger.total().calls > 0 {
        lines.extend([String::new(), format!("elsewhere, an estimate: {VERSUS}")]);
        lines.extend(Costs::elsewhere(&elsewhere));
    }
    let (columns, symbols) = (terminal_columns(), Symbols::from_env());
    for line in lines {
        out.line(&columns.map_or_else(|| line.clone(), |columns| cut(&line, columns, symbols)))?;
    }
    Ok(Exit::Done)
}

fn price(name: &str, rates: &Rates) -> Result<Price, Failure> {
    Price::find(name, rates).map_err(|unknown| {
        let own =
            format!("name its price in parkway.toml: `[cost.models.\"{name}\"]` with `input`, `output` and `as_of`");
        let near: Vec<_> = unknown.near.iter().map(|name| format!("`{name}`")).collect();
        let help = if near.is_empty() { own } else { format!("did you mean {}? Or {own}", near.join(", ")) };
        Failure::invalid(unknown.to_string()).help(help)
    })
}

fn as_json(scope: &Scope, ledger: &Ledger, rates: &Rates, elsewhere: &[Elsewhere]) -> Value {
    let runs = ledger.runs.iter().map(|run| {
        let mut run = json!(run);
        // The steps of all runs would be too many.
        if let (None, Some(run)) = (scope.run, run.as_object_mut()) {
            run.remove("steps");
        }
        run
    });
    json!({
        "run": scope.run, "workflow": scope.workflow, "since": scope.since,
        "rates": { "watts": rates.watts, "kwh": rates.kwh, "hour": rates.hour, "currency": rates.currency },
        "total": ledger.total(),
        "tenants": ledger.tenants(),
        "workflows": ledger.workflows(),
        "runs": runs.collect::<Value>(),
        "versus": elsewhere,
        "versus_means": (!elsewhere.is_empty()).then(|| format!("estimate: {VERSUS}")),
    })
}
