//! How far the loading of a model is, on stderr.

use std::sync::{Arc, Mutex};

use console::Term;

use crate::out::say;

/// Tells about loading: in place on a terminal, once elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    term: Term,
    told: Arc<Mutex<Option<(String, u32)>>>,
}

impl Loading {
    pub(crate) fn new() -> Self {
        Loading { term: Term::stderr(), told: Arc::default() }
    }

    /// `done` is a number from 0 to 1.
    pub(crate) fn tell(&self, name: &str, done: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage")]
        let percent = (done.clamp(0.0, 1.0) * 100.0) as u32;
        let now = Some((name.to_owned(), percent));
        let Ok(mut told) = self.told.lock() else { return };
        if *told == now {
            return;
        }
        let new = told.as_ref().is_none_or(|(other, _)| other != name);
        *told = now;
        if self.term.is_term() {
            // Whether the terminal can be written to is not the run's concern.
            let _ = self.term.clear_line();
            let _ = self.term.write_str(&format!("loading the model {name}  {percent} %"));
        } else if new {
            say(&format!("loading the model {name}"));
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        let told = self.told.lock().is_ok_and(|mut told| told.take().is_some());
        if told && self.term.is_term() {
            let _ = self.term.clear_line();
        }
    }
}
