//! The verdict on every field of every letter, counted.

use crate::field::{Field, Fields};
use crate::gold::{Answer, Gold};
use crate::row::Row;

/// The counts for one reader of the letters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) letters: usize,
    pub(crate) fields: Fields<Tally>,
    /// The letters that have a trap in them, all fields together.
    pub(crate) trapped: Tally,
    pub(crate) trapped_letters: usize,
    /// Each value that was accepted and is wrong, in the order of the letters.
    pub(crate) wrong: Vec<Wrong>,
}

impl Score {
    /// All fields together.
    pub(crate) fn total(&self) -> Tally {
        Field::ALL.iter().fold(Tally::default(), |sum, field| sum.plus(self.fields.get(*field)))
    }
}

/// How often each verdict was given. `right + wrong + left` is the number of fields looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Values that stand in the letters.
    pub(crate) present: usize,
    /// Accepted, and equal to gold or an alternative.
    pub(crate) right: usize,
    /// Accepted, and not equal to gold.
    pub(crate) wrong: usize,
    /// Not accepted: for a person to fill in.
    pub(crate) left: usize,
    /// Of those left: the proposal was wrong.
    pub(crate) caught: usize,
    /// Of those left: the letter has no such value, so leaving it was right.
    pub(crate) absent: usize,
}

impl Tally {
    fn plus(self, other: &Self) -> Self {
        Self {
            present: self.present + other.present,
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            left: self.left + other.left,
            caught: self.caught + other.caught,
            absent: self.absent + other.absent,
        }
    }

    fn count(&mut self, verdict: Verdict, present: bool) {
        self.present += usize::from(present);
        match verdict {
            Verdict::Right => self.right += 1,
            Verdict::Wrong => self.wrong += 1,
            Verdict::Left { caught } => {
                self.left += 1;
                self.caught += usize::from(caught);
                self.absent += usize::from(!present);
            }
        }
    }
}

/// A value that was accepted although it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) file: String,
    pub(crate) field: Field,
    pub(crate) accepted: String,
    /// `None`: the letter has no such value.
    pub(crate) gold: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    Left { caught: bool },
}

/// Counts the verdicts on the rows; a letter without a row is left to a person whole.
pub(crate) fn score(gold: &Gold, rows: &[Row]) -> Score {
    let mut score = Score { letters: gold.len(), ..Score::default() };
    let nothing = Row::default();
    for (file, answer) in gold {
        let row = rows.iter().find(|row| row.letter() == file).unwrap_or(&nothing);
        score.trapped_letters += usize::from(answer.trap.is_some());
        for field in Field::ALL {
            let verdict = verdict(answer, row, field);
            let present = answer.value(field).is_some();
            score.fields.get_mut(field).count(verdict, present);
            if answer.trap.is_some() {
                score.trapped.count(verdict, present);
            }
            if verdict == Verdict::Wrong {
                score.wrong.push(Wrong {
                    file: file.clone(),
                    field,
                    accepted: row.accepted(field).unwrap_or_default().to_owned(),
                    gold: answer.value(field).map(str::to_owned),
                });
            }
        }
    }
    score
}

fn verdict(answer: &Answer, row: &Row, field: Field) -> Verdict {
    match row.accepted(field) {
        Some(value) if answer.is_right(field, value) => Verdict::Right,
        Some(_) => Verdict::Wrong,
        None => Verdict::Left { caught: row.proposed(field).is_some_and(|value| !answer.is_right(field, value)) },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Scores one letter whose gold is order AB-12, customer "Ash & Co Ltd" (or without Ltd), and no delivery date.
    #[track_caller]
    fn check(row: serde_json::Value, field: Field, expect: Tally) -> Score {
        let gold = json!({"a.txt": {
            "order": "AB-12", "customer": "Ash & Co Ltd", "delivery": null, "accept": {"customer": ["Ash & Co"]},
        }});
        let gold = serde_json::from_value(gold).unwrap();
        let score = score(&gold, &[serde_json::from_value(row).unwrap()]);
        assert_eq!(*score.fields.get(field), expect);
        score
    }

    #[test]
    fn the_gold_value_is_right() {
        let row = json!({"file": "letters/a.txt", "order": "AB-12"});
        let score = check(row, Field::Order, Tally { present: 1, right: 1, ..Tally::default() });
        assert!(score.wrong.is_empty());
    }

    #[test]
    fn an_alternative_in_other_white_space_is_right() {
        let row = json!({"file": "a.txt", "customer": " Ash &\n  Co "});
        check(row, Field::Customer, Tally { present: 1, right: 1, ..Tally::default() });
    }

    #[test]
    fn a_wrong_value_that_was_accepted_is_named() {
        let row = json!({"file": "a.txt", "order": "AB-1"});
        let score = check(row, Field::Order, Tally { present: 1, wrong: 1, ..Tally::default() });
        let wrong =
            Wrong { file: "a.txt".into(), field: Field::Order, accepted: "AB-1".into(), gold: Some("AB-12".into()) };
        assert_eq!(score.wrong, [wrong]);
    }

    #[test]
    fn a_value_accepted_where_the_letter_has_none_is_wrong() {
        let row = json!({"file": "a.txt", "delivery": "1 May 2027"});
        let score = check(row, Field::Delivery, Tally { wrong: 1, ..Tally::default() });
        assert_eq!(score.wrong[0].gold, None);
    }

    #[test]
    fn a_wrong_proposal_that_was_not_accepted_is_caught() {
        let row = json!({"file": "a.txt", "order": null, "proposed": {"order": "ZZ-999"}});
        check(row, Field::Order, Tally { present: 1, left: 1, caught: 1, ..Tally::default() });
    }

    #[test]
    fn a_right_proposal_that_was_not_accepted_is_left_but_not_caught() {
        let row = json!({"file": "a.txt", "proposed": {"order": "AB-12"}});
        check(row, Field::Order, Tally { present: 1, left: 1, ..Tally::default() });
    }

    #[test]
    fn a_field_that_the_letter_lacks_is_rightly_left() {
        let row = json!({"file": "a.txt", "delivery": "", "proposed": {"delivery": null}});
        check(row, Field::Delivery, Tally { left: 1, absent: 1, ..Tally::default() });
    }

    #[test]
    fn an_invented_value_for_a_field_that_the_letter_lacks_is_caught() {
        let row = json!({"file": "a.txt", "proposed": {"delivery": "1 May 2027"}});
        check(row, Field::Delivery, Tally { left: 1, caught: 1, absent: 1, ..Tally::default() });
    }

    #[test]
    fn a_letter_without_a_row_is_left_to_a_person() {
        let row = json!({"file": "other.txt", "order": "AB-12"});
        let score = check(row, Field::Order, Tally { present: 1, left: 1, ..Tally::default() });
        assert_eq!(score.total(), Tally { present: 2, left: 3, absent: 1, ..Tally::default() });
    }
}
