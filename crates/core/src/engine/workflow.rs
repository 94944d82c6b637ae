//! Workflows within a run: their arguments are evaluated at the edge and become their inputs; their steps run under the
//! calling step; their outputs are its output.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::engine::begin::Start;
use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::StepIndex;
use crate::workflow::{SubWorkflow, Template, fill_inputs};

/// Values by name, and the labels of each.
pub(super) type Labelled = (Value, BTreeMap<String, Labels>);

impl Executor {
    /// Begins a workflow: its steps come into being with its inputs.
    pub(super) async fn call_workflow(
        &mut self,
        key: StepKey,
        site: Site,
        workflow: &SubWorkflow,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let recorded = self.state.step(&key).and_then(|step| step.args);
        let (inputs, labels) = match recorded {
            Some(_) => (Value::Null, BTreeMap::new()),
            None => match self.inputs_for(site, workflow).await? {
                Ok(found) => found,
                Err(failure) => return self.fail(key, &failure).await,
            },
        };
        let mut draft = Draft::default();
        self.draft_start(&mut draft, key, Start { args: Some(&inputs), labels, condition, ..Start::default() })?;
        self.record(draft).await?;
        Ok(())
    }

    /// The inputs that `with` gives, with defaults, as the called workflow wants them.
    pub(super) async fn inputs_for(
        &mut self,
        site: Site,
        workflow: &SubWorkflow,
    ) -> Result<Result<Labelled, Failure>, ExecutorError> {
        let mut given = Map::new();
        let mut labels = BTreeMap::new();
        // The arguments of a call that a model asked for are what it wrote, as a whole.
        if let Value::String(whole) = &workflow.with {
            match Self::evaluated(self.values.evaluate(&self.state, site, Template::Expression(whole)).await)? {
                Ok((value, seen)) => {
                    given = value.as_object().cloned().unwrap_or_default();
                    labels = given.keys().map(|name| (name.clone(), seen)).collect();
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        for (name, value) in workflow.with.as_object().into_iter().flatten() {
            match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(value)).await)? {
                Ok((value, seen)) => {
                    given.insert(name.clone(), value);
                    labels.insert(name.clone(), seen);
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        let filled = fill_inputs(&workflow.inputs, given, |name| format!("give it under `with: {{ {name}: … }}`"));
        Ok(match filled {
            Ok(inputs) => Ok((inputs, labels)),
            Err(problems) => {
                let message = format!("the inputs do not fit `{}`: {}", workflow.path, problems.join("; "));
                Err(Failure::new("invalid", message))
            }
        })
    }

    /// What a workflow whose steps have ended gives back.
    pub(super) async fn returned(
        &mut self,
        index: StepIndex,
        workflow: &SubWorkflow,
    ) -> Result<Result<(Value, Labels), Failure>, ExecutorError> {
        let site = Site::inside(index);
        if let Err(failure) = self.check_ensure(site, &workflow.ensure).await? {
            return Ok(Err(failure));
        }
        let result = self.values.evaluate(&self.state, site, Template::Value(&workflow.outputs)).await;
        Ok(Self::evaluated(result)?.map_err(|failure| {
            let message = format!("the outputs of `{}` have no value: {}", workflow.path, failure.message);
            Failure::new("outputs", message)
        }))
    }

    /// The secrets that templates may name at a site: those that the workflow around it declares.
    pub(super) fn secret_names(&self, site: Site) -> &[String] {
        match self.state.calls_around(site.scope).next() {
            Some((_, workflow, _)) => &workflow.secrets,
            None => &self.state.plan().secrets,
        }
    }

    /// What is granted to families of tools at a site: by the workflow around it.
    pub(super) fn grants(&self, site: Site) -> &BTreeMap<String, Value> {
        match self.state.calls_around(site.scope).next() {
            Some((_, workflow, _)) => &workflow.grants,
            None => &self.state.plan().grants,
        }
    }
}
