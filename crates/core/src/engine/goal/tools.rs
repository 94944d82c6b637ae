//! Which tools a model is told of, where a goal has more than a prompt lists: those whose words match the goal, and of these, where there is an
//! embedder, those whose meaning does.

use crate::engine::executor::Executor;
use crate::planning;
use crate::tool::ToolSpec;

/// The most tools that a prompt lists.
const MOST: usize = 24;
/// How many more are looked at by their meaning.
const CANDIDATES: usize = 3 * MOST;

impl Executor {
    /// The names of the tools for a goal, in the order of the catalogue.
    pub(super) async fn tools_for(&self, specs: &[ToolSpec], goal: &str) -> Vec<String> {
        let all: Vec<&ToolSpec> = specs.iter().collect();
        let (Some(embedder), true) = (&self.services.tool_search, specs.len() > MOST) else {
            return names(&planning::search(&all, goal, MOST));
        };
        let candidates = planning::search(&all, goal, CANDIDATES);
        let about = candidates.iter().map(|spec| format!("{}: {}", spec.name, spec.description));
        let texts: Vec<String> = std::iter::once(goal.to_owned()).chain(about).collect();
        let near = match embedder.embed(&texts).await {
            Ok(embeddings) => nearest(&embeddings.vectors, MOST),
            Err(error) => {
                tracing::warn!(%error, "the tools for a goal are found by their words alone");
                return names(&planning::search(&all, goal, MOST));
            }
        };
        names(&near.into_iter().filter_map(|place| candidates.get(place).copied()).collect::<Vec<_>>())
    }
}

fn names(specs: &[&ToolSpec]) -> Vec<String> {
    specs.iter().map(|spec| spec.name.clone()).collect()
}

/// The places of the vectors that lie closest to the first one, counted after it, in order.
fn nearest(vectors: &[Vec<f32>], most: usize) -> Vec<usize> {
    let Some((goal, others)) = vectors.split_first() else { return Vec::new() };
    let near = |other: &Vec<f32>| goal.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    let mut places: Vec<(usize, f32)> = others.iter().map(near).enumerate().collect();
    places.sort_by(|(a, near_a), (b, near_b)| near_b.total_cmp(near_a).then(a.cmp(b)));
    let mut places: Vec<usize> = places.into_iter().take(most).map(|(place, _)| place).collect();
    places.sort_unstable();
    places
}
