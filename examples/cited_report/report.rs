//! What the workflow gives, as types of this program: outputs in which a statement has no lines do not become one.

use std::fmt;

use parkway_examples::plain;
use serde::Deserialize;

/// The outputs of the workflow.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// The file that was written.
    pub(crate) report: String,
    /// Each question, with its statements.
    pub(crate) questions: Vec<Question>,
    /// The questions without a statement.
    pub(crate) open: Vec<String>,
    /// How many proposals of the model were not accepted.
    pub(crate) refused: usize,
    /// The documents that were left to a person.
    pub(crate) unread: Vec<String>,
}

/// A question, and what the documents say to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    pub(crate) ask: String,
    pub(crate) statements: Vec<Statement>,
}

/// An answer, and where it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct Statement {
    pub(crate) answer: String,
    pub(crate) quotation: String,
    pub(crate) document: String,
    /// The first line of the quotation, from 1, and its last.
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statement { answer, quotation, document, first, last } = self;
        let (answer, quotation, document) = (plain(answer), plain(quotation), plain(document));
        if first == last {
            write!(f, "{answer}: \"{quotation}\" ({document}, line {first})")
        } else {
            write!(f, "{answer}: \"{quotation}\" ({document}, lines {first} to {last})")
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for question in self.questions.iter().filter(|question| !question.statements.is_empty()) {
            writeln!(f, "{}", plain(&question.ask))?;
            for statement in &question.statements {
                writeln!(f, "  {statement}")?;
            }
        }
        for ask in &self.open {
            writeln!(f, "open: {}", plain(ask))?;
        }
        for document in &self.unread {
            writeln!(f, "left to a person: {}", plain(document))?;
        }
        writeln!(f, "{} proposals were not accepted; all is in {}", self.refused, plain(&self.report))
    }
}
