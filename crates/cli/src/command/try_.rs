//! `parkway try [NAME]`: examples that are built in, and need neither a model nor a network.

use std::time::Instant;

use parkway::Workflow;

use crate::args::{Following, Global, TryArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::{clean, waves};
use crate::session::Session;

struct Example {
    name: &'static str,
    source: &'static str,
}

const EXAMPLES: &[Example] = &[Example { name: "hello", source: include_str!("../examples/hello.yaml") }];

/// Runs an example, or lists them.
pub(crate) async fn try_(global: &Global, args: TryArgs, out: &mut Out) -> Result<Exit, Failure> {
    let Some(name) = args.name else {
        for example in EXAMPLES {
            let workflow = Workflow::from_source(example.name, example.source)?;
            out.line(&format!("{}  {}", example.name, clean(workflow.description().unwrap_or(""))))?;
        }
        say("run one with: parkway try NAME");
        return Ok(Exit::Done);
    };
    let Some(example) = EXAMPLES.iter().find(|example| example.name == name) else {
        let names: Vec<_> = EXAMPLES.iter().map(|example| example.name).collect();
        return Err(
            Failure::invalid(format!("there is no example `{name}`")).help(format!("there are: {}", names.join(", ")))
        );
    };
    let start = Instant::now();
    let following = Following { approve: Vec::new(), yes: false, json: false, json_output: None, require_gpu: false };
    let session = Session::begin(global, &following, out)?;
    let parkway = Project::find(global)?.open(session.builder(&following)).await?;
    let workflow = Workflow::from_source(&format!("{name}.yaml"), example.source)?;
    let plan = parkway.check(&workflow)?;
    say("the plan, in waves:");
    waves(&plan, None).iter().for_each(|line| say(line));
    say("");
    let options = session.options(Vec::new());
    let exit =
        session.follow(&parkway, &plan, parkway.start_with(workflow, parkway::inputs! {}, options), None).await?;
    say(&format!("  all of it in {} ms; next:", start.elapsed().as_millis()));
    say("  parkway show --step 'checked[1].found'   one step, with arguments and output");
    say("  parkway runs                             every run that is kept here");
    say("  parkway check FILE                       what a workflow of yours would do");
    Ok(exit)
}
