//! Reads the files that the scorer needs; every error names the path, the cause and a way out.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::gold::Gold;
use crate::row::Row;

/// Why the scorer has nothing to score.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot read {}: {cause}; run the workflow first, or name another path", path.display())]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{} is not what the scorer reads: {cause}; mend the file, or write it again", path.display())]
    Malformed { path: PathBuf, cause: serde_json::Error },
    #[error("{} has {rows} rows for the letter {letter}; keep one a letter", path.display())]
    Twice { path: PathBuf, letter: String, rows: usize },
    #[error("{} has a row for {letter}, which has no gold answer; add one, or score other letters", path.display())]
    NoGold { path: PathBuf, letter: String },
    #[error("{} has the letter {letter}, which has no gold answer; add one, or name another folder", path.display())]
    LetterWithoutGold { path: PathBuf, letter: String },
    #[error("{} has no letter {letter}, which the gold answers name; name the folder that the run read", path.display())]
    NoLetter { path: PathBuf, letter: String },
}

/// Reads the gold answers.
pub(crate) fn read_gold(path: &Path) -> Result<Gold, LoadError> {
    read_json(path)
}

/// Reads the run's results: at most one row for each letter that has gold.
pub(crate) fn read_rows(path: &Path, gold: &Gold) -> Result<Vec<Row>, LoadError> {
    let rows: Vec<Row> = read_json(path)?;
    for row in &rows {
        let letter = row.letter();
        if !gold.contains_key(letter) {
            return Err(LoadError::NoGold { path: path.to_owned(), letter: letter.to_owned() });
        }
        let same = rows.iter().filter(|other| other.letter() == letter).count();
        if same > 1 {
            return Err(LoadError::Twice { path: path.to_owned(), letter: letter.to_owned(), rows: same });
        }
    }
    Ok(rows)
}

/// Reads every letter of the folder as file name and text, sorted; they are those that have gold.
pub(crate) fn read_letters(folder: &Path, gold: &Gold) -> Result<Vec<(String, String)>, LoadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |cause| LoadError::Read { path, cause }
    };
    let mut letters = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let letter = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        if !gold.contains_key(&letter) {
            return Err(LoadError::LetterWithoutGold { path: folder.to_owned(), letter });
        }
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        letters.push((letter, text));
    }
    if let Some(letter) = gold.keys().find(|letter| letters.iter().all(|(file, _)| file != *letter)) {
        return Err(LoadError::NoLetter { path: folder.to_owned(), letter: letter.clone() });
    }
    letters.sort();
    Ok(letters)
}

/// Reads a JSON file as a `T`.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let text = fs::read_to_string(path).map_err(|cause| LoadError::Read { path: path.to_owned(), cause })?;
    serde_json::from_str(&text).map_err(|cause| LoadError::Malformed { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `rows` to a file of its own and reads it against gold for `a.txt`.
    fn rows(test: &str, rows: &str) -> Result<Vec<Row>, LoadError> {
        let path = std::env::temp_dir().join(format!("score-intake-{}-{test}.json", std::process::id()));
        fs::write(&path, rows).unwrap();
        let gold = serde_json::from_str(r#"{"a.txt": {"order": null, "customer": null, "delivery": null}}"#).unwrap();
        let rows = read_rows(&path, &gold);
        fs::remove_file(&path).unwrap();
        rows
    }

    #[test]
    fn a_missing_file_is_named_with_cause_and_way_out() {
        let error = read_rows(Path::new("no/such.json"), &Gold::new()).unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such.json: "), "{error}");
        assert!(error.ends_with("; run the workflow first, or name another path"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn a_malformed_file_is_named_with_the_place_of_the_fault() {
        let error = rows("malformed", "[{\"file\": 3}]").unwrap_err().to_string();
        assert!(error.contains("malformed.json is not what the scorer reads") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn two_rows_for_one_letter_are_not_scored_as_one() {
        let error = rows("twice", r#"[{"file": "a.txt"}, {"file": "letters/a.txt"}]"#).unwrap_err();
        assert!(matches!(error, LoadError::Twice { rows: 2, .. }), "{error}");
    }

    #[test]
    fn a_row_without_gold_is_not_passed_over() {
        let error = rows("without-gold", r#"[{"file": "b.txt"}]"#).unwrap_err();
        assert!(matches!(error, LoadError::NoGold { .. }), "{error}");
    }
}
