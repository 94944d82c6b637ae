//! A statement of a tool, as far as its text tells: that it is one statement, which verb it has, where its values belong.
//! What it reaches is told by SQLite itself, in `reach.rs`.

use parkway_core::write::SqlWrite;
use serde_json::Value;

/// A statement that may be shown to SQLite.
pub(super) struct Statement {
    /// Which of the commit's writes it is.
    pub(super) write: usize,
    pub(super) text: String,
    pub(super) values: Vec<Bound>,
    pub(super) expect_rows: Option<u64>,
}

/// A value as SQLite takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Statement {
    /// The statement, or why it is refused.
    pub(super) fn new(write: usize, sql: SqlWrite) -> Result<Self, String> {
        let places = read(&sql.statement)?;
        let count = sql.params.len();
        if let Some(missing) = places.iter().find(|place| **place > count) {
            return Err(format!("the statement has a place ${missing}, and {count} values; give it one more value"));
        }
        if let Some(unused) = (1..=count).find(|place| !places.contains(place)) {
            return Err(format!("value {unused} of {count} has no place ${unused} in the statement"));
        }
        let values = (1..).zip(sql.params).map(|(n, value)| bound(n, value)).collect::<Result<_, _>>()?;
        Ok(Statement { write, text: sql.statement, values, expect_rows: sql.expect_rows })
    }
}

fn bound(n: usize, value: Value) -> Result<Bound, String> {
    Ok(match value {
        Value::Null => Bound::Null,
        Value::Bool(value) => Bound::Integer(value.into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Bound::Integer(integer),
            (None, Some(real)) if !number.is_u64() => Bound::Real(real),
            _ => {
                return Err(format!(
                    "value {n} ({number}) is larger than {}, the largest integer of a database; bind it as a text",
                    i64::MAX
                ));
            }
        },
        Value::String(text) => Bound::Text(text),
        Value::Array(_) | Value::Object(_) => Bound::Text(value.to_string()),
    })
}

/// The verbs that change rows.
const VERBS: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "REPLACE"];
const ONLY: &str = "INSERT, UPDATE, DELETE or REPLACE, perhaps after WITH";

/// Reads the text as SQLite's tokenizer does, and gives the numbers of the places for values. Whatever SQLite might read in
/// another way is refused: each bound name but `$n`, and what does not end.
fn read(text: &str) -> Result<Vec<usize>, String> {
    if text.contains('\0') {
        return Err("the statement holds a zero byte".into());
    }
    if text.to_ascii_lowercase().contains("sqlite_sequence") {
        return Err("the statement names `sqlite_sequence`, which is SQLite's own".into());
    }
    let (mut places, mut depth, mut ended) = (Vec::new(), 0_usize, false);
    let (mut first, mut verb) = (None, None);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            ' ' | '\t' | '\n' | '\r' | '\x0c' => {
                rest = &rest[1..];
                continue;
            }
            '-' if rest.starts_with("--") => {
                rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let Some((_, behind)) = rest[2..].split_once("*/") else {
                    return Err("a comment in the statement does not end; close it with */".into());
                };
                rest = behind;
                continue;
            }
            '\'' | '"' | '`' | '[' => quoted(rest, c)?,
            '$' => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                let behind = rest[1 + digits..].chars().next();
                let place = rest[1..=digits].parse().ok().filter(|place| (1..=MOST).contains(place));
                let (Some(place), false) = (place, behind.is_some_and(|c| is_name(c) || c == '(' || c == ':')) else {
                    return Err(format!("values are named $1 to ${MOST}, and nothing else begins with `$`"));
                };
                places.push(place);
                1 + digits
            }
            '?' | '@' | ':' | '#' => {
                return Err(format!("`{c}` stands in the statement outside of quotes; values are named $1, $2 …"));
            }
            _ if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        rest = behind;
        if token == ";" {
            ended = true;
            continue;
        }
        if ended {
            return Err("there is more than one statement; make a write of each".into());
        }
        let word = token.to_ascii_uppercase();
        match token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if first.is_none() => first = Some(word.clone()),
            _ => {}
        }
        let decides = VERBS.contains(&word.as_str()) || ["SELECT", "VALUES"].contains(&word.as_str());
        if depth == 0 && decides && verb.is_none() {
            verb = Some(word);
        }
    }
    let first = first.unwrap_or_default();
    let changes = verb.as_deref().is_some_and(|verb| VERBS.contains(&verb));
    if changes && (first == "WITH" || VERBS.contains(&first.as_str())) {
        return Ok(places);
    }
    match first.as_str() {
        "" => Err(format!("the statement is empty; it is to be {ONLY}")),
        "WITH" => Err(format!("the statement changes nothing; it is to be {ONLY}")),
        other => Err(format!("the statement begins with {other}; it is to be {ONLY}")),
    }
}

/// SQLite's limit on the numbers of values.
const MOST: usize = 32_766;

