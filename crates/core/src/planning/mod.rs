//! From a goal to a plan: the language of plan lines, the form that the next line must have, and the check of each line against what
//! was planned before. Pure data; who asks the model stands in `engine`.

mod draft;
mod line;
mod lower;
mod prompt;
mod search;
mod verify;

pub use draft::{Change, Draft, LineError, Standing};
pub use line::{Comparison, Condition, Done, Key, Line, PlannedStep, Reference};
pub use lower::{Literals, Lowered};
pub use prompt::Seen;
pub use search::search;
pub use verify::{Found, Unsupported, verify};
