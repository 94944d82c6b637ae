//! Tools and models that fail when they are told to.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::dice::Dice;
use crate::id::EffectKey;
use crate::model::{Capabilities, ChatRequest, Delta, Deltas, Model, ModelError};
use crate::tool::{Reach, Reconciled, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};

/// What goes wrong with a call. `E` is the error of what is called.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault<E> {
    /// Nothing is done, and this is the answer.
    Fails(E),
    /// It is done, and this is the answer all the same. A model's answer breaks off after its first piece.
    Loses(E),
    /// It panics, with this text, before anything is done.
    Panics(String),
    /// Nothing is done, and no answer ever comes. A cancel does not end it.
    Hangs,
    /// It is done, but only after so long.
    Takes(Duration),
}

/// Which calls go wrong, and how.
struct Faults<E> {
    calls: u32,
    always: Option<Fault<E>>,
    on: Vec<(u32, Fault<E>)>,
    shaken: Option<(Dice, u32, Fault<E>)>,
}

impl<E: Clone> Faults<E> {
    fn next(&mut self) -> Option<Fault<E>> {
        self.calls += 1;
        if let Some((_, fault)) = self.on.iter().find(|(n, _)| *n == self.calls) {
            return Some(fault.clone());
        }
        let by_chance = self.shaken.as_mut().and_then(|(dice, one_in, fault)| {
            let struck = dice.one_in(u64::from(*one_in));
            struck.then(|| fault.clone())
        });
        by_chance.or_else(|| self.always.clone())
    }
}

/// Does what goes wrong before a call. `None` where it is to be made.
#[expect(clippy::panic, reason = "it was told to")]
async fn strike<E: Clone>(fault: Option<&Fault<E>>) -> Option<E> {
    match fault {
        None | Some(Fault::Loses(_)) => None,
        Some(Fault::Fails(error)) => Some(error.clone()),
        Some(Fault::Panics(text)) => panic!("{text}"),
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::Takes(duration)) => {
            tokio::time::sleep(*duration).await;
            None
        }
    }
}

/// A tool or a model in front of another one, some of whose calls go wrong: a [`FaultyTool`] or a [`FaultyModel`].
pub struct Faulty<P: ?Sized, E> {
    inner: Arc<P>,
    faults: Mutex<Faults<E>>,
}

/// A [`Tool`] in front of another one. Its reconciliation never goes wrong.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Arc;
///
/// use parkway_core::id::Time;
/// use parkway_core::testing::{Fault, FaultyTool};
/// use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, tool_fn};
/// use serde_json::{Value, json};
///
/// let echo = tool_fn("echo", Effect::Idempotent, |value: Value| async move { Ok(value) });
/// let lost = ToolError::transient("net", "the line broke");
/// let echo = FaultyTool::new(Arc::new(echo)).on(1, Fault::Loses(lost.clone()));
/// let context = ToolContext::detached(Value::Null, Time::default());
/// assert_eq!(echo.call(json!(1), &context).await.unwrap_err(), lost);
/// assert_eq!(echo.call(json!(1), &context).await.unwrap().value, json!(1));
/// # });
/// ```
pub type FaultyTool = Faulty<dyn Tool, ToolError>;

/// A [`Model`] in front of another one.
pub type FaultyModel = Faulty<dyn Model, ModelError>;

impl<P: ?Sized, E: Clone> Faulty<P, E> {
    /// Passes everything on to `inner`.
    pub fn new(inner: Arc<P>) -> Self {
        Faulty { inner, faults: Mutex::new(Faults { calls: 0, always: None, on: Vec::new(), shaken: None }) }
    }

    /// Lets every call go wrong.
    #[must_use]
    pub fn always(self, fault: Fault<E>) -> Self {
        self.faults().always = Some(fault);
        self
    }

    /// Lets the `n`-th call go wrong, from 1.
    #[must_use]
    pub fn on(self, n: u32, fault: Fault<E>) -> Self {
        self.faults().on.push((n, fault));
        self
    }

    /// Lets about one call in `one_in` go wrong; the same ones for the same seed.
    #[must_use]
    pub fn shake(self, seed: u64, one_in: u32, fault: Fault<E>) -> Self {
        self.faults().shaken = Some((Dice::new(seed), one_in, fault));
        self
    }

    /// How often it was called.
    pub fn calls(&self) -> u32 {
        self.faults().calls
    }

    fn faults(&self) -> MutexGuard<'_, Faults<E>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: ?Sized, E> fmt::Debug for Faulty<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

#[async_trait]
impl Tool for FaultyTool {
    fn spec(&self) -> &ToolSpec {
        self.inner.spec()
    }

    fn reach(&self, grants: &Value) -> Result<Reach, ToolError> {
        self.inner.reach(grants)
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let fault = self.faults().next();
        if let Some(error) = strike(fault.as_ref()).await {
            return Err(error);
        }
        let output = self.inner.call(input, context).await?;
        if let Some(Fault::Loses(error)) = fault { Err(error) } else { Ok(output) }
    }

    async fn reconcile(&self, key: &EffectKey, context: &ToolContext) -> Result<Reconciled, ToolError> {
        self.inner.reconcile(key, context).await
    }
}

#[async_trait]
impl Model for FaultyModel {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn stream(&self, request: ChatRequest) -> Result<Deltas, ModelError> {
        let fault = self.faults().next();
        if let Some(error) = strike(fault.as_ref()).await {
            return Err(error);
        }
        let mut answer = self.inner.stream(request).await?;
        let Some(Fault::Loses(error)) = fault else { return Ok(answer) };
        let (sender, deltas) = Deltas::channel(2);
        // The receiver is there: both have room.
        if let Some(Ok(first @ Delta::Text(_))) = answer.next().await {
            sender.send(Ok(first)).await;
        }
        sender.send(Err(error)).await;
        Ok(deltas)
    }

    fn count_tokens(&self, request: &ChatRequest) -> Option<usize> {
        self.inner.count_tokens(request)
    }
}
