//! The JSON Schema of workflow files, for editors. It says what the parser says, and tests keep the two equal.

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use tests::known_at;

/// JSON Schema (draft 2020-12) of workflow files, as a text.
pub fn file_schema() -> &'static str {
    include_str!("parkway.schema.json")
}
