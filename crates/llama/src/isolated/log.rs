//! The log of a model's process, which goes to the `tracing` of the program: as lines, with their levels.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter};

use crate::isolated::child::Out;
use crate::isolated::wire::Tell;

/// llama.cpp's, whichever process it is in.
macro_rules! native {
    () => {
        "llama-cpp-2"
    };
}

/// The most of a line, in bytes.
const MOST: usize = 4 << 10;

/// A line of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// From 1, an error, to 5, a trace.
    level: u8,
    /// Whether llama.cpp says so.
    native: bool,
    text: String,
}

/// The least important lines that the program listens to, as [`LogLine::level`]; 0 for none.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Levels {
    native: u8,
    own: u8,
}

impl Levels {
    /// Those of this program.
    pub(crate) fn wanted() -> Self {
        macro_rules! most {
            ($($target:expr)?) => {{
                let wanted = [
                    tracing::enabled!($(target: $target,)? Level::ERROR),
                    tracing::enabled!($(target: $target,)? Level::WARN),
                    tracing::enabled!($(target: $target,)? Level::INFO),
                    tracing::enabled!($(target: $target,)? Level::DEBUG),
                    tracing::enabled!($(target: $target,)? Level::TRACE),
                ];
                (1..).zip(wanted).filter(|(_, wanted)| *wanted).map(|(level, _)| level).max().unwrap_or(0)
            }};
        }
        Levels { native: most!(native!()), own: most!() }
    }
}

fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl LogLine {
    /// Logs it here.
    pub(crate) fn log(&self, model: &str) {
        macro_rules! log {
            ($level:expr) => {
                match self.native {
                    true => tracing::event!(target: native!(), $level, model, "{}", self.text),
                    false => tracing::event!($level, model, "{}", self.text),
                }
            };
        }
        match self.level {
            1 => log!(Level::ERROR),
            2 => log!(Level::WARN),
            3 => log!(Level::INFO),
            4 => log!(Level::DEBUG),
            _ => log!(Level::TRACE),
        }
    }
}

/// Logs what native code wrote to stderr by itself.
pub(crate) fn raw(model: &str, line: &str) {
    tracing::warn!(target: native!(), model, "{line}");
}

/// In the process of a model: hands what is logged to the program.
pub(crate) struct Forward {
    pub(crate) out: Arc<Out>,
    pub(crate) levels: Levels,
}

fn is_native(metadata: &Metadata<'_>) -> bool {
    metadata.target() == native!()
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let most = if is_native(metadata) { self.levels.native } else { self.levels.own };
        metadata.is_event() && number(*metadata.level()) <= most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let levels = [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG];
        let most = self.levels.native.max(self.levels.own);
        Some(levels.get(usize::from(most)).copied().unwrap_or(LevelFilter::TRACE))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // llama.cpp's events come unasked.
        if self.enabled(event.metadata()) {
            let mut text = Text::default();
            event.record(&mut text);
            let (level, native) = (number(*event.metadata().level()), is_native(event.metadata()));
            self.out.tell(0, &Tell::Log(LogLine { level, native, text: text.0 }));
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The fields of an event, the message as it is.
#[derive(Default)]
struct Text(String);

impl Text {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let room = MOST.saturating_sub(self.0.len());
        let mut value = value.to_string();
        value.truncate(value.floor_char_boundary(room));
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{}", value.trim_end()),
            name => write!(self.0, "{space}{name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}
