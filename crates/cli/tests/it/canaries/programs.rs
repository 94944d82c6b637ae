//! A program with tools of its own, which give secrets, fail with them, panic with them, and find them out afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use async_trait::async_trait;
use parkway::id::EffectKey;
use parkway::log::{Channel, Resolution};
use parkway::policy::RulePolicy;
use parkway::secret::{Secret, SecretError, Secrets};
use parkway::tool::Reconciled;
use parkway::{
    Effect, Labels, Parkway, RunOptions, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Workflow, inputs,
};
use serde_json::{Value, json};

use super::echo::forms;
use super::site::{FREE, HOOK, KEY, Site, TOKEN};

const FLOW: &str = r#"
parkway: 1
name: program
secrets: [TOKEN, HOOK]
tools: { own: {}, safe: {} }
steps:
  gives: { tool: own.gives, with: { token: "${{ secrets.TOKEN }}" } }
  fails: { tool: own.fails, with: { token: "${{ secrets.TOKEN }}" }, on_error: continue, retry: 0 }
  panics: { tool: own.panics, with: { token: "${{ secrets.TOKEN }}" }, on_error: continue, retry: 0 }
  misfits: { tool: own.misfits, with: { token: "${{ secrets.TOKEN }}" }, on_error: continue, retry: 0 }
  refuses: { tool: own.refuses, with: { number: "${{ secrets.TOKEN }}" }, on_error: continue, retry: 0 }
  environment: { tool: own.environment, with: {} }
  all: { tool: safe.environment, with: {} }
  opens: { tool: safe.opens, with: {}, on_error: continue, retry: 0 }
  breaks: { tool: safe.breaks, with: {}, on_error: continue, retry: 0 }
  odd: { tool: safe.odd, with: {}, on_error: continue, retry: 0 }
  lost: { tool: own.lost, with: { token: "${{ secrets.TOKEN }}" }, on_error: continue }
  found: { tool: own.found, with: { token: "${{ secrets.TOKEN }}" } }
  kept: { tool: safe.found, with: {} }
outputs: { gave: "${{ steps.gives.output }}", environment: "${{ steps.environment.output }}" }
"#;

struct Vault;

#[async_trait]
impl Secrets for Vault {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        let known = BTreeMap::from([("TOKEN", TOKEN), ("HOOK", HOOK), ("KEY", KEY)]);
        Ok(known.get(name).map(|value| Secret::new(*value)))
    }
}

type Does = fn(&Value) -> Result<Value, ToolError>;

/// A tool that does one thing; one that changes something finds out afterwards what it did.
struct Own {
    spec: ToolSpec,
    does: Does,
    finds: Option<Value>,
}

#[async_trait]
impl Tool for Own {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, _: &ToolContext) -> Result<ToolOutput, ToolError> {
        (self.does)(&input).map(ToolOutput::new)
    }

    async fn reconcile(&self, _: &EffectKey, _: &ToolContext) -> Result<Reconciled, ToolError> {
        match &self.finds {
            Some(found) => Ok(Reconciled::Done(found.clone())),
            None => Err(ToolError::transient("net", format!("{TOKEN} and {FREE} are unknown"))),
        }
    }
}

fn own(name: &str, effect: Effect, does: Does) -> Own {
    let labels = Labels { untrusted: false, secret: name.starts_with("safe.") };
    let output = if name.ends_with(".misfits") || name.ends_with(".odd") { json!({ "const": 1 }) } else { json!(true) };
    let number = json!({ "type": "object", "properties": { "number": { "type": "string", "maxLength": 3 } } });
    let spec = ToolSpec {
        name: name.into(),
        description: String::new(),
        input_schema: if name == "own.refuses" { number } else { json!({ "type": "object" }) },
        output_schema: output,
        effect,
        labels,
    };
    let finds = name.ends_with(".found").then(|| json!({ "found": [TOKEN, forms(HOOK)], "hook": forms(TOKEN) }));
    Own { spec, does, finds }
}

/// What a command prints of its environment.
fn environment(variables: &[(&str, &str)]) -> Value {
    let output =
        Command::new("env").env_clear().env("PATH", "/usr/bin:/bin").envs(variables.iter().copied()).output().unwrap();
    json!({ "printed": String::from_utf8(output.stdout).unwrap() })
}

