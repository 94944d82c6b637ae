//! Whether a sentence says that something was changed in the world. English and German.

use super::claim::DATE;
use super::vocabulary::{ADVERB, ANSWER, BE, CHANGED, CONDITION, DID, MAYBE, MEANS, NOT, TELLS, THING};

/// A claim that something was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    /// The word that says so.
    pub(super) verb: String,
    /// Whether who answers says to have done it, not only that it was done.
    pub(super) own: bool,
    /// Who is said to have done it: a word that may be somebody's name.
    pub(super) by: Option<String>,
}

/// The claim of a sentence whose quotes and dates are masked.
pub(super) fn claimed(sentence: &str) -> Option<Deed> {
    let sentence = sentence.trim();
    let words: Vec<Word> = sentence.split_whitespace().flat_map(word).collect();
    let conditional = words.iter().any(|word| CONDITION.contains(&word.text.as_str()));
    if sentence.ends_with('?') || conditional {
        return None;
    }
    let clauses: Vec<&[Word]> = words.split(|word| word.text.is_empty()).filter(|clause| !clause.is_empty()).collect();
    let mut doubted = false;
    let mut spoken = false;
    let mut told = false;
    for (at, clause) in clauses.iter().enumerate() {
        let clause = Clause { words: clause, spoken, told, only: clauses.len() == 1, first: at == 0 };
        let deed = (0..clause.words.len()).find_map(|place| clause.deed(place, doubted));
        if deed.is_some() {
            return deed;
        }
        doubted = clause.any(MAYBE) || clause.any(NOT) && clause.any(BE);
        spoken = clause.any(&["i", "we", "ich", "wir"]) || (spoken && clause.words.len() < 3);
        told = told || clause.any(TELLS);
    }
    None
}

/// Whether a field of this name says, if it is true, that something was changed.
pub(super) fn field(name: &str) -> Option<String> {
    parts(name).pop().filter(|last| last == "done" || last == "erledigt" || CHANGED.contains(&last.as_str()))
}

