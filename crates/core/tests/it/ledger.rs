//! A tool that writes into a ledger outside the store, as one that pays does, and that can look into it afterwards.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use parkway_core::id::EffectKey;
use parkway_core::label::Labels;
use parkway_core::policy::{Decision, Policy, PolicyRequest, Verdict};
use parkway_core::tool::{Effect, Reconciled, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Lets everything pass, so that a test need not answer for each call.
pub(crate) struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &PolicyRequest<'_>) -> Decision {
        Decision { verdict: Verdict::Allow, rule: "test".into(), reason: "a test".into() }
    }

    fn fingerprint(&self) -> String {
        "allow-all".into()
    }
}

/// What a call does, beside its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Pays, and says so.
    Pays,
    /// Pays, and the answer is lost.
    PaysAndLosesTheAnswer,
    /// The line breaks before it has paid.
    LosesTheQuestion,
    /// Pays, and panics.
    PaysAndPanics,
    /// Pays, and never answers.
    PaysAndHangs,
    /// Pays a second after it was told to stop, and says so.
    PaysWhenStopped,
    /// Never gets as far as paying.
    Hangs,
}

/// What the tool finds out when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looking {
    /// What stands in the ledger.
    Sees,
    /// It cannot tell.
    Blind,
    /// It fails.
    Fails,
    /// It says what it cannot have returned.
    Raves,
    Panics,
    Hangs,
}

/// The ledger, as all processes of a test see it.
#[derive(Clone)]
pub(crate) struct Ledger {
    _folder: Arc<TempDir>,
    path: PathBuf,
    pub(crate) calls: Arc<AtomicU32>,
    pub(crate) looks: Arc<AtomicU32>,
    pub(crate) keys: Arc<Mutex<Vec<String>>>,
    /// Said when a call begins.
    pub(crate) began: Arc<tokio::sync::Notify>,
    /// Said when a look begins.
    pub(crate) looked: Arc<tokio::sync::Notify>,
    pub(crate) doing: Arc<Mutex<Vec<Doing>>>,
    pub(crate) looking: Arc<Mutex<Looking>>,
}

impl Ledger {
    pub(crate) fn new(doing: &[Doing], looking: Looking) -> Ledger {
        let folder = Arc::new(TempDir::new().unwrap());
        let path = folder.path().join("ledger");
        fs::write(&path, "").unwrap();
        Ledger {
            _folder: folder,
            path,
            calls: Arc::default(),
            looks: Arc::default(),
            keys: Arc::default(),
            began: Arc::default(),
            looked: Arc::default(),
            doing: Arc::new(Mutex::new(doing.iter().rev().copied().collect())),
            looking: Arc::new(Mutex::new(looking)),
        }
    }

    /// The keys of what was paid.
    pub(crate) fn entries(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }

    fn pay(&self, key: &EffectKey) {
        let mut file = OpenOptions::new().append(true).open(&self.path).unwrap();
        writeln!(file, "{key}").unwrap();
        file.sync_all().unwrap();
    }

    /// The tool `t.pay`.
    pub(crate) fn tool(&self, effect: Effect) -> Payer {
        let spec = ToolSpec {
            name: "t.pay".into(),
            description: "pays".into(),
            input_schema: json!({}),
            output_schema: json!({"type": "object", "required": ["receipt"]}),
            effect,
            labels: Labels::UNTRUSTED,
        };
        Payer { spec, ledger: self.clone() }
    }
}

/// The tool of a [`Ledger`].
pub(crate) struct Payer {
    spec: ToolSpec,
    ledger: Ledger,
}

fn receipt(key: &EffectKey) -> Value {
    json!({"receipt": key.to_string()})
}

#[async_trait::async_trait]
impl Tool for Payer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let ledger = &self.ledger;
        ledger.calls.fetch_add(1, Ordering::SeqCst);
        ledger.keys.lock().unwrap().push(context.key.to_string());
        ledger.began.notify_one();
        let next = ledger.doing.lock().unwrap().pop();
        let doing = next.unwrap_or(Doing::Pays);
        match doing {
            Doing::PaysWhenStopped => {
                context.cancel.cancelled().await;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            Doing::Hangs => std::future::pending().await,
            Doing::LosesTheQuestion => return Err(ToolError::transient("net", "the line broke")),
            _ => {}
        }
        ledger.pay(&context.key);
        match doing {
            Doing::PaysAndLosesTheAnswer => Err(ToolError::transient("net", "the line broke")),
            Doing::PaysAndPanics => panic!("out of paper"),
            Doing::PaysAndHangs => std::future::pending().await,
            _ => Ok(ToolOutput::new(receipt(&context.key))),
        }
    }

    async fn reconcile(&self, key: &EffectKey, _: &ToolContext) -> Result<Reconciled, ToolError> {
        self.ledger.looks.fetch_add(1, Ordering::SeqCst);
        self.ledger.looked.notify_one();
        let looking = *self.ledger.looking.lock().unwrap();
        match looking {
            Looking::Sees if self.ledger.entries().contains(&key.to_string()) => Ok(Reconciled::Done(receipt(key))),
            Looking::Sees => Ok(Reconciled::NotDone),
            Looking::Blind => Ok(Reconciled::Unknown),
            Looking::Fails => Err(ToolError::transient("net", "nobody answers")),
            Looking::Raves => Ok(Reconciled::Done(json!({"paid": true}))),
            Looking::Panics => panic!("out of glasses"),
            Looking::Hangs => std::future::pending().await,
        }
    }
}
