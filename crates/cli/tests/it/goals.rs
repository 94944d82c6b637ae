//! `plan`, `do` and `distil`, with a server on this machine in the place of a model.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::bench::{ASK, Bench, redacted};

pub(crate) const GOAL: &str = "What does the first file in letters say?";

/// A project with two letters, whose model answers with these values, one after the other.
pub(crate) fn bench(answers: Vec<Value>) -> Bench {
    let bench = Bench::new(ASK);
    fs::create_dir_all(bench.path("letters")).unwrap();
    bench.write("letters/a.txt", "Two lamps, please.");
    bench.write("letters/b.txt", "One chair, please.");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    bench.write("parkway.toml", &format!("[models.main]\nopenai = {{ url = \"{url}\", model = \"m\" }}\n"));
    thread::spawn(move || serve(&listener, &answers));
    bench
}

/// A server that holds answers to their forms, as far as the script does.
fn serve(listener: &TcpListener, answers: &[Value]) {
    let mut next = answers.iter();
    while let Ok((mut stream, _)) = listener.accept() {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        let head = loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break head.to_owned();
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break String::new(),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        };
        let (status, body) = if head.starts_with("GET /v1/models ") {
            let list = json!({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 16384}]});
            ("200 OK\r\nContent-Type: application/json", list.to_string())
        } else if head.starts_with("POST /v1/chat/completions ") {
            let text = next.next().map(Value::to_string).unwrap_or_default();
            let piece = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
            let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 70, "completion_tokens": 30}});
            ("200 OK\r\nContent-Type: text/event-stream", format!("data: {piece}\n\ndata: {end}\n\ndata: [DONE]\n\n"))
        } else {
            ("404 Not Found", String::new())
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes());
    }
}

pub(crate) fn planned() -> Vec<Value> {
    vec![
        json!({"id": "s1", "tool": "files.list", "args": {"folder": "letters"}, "why": "which files there are"}),
        json!({"id": "s2", "tool": "files.read_text", "args": {"path": {"$ref": "s1.files[0].path"}}, "why": "what the first says"}),
        json!({"done": true, "answer": {"$ref": "s2.text"}}),
    ]
}

/// Without what differs from one run to the next.
pub(crate) fn alike(bench: &Bench, text: &str) -> String {
    let differs = regex::Regex::new(r"[0-9.]+k? tok/s|127\.0\.0\.1:\d+").unwrap();
    differs.replace_all(&redacted(bench, text), "[..]").into_owned()
}

#[test]
fn a_plan_is_shown_saved_and_run_without_a_model() {
    let bench = bench(planned());
    let shown = bench.parkway(&["plan", GOAL, "--save", "flows/first.yaml"]).code(0);
    insta::assert_snapshot!(alike(&bench, &format!("{}\n{}", shown.out, shown.err)));
    let ran = bench.parkway(&["run", "flows/first.yaml"]).code(0);
    assert_eq!(ran.json(), json!({ "answer": "Two lamps, please." }));
    bench.parkway(&["plan", GOAL, "--save", "flows/first.yaml"]).code(2).says("is there already");
}

