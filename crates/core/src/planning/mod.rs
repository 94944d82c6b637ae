//! From a goal to a plan: the language of plan lines, the form that the next line must have, and the check of each line against what
//! was planned before. Pure data; who asks the model stands in `engine`.

mod check;
mod draft;
mod form;
mod line;
mod lower;
mod part;
mod patch;
mod prompt;
mod reach;
mod read;
mod reference;
mod search;
mod shape;
mod verify;

pub use draft::{Change, Draft, LineError, Standing};
pub use line::{Comparison, Condition, Done, Line, PlannedStep};
pub use lower::{Literals, Lowered};
pub use prompt::Seen;
pub use reference::{Key, Reference};
pub use search::search;
pub use verify::{Found, Unsupported, verify};

#[cfg(test)]
mod tests;
