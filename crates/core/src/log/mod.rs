//! What did happen: events, the texts that they point to, and the state that is their fold. Pure data.

mod budget;
pub mod canonical;
mod event;
mod model_call;
mod payload;
pub mod proof;
mod ready;
mod state;
mod step;
mod texts;
pub mod tree;
mod waiting;

pub use budget::Budget;
pub use event::{
    Actor, Channel, Does, Event, EventError, EventKind, FailureReason, Finish, LOG_VERSION, Parent, Planned, RunStatus,
    SkipReason, Verdict,
};
pub use model_call::{AnswerForm, Energy, ModelCall};
pub use payload::{Codec, Commitment, Payload, PayloadError};
pub(crate) use ready::Work;
pub use state::{Forked, IllegalEvent, Question, RunState};
pub(crate) use state::{Gate, SNAPSHOT_VERSION, Said, Settlement};
pub(crate) use step::Came;
pub use step::{Answer, Approval, Fan, Step, StepError, StepIndex, StepStatus, Waiting};
pub use waiting::{Resolution, Timer, WaitFor};
