//! How far to the right each box and bend stands: near its neighbours, in the order of its layer, without overlap.

use super::order::Web;

/// How often the places are improved, down and up.
const SWEEPS: usize = 12;

/// Which neighbours a place is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
    Both,
}

/// The middle of each vertex; the leftmost edge is at 0. `width` is that of boxes, `gap` the room between two vertices.
pub(super) fn place(web: &Web, width: &dyn Fn(usize) -> f64, gap: &dyn Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut middle = vec![0.0; web.above.len()];
    let distances: Vec<Vec<f64>> = web
        .layers
        .iter()
        .map(|row| row.windows(2).map(|p| (width(p[0]) + width(p[1])) / 2.0 + gap(p[0], p[1])).collect())
        .collect();
    for (row, distances) in web.layers.iter().zip(&distances) {
        let whole: f64 = distances.iter().sum();
        let mut x = -whole / 2.0;
        for (place, vertex) in row.iter().enumerate() {
            middle[*vertex] = x;
            x += distances.get(place).copied().unwrap_or_default();
        }
    }
    for sweep in 0..SWEEPS {
        let both = sweep + 2 >= SWEEPS;
        let (down, up) = if both { (Side::Both, Side::Both) } else { (Side::Above, Side::Below) };
        for (layer, distances) in distances.iter().enumerate().skip(1) {
            settle(web, layer, down, distances, &mut middle);
        }
        for (layer, distances) in distances.iter().enumerate().rev().skip(1) {
            settle(web, layer, up, distances, &mut middle);
        }
    }
    for (layer, distances) in distances.iter().enumerate().skip(1) {
        settle(web, layer, Side::Above, distances, &mut middle);
    }
    let left = (0..middle.len()).map(|v| middle[v] - width(v) / 2.0).fold(f64::INFINITY, f64::min);
    middle.iter().map(|x| x - left).collect()
}

/// Moves one layer to where its neighbours want it, as near as its order and distances allow.
fn settle(web: &Web, layer: usize, side: Side, distances: &[f64], middle: &mut [f64]) {
    let row = &web.layers[layer];
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(row.len());
    let mut wishes = Vec::with_capacity(row.len());
    for (place, &vertex) in row.iter().enumerate() {
        let above = web.above[vertex].iter().filter(|_| side != Side::Below);
        let below = web.below[vertex].iter().filter(|_| side != Side::Above);
        let (mut sum, mut weight) = (0.0, 0.0);
        for &near in above.chain(below) {
            // Long lines are to be straight.
            let pull = match (web.is_bend(vertex), web.is_bend(near)) {
                (true, true) => 24.0,
                (false, false) => 1.0,
                _ => 2.0,
            };
            sum += pull * middle[near];
            weight += pull;
        }
        let wish = if weight > 0.0 { (sum / weight, weight) } else { (middle[vertex], 0.01) };
        wishes.push((wish.0 - offset, wish.1));
        offsets.push(offset);
        offset += distances.get(place).copied().unwrap_or_default();
    }
    for ((vertex, x), offset) in row.iter().zip(rising(&wishes)).zip(offsets) {
        middle[*vertex] = x + offset;
    }
}

/// The rising numbers that are nearest to the wished ones, by weighted squares: neighbours that fall are averaged.
fn rising(wishes: &[(f64, f64)]) -> Vec<f64> {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for &(value, weight) in wishes {
        let mut block = (value, weight, 1);
        while let Some(&(before, other, size)) = blocks.last().filter(|(before, ..)| *before > block.0) {
            blocks.pop();
            let both = other + block.1;
            block = ((before * other + block.0 * block.1) / both, both, size + block.2);
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(value, _, size)| std::iter::repeat_n(value, size)).collect()
}
