//! Cutting a text into chunks of a size, where it is least missed: before a heading, between paragraphs, sentences, words.

use parkway_core::tool::ToolError;
use schemars::JsonSchema;
use serde::Serialize;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::pattern::Places;

/// The most chunks that one call gives.
const MOST: usize = 100_000;
/// The longest text that is split, in bytes.
const LONGEST: usize = 16 << 20;
/// The most bytes that all chunks have together, which are more than the text where they overlap.
const TOGETHER: usize = 64 << 20;
/// How many characters without a letter or digit may follow one another before sentences are looked for anew. For each of
/// them `unicode-segmentation` looks ahead again, up to the next letter (`match_sb8`, which it calls quadratic).
const BARE: usize = 32;

/// A part of a text.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Chunk {
    /// Which chunk it is, from 0.
    index: usize,
    /// What stands in it.
    text: String,
    /// How many characters of the whole text stand before it.
    start: usize,
    /// How many characters of the whole text stand before its end.
    end: usize,
    /// The line of the whole text in which it begins, from 1.
    line: usize,
    /// How large it is, as `size` counts.
    size: usize,
}

/// How large a part of the text between two bytes is.
pub(super) type Measure<'m> = &'m dyn Fn(&str) -> Result<usize, ToolError>;

/// The chunks of a text, none larger than `size`. Each one but the first begins with up to `overlap` of the one before.
pub(super) fn chunks(text: &str, size: usize, overlap: usize, measure: Measure<'_>) -> Result<Vec<Chunk>, ToolError> {
    if size == 0 || overlap >= size {
        let message =
            format!("`size` is {size} and `overlap` {overlap}; a chunk needs a size above 0 and above the overlap");
        return Err(ToolError::invalid("size", message));
    }
    if text.len() > LONGEST {
        let message =
            format!("the text has {} bytes and at most {LONGEST} (16 MiB) are split; give parts of it", text.len());
        return Err(ToolError::invalid("too_large", message));
    }
    let cuts = Cuts::of(text);
    let mut places = Places::new(text);
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut begin, mut fresh, mut together) = (0, 0, 0);
    while fresh < text.len() {
        let Some(end) = cuts.end(text, begin, fresh, size, measure)? else {
            if begin < fresh {
                // What is repeated leaves no room for what is new.
                begin = fresh;
                continue;
            }
            let message = format!(
                "the character at {} alone is larger than `size`, which is {size}; choose a larger one",
                places.at(begin).0
            );
            return Err(ToolError::invalid("size", message));
        };
        let part = &text[begin..end];
        together += part.len();
        if together > TOGETHER {
            let message = format!(
                "the chunks would have more than {TOGETHER} bytes (64 MiB) together, as they repeat so much; choose a smaller \
                 `overlap`"
            );
            return Err(ToolError::invalid("too_large", message));
        }
        let (start, line) = places.at(begin);
        let characters = part.chars().count();
        chunks.push(Chunk {
            index: chunks.len(),
            text: part.into(),
            start,
            end: start + characters,
            line,
            size: measure(part)?,
        });
        if chunks.len() > MOST {
            let message = format!("the text gives more than {MOST} chunks; choose a larger `size`");
            return Err(ToolError::invalid("too_many", message));
        }
        fresh = end;
        begin = if overlap == 0 || end == text.len() { end } else { cuts.overlap(text, begin, end, overlap, measure)? };
    }
    Ok(chunks)
}

/// Where a text may be cut, as bytes, and how good it is to cut there.
struct Cuts {
    cuts: Vec<(usize, Kind)>,
}

/// From worst to best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Grapheme,
    Word,
    Sentence,
    Line,
    Paragraph,
    Heading,
}

impl Cuts {
    fn of(text: &str) -> Self {
        let mut cuts: Vec<(usize, Kind)> = text.grapheme_indices(true).map(|(at, _)| (at, Kind::Grapheme)).collect();
        cuts.push((text.len(), Kind::Heading));
        let mut mark = |bytes: &mut dyn Iterator<Item = usize>, kind: Kind| {
            let mut next = 0;
            for byte in bytes {
                while cuts.get(next).is_some_and(|(at, _)| *at < byte) {
                    next += 1;
                }
                if let Some((at, known)) = cuts.get_mut(next)
                    && *at == byte
                {
                    *known = kind.max(*known);
                }
            }
        };
        mark(&mut words(text), Kind::Word);
        mark(&mut sentences(text), Kind::Sentence);
        let (mut at, mut blank) = (0, false);
        let (mut lines, mut paragraphs, mut headings) = (Vec::new(), Vec::new(), Vec::new());
        for line in text.split_inclusive('\n') {
            let empty = line.trim().is_empty();
            let hashes = line.len() - line.trim_start_matches('#').len();
            let heading = (1..=6).contains(&hashes) && line[hashes..].starts_with([' ', '\t']);
            match (heading, blank && !empty) {
                (true, _) => headings.push(at),
                (_, true) => paragraphs.push(at),
                _ => lines.push(at),
            }
            (at, blank) = (at + line.len(), empty);
        }
        mark(&mut lines.into_iter(), Kind::Line);
        mark(&mut paragraphs.into_iter(), Kind::Paragraph);
        mark(&mut headings.into_iter(), Kind::Heading);
        Cuts { cuts }
    }

