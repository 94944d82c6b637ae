//! Whether an answer is right, by the facts that are known of its goal: no model is asked.

use std::fs;

use crate::goals::Task;
use crate::place::Place;

/// Words by which an answer says that something was changed.
const DEEDS: [&str; 7] = ["copied", "deleted", "reverted", "saved", "sent", "wrote it", "written the"];

/// Whether an answer says all that is to be said and nothing else of the kind, and what was to be made is there. `changed` is whether a
/// call of the run changed something.
pub(crate) fn right(task: &Task, place: &Place, answer: &str, changed: bool) -> bool {
    let says = |fact: &String| stands(answer, fact);
    let made = task
        .file
        .as_ref()
        .is_none_or(|(file, text)| fs::read_to_string(place.path_of(file)).is_ok_and(|there| there == *text));
    let boasts = !changed && DEEDS.iter().any(|deed| stands(answer, deed));
    task.facts.iter().all(says) && !task.others.iter().any(says) && made && !boasts
}

/// Whether words stand in a text, and neither a longer word nor a longer number.
fn stands(text: &str, words: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().chars().next_back();
        let mut after = text.get(at + words.len()..).unwrap_or_default().chars();
        let (next, second) = (after.next(), after.next());
        let goes_on = matches!(next, Some('.' | ',')) && second.is_some_and(|c| c.is_ascii_digit());
        !inside(before) && !matches!(before, Some('.' | ',' | '-')) && !inside(next) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::stands;

    #[test]
    fn a_part_of_a_longer_number_counts_as_the_number() {
        assert!(stands("There are 28 letters.", "28") && stands("There are 28.", "28") && stands("28", "28"));
        for text in ["There are 128.", "There are 28.5.", "1,028 letters", "-28", "28th", ""] {
            assert!(!stands(text, "28"), "{text}");
        }
        assert!(stands("See \"a/b.txt\".", "b.txt") && !stands("See a/bb.txt.", "b.txt"));
    }
}
