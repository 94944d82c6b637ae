//! Lines of bounded length, and how many of a stream's last ones are kept.

use std::io::{self, BufRead, ErrorKind, Read};

/// The next line without its end; `None` where the stream ends, also within a line.
pub(crate) fn read(from: &mut impl BufRead, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.by_ref().take(most as u64 + 1).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= most => {
            Err(io::Error::new(ErrorKind::InvalidData, format!("a line is longer than {most} bytes")))
        }
        _ => Ok(None),
    }
}

/// The next line of a text for people, as much of it as `most` bytes: what is longer comes as several.
pub(crate) fn read_text(from: &mut impl BufRead, most: usize) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    from.by_ref().take(most as u64).read_until(b'\n', &mut line)?;
    Ok(match line.is_empty() {
        true => None,
        false => Some(harmless(String::from_utf8_lossy(&line).trim_end())),
    })
}

/// A text in which nothing steers a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_an_error_and_one_that_breaks_off_is_none() {
        let lines = |bytes: &[u8]| {
            let mut from = bytes;
            let mut found = Vec::new();
            loop {
                match read(&mut from, 4) {
                    Ok(Some(line)) => found.push(String::from_utf8(line).unwrap()),
                    Ok(None) => return Ok(found),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        assert_eq!(lines(b"abcd\n\nef\ngh"), Ok(vec!["abcd".into(), String::new(), "ef".into()]));
        assert_eq!(lines(b"abcde\n"), Err("a line is longer than 4 bytes".into()));
        assert_eq!(lines(b"abcde"), Err("a line is longer than 4 bytes".into()));
        assert_eq!(lines(b""), Ok(vec![]));
    }

    #[test]
    fn a_text_without_an_end_is_read_in_pieces_and_steers_no_terminal() {
        let mut from: &[u8] = b"one\x1b[2J\r\ntwothree\xff\n";
        let mut next = || read_text(&mut from, 9).unwrap();
        assert_eq!(next().unwrap(), "one [2J");
        assert_eq!(next().unwrap(), "twothree\u{fffd}");
        assert_eq!((next().unwrap().as_str(), next()), ("", None));
    }
}
