//! From a tree to plain structs: each key is asked for by name, and all that is wrong is collected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diagnostic::{Diagnostic, Place, did_you_mean};
use super::tree::{At, Entries, Kind, Tree};
use super::unit::{parse_count, parse_duration};

/// What reading a file needs, and what it finds.
pub(super) struct Reader<'a> {
    pub(super) problems: Vec<Diagnostic>,
    /// The folder of the file, relative to that of the top file; empty, or with `/` at its end.
    pub(super) folder: String,
    /// The text of a file, by its path relative to the top file's folder.
    pub(super) read: &'a mut dyn FnMut(&str) -> Result<String, String>,
    /// The files that were read, by that path.
    pub(super) texts: &'a mut BTreeMap<String, String>,
    /// The workflow files around this one, the top file first.
    pub(super) stack: &'a [String],
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    fn unexpected(&mut self, tree: &Tree, expected: &str) {
        let message = format!("expected {expected}, found {}", tree.what());
        self.problem(Diagnostic::new("bad-value", tree.place, message));
    }

    /// The keys of a map; `what` names it in messages: `a step`.
    pub(super) fn keys<'t>(&mut self, tree: &'t Tree, what: &'static str) -> Option<Keys<'t>> {
        match &tree.kind {
            Kind::Map(map) => {
                let entries = map.iter().map(|(key, value)| (key, value, false)).collect();
                Some(Keys { what, place: tree.place, entries, known: Vec::new() })
            }
            _ => {
                self.unexpected(tree, &format!("a map ({what})"));
                None
            }
        }
    }

    /// A text. A number or a truth value is the text that was written.
    pub(super) fn text(&mut self, tree: &Tree) -> Option<At<String>> {
        match tree.as_text() {
            Some(text) => Some(At::new(text.to_owned(), tree.place)),
            None => {
                self.unexpected(tree, "a text");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, tree: &Tree) -> Option<bool> {
        if let Kind::Bool(value) = tree.kind {
            return Some(value);
        }
        let message = format!("expected true or false, found {}", tree.what());
        let mut diagnostic = Diagnostic::new("bad-value", tree.place, message);
        if matches!(tree.as_text(), Some("yes" | "no" | "on" | "off" | "Yes" | "No")) {
            diagnostic = diagnostic.help("in YAML 1.2 `yes` and `no` are texts; write true or false");
        }
        self.problem(diagnostic);
        None
    }

    /// A whole number.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, tree: &Tree) -> Option<At<T>> {
        let Kind::Number(number) = &tree.kind else {
            self.unexpected(tree, "a whole number");
            return None;
        };
        match number.as_u64().and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(At::new(number, tree.place)),
            None => {
                let message = format!("`{}` is no whole number that fits here", tree.written);
                self.problem(Diagnostic::new("bad-value", tree.place, message));
                None
            }
        }
    }

    pub(super) fn number(&mut self, tree: &Tree) -> Option<At<f64>> {
        match &tree.kind {
            Kind::Number(number) => number.as_f64().map(|number| At::new(number, tree.place)),
            _ => {
                self.unexpected(tree, "a number");
                None
            }
        }
    }

    pub(super) fn count(&mut self, tree: &Tree) -> Option<At<u64>> {
        let count = tree.as_text().and_then(parse_count);
        if count.is_none() {
            let found = tree.as_text().map_or(tree.what().to_owned(), |text| format!("`{text}`"));
            let message = format!("expected a count, found {found}");
            self.problem(Diagnostic::new("bad-value", tree.place, message).help("write 200, 60k or 2M"));
        }
        count.map(|count| At::new(count, tree.place))
    }

    pub(super) fn duration(&mut self, tree: &Tree) -> Option<At<Duration>> {
        let duration = tree.as_text().and_then(parse_duration);
        if duration.is_none() {
            let found = tree.as_text().map_or(tree.what().to_owned(), |text| format!("`{text}`"));
            let message = format!("expected a duration, found {found}");
            let help = match &tree.kind {
                Kind::Number(number) if number.is_u64() => format!("give it a unit: {number}s, {number}m, {number}h"),
                _ => "write a whole number and a unit: 500ms, 2s, 10m, 24h, 7d".into(),
            };
            self.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
        }
        duration.map(|duration| At::new(duration, tree.place))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, tree: &Tree, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(tree)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At::new(*value, tree.place));
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{}` is no value here", text.value);
        let help = did_you_mean(&text.value, known).unwrap_or_default();
        self.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
        None
    }

    /// A list, each item read in the same way.
    pub(super) fn list<T>(&mut self, tree: &Tree, mut item: impl FnMut(&mut Self, &Tree) -> Option<T>) -> Vec<T> {
        match &tree.kind {
            Kind::List(list) => list.iter().filter_map(|tree| item(self, tree)).collect(),
            Kind::Text(text) => {
                let message = format!("expected a list, found the text `{text}`");
                self.problem(Diagnostic::new("bad-value", tree.place, message).help(format!("write `[{text}]`")));
                Vec::new()
            }
            _ => {
                self.unexpected(tree, "a list");
                Vec::new()
            }
        }
    }

    /// A map whose keys are the author's, each value read in the same way.
    pub(super) fn entries<T>(
        &mut self,
        tree: &Tree,
        mut value: impl FnMut(&mut Self, &At<String>, &Tree) -> Option<T>,
    ) -> Entries<T> {
        match &tree.kind {
            Kind::Map(map) => {
                let read = map.iter().filter_map(|(key, tree)| Some((key.clone(), value(self, key, tree)?)));
                Entries(read.collect())
            }
            _ => {
                self.unexpected(tree, "a map");
                Entries::default()
            }
        }
    }

    /// A map of nested YAML, with expressions at its leaves.
    pub(super) fn values(&mut self, tree: &Tree) -> Entries<Tree> {
        self.entries(tree, |_, _, tree| Some(tree.clone()))
    }

    /// The text of a file that this one names, and its path relative to the top file.
    pub(super) fn file(&mut self, path: &At<String>) -> Option<(String, String)> {
        let missing = |why: &str| {
            Diagnostic::new("missing-file", path.place, format!("cannot read `{}`: {why}", path.value))
                .help("the path is relative to the workflow file")
        };
        let Some(full) = joined(&self.folder, &path.value) else {
            self.problem(missing("the path is absolute or empty"));
            return None;
        };
        if let Some(text) = self.texts.get(&full) {
            return Some((full, text.clone()));
        }
        match (self.read)(&full) {
            Ok(text) => {
                self.texts.insert(full.clone(), text.clone());
                Some((full, text))
            }
            Err(why) => {
                self.problem(missing(&why));
                None
            }
        }
    }
}

/// The keys of one map, each to be asked for once.
pub(super) struct Keys<'t> {
    what: &'static str,
    pub(super) place: Place,
    entries: Vec<(&'t At<String>, &'t Tree, bool)>,
    known: Vec<&'static str>,
}

impl<'t> Keys<'t> {
    /// The value of a key; one that stands there without a value is a mistake.
    pub(super) fn get(&mut self, reader: &mut Reader<'_>, name: &'static str) -> Option<&'t Tree> {
        let tree = self.any(name)?;
        if tree.kind == Kind::Null {
            let message = format!("`{name}` has no value");
            let place = self.key(name).map(|key| key.place);
            reader.problem(Diagnostic::new("bad-value", place, message).help("give it one, or remove the key"));
            return None;
        }
        Some(tree)
    }

    /// The value of a key, which may be null.
    pub(super) fn any(&mut self, name: &'static str) -> Option<&'t Tree> {
        self.known.push(name);
        let entry = self.entries.iter_mut().find(|(key, ..)| key.value == name)?;
        entry.2 = true;
        Some(entry.1)
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, reader: &mut Reader<'_>, name: &'static str) -> Option<&'t Tree> {
        if !self.has(name) {
            self.known.push(name);
            let message = format!("the key `{name}` is missing in {}", self.what);
            reader.problem(Diagnostic::new("missing-key", self.place, message));
            return None;
        }
        self.get(reader, name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.key(name).is_some()
    }

    /// The key itself.
    pub(super) fn key(&self, name: &str) -> Option<&'t At<String>> {
        self.entries.iter().find(|(key, ..)| key.value == name).map(|(key, ..)| *key)
    }

    /// Takes all keys that begin so: they are the author's own.
    pub(super) fn ignore(&mut self, prefix: &str) {
        self.entries.iter_mut().filter(|(key, ..)| key.value.starts_with(prefix)).for_each(|entry| entry.2 = true);
    }

    /// Tells all keys that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        let taken: BTreeSet<_> = self.entries.iter().filter(|entry| entry.2).map(|(key, ..)| &key.value).collect();
        for (key, ..) in self.entries.iter().filter(|entry| !entry.2) {
            let message = format!("`{}` is no key of {}", key.value, self.what);
            let mut diagnostic = Diagnostic::new("unknown-key", key.place, message);
            let free = self.known.iter().copied().filter(|name| !taken.contains(&(*name).to_owned()));
            let free: Vec<_> = free.collect();
            diagnostic.help = meant(&key.value, &free).or_else(|| did_you_mean(&key.value, free));
            reader.problem(diagnostic);
        }
    }
}

/// What authors of other formats mean by a key.
fn meant(name: &str, known: &[&str]) -> Option<String> {
    let meanings = [
        ("depends_on", "needs"),
        ("dependsOn", "needs"),
        ("after", "needs"),
        ("when", "if"),
        ("condition", "if"),
        ("foreach", "for_each"),
        ("forEach", "for_each"),
        ("loop", "repeat"),
        ("until", "repeat"),
        ("llm", "chat"),
        ("model", "chat"),
        ("prompt", "chat"),
        ("uses", "tool"),
        ("call", "tool"),
        ("action", "tool"),
        ("run", "tool"),
        ("args", "with"),
        ("arguments", "with"),
        ("params", "with"),
        ("inputs", "with"),
        ("retries", "retry"),
        ("sleep", "wait"),
        ("delay", "wait"),
        ("continue_on_error", "on_error"),
        ("ignore_errors", "on_error"),
        ("continue-on-error", "on_error"),
        ("timeout_minutes", "timeout"),
        ("timeout-minutes", "timeout"),
        ("jobs", "steps"),
        ("tasks", "steps"),
        ("vars", "inputs"),
        ("parameters", "inputs"),
        ("schema", "output_schema"),
        ("version", "parkway"),
    ];
    let (_, right) = meanings.iter().find(|(wrong, right)| *wrong == name && known.contains(right))?;
    Some(format!("write `{right}`"))
}

/// A path in a folder, made plain; `None` if it is absolute or empty.
pub(super) fn joined(folder: &str, path: &str) -> Option<String> {
    let drive = path.as_bytes().get(1) == Some(&b':');
    if path.starts_with(['/', '\\']) || drive {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    (!path.is_empty() && !parts.is_empty()).then(|| parts.join("/"))
}
