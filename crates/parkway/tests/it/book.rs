//! The book's examples: each YAML fence is checked, and run where the page says what comes out. After `yaml` stands
//! `error=CODE` (what the check says), `outputs=JSON`, `fails=CODE` (what the run says), or `file=NAME` (a file that the
//! page's other examples use).

mod failures;
mod keys;
mod links;
mod made;
mod pages;
mod trials;

use std::path::Path;

use parkway::{Effect, Error, Inputs, ModelBinding, Parkway, ToolError, Workflow, tool_fn};
use parkway_core::testing::ScriptedModel;
use serde_json::Value;

struct Example {
    page: String,
    line: usize,
    says: String,
    text: String,
}

/// The fences of all pages but that of codes, whose files are tested where they are kept.
fn examples() -> Vec<Example> {
    let of_page = |page: String| {
        let (_, fences) = pages::apart(&pages::read(&format!("docs/src/{page}")));
        let of_yaml = fences.into_iter().filter_map(move |fence| {
            let (language, says) = fence.says.split_once(' ').unwrap_or((&fence.says, ""));
            let says = (language == "yaml" || says.starts_with("file=")).then(|| says.to_owned())?;
            Some(Example { page: page.clone(), line: fence.line, says, text: fence.text })
        });
        of_yaml.collect::<Vec<_>>()
    };
    pages::pages().into_iter().filter(|page| page != "format/codes.md").flat_map(of_page).collect()
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Fail {
    code: String,
}

async fn parkway(root: &Path) -> Parkway {
    Parkway::builder()
        .store("sqlite::memory:")
        .root(root)
        .model("main", ModelBinding::new(ScriptedModel::new().otherwise("fine")))
        .tool(tool_fn("test.fail", Effect::Pure, |fail: Fail| async move {
            Err::<Value, _>(ToolError::invalid(fail.code, "told to"))
        }))
        .build()
        .await
        .unwrap()
}

/// What is wrong with an example; nothing if it is as its page says.
async fn judge(example: &Example, root: &Path) -> Result<(), String> {
    let file = root.join("example.yaml");
    std::fs::write(&file, &example.text).unwrap();
    let parkway = parkway(root).await;
    let expected = example.says.strip_prefix("error=");
    let workflow = Workflow::from_path(&file);
    let checked = workflow.and_then(|workflow| parkway.check(&workflow).map(|_| workflow));
    let workflow = match (checked, expected) {
        (Ok(_), Some(code)) => return Err(format!("passes, and not `{code}`")),
        (Ok(workflow), None) => workflow,
        (Err(Error::Invalid(problems)), Some(code)) => {
            let told = problems.list.iter().any(|problem| problem.code == code);
            return if told { Ok(()) } else { Err(format!("is not `{code}` but\n{problems}")) };
        }
        (Err(error), _) => return Err(error.to_string()),
    };
    let (outputs, fails) = (example.says.strip_prefix("outputs="), example.says.strip_prefix("fails="));
    if outputs.is_none() && fails.is_none() {
        return Ok(());
    }
    let run = parkway.start(workflow, Inputs::new()).await.map_err(|error| error.to_string())?;
    let given = run.output::<Value>().await;
    match (given, outputs, fails) {
        (Ok(given), Some(expected), _) => {
            let expected: Value = serde_json::from_str(expected).map_err(|error| error.to_string())?;
            if given == expected { Ok(()) } else { Err(format!("gives {given}")) }
        }
        (Err(Error::Failed { code, .. }), _, Some(expected)) if code == expected => Ok(()),
        (given, ..) => Err(format!("ends with {given:?}")),
    }
}

#[tokio::test]
async fn the_books_examples_are_true() {
    let folder = crate::kept::folder().unwrap();
    let examples = examples();
    assert!(examples.len() > 40, "only {} examples were found", examples.len());
    for example in examples.iter().filter_map(|example| Some((example.says.strip_prefix("file=")?, &example.text))) {
        std::fs::write(folder.path().join(example.0), example.1).unwrap();
    }
    let mut wrong = Vec::new();
    for example in examples.iter().filter(|example| !example.says.starts_with("file=")) {
        if let Err(why) = judge(example, folder.path()).await {
            wrong.push(format!("docs/src/{}:{} {}: {why}", example.page, example.line, example.says));
        }
    }
    assert!(wrong.is_empty(), "{} examples are not true:\n\n{}", wrong.len(), wrong.join("\n\n"));
}