/// The words of a name: `email_sent`, `emailSent`.
pub(super) fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut small = false;
    for char in name.chars() {
        if (!char.is_alphanumeric() || (small && char.is_uppercase()))
            && parts.last().is_some_and(|last| !last.is_empty())
        {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut().filter(|_| char.is_alphanumeric()) {
            last.extend(char.to_lowercase());
        }
        small = char.is_lowercase();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// A word in lower case; an empty one is where a clause ends.
struct Word {
    text: String,
    name: bool,
    path: bool,
}

fn word(token: &str) -> Vec<Word> {
    let bare = token.trim_matches(|char: char| !char.is_alphanumeric() && char != DATE);
    let name = token.starts_with('@') || bare.chars().next().is_some_and(char::is_uppercase);
    let path = bare.contains(['/', '.', '\u{1}']) || token.contains('\u{1}');
    let text = bare.to_lowercase();
    let of = |text: &str| Word { text: text.to_owned(), name, path };
    let mut words = match text.as_str() {
        "and" | "but" | "und" | "aber" | "sondern" => vec![of("")],
        "" if token.contains(['-', '—', ';']) => vec![of("")],
        "" => vec![of("\u{1}")],
        _ => match text.split_once('\'') {
            Some((start, "ve" | "d")) => vec![of(start), of("have")],
            Some((start, "m" | "re")) => vec![of(start), of("are")],
            Some((start, "t")) => vec![of(start), of("not")],
            _ => vec![of(&text)],
        },
    };
    if token.ends_with([',', ';', '—']) {
        words.push(of(""));
    }
    words
}

struct Clause<'a> {
    words: &'a [Word],
    /// Whether the clause before it has someone who speaks of what he did.
    spoken: bool,
    /// Whether somebody else is said to say it.
    told: bool,
    /// Whether the sentence has no other clause.
    only: bool,
    first: bool,
}

impl Clause<'_> {
    fn any(&self, list: &[&str]) -> bool {
        self.words.iter().any(|word| list.contains(&word.text.as_str()))
    }

    /// What is claimed with the word at this place.
    fn deed(&self, at: usize, doubted: bool) -> Option<Deed> {
        let within = |words: &[Word], list: &[&str]| words.iter().any(|word| list.contains(&word.text.as_str()));
        let verb = self.words.get(at)?;
        let (before, after) = (&self.words[..at], &self.words[at + 1..]);
        let next = &after[..after.len().min(1)];
        if DID.contains(&verb.text.as_str())
            && within(&self.words[at.saturating_sub(1)..(at + 2).min(self.words.len())], &["ich", "wir"])
        {
            return (!within(self.words, NOT)).then(|| Deed { verb: verb.text.clone(), own: true, by: None });
        }
        let inherits = before.iter().all(|word| ADVERB.contains(&word.text.as_str()));
        let doubt = within(before, MAYBE) || within(before, NOT) || within(next, NOT) || (doubted && inherits);
        if !CHANGED.contains(&verb.text.as_str()) || doubt || self.answers(verb, after) {
            return None;
        }
        let subject = before.iter().rev().find(|word| !ADVERB.contains(&word.text.as_str()));
        let subject = subject.map_or("", |word| word.text.as_str());
        let have = within(before, &["habe", "haben", "hatte", "hatten"]) && within(before, &["ich", "wir"]);
        let things = within(next, THING)
            || next.iter().any(|word| word.path || word.text.starts_with(|char: char| char.is_ascii_digit()));
        let own = matches!(subject, "i" | "we") || have || (inherits && self.spoken && !self.first);
        let passive = matches!(subject, "was" | "were" | "got" | "get")
            || within(before, &["been", "wurde", "wurden"])
            || within(next, &["worden"])
            || (matches!(subject, "is" | "are" | "ist" | "sind") && within(&before[at.saturating_sub(1)..], ADVERB));
        let success = within(&before[at.saturating_sub(1)..], &["successfully", "erfolgreich"])
            || within(next, &["successfully", "erfolgreich"]);
        let short = (before.is_empty() && (things || (self.only && after.is_empty())))
            || (self.only
                && after.is_empty()
                && self.words.len() <= 6
                && !within(before, BE)
                && !within(before, ADVERB)
                && !matches!(subject, "the" | "a" | "an"));
        let claimed = own || success || ((passive || short) && !self.reports(at));
        claimed.then(|| Deed { verb: verb.text.clone(), own, by: self.by(after).filter(|_| !own) })
    }

    /// The word after `by`.
    fn by(&self, after: &[Word]) -> Option<String> {
        let at = after.iter().position(|word| matches!(word.text.as_str(), "by" | "durch" | "von"))?;
        let who = after.get(at + 1)?.text.as_str();
        (!who.is_empty() && !MEANS.contains(&who)).then(|| who.to_owned())
    }

    /// Whether the sentence tells what somebody else did or says, or what was at a time in the past.
    fn reports(&self, at: usize) -> bool {
        let text = |place: usize| self.words.get(place).map_or("", |word| word.text.as_str());
        let planned = matches!(text(at), "scheduled" | "booked" | "moved" | "eingeplant" | "gebucht" | "verschoben");
        let by = |(place, word): (usize, &Word)| {
            let who = self.words.get(place + 1);
            let other = who.is_some_and(|who| {
                who.name || matches!(who.text.as_str(), "the" | "a" | "an" | "him" | "her" | "them" | "someone")
            });
            let me = matches!(text(place + 1), "me" | "us" | "mir" | "uns" | "i")
                || matches!(text(place + 2), "agent" | "assistant" | "system");
            let agent = matches!(word.text.as_str(), "by" | "durch") && place > at
                || word.text == "von" && !self.any(&["nach"]);
            agent && other && !me
        };
        let when = |(place, word): (usize, &Word)| {
            let year = word.text.len() == 4 && (word.text.starts_with("19") || word.text.starts_with("20"));
            let past = matches!(text(place.saturating_sub(1)), "on" | "in" | "since" | "at" | "am" | "im" | "seit");
            let date = (word.text.contains(DATE) || year) && past && !planned;
            date || matches!(word.text.as_str(), "ago" | "yesterday" | "gestern")
                || word.text == "last" && matches!(text(place + 1), "week" | "month" | "year" | "night")
        };
        self.told || self.any(TELLS) || self.words.iter().enumerate().any(by) || self.words.iter().enumerate().any(when)
    }

    /// Whether what was written is the answer itself, or what was added are numbers.
    fn answers(&self, verb: &Word, after: &[Word]) -> bool {
        let within = |words: &[Word], list: &[&str]| words.iter().any(|word| list.contains(&word.text.as_str()));
        match verb.text.as_str() {
            "added" => within(after, &["up", "numbers", "values", "amounts", "together"]),
            "written" | "wrote" | "created" | "geschrieben" | "erstellt" => {
                let elsewhere = within(self.words, &["to", "into", "as", "file", "nach", "als", "datei", "unter"]);
                within(self.words, ANSWER) && !elsewhere && !self.words.iter().any(|word| word.path)
            }
            _ => false,
        }
    }
}
