//! In which layer each box stands: below all that it waits for, and no layer wider than a page where that can be.

/// The layers, and which edges point against them.
pub(super) struct Ranks {
    pub(super) layer: Vec<usize>,
    /// The edges, each downward: those on a circle are turned.
    pub(super) edges: Vec<(usize, usize)>,
    /// Whether an edge was turned.
    pub(super) turned: Vec<bool>,
}

/// Ranks boxes of these widths.
pub(super) fn rank(widths: &[f64], edges: &[(usize, usize)], gap: f64, page: f64) -> Ranks {
    let turned = circles(widths.len(), edges);
    let edges: Vec<_> =
        edges.iter().zip(&turned).map(|(&(a, b), turned)| if *turned { (b, a) } else { (a, b) }).collect();
    let mut after = vec![Vec::new(); widths.len()];
    let mut missing = vec![0_usize; widths.len()];
    for &(from, to) in &edges {
        after[from].push(to);
        missing[to] += 1;
    }
    let mut layer = vec![0; widths.len()];
    let mut filled: Vec<f64> = Vec::new();
    let mut wave: Vec<usize> = (0..widths.len()).filter(|node| missing[*node] == 0).collect();
    while !wave.is_empty() {
        let mut next = Vec::new();
        for node in wave {
            let has_room = |filled: f64| filled == 0.0 || filled + gap + widths[node] <= page;
            let mut at: usize = layer[node];
            while filled.get(at).is_some_and(|filled| !has_room(*filled)) {
                at += 1;
            }
            filled.resize(filled.len().max(at + 1), 0.0);
            filled[at] += gap + widths[node];
            layer[node] = at;
            for &to in &after[node] {
                layer[to] = layer[to].max(at + 1);
                missing[to] -= 1;
                if missing[to] == 0 {
                    next.push(to);
                }
            }
        }
        next.sort_unstable();
        wave = next;
    }
    // What waits for nothing stands near what waits for it, so that lines are short.
    let mut waits = vec![false; widths.len()];
    edges.iter().for_each(|edge| waits[edge.1] = true);
    for node in (0..widths.len()).filter(|node| !waits[*node]) {
        let Some(lowest) = after[node].iter().map(|to| layer[*to]).min() else { continue };
        let near = (layer[node] + 1..lowest).rev().find(|at| filled[*at] + gap + widths[node] <= page);
        if let Some(near) = near {
            filled[layer[node]] -= gap + widths[node];
            filled[near] += gap + widths[node];
            layer[node] = near;
        }
    }
    Ranks { layer: dense(layer), edges, turned }
}

/// The layers without empty ones between.
fn dense(layer: Vec<usize>) -> Vec<usize> {
    let mut used = layer.clone();
    used.sort_unstable();
    used.dedup();
    layer.into_iter().map(|at| used.partition_point(|other| *other < at)).collect()
}

/// Which edges lead back to where a walk came from: without them there is no circle.
fn circles(size: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let mut after = vec![Vec::new(); size];
    for (number, &(from, to)) in edges.iter().enumerate() {
        after[from].push((to, number));
    }
    let mut turned = vec![false; edges.len()];
    // 0: not seen; 1: on the way; 2: done. No recursion: a chain may be long.
    let mut seen = vec![0_u8; size];
    for start in 0..size {
        if seen[start] != 0 {
            continue;
        }
        seen[start] = 1;
        let mut way = vec![(start, 0_usize)];
        while let Some((at, next)) = way.last_mut() {
            let Some(&(to, number)) = after[*at].get(*next) else {
                seen[*at] = 2;
                way.pop();
                continue;
            };
            *next += 1;
            match seen[to] {
                0 => {
                    seen[to] = 1;
                    way.push((to, 0));
                }
                1 => turned[number] = true,
                _ => {}
            }
        }
    }
    turned
}
