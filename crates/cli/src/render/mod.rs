//! What a person sees of a run: a tree of steps, drawn from a fold of the log. The live view and `show` are the same
//! drawing; where there is no terminal, the same fold tells one line an event.

mod view;

mod planned;
mod turn;

mod outline;
mod symbols;

mod tree;

mod frame;
mod line;
mod row;
mod words;

mod phrases;

mod plain;

mod bars;
mod costs;
mod progress;
mod story;
mod timeline;

mod live;

mod question;
mod steps;
mod waves;

pub(crate) use costs::Costs;
pub use live::Live;
pub use outline::{Outline, OutlineStep};
pub(crate) use phrases::{closed, decided, fired, planned, repeated, resolved, ruled, skipped};
pub(crate) use progress::{progress, transfer};
pub use question::Question;
pub(crate) use question::indented;
pub(crate) use steps::{answered, drawn, flow};
pub use symbols::Symbols;
pub use timeline::Timeline;
pub use view::RunView;
pub(crate) use waves::{span, waves};
pub(crate) use words::{clean, counted, cut, elapsed, harmless, local, memories, steers, width, wrap};
