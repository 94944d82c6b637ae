//! The same without `async`: an engine with threads of its own, for programs that have no runtime.
//!
//! ```
//! use parkway::{Parkway, Workflow, blocking, inputs};
//!
//! # fn main() -> Result<(), parkway::Error> {
//! let parkway = blocking::Parkway::build(Parkway::builder().store("sqlite::memory:"))?;
//! let text = "parkway: 1\ninputs: { n: { type: integer } }\nsteps: { twice: { set: { n: '${{ inputs.n * 2 }}' } } }\noutputs: { n: '${{ steps.twice.output.n }}' }\n";
//! let outputs: serde_json::Value = parkway.run(Workflow::from_source("twice.yaml", text)?, inputs! { n: 21 })?;
//! assert_eq!(outputs["n"], 42);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use parkway_core::engine::Ended;
use parkway_core::id::RunId;
use parkway_core::log::Event;
use parkway_core::workflow::Inputs;
use serde::de::DeserializeOwned;
use tokio::runtime::{self, Handle, Runtime};

use crate::builder::Builder;
use crate::embed::RunOptions;
use crate::error::Error;
use crate::workflow::Workflow;

/// An engine that can be called without `async`. Its runs go on while the program does something else, as long as the engine or
/// one of its runs is there.
#[derive(Clone, Debug)]
pub struct Parkway {
    inner: crate::Parkway,
    threads: Threads,
}

/// A run of a [`Parkway`]. Dropping it does not cancel the run.
#[derive(Clone, Debug)]
pub struct Run {
    inner: crate::Run,
    threads: Threads,
}

/// The events of a run, as they come to be on disk.
#[derive(Debug)]
pub struct Events {
    inner: crate::Events,
    threads: Threads,
}

impl Parkway {
    /// Builds an engine, with two threads for what it does.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`], and [`Error::Setup`] within an async runtime: this call, like the others here, would stop it.
    pub fn build(builder: Builder) -> Result<Self, Error> {
        let threads = Threads::start()?;
        let inner = threads.wait_for(builder.build())??;
        Ok(Parkway { inner, threads })
    }

    /// Runs a workflow to its end, and gives its outputs.
    pub fn run<T: DeserializeOwned>(&self, workflow: Workflow, inputs: Inputs) -> Result<T, Error> {
        self.start(workflow, inputs)?.output()
    }

    /// Starts a run. It is on disk when this returns.
    pub fn start(&self, workflow: Workflow, inputs: Inputs) -> Result<Run, Error> {
        let inner = self.threads.wait_for(self.inner.start(workflow, inputs))??;
        Ok(Run { inner, threads: self.threads.clone() })
    }

    /// Takes a run up where it stands: after a crash, a stop, or an approval.
    pub fn resume(&self, run: RunId, options: RunOptions) -> Result<Run, Error> {
        let inner = self.threads.wait_for(self.inner.resume(run, options))??;
        Ok(Run { inner, threads: self.threads.clone() })
    }

    /// The engine itself, for all that is not here: [`wait_for`](Self::wait_for) what it returns.
    pub fn engine(&self) -> &crate::Parkway {
        &self.inner
    }

    /// Waits for a future of the engine, on its threads. [`Error::Setup`] within an async runtime.
    pub fn wait_for<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        self.threads.wait_for(future)
    }
}

impl Run {
    /// Its id.
    pub fn id(&self) -> RunId {
        self.inner.id()
    }

    /// Its events from the first; the iterator ends when this program stops executing it.
    pub fn events(&self) -> Events {
        Events { inner: self.inner.events(), threads: self.threads.clone() }
    }

    /// Says yes to a step that asks: its id, or its key such as `intake[3].confirm`.
    pub fn approve(&self, step: &str) -> Result<(), Error> {
        self.threads.wait_for(self.inner.approve(step))?
    }

    /// Says no to a step that asks.
    pub fn reject(&self, step: &str, note: Option<String>) -> Result<(), Error> {
        self.threads.wait_for(self.inner.reject(step, note))?
    }

    /// Asks the run to end.
    pub fn cancel(&self) -> Result<(), Error> {
        self.threads.wait_for(self.inner.cancel())?
    }

    /// Waits until this program no longer executes the run.
    pub fn wait(&self) -> Result<Ended, Error> {
        self.threads.wait_for(self.inner.wait())?
    }

    /// Waits for the end, and gives the workflow's outputs.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.threads.wait_for(self.inner.output())?
    }
}

impl Iterator for Events {
    type Item = Result<Arc<Event>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.threads.wait_for(self.inner.next()) {
            Ok(next) => next,
            Err(error) => Some(Err(error)),
        }
    }
}

/// A runtime that ends with the last of those who use it, wherever that is.
#[derive(Clone)]
struct Threads(Arc<Owned>);

struct Owned(Option<Runtime>);

impl Threads {
    fn start() -> Result<Self, Error> {
        outside()?;
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(2).thread_name("parkway").enable_all().build();
        let runtime = runtime.map_err(|e| Error::Setup(format!("no threads can be started: {e}")))?;
        Ok(Threads(Arc::new(Owned(Some(runtime)))))
    }

    fn wait_for<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        outside()?;
        let gone = || Error::Setup("the threads of the engine have ended".into());
        Ok(self.0.0.as_ref().ok_or_else(gone)?.block_on(future))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Within a runtime nobody may wait for the end of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Threads")
    }
}

/// That this is no thread of a runtime, which waiting would stop.
fn outside() -> Result<(), Error> {
    match Handle::try_current() {
        Ok(_) => Err(Error::Setup(
            "`parkway::blocking` was called within an async runtime, which it would stop; use `parkway::Parkway` there, or `spawn_blocking`".into(),
        )),
        Err(_) => Ok(()),
    }
}
