//! `json.query`: a value picked apart by a query in the language of jq.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use jaq_core::{Ctx, Vars};
use jaq_json::Val;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::meter::{Data, Meter, STACK};
use super::program::{compile, short};
use super::values::{from_jaq, into_jaq};
use crate::builtin::Builtin;

/// The most results.
const RESULTS: usize = 10_000;
/// The most that they take as JSON, in bytes.
const BYTES: usize = 4 << 20;
/// How long a query is waited for. Its steps are counted, so that only filters of jaq that take long by themselves
/// come so far.
const WAIT: Duration = Duration::from_secs(60);
/// How often it is looked whether the call is still wanted.
const LOOK: Duration = Duration::from_millis(20);
/// How many queries that nobody waits for any more may still run in a process.
const LATE: usize = 4;

/// Queries a value.
pub(crate) struct Query;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "value": [{ "id": "A1", "total": 7 }, { "id": "B2", "total": 90 }], "query": ".[] | select(.total > $least) | .id", "args": { "least": 50 } }]))]
pub(crate) struct Input {
    /// The value to look in.
    value: Value,
    /// What to give of it, in the language of jq: `.orders[] | select(.total > $least) | .id`.
    query: String,
    /// Values that the query knows as `$name`.
    #[serde(default)]
    args: BTreeMap<String, Value>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// What the query gives, in its order: none, one or several values.
    results: Vec<Value>,
}

impl Builtin for Query {
    const NAME: &'static str = "json.query";
    const DESCRIPTION: &'static str = "Picks values out of a JSON value and puts new ones together, with a query in the \
         language of jq. Use it to filter, group, sort and reshape what another step gave.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let stop = late(|late| {
            late.retain(|query| query.strong_count() > 0);
            if late.len() >= LATE {
                return Err(ToolError::transient(
                    "busy",
                    format!(
                        "{LATE} queries that took too long still run in this process; wait for them, or restart it"
                    ),
                ));
            }
            Ok(Arc::new(AtomicBool::new(false)))
        })?;
        let (done, result) = mpsc::channel();
        let raised = Arc::clone(&stop);
        let begun = thread::Builder::new().name("json.query".into()).stack_size(STACK).spawn(move || {
            // Nobody listens any more where the wait is over.
            let _ = done.send(evaluate(input, raised));
        });
        begun.map_err(|e: io::Error| ToolError::transient("internal", format!("no thread for the query: {e}")))?;
        let wait = context.deadline.map_or(WAIT, |deadline| deadline.since(context.now).min(WAIT));
        let until = Instant::now() + wait;
        loop {
            match result.recv_timeout(LOOK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if Instant::now() < until && !context.cancel.is_cancelled() => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(ToolError::invalid("internal", "the query broke the evaluator; change it"));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        late(|late| late.push(Arc::downgrade(&stop)));
        if context.cancel.is_cancelled() {
            return Err(ToolError::invalid("cancelled", "the query was ended, as its run is"));
        }
        let message = format!("the query took more than {} ms; query a part of the value", wait.as_millis());
        Err(ToolError { not_done: true, ..ToolError::transient("timeout", message) })
    }
}

/// The queries that are not waited for any more.
fn late<T>(with: impl FnOnce(&mut Vec<Weak<AtomicBool>>) -> T) -> T {
    static LATE: Mutex<Vec<Weak<AtomicBool>>> = Mutex::new(Vec::new());
    with(&mut LATE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn evaluate(input: Input, stop: Arc<AtomicBool>) -> Result<Output, ToolError> {
    let meter = Meter::new(stop);
    let names: Vec<String> = input.args.keys().map(|name| format!("${name}")).collect();
    let filter = compile(&input.query, &names)?;
    let taken = |name: &str, value| {
        into_jaq(value).map_err(|why| ToolError::invalid("too_deep", format!("`{name}` is {why}; query a part of it")))
    };
    let value = taken("value", input.value)?;
    let args: Vec<Val> = input.args.into_values().map(|value| taken("args", value)).collect::<Result<_, _>>()?;
    let context = Ctx::<super::meter::Metered>::new(Data { lut: &filter.lut, meter: &meter }, Vars::new(args));
    let (mut results, mut bytes) = (Vec::new(), 0);
    for result in filter.id.run((context, value)) {
        let result = result.map_err(|stopped| match stopped.get_err() {
            Ok(error) => {
                let why = match error.into_val() {
                    Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
                    other => other.to_string(),
                };
                let message =
                    format!("the query failed: {}; `.x?` and `// null` pass over what is not there", short(&why));
                ToolError::invalid("failed", message)
            }
            Err(_) => meter.error(),
        })?;
        let number = results.len();
        let result = from_jaq(&result)
            .map_err(|why| ToolError::invalid("not_json", format!("result {number} of the query: {why}")))?;
        bytes += result.to_string().len();
        if number >= RESULTS {
            let message =
                format!("the query gives more than {RESULTS} results; use `limit({RESULTS}; …)`, or select less");
            return Err(ToolError::invalid("too_many", message));
        }
        if bytes > BYTES {
            let message = format!("the results have more than {BYTES} bytes (4 MiB); let the query select less");
            return Err(ToolError::invalid("too_large", message));
        }
        results.push(result);
    }
    Ok(Output { results })
}