fn lost(input: &Value) -> Result<Value, ToolError> {
    Err(ToolError::transient("net", format!("nobody knows what became of {input}")))
}

#[expect(clippy::panic, reason = "a tool may panic")]
fn tools() -> Vec<Own> {
    let (read, once) = (Effect::Read, Effect::AtMostOnce);
    vec![
        own("own.gives", read, |input| Ok(json!({ "token": forms(input["token"].as_str().unwrap()), TOKEN: [HOOK] }))),
        own("own.fails", read, |input| {
            Err(ToolError::invalid(HOOK, format!("no: {input} {}", forms(TOKEN).join(" "))))
        }),
        own("own.panics", read, |input| panic!("cannot take {input}")),
        own("own.misfits", read, |input| Ok(input.clone())),
        own("own.refuses", read, |input| Ok(input.clone())),
        own("own.environment", read, |_| Ok(environment(&[("TOKEN", TOKEN), ("HOOK", HOOK)]))),
        own("safe.environment", read, |_| {
            Ok(environment(&[("TOKEN", TOKEN), ("KEY", KEY), ("AWS_SECRET_ACCESS_KEY", FREE)]))
        }),
        own("safe.opens", read, |_| Err(ToolError::invalid("locked", format!("{FREE} does not open it")))),
        own("safe.breaks", read, |_| panic!("{FREE} broke off")),
        own("safe.odd", read, |_| Ok(json!(FREE))),
        own("own.lost", once, lost),
        own("own.found", once, lost),
        own("safe.found", once, |_| Err(ToolError::transient("net", format!("at {FREE}")))),
    ]
}

/// Lets the program do something on the project's store.
fn does<T>(site: &Site, job: impl AsyncFnOnce(Parkway) -> T) -> T {
    fs::create_dir_all(site.bench.path(".parkway")).unwrap();
    let rule = json!({ "match": { "tool": "*.*" }, "verdict": "allow" });
    let policy = RulePolicy::new(&[serde_json::from_value(rule).unwrap()]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = format!("sqlite:{}", site.bench.path(".parkway/runs.db").display());
        let builder = Parkway::builder().store(store).root(site.bench.path("")).policy(policy).secrets(Vault);
        let builder = tools().into_iter().fold(builder, |builder, tool| builder.tool(tool));
        job(builder.build().await.unwrap()).await
    })
}

#[test]
fn what_a_tool_gives_or_says_of_a_secret_is_kept() {
    let site = Site::new(FLOW);
    let goes_on = async |parkway: Parkway| {
        let run = parkway.find_run("last").await.unwrap().run;
        let mut options = RunOptions::default();
        options.stay = false;
        parkway.resume(run, options).await.unwrap().wait().await.unwrap();
        let found = parkway.find_run("last").await.unwrap();
        format!("{found:?}")
    };
    let said = does(&site, async |parkway| {
        let workflow = Workflow::from_path(site.bench.path("flow.yaml")).unwrap();
        let mut options = RunOptions::default();
        options.stay = false;
        let run = parkway.start_with(workflow, inputs! {}, options).await.unwrap();
        format!("{:?}", run.wait().await.unwrap())
    });
    site.said(&said);
    let said = does(&site, goes_on);
    site.said(&said);
    // A person tells of the call that nobody else knows of, in words that hold the secret.
    let shown = site.parkway(&["show", "--step", "lost"]).code(0).out;
    assert!(shown.contains("in doubt"), "{shown}");
    does(&site, async |parkway| {
        let run = parkway.find_run("last").await.unwrap().run;
        let outcome = Resolution::Done { output: json!({ "said": forms(TOKEN) }) };
        parkway.resolve(run, "lost".parse().unwrap(), outcome, None, "ada".into(), Channel::Program).await.unwrap();
    });
    let said = does(&site, goes_on);
    site.said(&said);
    let outputs = site.parkway(&["show", "--step", "gives"]).code(0).out;
    assert!(outputs.contains("[secret TOKEN]") && outputs.contains("[secret HOOK]"), "{outputs}");
    for step in ["all", "opens", "breaks", "odd", "kept"] {
        let shown = site.parkway(&["show", "--step", step]).code(0).out;
        assert!(shown.contains("[secret]"), "{step}: {shown}");
    }
    let events = site.parkway(&["show", "--json"]).code(0).out;
    assert!(events.contains("run_completed"), "{events}");
    site.holds_none();
}
