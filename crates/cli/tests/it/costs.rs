//! `parkway cost`: runs on a scripted model, and what the command tells of them.

use parkway::testing::ScriptedModel;
use parkway::{Parkway, Workflow, inputs};
use serde_json::{Value, json};

use crate::bench::{ASK, Bench, redacted};

const FLOW: &str = "
parkway: 1
name: letters
models: { main: { gguf: { name: none } } }
inputs: { ends: { type: string, default: well } }
steps:
  each:
    for_each: [one, two, three]
    as: word
    steps: { ask: { chat: { model: main, prompt: 'say ${{ word }}' } } }
  far: { needs: [each], workflow: part.yaml, own_run: true }
ensure: [ \"inputs.ends == 'well'\" ]
";

const PART: &str = "
parkway: 1
name: part
models: { main: { gguf: { name: none } } }
steps: { say: { chat: { model: main, prompt: four five } } }
";

/// A project with a run that completed, one that failed, and these prices.
fn bench(cost: &str) -> Bench {
    let bench = Bench::new(FLOW);
    bench.write("part.yaml", PART);
    bench.write("parkway.toml", cost);
    std::fs::create_dir_all(bench.path(".parkway")).unwrap();
    let runs = async {
        let store = format!("sqlite:{}", bench.path(".parkway/runs.db").display());
        let model = ScriptedModel::new().otherwise("an answer of five words");
        let parkway = Parkway::builder().store(store).root(bench.path("")).model("main", model).build().await.unwrap();
        for ends in ["well", "badly"] {
            let workflow = Workflow::from_path(bench.path("flow.yaml")).unwrap();
            parkway.start(workflow, inputs! { ends: ends }).await.unwrap().wait().await.unwrap();
        }
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(runs);
    bench
}

/// The text with the digits of times and of what follows from them taken away.
fn steady(bench: &Bench, text: &str) -> String {
    let text = redacted(bench, text);
    let patterns =
        [(r"\d+\.\d J", "0.0 J"), (r"<?0\.\d{7} EUR", "0.0000000 EUR"), (r"\d+\.\d+s of", "0.0s of"), (" +\n", "\n")];
    patterns
        .iter()
        .fold(text, |text, (pattern, with)| regex::Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned())
}

#[test]
fn an_estimate_is_shown_as_if_it_was_measured() {
    let bench = bench("[cost]\nwatts = 65\nkwh = 0.31\nhour = 0.05\ncurrency = \"EUR\"\n");
    let first = bench.runs().into_iter().rfind(|run| bench.parkway(&["show", run]).out.contains("letters")).unwrap();
    let shown = bench.parkway(&["cost", &first, "--versus", "gpt-4o-mini"]).code(0).out;
    insta::assert_snapshot!("a_run", steady(&bench, &shown));
    insta::assert_snapshot!("all_runs", steady(&bench, &bench.parkway(&["cost"]).code(0).out));
    let of_one = bench.parkway(&["cost", "--workflow", "letters", "--since", "1d"]).code(0).out;
    insta::assert_snapshot!("a_workflow", steady(&bench, &of_one));
}

#[test]
fn the_form_for_programs_changes_unseen() {
    let bench = bench("");
    let all = bench.parkway(&["cost", "--versus", "gpt-4o-mini", "--json"]).code(0).json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let known =
        ["run", "workflow", "since", "rates", "total", "tenants", "workflows", "runs", "versus", "versus_means"];
    assert_eq!(keys(&all), known);
    let tokens = ["calls", "guessed_calls", "prompt_tokens", "cached_tokens", "output_tokens", "forced_tokens"];
    assert_eq!(keys(&all["total"]), [tokens.as_slice(), &["model_ms", "machine_ms", "energy", "money"]].concat());
    assert_eq!(tokens.map(|key| all["total"][key].as_u64().unwrap()), [8, 0, 16, 0, 40, 0]);
    assert_eq!(all["total"], all["tenants"]["default"]);
    let flow = &all["workflows"][0];
    assert_eq!(
        [&flow["workflow"], &flow["runs"], &flow["completed"], &flow["failed"], &flow["per_success"]["tokens"]],
        [&json!("letters"), &json!(2), &json!(1), &json!(1), &json!(56.0)]
    );
    // Nothing is known of energy and money, and nothing is 0.
    assert_eq!(
        all["total"]["energy"],
        json!({
            "measured_calls": 0, "measured_mj": 0, "estimate_calls": 0, "estimate_mj": 0, "unknown_calls": 8,
        })
    );
    assert_eq!(all["total"]["money"], json!({ "amounts": {}, "estimate": false, "unpriced_calls": 8, "prices": [] }));
    assert_eq!(
        all["versus"],
        json!([{
            "model": "openai/gpt-4o-mini", "from": "list", "as_of": "2026-10-30", "currency": "USD", "amount": 0.0000264,
            "amount_if_cached": 0.0000264, "unpriced_calls": 0, "estimate": true,
        }])
    );
    assert!(all["versus_means"].as_str().unwrap().starts_with("estimate: the same tokens"), "{all}");
    assert_eq!(all["runs"].as_array().unwrap().len(), 4);
    assert!(all["runs"][0].get("steps").is_none());
    let part = all["runs"].as_array().unwrap().iter().find(|run| run["workflow"] == "part").unwrap();
    let one = bench.parkway(&["cost", part["run"].as_str().unwrap(), "--json"]).code(0).json();
    assert_eq!((&one["total"]["calls"], &one["versus_means"]), (&json!(1), &Value::Null));
    let step = &one["runs"][0]["steps"][0];
    assert_eq!(keys(step), ["step", "attempts", "failed", "took_ms", "group", "spent"]);
    assert_eq!(
        (&step["step"], &step["attempts"], &step["spent"]["output_tokens"]),
        (&json!("say"), &json!(1), &json!(5))
    );
}

#[test]
fn what_is_not_there_costs_nothing() {
    let bench = Bench::new(ASK);
    assert_eq!(bench.parkway(&["cost"]).code(0).says("there are no such runs").out, "");
    assert_eq!(bench.parkway(&["cost", "--json"]).code(0).json()["total"]["calls"], 0);
    bench.parkway(&["cost", "last"]).code(2).says("there are no runs yet");
    bench.parkway(&["cost", "--versus", "gpt-4o-mni"]).code(2).says("openai/gpt-4o-mini");
    bench
        .parkway(&["cost", "--versus", "no-such-model-at-all"])
        .code(2)
        .says("`[cost.models.\"no-such-model-at-all\"]`");
    bench.parkway(&["cost", "--since", "soon"]).code(2).says("write it like 7d");
    bench.parkway(&["cost", "last", "--workflow", "flow"]).code(2).says("cannot be used with");
    bench.write("flow.yaml", "parkway: 1\nname: letters\nsteps: { a: { set: { b: 1 } } }\n");
    bench.parkway(&["run", "flow.yaml"]).code(0);
    bench.parkway(&["cost", "nobody"]).code(2).says("no run is called `nobody`");
    bench.parkway(&["cost", "--workflow", "leters"]).code(2).says("did you mean `letters`?");
    bench.parkway(&["cost", "--workflow", "letters", "--since", "2099-01-01"]).code(0).says("there are no such runs");
    let shown = bench.parkway(&["cost", "last"]).code(0).out;
    assert!(shown.ends_with("\n  no model was asked\n"), "{shown}");
}
