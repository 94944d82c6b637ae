//! What expressions can use: every filter, test and function of version 1, in one table. The environment, the hints, the
//! types, the book's reference and the tests are made from it.

mod filters;
mod functions;
mod gives;
mod json;
mod lists;
mod regexes;
mod tests;
mod texts;
mod times;

use minijinja::Environment;

pub(super) use filters::FILTERS;
pub(super) use functions::FUNCTIONS;
pub(super) use gives::Given;
pub(super) use regexes::wrong as wrong_pattern;
pub(super) use tests::TESTS;

use super::kind::Type;

/// A filter, a test or a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// How it is called.
    pub(crate) form: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
    /// An expression with it.
    pub(crate) example: &'static str,
    /// The example's value, as JSON.
    pub(crate) result: &'static str,
    /// The type of what it gives.
    pub(super) gives: fn(&Given<'_>) -> Type,
}

const fn row(
    name: &'static str,
    form: &'static str,
    about: &'static str,
    example: &'static str,
    result: &'static str,
    gives: fn(&Given<'_>) -> Type,
) -> Row {
    Row { name, form, about, example, result, gives }
}

pub(super) fn find(rows: &'static [Row], name: &str) -> Option<&'static Row> {
    rows.iter().find(|row| row.name == name)
}

/// The names of a table, for those who misspell one.
pub(super) fn names(rows: &'static [Row]) -> impl Iterator<Item = &'static str> + Clone {
    rows.iter().map(|row| row.name)
}

/// What minijinja brings and version 1 has not: for HTML, for its own debugging, and second names.
const LEFT_OUT: [&str; 7] = ["safe", "escape", "e", "attr", "chain", "d", "pprint"];
const TESTS_LEFT_OUT: [&str; 9] =
    ["safe", "escaped", "sameas", "filter", "test", "int", "iterable", "lessthan", "greaterthan"];

/// Adds what minijinja does not bring, and removes what is not in the table. Names are also checked before a template is
/// compiled, those in `map('name')` and `select('name')` too.
pub(super) fn furnish(environment: &mut Environment<'static>) {
    LEFT_OUT.iter().for_each(|name| environment.remove_filter(name));
    TESTS_LEFT_OUT.iter().for_each(|name| environment.remove_test(name));
    ["debug", "namespace"].iter().for_each(|name| environment.remove_global(name));
    texts::add(environment);
    regexes::add(environment);
    times::add(environment);
    json::add(environment);
    lists::add(environment);
}

/// The filters, tests and functions of expressions as a page of Markdown: each with its form, what it does, and an example.
pub fn library_page() -> String {
    let mut page = String::new();
    for (title, rows) in [("Filters", FILTERS), ("Tests", TESTS), ("Functions", FUNCTIONS)] {
        page.push_str(&format!("## {title}\n\n| form | what it does | example | gives |\n|---|---|---|---|\n"));
        for row in rows {
            let cell = |text: &str| text.replace('|', "\\|");
            let (form, about) = (cell(row.form), cell(row.about));
            page.push_str(&format!("| `{form}` | {about} | `{}` | `{}` |\n", cell(row.example), cell(row.result)));
        }
        page.push('\n');
    }
    page
}
