//! In which order the boxes of a layer stand: with few crossings of lines.

use std::collections::BTreeMap;

use super::rank::Ranks;

/// How often the layers are sorted by their neighbours.
const SWEEPS: usize = 24;

/// Boxes and bends in layers. An edge over several layers bends once in each layer between; long edges to the same box, or
/// from the same one, share their bends, so that many of them are drawn as one.
pub(super) struct Web {
    /// The vertices of each layer, from left to right; those from the number of boxes on are bends.
    pub(super) layers: Vec<Vec<usize>>,
    /// The vertices above each vertex.
    pub(super) above: Vec<Vec<usize>>,
    /// The vertices below each vertex.
    pub(super) below: Vec<Vec<usize>>,
    /// The vertices along each edge, from its upper end to its lower one.
    pub(super) ways: Vec<Vec<usize>>,
    /// The place of each vertex in its layer.
    places: Vec<usize>,
    /// How many vertices are boxes.
    boxes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shared {
    From(usize),
    To(usize),
}

impl Web {
    /// The web of ranked boxes, sorted.
    pub(super) fn new(ranks: &Ranks) -> Web {
        let mut web = Web::unsorted(ranks);
        web.sort();
        web
    }

    fn unsorted(ranks: &Ranks) -> Web {
        let boxes = ranks.layer.len();
        let depth = ranks.layer.iter().max().map_or(0, |deepest| deepest + 1);
        let mut layers = vec![Vec::new(); depth];
        for (vertex, layer) in ranks.layer.iter().enumerate() {
            layers[*layer].push(vertex);
        }
        let long = |edge: &&(usize, usize)| ranks.layer[edge.1] > ranks.layer[edge.0] + 1;
        let (mut leaving, mut arriving) = (vec![0_usize; boxes], vec![0_usize; boxes]);
        for &(from, to) in ranks.edges.iter().filter(long) {
            leaving[from] += 1;
            arriving[to] += 1;
        }
        let mut bends = BTreeMap::new();
        let mut count = boxes;
        let mut ways = Vec::new();
        for &(from, to) in &ranks.edges {
            let shared = if arriving[to] > leaving[from] { Shared::To(to) } else { Shared::From(from) };
            let mut way = vec![from];
            for (layer, row) in layers.iter_mut().enumerate().take(ranks.layer[to]).skip(ranks.layer[from] + 1) {
                way.push(*bends.entry((shared, layer)).or_insert_with(|| {
                    // In the middle for a start: where nothing else matters, a line had best pass there.
                    row.insert(row.len() / 2, count);
                    count += 1;
                    count - 1
                }));
            }
            way.push(to);
            ways.push(way);
        }
        let (mut above, mut below) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for pair in ways.iter().flat_map(|way| way.windows(2)) {
            if !below[pair[0]].contains(&pair[1]) {
                below[pair[0]].push(pair[1]);
                above[pair[1]].push(pair[0]);
            }
        }
        let mut web = Web { layers, above, below, ways, places: vec![0; count], boxes };
        (0..web.layers.len()).for_each(|layer| web.number(layer));
        web
    }

    /// Whether a vertex is a bend of a line.
    pub(super) fn is_bend(&self, vertex: usize) -> bool {
        vertex >= self.boxes
    }

    fn sort(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let down = sweep % 2 == 0;
            for step in 1..self.layers.len() {
                let layer = if down { step } else { self.layers.len() - 1 - step };
                self.sort_layer(layer, down);
            }
            self.swap_neighbours();
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
        (0..self.layers.len()).for_each(|layer| self.number(layer));
    }

    fn number(&mut self, layer: usize) {
        for (place, vertex) in self.layers[layer].iter().enumerate() {
            self.places[*vertex] = place;
        }
    }

    /// Sorts one layer by the mean place of its neighbours above or below; who has none keeps its place.
    fn sort_layer(&mut self, layer: usize, by_above: bool) {
        let places = &self.places;
        let neighbours = if by_above { &self.above } else { &self.below };
        let row = &mut self.layers[layer];
        let mean = |vertex: usize| {
            let near = &neighbours[vertex];
            (!near.is_empty()).then(|| near.iter().map(|n| places[*n] as f64).sum::<f64>() / near.len() as f64)
        };
        let mut movable: Vec<(f64, usize)> =
            row.iter().filter_map(|vertex| mean(*vertex).map(|mean| (mean, *vertex))).collect();
        movable.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut movable = movable.into_iter();
        for vertex in row.iter_mut().filter(|vertex| !neighbours[**vertex].is_empty()) {
            if let Some((_, next)) = movable.next() {
                *vertex = next;
            }
        }
        self.number(layer);
    }

    /// Swaps neighbours while that undoes crossings.
    fn swap_neighbours(&mut self) {
        for _ in 0..8 {
            let mut better = false;
            for layer in 0..self.layers.len() {
                for place in 1..self.layers[layer].len() {
                    let (left, right) = (self.layers[layer][place - 1], self.layers[layer][place]);
                    let count = |a: usize, b: usize| {
                        let pairs = |near: &[Vec<usize>]| {
                            let over =
                                |x: &usize| near[b].iter().filter(|y| self.places[*x] > self.places[**y]).count();
                            near[a].iter().map(over).sum::<usize>()
                        };
                        pairs(&self.above) + pairs(&self.below)
                    };
                    if count(right, left) < count(left, right) {
                        self.layers[layer].swap(place - 1, place);
                        self.places.swap(left, right);
                        better = true;
                    }
                }
            }
            if !better {
                return;
            }
        }
    }

    /// How many pairs of lines cross.
    pub(super) fn crossings(&self) -> usize {
        let mut crossings = 0;
        for pair in self.layers.windows(2) {
            // Counts, for each line from left to right, the earlier ones that end further right.
            let mut ends = vec![0_usize; pair[1].len().next_power_of_two() * 2];
            let leaves = ends.len() / 2;
            for vertex in &pair[0] {
                let mut to: Vec<_> = self.below[*vertex].iter().map(|below| self.places[*below]).collect();
                to.sort_unstable();
                for &place in &to {
                    let mut at = leaves + place;
                    while at > 1 {
                        if at.is_multiple_of(2) {
                            crossings += ends[at + 1];
                        }
                        at /= 2;
                    }
                }
                for &place in &to {
                    let mut at = leaves + place;
                    while at > 0 {
                        ends[at] += 1;
                        at /= 2;
                    }
                }
            }
        }
        crossings
    }
}
