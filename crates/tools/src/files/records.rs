//! The records of a CSV text (RFC 4180), each with its line. The reader of the `csv` crate would take a quote that is not
//! closed for the rest of the file, and say nothing.

/// A record.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    /// The line in which it begins, from 1.
    pub(super) line: usize,
    pub(super) cells: Vec<String>,
}

/// What is wrong, and in which line.
#[derive(Debug, PartialEq)]
pub(super) struct Flaw {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Goes from record to record. Empty lines are none; lines end with `\n`, `\r\n` or `\r`.
pub(super) struct Records<'a> {
    rest: &'a str,
    line: usize,
    delimiter: char,
}

impl<'a> Records<'a> {
    pub(super) fn new(text: &'a str, delimiter: char) -> Self {
        Records { rest: text, line: 1, delimiter }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    /// Goes over the end of a line, if one is here.
    fn end_line(&mut self) -> bool {
        let rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix(['\r', '\n']));
        if let Some(rest) = rest {
            self.rest = rest;
            self.line += 1;
        }
        rest.is_some()
    }

    fn cell(&mut self) -> Result<String, Flaw> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let end = self.rest.find([self.delimiter, '\r', '\n']).unwrap_or(self.rest.len());
        Ok(self.take(end).to_owned())
    }

    fn quoted(&mut self) -> Result<String, Flaw> {
        let opened = self.line;
        let mut cell = String::new();
        self.take(1);
        loop {
            let Some(end) = self.rest.find('"') else {
                return Err(Flaw {
                    line: opened,
                    what: "a quote is opened here and never closed; write the one that ends it",
                });
            };
            let text = self.take(end);
            self.line += text.matches('\n').count() + text.matches('\r').count() - text.matches("\r\n").count();
            cell.push_str(text);
            self.take(1);
            if self.rest.starts_with('"') {
                cell.push('"');
                self.take(1);
                continue;
            }
            if self.rest.is_empty() || self.rest.starts_with([self.delimiter, '\r', '\n']) {
                return Ok(cell);
            }
            let what = "text stands behind a closing quote; write a quote within a cell twice";
            return Err(Flaw { line: self.line, what });
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.end_line() {}
        if self.rest.is_empty() {
            return None;
        }
        let mut record = Record { line: self.line, cells: Vec::new() };
        loop {
            match self.cell() {
                Ok(cell) => record.cells.push(cell),
                Err(flaw) => return Some(Err(flaw)),
            }
            match self.rest.strip_prefix(self.delimiter) {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        self.end_line();
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, delimiter: char, expected: &str) {
        let records = Records::new(text, delimiter).map(|record| match record {
            Ok(record) => format!("{}{:?}", record.line, record.cells),
            Err(flaw) => format!("{}: {}", flaw.line, flaw.what.split(';').next().unwrap()),
        });
        // What follows a flaw is not read.
        let mut read = Vec::new();
        for record in records {
            let flaw = record.contains(": ");
            read.push(record);
            if flaw {
                break;
            }
        }
        assert_eq!(read.join(" "), expected);
    }

    #[test]
    fn cells_are_read_as_rfc_4180_wants() {
        check("a,b\r\n1,2\r\n", ',', r#"1["a", "b"] 2["1", "2"]"#);
        check("a,b\n1,", ',', r#"1["a", "b"] 2["1", ""]"#);
        check("\"a,\"\"b\"\"\",\"\"\n,", ',', r#"1["a,\"b\"", ""] 2["", ""]"#);
        check("a;b\tc", ';', r#"1["a", "b\tc"]"#);
        check("ä·ß", '·', r#"1["ä", "ß"]"#);
        check("5\" pipe, x", ',', r#"1["5\" pipe", " x"]"#);
        check("", ',', "");
    }

    #[test]
    fn a_record_has_the_line_in_which_it_begins() {
        check("\n\r\na\n\n\"x\ny\r\nz\rw\"\rb\n\"\"\n", ',', r#"3["a"] 5["x\ny\r\nz\rw"] 9["b"] 10[""]"#);
    }

    #[test]
    fn a_quote_does_not_swallow_the_rest_of_the_file() {
        check("a\n\"b\nc\nd", ',', r#"1["a"] 2: a quote is opened here and never closed"#);
        check("a\n\"b\n\"c\nd", ',', r#"1["a"] 3: text stands behind a closing quote"#);
        check("\"", ',', "1: a quote is opened here and never closed");
    }

    proptest::proptest! {
        #[test]
        fn what_the_writer_writes_is_read_back(rows in proptest::collection::vec(proptest::collection::vec("[a\",\r\n é]{0,4}", 3), 0..5)) {
            let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read: Vec<_> = Records::new(&text, ',').map(|record| record.unwrap().cells).collect();
            proptest::prop_assert_eq!(read, rows);
        }
    }
}
