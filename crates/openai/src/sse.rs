//! Server-sent events, read from pieces of any size.

/// The most bytes of a line, and of the data of an event.
const MOST: usize = 1024 * 1024;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its kind, where the server names one. `error` also for a line `error: …`, which older llama-servers write.
    pub(crate) name: String,
    /// Its data, lines joined.
    pub(crate) data: String,
}

/// Why a stream is none of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("a line is longer than {MOST} bytes")]
    LongLine,
    #[error("an event is longer than {MOST} bytes")]
    LongEvent,
    #[error("a line is no UTF-8")]
    NoText,
}

/// Makes events of bytes, however they are cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_return: bool,
    begun: bool,
}

impl Parser {
    /// Takes bytes in; the events that they complete are added to `events`.
    pub(crate) fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + piece.len() > MOST {
                return Err(Broken::LongLine);
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { break };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line()?);
        }
        Ok(())
    }

    /// The event that the end of the stream cuts off; it may be whole but for its last line breaks.
    pub(crate) fn end(mut self) -> Result<Option<Event>, Broken> {
        let before = if self.line.is_empty() { None } else { self.end_line()? };
        Ok(before.or_else(|| self.has_data.then_some(self.event)))
    }

    fn end_line(&mut self) -> Result<Option<Event>, Broken> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| Broken::NoText)?;
        let line = if std::mem::replace(&mut self.begun, true) { line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(std::mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.add(value)?,
            "error" => {
                self.event.name = "error".into();
                self.add(value)?;
            }
            "event" => value.clone_into(&mut self.event.name),
            // A comment has no name; `id` and `retry` are for streams that are taken up again.
            _ => {}
        }
        Ok(None)
    }

    fn add(&mut self, value: &str) -> Result<(), Broken> {
        if std::mem::replace(&mut self.has_data, true) {
            self.event.data.push('\n');
        }
        if self.event.data.len() + value.len() > MOST {
            return Err(Broken::LongEvent);
        }
        self.event.data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Result<Vec<Event>, Broken>, Option<Event>) {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for piece in pieces {
            if let Err(broken) = parser.push(piece, &mut events) {
                return (Err(broken), None);
            }
        }
        match parser.end() {
            Ok(rest) => (Ok(events), rest),
            Err(broken) => (Err(broken), None),
        }
    }

    #[track_caller]
    fn check(stream: &str, expect: &[(&str, &str)], rest: Option<&str>) {
        let (events, half) = read([stream.as_bytes()]);
        let events = events.unwrap();
        let found: Vec<_> = events.iter().map(|event| (event.name.as_str(), event.data.as_str())).collect();
        assert_eq!(found, expect);
        assert_eq!(half.map(|event| event.data).as_deref(), rest);
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        check("data: a\n\ndata:b\r\n\r\ndata:  c\r\r", &[("", "a"), ("", "b"), ("", " c")], None);
        check(": ping\n\ndata: a\ndata: b\ndata\nid: 1\nretry: 5\n\n", &[("", "a\nb\n")], None);
        check("event: error\ndata: {}\n\ndata: x\n\n", &[("error", "{}"), ("", "x")], None);
        check("error: {\"code\":500}\n\n", &[("error", "{\"code\":500}")], None);
        check("\u{feff}data: a\n\n", &[("", "a")], None);
    }

    #[test]
    fn what_the_end_cuts_off_is_told_apart() {
        check("data: a\n\ndata: b\n", &[("", "a")], Some("b"));
        check("data: a\n\ndata: [DONE]", &[("", "a")], Some("[DONE]"));
        check("data: a\n\nevent: x\n", &[("", "a")], None);
    }

    #[test]
    fn an_endless_line_or_event_is_refused() {
        let line = [b'x'; 1024].repeat(1025);
        assert_eq!(read([line.as_slice()]).0, Err(Broken::LongLine));
        let event = format!("data: {}\n", "x".repeat(1024)).repeat(1025);
        assert_eq!(read([event.as_bytes()]).0, Err(Broken::LongEvent));
        assert_eq!(read([b"data: \xff\n\n".as_slice()]).0, Err(Broken::NoText));
    }

    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "data: ?[a-zé🦀 :]{0,8}",
            "(event|id|retry|error|: ?ping|data|x)(: ?[a-z]{0,3})?",
            Just(String::new()),
            Just("data: [DONE]".to_owned()),
        ];
        let ending = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        prop::collection::vec((line, ending), 0..24).prop_map(|lines| {
            lines.into_iter().flat_map(|(line, end)| [line.into_bytes(), end.into()].concat()).collect()
        })
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let whole = read([stream.as_slice()]);
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(&read(pieces), &whole);
            prop_assert_eq!(&read(stream.chunks(1)), &whole);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = read([bytes.as_slice()]);
            prop_assert_eq!(read(bytes.chunks(3)), whole);
        }
    }
}
