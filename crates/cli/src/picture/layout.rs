//! The layout of one level: boxes in layers, below all that they wait for.

use super::order::Web;
use super::rank::rank;
use super::route::{Laid, route};

/// The room between two boxes of a layer.
pub(super) const BOX_GAP: f64 = 28.0;
/// The room between two lines that pass a layer.
pub(super) const BEND_GAP: f64 = 14.0;
/// A layer as wide as this is followed by another one, rather than made wider.
const PAGE: f64 = 1_180.0;

/// Lays boxes of these sizes out. The same input gives the same picture.
pub(super) fn lay(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Laid {
    let widths: Vec<_> = sizes.iter().map(|size| size.0).collect();
    let ranks = rank(&widths, edges, BOX_GAP, PAGE);
    let web = Web::new(&ranks);
    route(sizes, &ranks, &web)
}
