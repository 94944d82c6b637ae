//! What a person sees of a run: a tree of steps, drawn from a fold of the log. The live view and `show` are the same
//! drawing; where there is no terminal, the same fold tells one line an event.

mod view;

mod outline;
mod symbols;

mod tree;

mod frame;
mod line;
mod row;
mod words;

mod plain;

mod live;

pub use live::Live;
pub use outline::{Outline, OutlineStep};
pub use symbols::Symbols;
pub use view::RunView;