#[test]
fn a_plan_is_drawn() {
    let bench = bench(planned());
    bench.parkway(&["plan", GOAL, "--picture", "flows/first.svg"]).code(0);
    let picture = std::fs::read_to_string(bench.path("flows/first.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("files.read_text"), "{picture}");
    bench.parkway(&["plan", GOAL, "--picture", "flows/first.svg"]).code(2).says("is there already");
    bench.parkway(&["plan", GOAL, "--picture", "first.yaml"]).code(2).says("would be no picture, but YAML");
    let bench = self::bench(planned());
    bench.parkway(&["plan", GOAL, "--picture", "first.mmd"]).code(0);
    let picture = std::fs::read_to_string(bench.path("first.mmd")).unwrap();
    assert!(picture.contains("flowchart") && picture.contains("s1"), "{picture}");
}

#[test]
fn a_plan_is_data_for_programs() {
    let bench = bench(planned());
    let plan = bench.parkway(&["plan", GOAL, "--format", "json"]).code(0).json();
    assert_eq!(plan["lines"], json!(planned()));
    assert_eq!(plan["steps"][1]["flow"], json!(["path <- s1.files[0].path"]));
    assert_eq!(plan["used"], json!({"turns": 3, "prompt_tokens": 210, "cached_tokens": 0, "output_tokens": 90}));
    assert!(plan["checked"]["outlook"].is_object(), "{plan}");
}

#[test]
fn what_was_done_names_its_evidence_and_is_distilled() {
    let bench = bench(planned());
    let done = bench.parkway(&["do", GOAL, "--remember"]).code(0);
    assert_eq!(done.out, "Two lamps, please.\n");
    assert!(done.err.contains("goal  planned s2 files.read_text\n"), "{}", done.err);
    let end = done.err.lines().skip_while(|line| !line.starts_with("run ")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("done", redacted(&bench, &end));
    let shown = bench.parkway(&["show", "last"]).code(0).out;
    let (tree, below) = shown.split_once("timeline").unwrap();
    insta::assert_snapshot!("shown", redacted(&bench, tree));
    assert!(below.contains("turns") && !below.contains("line_1") && !below.contains("goal.turns"), "{below}");
    bench.parkway(&["show", "last", "--step", "goal"]).code(0);
    bench.parkway(&["show", "last", "--step", "goal.s2"]).code(0);
    let distilled = bench.parkway(&["distil", "last", "--out", "first.yaml"]).code(0);
    insta::assert_snapshot!("distilled", redacted(&bench, &format!("{}\n{}", distilled.out, distilled.err)));
    bench.parkway(&["test", "first.test.yaml"]).code(0);
    bench.parkway(&["distil", "last", "--out", "first.yaml"]).code(2).says("first.yaml is there already");
    let plans = bench.parkway(&["memory", "list", "parkway/plans"]).code(0).out;
    assert_eq!(plans.matches(GOAL).count(), 1, "{plans}");
}

#[test]
fn a_plan_that_a_person_has_not_approved_changes_nothing() {
    let bench = bench(vec![
        json!({"id": "s1", "tool": "files.read_text", "args": {"path": "letters/a.txt"}, "why": "what it says"}),
        json!({"id": "s2", "tool": "files.write_text", "args": {"path": "out/a.txt", "text": {"$ref": "s1.text"}}, "why": "keep it"}),
        json!({"done": true, "answer": {"$ref": "s2.path"}}),
    ]);
    let args = ["do", "Keep letters/a.txt in out/a.txt", "--grant", "files.write=out", "--approve-plan", "--remember"];
    let asked = bench.parkway(&args).code(4).says("`--remember` does not hold for `resume`").says("goal.approval_").err;
    assert!(!bench.path("out").exists());
    let step = asked.split_once(" goal.approval_").unwrap().1.split_whitespace().next().unwrap();
    let step = format!("goal.approval_{step}");
    // The whole plan is in sight wherever it is approved.
    let plan = "  s2  files.write_text  keep it\n      path = \"out/a.txt\"\n";
    for args in [vec!["show", "last"], vec!["show", "last", "--step", &step]] {
        let shown = bench.parkway(&args).code(0).out;
        assert!(shown.contains(plan), "{shown}");
    }
    bench.parkway(&["approve", "last", &step]).code(0).says("path = \"out/a.txt\"");
    let done = bench.parkway(&["resume", "last"]).code(0).says("evidence:    goal.s2");
    assert_eq!(done.json(), json!({ "answer": "out/a.txt" }));
    assert_eq!(fs::read_to_string(bench.path("out/a.txt")).unwrap(), "Two lamps, please.");
    let distilled = bench.parkway(&["distil", "last"]).code(0).out;
    assert!(!distilled.contains("stays as it was"), "{distilled}");
    bench.parkway(&["test", "keep-letters-a-txt-in.test.yaml"]).code(0);
    bench.parkway(&["run", "keep-letters-a-txt-in.yaml"]).code(4).says("confirm");
}

#[test]
fn a_plan_is_approved_in_advance_by_the_name_of_its_goal() {
    let bench = bench(vec![
        json!({"id": "s1", "tool": "files.write_text", "args": {"path": "out/a.txt", "text": "Two lamps."}, "why": "keep it"}),
        json!({"done": true, "answer": {"$ref": "s1.path"}}),
    ]);
    let grant = ["--grant", "files.write=out", "--approve-plan", "--approve"];
    let goal = ["do", "Keep two lamps in a file"];
    bench.parkway(&[&goal[..], &grant, &["other"]].concat()).code(2).says("these steps ask: `goal`");
    bench.parkway(&[&goal[..], &grant, &["goal"]].concat()).code(0);
    assert!(bench.path("out/a.txt").exists());
    let distilled = bench.parkway(&["distil", "last"]).code(0).out;
    assert!(distilled.contains("stays as it was: s1.text = \"Two lamps.\""), "{distilled}");
}

#[test]
fn a_tool_that_is_not_granted_is_named_before_the_run() {
    let bench = bench(planned());
    bench.parkway(&["do", GOAL, "--tools", "files.write_text"]).code(2).says("`files.write_text` changes something");
    // Of a family those are meant that are granted.
    let shown = bench.parkway(&["plan", GOAL, "--tools", "files.*", "--max-steps", "3"]).code(0).err;
    assert!(shown.contains("--tools 'files.*' --max-steps 3"), "{shown}");
}

#[test]
fn a_goal_without_a_model_says_how_to_get_one() {
    let bench = Bench::new(ASK);
    bench.parkway(&["do", GOAL]).code(2).says("--model main=smollm2-135m-instruct");
    bench.parkway(&["plan", " "]).code(2).says("the goal is empty");
    bench.parkway(&["distil", "last"]).code(2).says("there are no runs yet");
    assert_eq!(bench.parkway(&["memory", "list", "parkway/plans"]).code(0).out, "");
}
