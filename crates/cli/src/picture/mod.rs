//! Pictures of a workflow: what waits for what, groups as boxes in boxes. `scheme` says what is drawn, in words; the
//! layered layout is our own, pure and the same every time; the writers below it know one format each.

mod scheme;

mod boxes;
mod layout;

mod order;
mod place;
mod rank;
mod route;

mod dot;
mod mermaid;
mod svg;

pub use boxes::{Frame, Picture, Rect};
pub use dot::dot;
pub use mermaid::mermaid;
pub use route::{Line, Point};
pub use scheme::{Edge, Look, Mark, Part, Scheme, Tone};
pub use svg::svg;