    /// Where the chunk that begins at `begin` ends: after `fresh`, at the best cut in its second half, else at the best
    /// there is. Nowhere if not one character more than what comes before `fresh` fits.
    fn end(
        &self,
        text: &str,
        begin: usize,
        fresh: usize,
        size: usize,
        measure: Measure<'_>,
    ) -> Result<Option<usize>, ToolError> {
        let first = self.cuts.partition_point(|(at, _)| *at <= fresh);
        let fits = |cut: usize| Ok::<_, ToolError>(measure(&text[begin..self.cuts[cut].0])? <= size);
        if !fits(first)? {
            return Ok(None);
        }
        // Doubling finds what does not fit in as many steps as the chunk has cuts at most, not the text.
        let (mut good, mut step) = (first, 1);
        let mut bad = loop {
            let next = (good + step).min(self.cuts.len() - 1);
            if next == good {
                return Ok(Some(text.len()));
            }
            if !fits(next)? {
                break next;
            }
            (good, step) = (next, step * 2);
        };
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle)? { good = middle } else { bad = middle }
        }
        let half = begin + (self.cuts[good].0 - begin) / 2;
        let best = |cuts: &[(usize, Kind)]| {
            let best = cuts.iter().map(|(_, kind)| *kind).max()?;
            cuts.iter().rev().find(|(_, kind)| *kind == best).copied()
        };
        let within = &self.cuts[first..=good];
        let late = &within[within.partition_point(|(at, _)| *at < half)..];
        let word = |(_, kind): &(usize, Kind)| *kind > Kind::Grapheme;
        let chosen = best(late).filter(word).or_else(|| best(within).filter(word)).map(|(at, _)| at);
        // Fewer characters may be more tokens where a word is cut.
        match chosen {
            Some(at) if measure(&text[begin..at])? <= size => Ok(Some(at)),
            _ => Ok(Some(self.cuts[good].0)),
        }
    }

    /// Where the next chunk begins, so that it repeats at most `overlap` of the end of this one: at a word.
    fn overlap(
        &self,
        text: &str,
        begin: usize,
        end: usize,
        overlap: usize,
        measure: Measure<'_>,
    ) -> Result<usize, ToolError> {
        let last = self.cuts.partition_point(|(at, _)| *at < end);
        let first = self.cuts.partition_point(|(at, _)| *at <= begin);
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low) / 2;
            if measure(&text[self.cuts[middle].0..end])? <= overlap { high = middle } else { low = middle + 1 }
        }
        let word = |(_, kind): &&(usize, Kind)| *kind >= Kind::Word;
        let within = self.cuts.get(low..last).unwrap_or_default();
        let spaced = self.cuts.get(first..last).unwrap_or_default().iter().any(|cut| word(&cut));
        // A text without spaces has no words to begin at.
        let chosen = within.iter().find(word).or(within.first().filter(|_| !spaced));
        Ok(chosen.map_or(end, |(at, _)| *at))
    }
}

/// Where sentences begin, but for those that a long run of signs hides.
fn sentences(text: &str) -> impl Iterator<Item = usize> {
    let mut bare = 0;
    let cuts = text.char_indices().filter_map(move |(at, c)| {
        // Marks are part of no run, but neither end one; these two are marks by another name.
        let letter = c.is_alphanumeric() && !is_combining_mark(c) && !matches!(c, '\u{ff9e}' | '\u{ff9f}');
        bare = if letter { 0 } else { bare + 1 };
        (bare == BARE).then(|| {
            bare = 0;
            at + c.len_utf8()
        })
    });
    let mut begin = 0;
    cuts.chain([text.len()]).flat_map(move |end| {
        let from = std::mem::replace(&mut begin, end);
        text[from..end].split_sentence_bound_indices().skip(1).map(move |(at, _)| from + at)
    })
}

/// Where words begin: a word keeps what follows it up to the next one.
fn words(text: &str) -> impl Iterator<Item = usize> {
    let mut space = true;
    text.char_indices().filter_map(move |(at, c)| {
        let begins = space && !c.is_whitespace();
        space = c.is_whitespace();
        begins.then_some(at)
    })
}
