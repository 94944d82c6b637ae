//! The tools of the scenarios: what they do stands in the ledger.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parkway_core::id::{EffectKey, MemoryId};
use parkway_core::label::Labels;
use parkway_core::memory::{Content, NewMemory};
use parkway_core::testing::{Moment, StopAt, WritePoint};
use parkway_core::tool::{Effect, Reconciled, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Toolbox};
use parkway_core::write::{OutboxEntry, SqlWrite, ToolWrite};
use serde_json::{Value, json};

use super::ledger::Ledger;
use super::scenario::Class;

/// Where transactional tools write.
pub(crate) const TABLE: &str = "CREATE TABLE effect (run TEXT, step TEXT, effect_key TEXT)";

struct Worker {
    spec: ToolSpec,
    class: Class,
    /// Whether what it did gets lost on the way back.
    loses: bool,
    /// How long it takes.
    takes: Duration,
    ledger: Ledger,
    points: Arc<StopAt>,
}

/// The tools of a scenario; a call takes `takes`, on both sides of its effect together.
pub(crate) fn toolbox(class: Class, ledger: &Ledger, points: &Arc<StopAt>, takes: Duration) -> Toolbox {
    let mut tools = Toolbox::new();
    let mut add = |name: &str, class: Class, loses: bool| {
        let spec = ToolSpec {
            name: name.into(),
            description: "for a test".into(),
            input_schema: json!({"type": "object"}),
            output_schema: json!({}),
            effect: class.effect(),
            labels: Labels::NONE,
        };
        tools.insert(Arc::new(Worker { spec, class, loses, takes, ledger: ledger.clone(), points: points.clone() }));
    };
    add("t.work", class, false);
    add("t.asked", Class::Read, false);
    add("t.store", Class::Transactional, false);
    add("t.lost", Class::AtMostOnce, true);
    add("t.bad", Class::Pure, false);
    add("t.mend", Class::Read, false);
    tools
}

#[async_trait]
impl Tool for Worker {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        if self.spec.name == "t.bad" {
            return Err(ToolError::invalid("broken", "always"));
        }
        if self.spec.name == "t.mend" && !self.ledger.mended() {
            return Err(ToolError::invalid("unmended", "the world is not as it should be"));
        }
        if input["fail"] == true && context.attempt == 1 {
            return Err(ToolError { not_done: true, ..ToolError::transient("early", "not this time") });
        }
        let value = json!({"n": input["n"].as_i64().unwrap_or_default() % 1_000 + 1});
        let mut output = ToolOutput::new(value.clone());
        let (run, step, key) = (context.run.to_string(), context.step.to_string(), context.key.to_string());
        tokio::time::sleep(self.takes / 2).await;
        self.points.pass(WritePoint::Effect, Moment::Before);
        match self.class.effect() {
            Effect::Pure | Effect::Read => {}
            Effect::Idempotent | Effect::AtMostOnce => {
                let more = json!({"output": value, "attempt": context.attempt, "fence": context.fence.0});
                if self.class == Class::Reconciled {
                    if !self.ledger.write_fenced(&run, &step, &key, &more) {
                        return Err(ToolError::invalid("fenced", "somebody else makes this call by now"));
                    }
                } else {
                    self.ledger.write("effect", &run, &step, &key, &more);
                }
            }
            Effect::Transactional => {
                let insert = SqlWrite::new("INSERT INTO effect (run, step, effect_key) VALUES ($1, $2, $3)");
                let insert = insert.bind(run.clone()).bind(step.clone()).bind(key.clone()).expect_rows(1);
                let entry = OutboxEntry::new("effect", json!({"run": run, "step": step}));
                let said = Content::new("said", step.clone());
                let memory = NewMemory::new(MemoryId::of_call(&context.key), said, context.now);
                output = output
                    .write(ToolWrite::Remember(memory))
                    .write(ToolWrite::Sql(insert))
                    .write(ToolWrite::Outbox(entry))
                    .write(ToolWrite::Signal { run: context.run, name: "done".into(), payload: json!(step) });
            }
        }
        self.points.pass(WritePoint::Effect, Moment::After);
        tokio::time::sleep(self.takes / 2).await;
        if self.loses {
            return Err(ToolError::transient("lost", "the line broke"));
        }
        Ok(output)
    }

    async fn reconcile(&self, key: &EffectKey, context: &ToolContext) -> Result<Reconciled, ToolError> {
        if self.class != Class::Reconciled {
            return Ok(Reconciled::Unknown);
        }
        let found = self.ledger.look(&key.to_string(), context.fence.0);
        Ok(found.map_or(Reconciled::NotDone, |entry| Reconciled::Done(entry.output)))
    }
}
