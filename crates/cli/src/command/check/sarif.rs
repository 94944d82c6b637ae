//! What `check` finds in the form of code scanners: SARIF 2.1.0.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use parkway::Diagnostics;
use parkway::definition::Diagnostic;
use serde_json::{Value, json};

use super::super::explain::title;

/// One run of the checker over one file and those that it names.
pub(super) fn report(problems: &Diagnostics) -> Value {
    let codes: BTreeSet<&str> = problems.list.iter().map(|problem| problem.code).collect();
    let rules: Vec<Value> =
        codes.iter().map(|code| json!({ "id": code, "shortDescription": { "text": title(code) } })).collect();
    let results: Vec<Value> = problems.list.iter().map(|problem| result(problems, problem)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "parkway", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(problems: &Diagnostics, problem: &Diagnostic) -> Value {
    let help = problem.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
    let (file, _) = problems.source_of(problem);
    let mut place = json!({ "artifactLocation": { "uri": uri(&file) } });
    if let Some(at) = problem.place {
        place["region"] = json!({ "startLine": at.line, "startColumn": at.column });
    }
    json!({
        "ruleId": problem.code,
        "level": if problem.is_error() { "error" } else { "warning" },
        "message": { "text": format!("{}{help}", problem.message) },
        "locations": [{ "physicalLocation": place }],
    })
}

/// A path as a relative reference: what has a meaning in one is written out.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
