//! A scheme with a place for everything: boxes as large as their texts, groups as large as what is in them.

use super::layout::lay;
use super::route::{Line, Point};
use super::scheme::{Part, Scheme};
use crate::render::width;

/// Room around texts.
pub(super) const PAD: f64 = 14.0;
/// Columns and lines of the three sizes of letters. All fixed-width fonts are about this wide.
pub(super) const ID_COLUMN: f64 = 8.6;
pub(super) const WHAT_COLUMN: f64 = 7.4;
pub(super) const MARK_COLUMN: f64 = 6.8;
/// How high the texts stand, from the upper side of the box.
pub(super) const ID_LINE: f64 = 24.0;
pub(super) const WHAT_LINE: f64 = 43.0;
/// How high the first row of marks begins.
pub(super) const MARKS_TOP: f64 = 53.0;
/// The height of a row of marks, and of one mark in it.
pub(super) const MARKS_ROW: f64 = 24.0;
pub(super) const MARK_HEIGHT: f64 = 19.0;
const MARK_PAD: f64 = 7.0;
const MARK_GAP: f64 = 6.0;
/// Rows of marks are at least so long before another one is begun.
const MARKS_WIDTH: f64 = 190.0;
/// Room around what is inside a group.
const INNER: f64 = 20.0;
const LEAST_WIDTH: f64 = 120.0;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// The left side.
    pub x: f64,
    /// The upper side.
    pub y: f64,
    /// To the right side.
    pub width: f64,
    /// To the lower side.
    pub height: f64,
}

/// A box in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame<'a> {
    /// What it shows.
    pub part: &'a Part,
    /// Where it is.
    pub rect: Rect,
    /// Where each mark is.
    pub marks: Vec<Rect>,
    /// The box that it is in.
    pub parent: Option<usize>,
    /// How many boxes it is in.
    pub depth: usize,
    /// The ids of what it waits for.
    pub before: Vec<&'a str>,
}

/// A picture: everything has its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture<'a> {
    /// From the left side to the right one.
    pub width: f64,
    /// From the upper side to the lower one.
    pub height: f64,
    /// The boxes; a group stands before what is in it.
    pub frames: Vec<Frame<'a>>,
    /// The lines: between which boxes, whether loose, and where.
    pub lines: Vec<(usize, usize, bool, Line)>,
}

impl<'a> Picture<'a> {
    /// Lays a scheme out.
    pub fn of(scheme: &'a Scheme) -> Picture<'a> {
        let level = Level::of(scheme);
        let mut picture = Picture { width: level.width, height: level.height, ..Picture::default() };
        picture.add(level, Point::default(), None, 0);
        picture
    }

    fn add(&mut self, level: Level<'a>, corner: Point, parent: Option<usize>, depth: usize) {
        let first: Vec<usize> = level
            .cells
            .iter()
            .scan(self.frames.len(), |next, cell| {
                let this = *next;
                *next += 1 + cell.inner.as_ref().map_or(0, Level::size);
                Some(this)
            })
            .collect();
        for (edge, mut line) in level.scheme.edges.iter().zip(level.lines) {
            for point in &mut line.points {
                (point.x, point.y) = (point.x + corner.x, point.y + corner.y);
            }
            self.lines.push((first[edge.from], first[edge.to], edge.loose, line));
        }
        for (place, (cell, at)) in level.cells.into_iter().zip(level.corners).enumerate() {
            let (x, y) = (corner.x + at.x, corner.y + at.y);
            let shift = |rect: Rect| Rect { x: rect.x + x, y: rect.y + y, ..rect };
            let this = self.frames.len();
            self.frames.push(Frame {
                part: cell.part,
                rect: Rect { x, y, width: cell.width, height: cell.height },
                marks: cell.marks.into_iter().map(shift).collect(),
                parent,
                depth,
                before: level.scheme.before(place),
            });
            if let Some(inner) = cell.inner {
                let x = x + ((cell.width - inner.width) / 2.0).round();
                self.add(inner, Point { x, y: y + cell.head }, Some(this), depth + 1);
            }
        }
    }
}

struct Level<'a> {
    scheme: &'a Scheme,
    width: f64,
    height: f64,
    cells: Vec<Cell<'a>>,
    corners: Vec<Point>,
    lines: Vec<Line>,
}

struct Cell<'a> {
    part: &'a Part,
    width: f64,
    height: f64,
    /// How high what is inside begins.
    head: f64,
    marks: Vec<Rect>,
    inner: Option<Level<'a>>,
}

impl<'a> Level<'a> {
    fn of(scheme: &'a Scheme) -> Level<'a> {
        let cells: Vec<Cell<'a>> = scheme.parts.iter().map(Cell::of).collect();
        let sizes: Vec<_> = cells.iter().map(|cell| (cell.width, cell.height)).collect();
        let edges: Vec<_> = scheme.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let laid = lay(&sizes, &edges);
        Level { scheme, width: laid.width, height: laid.height, cells, corners: laid.corners, lines: laid.lines }
    }

    fn size(&self) -> usize {
        self.cells.iter().map(|cell| 1 + cell.inner.as_ref().map_or(0, Level::size)).sum()
    }
}

impl<'a> Cell<'a> {
    fn of(part: &'a Part) -> Cell<'a> {
        let columns = |text: &str, column: f64| (width(text) as f64 * column).ceil();
        let gap = if part.what.is_empty() { 0.0 } else { 2.0 };
        let what = columns(&part.verb, WHAT_COLUMN) + columns(&part.what, WHAT_COLUMN) + gap * WHAT_COLUMN;
        let texts = columns(&part.id, ID_COLUMN).max(what);
        let inner = part.inner.as_ref().map(Level::of);
        let room = texts.max(MARKS_WIDTH).max(inner.as_ref().map_or(0.0, |inner| inner.width));
        let (mut x, mut y, mut longest) = (PAD, MARKS_TOP, 0.0_f64);
        let mut marks = Vec::new();
        for mark in &part.marks {
            let width = columns(&mark.text, MARK_COLUMN) + 2.0 * MARK_PAD;
            if x > PAD && x + width > PAD + room {
                (x, y) = (PAD, y + MARKS_ROW);
            }
            marks.push(Rect { x, y, width, height: MARK_HEIGHT });
            longest = longest.max(x + width - PAD);
            x += width + MARK_GAP;
        }
        let head = if marks.is_empty() { MARKS_TOP + 3.0 } else { y + MARKS_ROW + 4.0 };
        let own = (texts.max(longest) + 2.0 * PAD).max(LEAST_WIDTH);
        let (width, height) = match &inner {
            Some(inner) => (own.max(inner.width + 2.0 * INNER), head + INNER / 2.0 + inner.height + INNER),
            None => (own, head),
        };
        // Even widths have their middle on a pixel.
        Cell { part, width: (width / 2.0).ceil() * 2.0, height, head: head + INNER / 2.0, marks, inner }
    }
}
