//! What goes to stdout, and messages on stderr.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use console::Term;
use parkway::clock::{Clock, SystemClock};
use parkway::id::Time;
use parkway::log::Event;
use serde_json::Value;

use crate::failure::Failure;
use crate::render::{harmless, steers};

/// Stdout. When its reader has gone (`parkway runs | head -1`), the rest is unheard, and nothing fails.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: BufWriter<Stdout>,
    terminal: bool,
    closed: bool,
}

impl Out {
    pub(crate) fn new() -> Self {
        Out { stdout: BufWriter::new(io::stdout()), terminal: io::stdout().is_terminal(), closed: false }
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// A line that is bytes already.
    pub(crate) fn bytes(&mut self, line: &[u8]) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = self.stdout.write_all(line).and_then(|()| self.stdout.write_all(b"\n"));
        self.heard(written)
    }

    /// An event as the store keeps it, on one line.
    pub(crate) fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let bytes = event.to_bytes().map_err(|e| Failure::failed(e.to_string()))?;
        Ok(self.bytes(&bytes)?)
    }

    /// Lines that others had a part in.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.line(&harmless_lines(text))
    }

    /// A JSON value, on one line.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.value(value.to_string())
    }

    /// A JSON value, on lines that people read.
    pub(crate) fn pretty(&mut self, value: &Value) -> io::Result<()> {
        self.value(format!("{value:#}"))
    }

    /// JSON leaves some characters that steer a terminal as they are. Their escapes mean the same to a program.
    fn value(&mut self, json: String) -> io::Result<()> {
        if !self.terminal || json.is_ascii() {
            return self.line(&json);
        }
        let mut escaped = String::with_capacity(json.len());
        for c in json.chars() {
            if c != '\n' && steers(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a text does not fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            } else {
                escaped.push(c);
            }
        }
        self.line(&escaped)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.stdout.flush();
        self.heard(flushed)
    }

    fn heard(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.map_err(|e| io::Error::other(format!("stdout cannot be written to: {e}"))),
        }
    }
}

/// Says something beside the data.
pub(crate) fn say(text: &str) {
    // Nobody can be told that nobody listens.
    let _ = writeln!(io::stderr(), "{}", harmless_lines(text));
}

/// The text with nothing in its lines that could steer a terminal.
pub(crate) fn harmless_lines(text: &str) -> String {
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

/// How many columns stdout has: those of the terminal, else 80.
pub(crate) fn columns() -> usize {
    terminal_columns().unwrap_or(80)
}

/// The columns of the terminal that stdout is.
pub(crate) fn terminal_columns() -> Option<usize> {
    let term = Term::stdout();
    let (_, columns) = term.is_term().then(|| term.size_checked()).flatten()?;
    Some(usize::from(columns).max(20))
}

/// Whether stdout shows colours.
pub(crate) fn colors(no_color: bool) -> bool {
    !no_color && Term::stdout().features().colors_supported()
}

/// The time now.
pub(crate) fn now() -> Time {
    SystemClock.now()
}
