//! What a run cost, read from its log.

use parkway::log::EventKind;
use parkway::{Error, Parkway};

use crate::table::RunFacts;

/// The facts of `run`, kept in `store`.
pub(crate) fn of(run: &str, store: &str) -> Result<RunFacts, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(read(run, store))?)
}

async fn read(run: &str, store: &str) -> Result<RunFacts, Error> {
    let parkway = Parkway::builder().store(store).build().await?;
    let run = parkway.find_run(run).await?.run;
    let record = parkway.record(run).await?;
    let (calls, usage) = record.state.usage();
    let model = record.events.iter().find_map(|event| match &event.kind {
        EventKind::ModelCalled { call, .. } => Some(call),
        _ => None,
    });
    Ok(RunFacts {
        run: run.to_string(),
        calls,
        tokens_in: usage.prompt_tokens.into(),
        tokens_out: usage.output_tokens.into(),
        tokens_forced: usage.forced_tokens.into(),
        wall_seconds: record.state.updated().since(record.state.created()).as_secs_f64(),
        model: model.map_or_else(|| "none".to_owned(), |call| call.name.clone()),
        device: model.map_or_else(|| "none".to_owned(), |call| call.device.clone()),
        next: vec![
            format!("parkway show {run}"),
            format!("parkway show {run} --step 'intake[0].extract'"),
            "parkway runs".to_owned(),
        ],
    })
}
