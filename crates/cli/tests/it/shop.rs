//! A program with a tool of its own, whose first call nobody knows the end of. It keeps its runs where the command looks.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use async_trait::async_trait;
use parkway::log::RunStatus;
use parkway::policy::RulePolicy;
use parkway::{Effect, Parkway, RunOptions, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Workflow, inputs};
use serde_json::{Value, json};

use crate::bench::Bench;

/// Pays once, with a step after it, and one that runs in any case.
pub(crate) const PAY: &str = r#"
parkway: 1
name: pay
tools: { bank: {}, files: { write: [out] } }
steps:
  pay: { tool: bank.pay, with: { to: Ada, amount: 12 }, retry: 1 }
  note: { set: { text: "paid: ${{ steps.pay.output.receipt }}" } }
  tidy:
    needs: [note]
    run_if: always
    tool: files.write_text
    with: { path: out/tidy.txt, text: done }
outputs: { text: "${{ steps.note.output.text }}" }
"#;

/// Writes each payment with its key into a ledger. The answer of the first one is lost.
struct Bank {
    spec: ToolSpec,
    ledger: PathBuf,
}

impl Bank {
    fn new(ledger: PathBuf) -> Self {
        let text = json!({ "type": "string" });
        let spec = ToolSpec {
            name: "bank.pay".into(),
            description: "Pays an amount, once.".into(),
            input_schema: json!({
                "type": "object",
                "properties": { "to": text, "amount": { "type": "integer" } },
                "required": ["to", "amount"],
                "additionalProperties": false,
            }),
            output_schema: json!({
                "type": "object",
                "properties": { "receipt": text },
                "required": ["receipt"],
                "additionalProperties": false,
            }),
            effect: Effect::AtMostOnce,
            labels: parkway::Labels::NONE,
        };
        Bank { spec, ledger }
    }
}

#[async_trait]
impl Tool for Bank {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let mut ledger = OpenOptions::new().append(true).create(true).open(&self.ledger).unwrap();
        writeln!(ledger, "{}", context.key).unwrap();
        match fs::read_to_string(&self.ledger).unwrap().lines().count() {
            1 => Err(ToolError::transient("unreachable", "the bank's answer did not come")),
            n => Ok(ToolOutput::new(json!({ "receipt": format!("R-{n}") }))),
        }
    }
}

/// The keys under which was paid.
pub(crate) fn ledger(bench: &Bench) -> Vec<String> {
    let ledger = fs::read_to_string(bench.path("ledger.txt")).unwrap_or_default();
    ledger.lines().map(str::to_owned).collect()
}

/// Starts a workflow in the program, and leaves it as it then stands.
pub(crate) fn starts(bench: &Bench, file: &str) -> RunStatus {
    does(bench, async |parkway| {
        let workflow = Workflow::from_path(bench.path(file)).unwrap();
        let mut options = RunOptions::default();
        options.stay = false;
        parkway.start_with(workflow, inputs! {}, options).await.unwrap().wait().await.unwrap().status
    })
}

/// Goes on with the newest run in the program.
pub(crate) fn resumes(bench: &Bench) -> RunStatus {
    does(bench, async |parkway| {
        let run = parkway.find_run("last").await.unwrap().run;
        let mut options = RunOptions::default();
        options.stay = false;
        parkway.resume(run, options).await.unwrap().wait().await.unwrap().status
    })
}

/// Lets the program do something.
pub(crate) fn does<T>(bench: &Bench, job: impl AsyncFnOnce(Parkway) -> T) -> T {
    fs::create_dir_all(bench.path(".parkway")).unwrap();
    let rule = json!({ "match": { "tool": "bank.*" }, "verdict": "allow" });
    let policy = RulePolicy::new(&[serde_json::from_value(rule).unwrap()]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = format!("sqlite:{}", bench.path(".parkway/runs.db").display());
        let bank = Bank::new(bench.path("ledger.txt"));
        let builder = Parkway::builder().store(store).root(bench.path("")).policy(policy).tool(bank);
        job(builder.build().await.unwrap()).await
    })
}
