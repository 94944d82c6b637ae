//! What did happen: events, the texts that they point to, and the state that is their fold. Pure data.

mod event;
mod payload;

pub use event::{
    Actor, Budget, Channel, Event, EventError, EventKind, FailureReason, Finish, LOG_VERSION, ModelCall, RunStatus,
    SkipReason, Verdict,
};
pub use payload::{Codec, Commitment, Payload, PayloadError};
