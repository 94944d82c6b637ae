//! The log of a project, signed and checked as an operator and an auditor do it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::{Bench, Ended};

const FLOW: &str = "parkway: 1
inputs: { who: { type: string, default: Ada } }
steps:
  greet: { set: { text: \"Hello, ${{ inputs.who }}\" } }
outputs: { text: \"${{ steps.greet.output.text }}\" }
";

/// The public half of the key, as the command tells it.
fn key(said: &Ended) -> String {
    said.err.lines().find_map(|line| line.strip_prefix("the key that checks it:  ")).unwrap().to_owned()
}

/// What the second implementation says of an export, which is in Python; and whether it is content.
fn second(bench: &Bench, file: &str, key: &str, heads: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/check-export");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(bench.path(file)).args(["--key", key]);
    for head in heads {
        command.arg("--head").arg(bench.path(head));
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_second_implementation_sees_another_log() {
    let bench = Bench::new(FLOW);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    let signed = bench.parkway(&["audit", "head", "--append", "heads.txt"]).code(0);
    let key = key(&signed);
    assert_eq!(fs::read_to_string(bench.path("heads.txt")).unwrap(), signed.out);
    bench.parkway(&["run", "flow.yaml", "--input", "who=Bob"]).code(0);
    let verified = bench.parkway(&["audit", "verify", "--head", "heads.txt"]).code(0).out;
    assert!(
        verified.contains("no head that is known covers them") && verified.contains("1 from elsewhere"),
        "{verified}"
    );
    bench.parkway(&["audit", "export", "whole.jsonl"]).code(0).says("2 heads");
    bench.parkway(&["audit", "export", "whole.jsonl"]).code(1).says("name another file");
    let (content, said) = second(&bench, "whole.jsonl", &key, &["heads.txt"]);
    assert!(content && said.contains("2 heads"), "{said}");
    let export = fs::read_to_string(bench.path("whole.jsonl")).unwrap();
    for (from, to) in [
        ("Ada", "Eva"),
        ("step_completed", "step_failed"),
        ("\"whole\":true", "\"whole\":false"),
        ("\"leaf\":\"3\"", "\"leaf\":\"4\""),
    ] {
        bench.write("changed.jsonl", &export.replacen(from, to, 1));
        let (content, said) = second(&bench, "changed.jsonl", &key, &["heads.txt"]);
        assert!(!content && said.starts_with("doubt: "), "{from} to {to}: {said}");
    }
    let run = bench.runs().remove(0);
    bench.write("one.jsonl", &bench.parkway(&["audit", "prove", &run, "2"]).code(0).out);
    bench.parkway(&["audit", "export", "run.jsonl", "--run", &run]).code(0);
    for file in ["one.jsonl", "run.jsonl"] {
        let (content, said) = second(&bench, file, &key, &[]);
        assert!(content, "{said}");
    }
}

#[test]
fn a_trail_is_no_lines_of_json_or_is_written_over_another() {
    let bench = Bench::new(FLOW);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    let args = ["audit", "export", "trail.jsonl", "--run", "last", "--form", "aat-06"];
    bench.parkway(&args).code(0).says("of an agent audit trail; no signature is in them");
    let trail = fs::read_to_string(bench.path("trail.jsonl")).unwrap();
    let records: Vec<serde_json::Value> = trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0]["action_detail"]["event"], "session_start");
    assert_eq!(records.last().unwrap()["action_detail"]["event"], "session_end");
    bench.parkway(&args).code(1).says("name another file");
    let printed = bench.parkway(&["audit", "export", "-", "--run", "last", "--form", "aat-06"]).code(0).out;
    assert_eq!(printed, trail);
    bench.parkway(&["audit", "export", "all.jsonl", "--form", "aat-06"]).code(2);
    bench.parkway(&["audit", "export", "all.jsonl", "--run", "last", "--form", "aat-99"]).code(2).says("aat-06");
}

#[test]
fn a_log_whose_end_was_cut_off_passes_for_whole() {
    let bench = Bench::new(FLOW);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    bench.parkway(&["store", "backup", "before.db"]).code(0);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    bench.parkway(&["audit", "head", "--append", "heads.txt"]).code(0);
    let verified = bench.parkway(&["audit", "verify", "--head", "heads.txt"]).code(0).out;
    assert!(verified.contains("it is as it was written"), "{verified}");
    let run = bench.runs().remove(0);
    bench.parkway(&["audit", "prove", &run, "999"]).code(1).says("has no event 999");
    bench.parkway(&["store", "restore", "before.db"]).code(0);
    let verified = bench.parkway(&["audit", "verify", "--head", "heads.txt"]).code(1).out;
    assert!(verified.contains("its end was cut off"), "{verified}");
    let json = bench.parkway(&["audit", "verify", "--head", "heads.txt", "--json"]).code(1).json();
    assert_eq!(json["holds"], false);
    bench.parkway(&["audit", "verify", "--head", "flow.yaml"]).code(2).says("no signed note");
    bench.parkway(&["audit", "verify", "--key", "x+y+z"]).code(2).says("is no key of the form");
}

#[test]
fn a_second_implementation_does_not_follow_from_key_to_key() {
    let bench = Bench::new(FLOW);
    let rotate = ["audit", "rotate", "--note", "once a year", "--sign-with", "log.key"];
    bench.parkway(&["run", "flow.yaml"]).code(0);
    bench.parkway(&rotate).code(2).says("makes the log's first key");
    let sign = ["audit", "head", "--sign-with", "log.key", "--append", "heads.txt"];
    let first = key(&bench.parkway(&sign).code(0));
    let said = bench.parkway(&rotate).code(0);
    let told = |said: &Ended| {
        said.err.lines().find_map(|line| line.strip_prefix("the key that checks it now:  ").map(str::to_owned))
    };
    let second = told(&said).unwrap();
    bench.parkway(&["run", "flow.yaml"]).code(0);
    assert_eq!(key(&bench.parkway(&sign).code(0)), second);
    bench.parkway(&["audit", "export", "whole.jsonl", "--sign-with", "log.key"]).code(0).says("3 heads");
    let key_file = fs::read(bench.path("log.key")).unwrap();
    let third = told(&bench.parkway(&rotate).code(0)).unwrap();
    assert!(!bench.path("log.next").exists());
    // Killed before the new key was put in its place: the old one does not sign, and the next try goes on.
    fs::rename(bench.path("log.key"), bench.path("log.next")).unwrap();
    fs::write(bench.path("log.key"), key_file).unwrap();
    bench.parkway(&sign).code(1).says("was interrupted: begin it once more");
    assert_eq!(told(&bench.parkway(&rotate).code(0)).as_ref(), Some(&third));
    bench.parkway(&["audit", "export", "all.jsonl", "--sign-with", "log.key"]).code(0).says("4 heads");
    for key in [&first, &second, &third] {
        let (content, said) = self::second(&bench, "all.jsonl", key, &["heads.txt"]);
        assert!(content && said.contains("4 heads"), "{said}");
        let verified = bench.parkway(&["audit", "verify", "--head", "heads.txt", "--key", key]).code(0).out;
        assert!(verified.contains("4 with a signature that counts"), "{verified}");
    }
    let export = fs::read_to_string(bench.path("all.jsonl")).unwrap();
    bench.write("changed.jsonl", &export.replacen(&second[..60], &third[..60], 1));
    assert!(!self::second(&bench, "changed.jsonl", &first, &[]).0);
}
