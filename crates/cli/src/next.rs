//! The command that comes next, as a person types it here.

use parkway::id::{RunId, StepKey};

use crate::args::Global;

/// Names commands that reach the same store as this one.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    store: String,
}

impl Next {
    pub(crate) fn new(global: &Global) -> Self {
        // What the environment says holds for the next command, too.
        let flag = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(" --{name} {}", quoted(value))).unwrap_or_default()
        };
        Next { store: flag("store", &global.store) + &flag("profile", &global.profile) }
    }

    /// The flags that name the store: ` --store …`, or nothing.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    pub(crate) fn show(&self, run: RunId) -> String {
        format!("parkway show {run}{}", self.store)
    }

    pub(crate) fn show_step(&self, run: RunId, step: &StepKey) -> String {
        format!("parkway show {run} --step {}{}", quoted(&step.to_string()), self.store)
    }

    pub(crate) fn approve(&self, run: RunId, step: &StepKey) -> String {
        format!("parkway approve {run} {}{}", quoted(&step.to_string()), self.store)
    }

    pub(crate) fn input(&self, run: RunId, step: &StepKey) -> String {
        format!("parkway input {run} {}{}", quoted(&step.to_string()), self.store)
    }

    pub(crate) fn resolve(&self, run: RunId, step: &StepKey) -> String {
        format!("parkway resolve {run} {}{}", quoted(&step.to_string()), self.store)
    }

    pub(crate) fn signal(&self, run: RunId, name: &str) -> String {
        format!("parkway signal {run} {}{}", quoted(name), self.store)
    }

    pub(crate) fn resume(&self, run: RunId) -> String {
        format!("parkway resume {run}{}", self.store)
    }

    pub(crate) fn retry(&self, run: RunId) -> String {
        format!("parkway retry {run}{}", self.store)
    }

    pub(crate) fn runs(&self) -> String {
        format!("parkway runs{}", self.store)
    }
}

/// A word as a shell takes it: it would read the brackets of an item as a pattern.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_one_word() {
        assert_eq!(quoted("sqlite:deep/runs-1.db"), "sqlite:deep/runs-1.db");
        assert_eq!(quoted("intake[3].confirm"), "'intake[3].confirm'");
        assert_eq!(quoted("sqlite:it's here.db"), r"'sqlite:it'\''s here.db'");
    }
}
