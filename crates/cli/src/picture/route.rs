//! How far down each box stands, and the lines between boxes: straight beside boxes, curved only in the room between layers.

use super::layout::{BEND_GAP, BOX_GAP};
use super::order::Web;
use super::place::place;
use super::rank::Ranks;

/// The least room between two layers.
const LAYER_GAP: f64 = 38.0;
/// The most.
const LAYER_GAP_MOST: f64 = 84.0;
/// How near to the side of a wide box a line may end.
const CORNER: f64 = 24.0;
/// From which width on lines do not end in the middle of a box only.
const WIDE: f64 = 320.0;

/// A place in a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Down.
    pub y: f64,
}

/// A line from one box down to another. Its parts are straight down and curved by turns, beginning with a straight one and
/// ending with a curved one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Where the parts meet, ends too.
    pub points: Vec<Point>,
    /// Whether the line is of a circle, and leads up: it is to be read from its end.
    pub turned: bool,
}

/// One level, laid out.
pub(super) struct Laid {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The upper left corner of each box.
    pub(super) corners: Vec<Point>,
    /// The lines, in the order of the edges.
    pub(super) lines: Vec<Line>,
}

/// Gives boxes and lines their places.
pub(super) fn route(sizes: &[(f64, f64)], ranks: &Ranks, web: &Web) -> Laid {
    let width = |vertex: usize| sizes.get(vertex).map_or(0.0, |size| size.0);
    let gap = |a: usize, b: usize| match (web.is_bend(a), web.is_bend(b)) {
        (false, false) => BOX_GAP,
        (true, true) => BEND_GAP,
        _ => (BOX_GAP + BEND_GAP) / 2.0,
    };
    let middle: Vec<f64> = place(web, &width, &gap).into_iter().map(f64::round).collect();
    // Lines meet a wide box where they come from.
    let port = |vertex: usize, from: f64| {
        let reach = width(vertex) / 2.0 - CORNER;
        if width(vertex) < WIDE { middle[vertex] } else { from.clamp(middle[vertex] - reach, middle[vertex] + reach) }
    };
    let slope = |above: usize, below: usize| (middle[above] - middle[below]).abs();
    let mut tops = Vec::new();
    let mut bottoms = Vec::new();
    let mut y: f64 = 0.0;
    for row in &web.layers {
        tops.push(y);
        y += row.iter().map(|vertex| sizes.get(*vertex).map_or(0.0, |size| size.1)).fold(0.0, f64::max);
        bottoms.push(y);
        let steepest = row.iter().flat_map(|above| web.below[*above].iter().map(|below| slope(*above, *below)));
        y += (LAYER_GAP + steepest.fold(0.0, f64::max) / 16.0).min(LAYER_GAP_MOST).round();
    }
    let corners: Vec<_> = (0..sizes.len())
        .map(|vertex| Point { x: (middle[vertex] - width(vertex) / 2.0).round(), y: tops[ranks.layer[vertex]] })
        .collect();
    let line = |(way, turned): (&Vec<usize>, &bool)| {
        let first = way[0];
        let start = port(first, middle[way[1]]);
        let top = ranks.layer[first];
        let mut points =
            vec![Point { x: start, y: corners[first].y + sizes[first].1 }, Point { x: start, y: bottoms[top] }];
        for (pair, layer) in way.windows(2).zip(top + 1..) {
            let x = port(pair[1], middle[pair[0]]);
            points.push(Point { x, y: tops[layer] });
            if web.is_bend(pair[1]) {
                points.push(Point { x, y: bottoms[layer] });
            }
        }
        Line { points, turned: *turned }
    };
    let lines: Vec<_> = web.ways.iter().zip(&ranks.turned).map(line).collect();
    let right = (0..middle.len()).map(|vertex| middle[vertex] + width(vertex) / 2.0).fold(0.0, f64::max).ceil();
    Laid { width: right, height: bottoms.last().copied().unwrap_or_default(), corners, lines }
}
