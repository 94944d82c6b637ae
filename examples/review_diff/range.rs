//! What is reviewed: one commit, or all since another one.

use std::str::FromStr;

/// A commit, and the one before the range if it is more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) base: Option<String>,
    pub(crate) head: String,
}

impl Range {
    pub(crate) fn new(base: &str, head: &str) -> Range {
        Range { base: Some(base.into()), head: head.into() }
    }
}

impl FromStr for Range {
    type Err = String;

    /// Reads `HEAD`, `main..express`, `main..`, as git has them.
    fn from_str(text: &str) -> Result<Range, String> {
        let written = || format!("`{text}` is no range; write a commit, or two as `main..HEAD`");
        if text.contains("...") || text.is_empty() {
            return Err(written());
        }
        match text.split_once("..") {
            None => Ok(Range { base: None, head: text.into() }),
            Some(("", _)) => Err(written()),
            Some((base, "")) => Ok(Range::new(base, "HEAD")),
            Some((base, head)) => Ok(Range::new(base, head)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_git_reads_it() {
        assert_eq!("HEAD~3".parse(), Ok(Range { base: None, head: "HEAD~3".into() }));
        assert_eq!("main..express".parse(), Ok(Range::new("main", "express")));
        assert_eq!("v1.2..".parse(), Ok(Range::new("v1.2", "HEAD")));
        for wrong in ["", "..main", "main...express"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }
}