/// What SQLite takes as a part of names and words.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of the quoted text that `rest` begins with. A quote within is written twice; `[…]` ends at the first `]`.
fn quoted(rest: &str, quote: char) -> Result<usize, String> {
    let end = if quote == '[' { ']' } else { quote };
    let mut from = 1;
    while let Some(at) = rest[from..].find(end) {
        from += at + 1;
        if quote == '[' || !rest[from..].starts_with(end) {
            return Ok(from);
        }
        from += 1;
    }
    Err(format!("a text that begins with {quote} does not end in the statement"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn accepted(text: &str, places: &[usize]) {
        assert_eq!(read(text).as_deref(), Ok(places), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let error = read(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }

    #[test]
    fn a_plain_statement_is_refused() {
        accepted("INSERT INTO t VALUES ($1, $2, $1)", &[1, 2, 1]);
        accepted(" -- why\n/* ; */ update t set a = '; $9' where b->>'$.x' = $1 ; ; -- end", &[1]);
        accepted("replace into \"odd; \"\"name\" ([a;b]) values ('it''s; ?', 1e3, x'00')", &[]);
        accepted("WITH a AS (SELECT 1 AS x) INSERT INTO t SELECT x FROM a", &[]);
        accepted("DELETE FROM größe WHERE a$b = 1 RETURNING a", &[]);
        accepted("delete from t where a = $12", &[12]);
    }

    #[test]
    fn a_second_statement_passes() {
        refused("DELETE FROM t; DROP TABLE t", "more than one statement");
        refused("DELETE FROM t;/**/;DELETE FROM t", "more than one");
        // Where SQLite's end of a quote or a comment differs from ours, the rest would be a statement.
        refused("DELETE FROM t WHERE a = 'x''; DELETE FROM u; --'; DELETE FROM u", "more than one");
        refused("DELETE FROM t WHERE a = '\\'; DROP TABLE u; --'", "more than one");
        refused("DELETE FROM [t]]; DROP TABLE u; --]", "more than one");
        refused("DELETE FROM t /*/; DROP TABLE u; */; DROP TABLE u", "more than one");
        refused("DELETE FROM t -- */ \n; DROP TABLE u", "more than one");
        refused("DELETE FROM t WHERE a = $1(') ; DROP TABLE u; --'", "begins with `$`");
        refused("DELETE FROM t WHERE a = $x(') ; DROP TABLE u; --'", "begins with `$`");
        refused("DELETE FROM t WHERE a = @x(') ; DROP TABLE u; --'", "outside of quotes");
        refused("DELETE FROM t WHERE a = :x::y(') ; DROP TABLE u; --'", "outside of quotes");
        refused("DELETE FROM t\0; DROP TABLE u", "zero byte");
        refused("DELETE FROM t WHERE a = 'x", "does not end");
        refused("DELETE FROM t /* x", "does not end");
    }

    #[test]
    fn a_statement_that_is_no_change_passes() {
        for text in [
            "SELECT 1",
            "PRAGMA user_version = 1",
            "ATTACH 'x' AS y",
            "CREATE TABLE t (a)",
            "DROP TABLE t",
            "COMMIT",
            "SAVEPOINT a",
            "VACUUM",
            "EXPLAIN DELETE FROM t",
            "(DELETE FROM t)",
            "\u{feff}DELETE FROM t",
            "'INSERT' INTO t",
        ] {
            refused(text, "it is to be INSERT");
        }
        refused("", "is empty");
        refused(" ; -- nothing", "is empty");
        refused("WITH a AS (DELETE FROM t) SELECT 1", "changes nothing");
        refused("WITH a AS (SELECT 1) VALUES (1)", "changes nothing");
        refused("UPDATE \"sqlite_SEQUENCE\" SET seq = 0", "SQLite's own");
    }

    #[test]
    fn values_are_bound_to_the_wrong_places() {
        let text = "UPDATE t SET a = $2 WHERE b = $1";
        let write = |params: &[Value]| {
            let write = params.iter().cloned().fold(SqlWrite::new(text), SqlWrite::bind);
            Statement::new(0, write).map(|statement| statement.values)
        };
        assert_eq!(write(&[json!("x"), json!(true)]), Ok(vec![Bound::Text("x".into()), Bound::Integer(1)]));
        assert_eq!(write(&[json!(null), json!(1.5)]), Ok(vec![Bound::Null, Bound::Real(1.5)]));
        assert_eq!(
            write(&[json!(i64::MIN), json!({"a": [1]})]),
            Ok(vec![Bound::Integer(i64::MIN), Bound::Text("{\"a\":[1]}".into())])
        );
        assert!(write(&[json!(1)]).unwrap_err().contains("a place $2, and 1 values"));
        assert!(write(&[json!(1), json!(2), json!(3)]).unwrap_err().contains("value 3 of 3 has no place $3"));
        assert!(write(&[json!(1), json!(u64::MAX)]).unwrap_err().contains("bind it as a text"));
        for place in ["$0", "$", "$32767", "$1a", "$-1"] {
            refused(&format!("DELETE FROM t WHERE a = {place}"), "values are named $1");
        }
    }
}
