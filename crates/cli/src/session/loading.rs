//! How far the loading of a model is, on stderr.

use std::sync::{Arc, Mutex};

use console::Term;

use crate::render::{Symbols, clean, progress};

/// Tells about loading: in place on a terminal, once a model elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    term: Term,
    in_place: bool,
    symbols: Symbols,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    /// The model and the percentage that were told last.
    last: Option<(String, u32)>,
    /// Nothing is told any more: a load that nobody waits for goes on for a while.
    over: bool,
}

impl Loading {
    /// With `plain`, lines also on a terminal.
    pub(crate) fn new(plain: bool) -> Self {
        let term = Term::stderr();
        let in_place = term.is_term() && !console::is_dumb() && !plain;
        Loading { term, in_place, symbols: Symbols::from_env(), told: Arc::default() }
    }

    /// `done` is a number from 0 to 1.
    pub(crate) fn tell(&self, name: &str, done: f32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage")]
        let percent = (done.clamp(0.0, 1.0) * 100.0) as u32;
        let now = (name.to_owned(), percent);
        let Ok(mut told) = self.told.lock() else { return };
        if told.over || told.last.as_ref() == Some(&now) {
            return;
        }
        let is_new = told.last.as_ref().is_none_or(|(other, _)| other != name);
        told.last = Some(now);
        // Whether the terminal can be written to is not the run's concern.
        let _ = if self.in_place {
            let room = usize::from(self.term.size().1).saturating_sub(1);
            let what = format!("loading {}", clean(name));
            let line = progress(&what, percent.into(), 100, &[], room, self.symbols);
            self.term.clear_line().and_then(|()| self.term.write_str(&line))
        } else if is_new {
            self.term.write_line(&format!("loading {}", clean(name)))
        } else {
            Ok(())
        };
    }

    /// Takes the line away, for good.
    pub(crate) fn end(&self) {
        let Ok(mut told) = self.told.lock() else { return };
        told.over = true;
        if told.last.take().is_some() && self.in_place {
            let _ = self.term.clear_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    /// What is written while two models are loaded, and after the end.
    fn written(in_place: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminal");
        fs::write(&path, "").unwrap();
        let term = Term::read_write_pair(File::open(&path).unwrap(), File::options().append(true).open(&path).unwrap());
        let loading = Loading { term, in_place, symbols: Symbols::Ascii, told: Arc::default() };
        for (name, done) in [("ma\u{1b}in", 0.0), ("ma\u{1b}in", 0.424), ("ma\u{1b}in", 0.425), ("other", 1.0)] {
            loading.tell(name, done);
        }
        loading.end();
        loading.tell("other", 1.0);
        fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn loading_is_told_in_place_and_never_after_its_end() {
        let told = written(true);
        assert!(!told.contains('\n') && !told.contains("ma\u{1b}"), "{told:?}");
        let shown = console::strip_ansi_codes(&told).replace('\r', "|");
        assert_eq!(
            shown,
            concat!(
                "|loading ma in  ................    0 %|loading ma in  ######..........   42 %",
                "|loading other  ################  100 %|"
            )
        );
    }

    #[test]
    fn a_pipe_is_told_once_a_model() {
        assert_eq!(written(false), "loading ma in\nloading other\n");
    }
}
