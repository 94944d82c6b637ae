//! How well memories are found, and which weights find them best, on questions whose answers are known.

use std::collections::{BTreeMap, BTreeSet};

use parkway_core::id::MemoryId;
use serde::{Deserialize, Serialize};

use super::{Memories, MemoryFilter, Weights};
use crate::error::Error;

/// A question, and the memories that answer it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Question {
    /// The namespaces that are asked.
    pub namespaces: Vec<String>,
    /// The question.
    pub text: String,
    /// The memories that answer it, by their texts as they were remembered, or by their ids.
    pub answers: Vec<String>,
}

/// How well one way of finding does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// How many questions were asked.
    pub questions: u64,
    /// The share of the answers that are among the first 5, over all questions.
    pub recall_at_5: f64,
    /// Among the first 10.
    pub recall_at_10: f64,
    /// Among the first 20.
    pub recall_at_20: f64,
    /// One by the rank of the first answer (mean reciprocal rank), 0 where none is among the first 20.
    pub mrr: f64,
}

impl Measured {
    fn add(&mut self, found: &[BTreeSet<String>], answers: &[String]) {
        let hit = |rank: usize| answers.iter().any(|answer| found[rank].contains(answer));
        #[expect(clippy::cast_precision_loss, reason = "there are fewer answers")]
        let share = |first: usize| {
            let had = answers.iter().filter(|answer| found.iter().take(first).any(|names| names.contains(*answer)));
            had.count() as f64 / answers.len().max(1) as f64
        };
        self.questions += 1;
        self.recall_at_5 += share(5);
        self.recall_at_10 += share(10);
        self.recall_at_20 += share(20);
        #[expect(clippy::cast_precision_loss, reason = "a rank is at most 20")]
        let reciprocal = (0..found.len().min(20)).find(|rank| hit(*rank)).map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0));
        self.mrr += reciprocal;
    }

    fn mean(mut self) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "there are fewer questions")]
        let of = self.questions.max(1) as f64;
        for sum in [&mut self.recall_at_5, &mut self.recall_at_10, &mut self.recall_at_20, &mut self.mrr] {
            *sum /= of;
        }
        self
    }
}

/// What came of an evaluation. The weights were chosen on every third question, and everything is measured on the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluated {
    /// By words alone.
    pub text: Measured,
    /// By meaning alone; none without an embedder.
    pub vector: Option<Measured>,
    /// By both, with the weights that were chosen.
    pub fused: Option<Measured>,
    /// The weights that did best on the questions that they were chosen on; words alone if nothing did better.
    pub weights: Weights,
    /// How many answers are no memory of the namespaces that are asked: nothing can find them.
    pub strange: u64,
}

/// The weights of vectors that are tried beside a weight of 1 for words. With the last one, words only tell apart what meaning does not.
const TRIED: [f64; 11] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 1_000.0];

/// Asks each question in each way. With `vectors`, by meaning as well.
///
/// # Errors
///
/// There are fewer than 3 questions, one of them has no answers, or the store or the embedder fails.
pub async fn evaluate(memories: &Memories, questions: &[Question], vectors: bool) -> Result<Evaluated, Error> {
    if questions.len() < 3 {
        return Err(Error::Memory("weights are chosen on one third of the questions; there must be at least 3".into()));
    }
    if let Some(question) = questions.iter().find(|question| question.answers.is_empty()) {
        let text = &question.text;
        return Err(Error::Memory(format!(
            "the question `{text}` has no answers; name the texts or ids of the memories that answer it as `answers`"
        )));
    }
    let strange = strange(memories, questions).await?;
    let (chosen_on, measured_on): (Vec<_>, Vec<_>) = questions.iter().enumerate().partition(|(i, _)| i % 3 == 0);
    let words = Weights::new(1.0, 0.0);
    let text = ask(memories, &measured_on, words).await?;
    if !vectors {
        return Ok(Evaluated { text, vector: None, fused: None, weights: words, strange });
    }
    // Nothing is measured while some have no vector yet.
    memories.complete_vectors_of(&namespaces(questions)).await?;
    let mut best = (ask(memories, &chosen_on, words).await?.recall_at_10, words);
    for vector in TRIED {
        let weights = Weights::new(1.0, vector);
        let reached = ask(memories, &chosen_on, weights).await?.recall_at_10;
        if reached > best.0 {
            best = (reached, weights);
        }
    }
    let vector = ask(memories, &measured_on, Weights::new(0.0, 1.0)).await?;
    let fused = ask(memories, &measured_on, best.1).await?;
    Ok(Evaluated { text, vector: Some(vector), fused: Some(fused), weights: best.1, strange })
}

/// The namespaces that are asked.
fn namespaces(questions: &[Question]) -> Vec<String> {
    let all: BTreeSet<&String> = questions.iter().flat_map(|question| &question.namespaces).collect();
    all.into_iter().cloned().collect()
}

/// How many answers are no memory of the namespaces that are asked.
async fn strange(memories: &Memories, questions: &[Question]) -> Result<u64, Error> {
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for namespace in namespaces(questions) {
        let mut filter = MemoryFilter::of(&namespace);
        let named = there.entry(namespace).or_default();
        loop {
            let page = memories.page(&mut filter).await?;
            if page.is_empty() {
                break;
            }
            for memory in page {
                named.extend([memory.id.to_string()].into_iter().chain(memory.content.map(|content| content.text)));
            }
        }
    }
    let strange = |question: &Question| {
        let there: Vec<_> = question.namespaces.iter().filter_map(|namespace| there.get(namespace)).collect();
        question.answers.iter().filter(|answer| !there.iter().any(|named| named.contains(*answer))).count() as u64
    };
    Ok(questions.iter().map(strange).sum())
}

async fn ask(memories: &Memories, questions: &[(usize, &Question)], weights: Weights) -> Result<Measured, Error> {
    let mut measured = Measured::default();
    for (_, question) in questions {
        let mut recall = memories.question(question.namespaces.clone(), &question.text);
        (recall.limit, recall.weights) = (20, weights);
        let found = memories.recall(recall).await?;
        let names = |id: MemoryId, text: Option<String>| BTreeSet::from_iter(text.into_iter().chain([id.to_string()]));
        let found: Vec<BTreeSet<String>> = found
            .into_iter()
            .map(|found| names(found.memory.id, found.memory.content.map(|content| content.text)))
            .collect();
        measured.add(&found, &question.answers);
    }
    Ok(measured.mean())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_what_the_names_say() {
        let found: Vec<BTreeSet<String>> =
            (0..20).map(|i| BTreeSet::from([format!("m{i}"), format!("text {i}")])).collect();
        let mut measured = Measured::default();
        measured.add(&found, &["text 1".into(), "m7".into(), "m15".into(), "elsewhere".into()]);
        measured.add(&found, &["none".into()]);
        let mean = measured.mean();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(mean.recall_at_5, 0.125) && close(mean.recall_at_10, 0.25), "{mean:?}");
        assert!(close(mean.recall_at_20, 0.375) && close(mean.mrr, 0.25), "{mean:?}");
    }
}
