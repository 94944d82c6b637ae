//! `parkway graph FILE`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use parkway::definition::Graph;
use parkway::{Effect, Error, Parkway, Workflow};

use crate::args::{Global, GraphArgs, GraphFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::picture::{Scheme, dot, mermaid, svg};
use crate::project::Project;
use crate::render::counted;

/// Draws a workflow. One that is wrong is drawn as far as it can be, since a picture may help to mend it.
pub(crate) async fn graph(global: &Global, args: &GraphArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.without_store().await?;
    let workflow = Workflow::from_path(&args.file)?;
    let (graph, problems) = workflow.graph();
    if graph.roots.is_empty() {
        return Err(Error::Invalid(problems).into());
    }
    let format = args.format.unwrap_or_else(|| by_ending(args.output.as_deref()));
    let picture = picture(&parkway, &workflow, &graph, format, args.all_edges);
    match &args.output {
        Some(path) => fs::write(path, picture)
            .map_err(|e| Failure::failed(format!("{} cannot be written: {e}", path.display())))?,
        None => out.text(picture.trim_end())?,
    }
    let wrong = match parkway.check(&workflow) {
        Err(Error::Invalid(problems)) => problems.list.iter().filter(|problem| problem.is_error()).count(),
        _ => 0,
    };
    if wrong > 0 {
        let problems = counted(u64::try_from(wrong).unwrap_or(u64::MAX), "problem");
        say(&format!("{problems} in {0}, drawn as far as it can be: parkway check {0}", args.file.display()));
    }
    Ok(Exit::Done)
}

/// A workflow as a picture.
pub(super) fn picture(
    parkway: &Parkway,
    workflow: &Workflow,
    graph: &Graph,
    format: GraphFormat,
    all_edges: bool,
) -> String {
    let effects: BTreeMap<String, Effect> =
        parkway.tools().iter().map(|tool| (tool.spec().name.clone(), tool.spec().effect)).collect();
    let scheme = Scheme::of(graph, &effects, all_edges);
    let name = workflow.name();
    match format {
        GraphFormat::Mermaid => mermaid(&scheme, &name),
        GraphFormat::Dot => dot(&scheme, &name),
        GraphFormat::Yaml => workflow.to_yaml(),
        GraphFormat::Svg => svg(&scheme, &name, workflow.description()),
    }
}

pub(super) fn by_ending(output: Option<&Path>) -> GraphFormat {
    match output.and_then(Path::extension).and_then(|ending| ending.to_str()) {
        Some("svg") => GraphFormat::Svg,
        Some("dot" | "gv") => GraphFormat::Dot,
        Some("yaml" | "yml") => GraphFormat::Yaml,
        _ => GraphFormat::Mermaid,
    }
}
