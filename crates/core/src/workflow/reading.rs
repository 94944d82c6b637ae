//! From a tree to plain structs: each key is asked for by name, and all that is wrong is collected.

mod hint;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::definition::Child;
use super::diagnostic::{Diagnostic, Place, nearest};
use super::tree::{At, Entries, Kind, Tree};
use super::unit::{parse_count, parse_duration};
use crate::id::Digest;
pub(crate) use hint::truth_word;
use hint::{KEYS, WORDS, did, example, found, is_expression, joined_key, listed, meant, one_of};

/// How many unknown keys of one map get a hint: who has more of them has not misspelled a name.
const MAX_HINTS: usize = 20;
/// The most bytes that the texts in other files may have, each counted as often as it is named.
const MAX_TEXTS: usize = 32 << 20;

/// The files that a workflow and its sub-workflows name, by their paths relative to the top file's folder.
pub(super) struct Files<'a> {
    /// Gives the text of one, or says why it cannot.
    pub(super) read: &'a mut dyn FnMut(&str) -> Result<String, String>,
    /// Those that were read.
    pub(super) texts: BTreeMap<String, String>,
    /// The workflows among them; `None` where nothing could be made of one.
    pub(super) children: BTreeMap<String, Option<Arc<Child>>>,
}

impl<'a> Files<'a> {
    pub(super) fn new(read: &'a mut dyn FnMut(&str) -> Result<String, String>) -> Self {
        Files { read, texts: BTreeMap::new(), children: BTreeMap::new() }
    }
}

/// What reading a file needs, and what it finds.
pub(super) struct Reader<'a, 'f> {
    pub(super) problems: Vec<Diagnostic>,
    /// The folder of the file, relative to that of the top file; empty, or with `/` at its end.
    folder: String,
    pub(super) files: &'a mut Files<'f>,
    /// The workflow files around this one and itself, the top file first.
    pub(super) stack: &'a [String],
    /// Hashes of the files that this one names.
    pub(super) named: Vec<Digest>,
    /// How many workflows stand within one another below this one.
    pub(super) levels: usize,
    /// The bytes of the texts that were taken from files, each counted as often as it is named.
    used: usize,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// Reads the last file of the stack.
    pub(super) fn new(files: &'a mut Files<'f>, stack: &'a [String]) -> Self {
        // The top file's own folder is where all paths begin.
        let file = stack.last().filter(|_| stack.len() > 1).map_or("", String::as_str);
        let folder = file.rfind('/').map_or(String::new(), |end| file[..=end].to_owned());
        Reader { problems: Vec::new(), folder, files, stack, named: Vec::new(), levels: 0, used: 0 }
    }
}

impl Reader<'_, '_> {
    pub(super) fn problem(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// Tells that something else stands here than what is expected.
    fn unexpected(&mut self, tree: &Tree, expected: &str, help: impl Into<Option<String>>) {
        if is_expression(tree) {
            let message = format!("expected {expected}, and an expression cannot stand here");
            let help = "this is read before the run: write the value itself";
            return self.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
        }
        let message = format!("expected {expected}, found {}", found(tree));
        let mut diagnostic = Diagnostic::new("bad-value", tree.place, message);
        diagnostic.help = help.into();
        self.problem(diagnostic);
    }

    /// The keys of a map; `what` names it in messages: `a step`.
    pub(super) fn keys<'t>(&mut self, tree: &'t Tree, what: &'static str) -> Option<Keys<'t>> {
        match &tree.kind {
            Kind::Map(map) => {
                let entries = map.iter().map(|(key, value)| (key, value, false)).collect();
                Some(Keys { what, place: tree.place, entries, known: Vec::new() })
            }
            _ => {
                let help = joined_key(tree).or_else(|| example(what, tree));
                self.unexpected(tree, &format!("a map ({what})"), help);
                None
            }
        }
    }

    /// A text. A number or a truth value is the text that was written.
    pub(super) fn text(&mut self, tree: &Tree) -> Option<At<String>> {
        match tree.as_text() {
            Some(text) => Some(At::new(text.to_owned(), tree.place)),
            None => {
                let help = "what begins with `{` or `[` must be quoted where a text is meant";
                let flow = matches!(tree.kind, Kind::List(_) | Kind::Map(_)) && !tree.written.is_empty();
                self.unexpected(tree, "a text", flow.then(|| help.to_owned()));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, tree: &Tree) -> Option<bool> {
        if let Kind::Bool(value) = tree.kind {
            return Some(value);
        }
        self.unexpected(tree, "true or false", truth_word(tree.as_text().unwrap_or_default()));
        None
    }

    /// A whole number.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, tree: &Tree) -> Option<At<T>> {
        let Kind::Number(number) = &tree.kind else {
            let help = tree.as_text().filter(|text| text.parse::<u64>().is_ok());
            let help = help.map(|number| format!("write {number} without quotes"));
            self.unexpected(tree, "a whole number", help);
            return None;
        };
        match number.as_u64().and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(At::new(number, tree.place)),
            None => {
                self.unexpected(tree, "a whole number, 0 or more", None);
                None
            }
        }
    }

    pub(super) fn number(&mut self, tree: &Tree) -> Option<At<f64>> {
        match &tree.kind {
            Kind::Number(number) => number.as_f64().map(|number| At::new(number, tree.place)),
            _ => {
                self.unexpected(tree, "a number", None);
                None
            }
        }
    }

    pub(super) fn count(&mut self, tree: &Tree) -> Option<At<u64>> {
        let count = tree.as_text().and_then(parse_count);
        if count.is_none() {
            self.unexpected(
                tree,
                "a count",
                "write a whole number, with k for thousands or M for millions: 200, 60k, 2M".to_owned(),
            );
        }
        count.map(|count| At::new(count, tree.place))
    }

    pub(super) fn duration(&mut self, tree: &Tree) -> Option<At<Duration>> {
        let duration = tree.as_text().and_then(parse_duration);
        if duration.is_none() {
            let help = match &tree.kind {
                Kind::Number(number) if number.is_u64() => format!("give it a unit: {number}s, {number}m, {number}h"),
                _ => "write a whole number and a unit: 500ms, 2s, 10m, 24h, 7d".into(),
            };
            self.unexpected(tree, "a duration", help);
        }
        duration.map(|duration| At::new(duration, tree.place))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, tree: &Tree, words: &[(&str, T)]) -> Option<At<T>> {
        let text = tree.as_text().unwrap_or_default();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(At::new(*value, tree.place));
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let help = meant(text, &known, &WORDS)
            .or_else(|| nearest(text, known.iter().copied()).map(|word| format!("did you mean `{word}`?")));
        self.unexpected(tree, &one_of(&known), help);
        None
    }

    /// A list, each item read in the same way.
    pub(super) fn list<T>(&mut self, tree: &Tree, mut item: impl FnMut(&mut Self, &Tree) -> Option<T>) -> Vec<T> {
        match &tree.kind {
            Kind::List(list) => list.iter().filter_map(|tree| item(self, tree)).collect(),
            Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => {
                let short = tree.written.len() < 80 && !tree.written.contains('\n');
                self.unexpected(tree, "a list", short.then(|| format!("write `[{}]`", tree.written)));
                Vec::new()
            }
            Kind::Map(_) => {
                self.unexpected(tree, "a list", "write the items in brackets, or each after a `- `".to_owned());
                Vec::new()
            }
            Kind::Null => {
                self.unexpected(tree, "a list", None);
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
                let help = joined_key(tree).unwrap_or_else(|| "write names with values: `{ name: value }`".into());
                self.unexpected(tree, "a map", help);
                Entries::default()
            }
        }
    }

    /// A map of nested YAML, with expressions at its leaves.
    pub(super) fn values(&mut self, tree: &Tree) -> Entries<Tree> {
        if is_expression(tree) {
            let message = "expected a map of values, found one expression";
            let help = "give the value a name: `{ name: \"${{ … }}\" }`";
            self.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
            return Entries::default();
        }
        self.entries(tree, |_, _, tree| Some(tree.clone()))
    }

    /// The text of a file that this one names, and its path relative to the top file.
    pub(super) fn file(&mut self, path: &At<String>) -> Option<(String, String)> {
        if path.value.contains("${{") {
            let message = "expected a path, and an expression cannot stand here";
            let help = "this is read before the run: write the path itself";
            self.problem(Diagnostic::new("bad-value", path.place, message).help(help));
            return None;
        }
        let missing = |why: &str| {
            Diagnostic::new("missing-file", path.place, format!("cannot read `{}`: {why}", path.value))
                .help("the path is relative to the workflow file")
        };
        let Some(full) = joined(&self.folder, &path.value) else {
            self.problem(missing("the path is absolute or empty"));
            return None;
        };
        let text = match self.files.texts.get(&full) {
            Some(text) => text.clone(),
            None => match (self.files.read)(&full) {
                Ok(text) => {
                    self.files.texts.insert(full.clone(), text.clone());
                    text
                }
                Err(why) => {
                    self.problem(missing(&why));
                    return None;
                }
            },
        };
        self.used += text.len();
        if self.used > MAX_TEXTS {
            let message = format!("the files that this one names have more than {} MiB", MAX_TEXTS >> 20);
            let help = "data belongs into inputs, or is read by a tool";
            self.problem(Diagnostic::new("too-large", path.place, message).help(help));
            return None;
        }
        self.named.push(Digest::of(&[text.as_bytes()]));
        Some((full, text))
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
    pub(super) fn get(&mut self, reader: &mut Reader<'_, '_>, name: &'static str) -> Option<&'t Tree> {
        let tree = self.any(name)?;
        if tree.kind == Kind::Null {
            let message = format!("`{name}` has no value");
            let place = self.key(name).map(|key| key.place);
            let help = "give it one, indented more than the key, or remove the key";
            reader.problem(Diagnostic::new("bad-value", place, message).help(help));
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
    pub(super) fn required(&mut self, reader: &mut Reader<'_, '_>, name: &'static str) -> Option<&'t Tree> {
        if !self.has(name) {
            self.known.push(name);
            let message = format!("the key `{name}` is missing in {}", self.what);
            let mut diagnostic = Diagnostic::new("missing-key", self.place, message);
            diagnostic.help = match name {
                "parkway" => Some("a workflow begins with `parkway: 1`".into()),
                "type" => Some("for example `type: string`".into()),
                "max" => Some("for example `max: 3`".into()),
                "until" => Some("say when it is done: `until: \"${{ … }}\"`".into()),
                "match" => Some("say what the rule is about: `match: { tool: … }`".into()),
                "goal" => Some("say what is to be reached: `goal: \"…\"`".into()),
                "tools" => Some("name what may be called: `tools: [files.*]`".into()),
                "prompt" => Some("say what is asked: `prompt: \"…?\"`".into()),
                _ => None,
            };
            reader.problem(diagnostic);
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
    pub(super) fn finish(self, reader: &mut Reader<'_, '_>) {
        #[cfg(test)]
        super::file_schema::known_at(self.what, &self.known);
        let taken: BTreeSet<_> = self.entries.iter().filter(|entry| entry.2).map(|(key, ..)| &key.value).collect();
        for (n, (key, ..)) in self.entries.iter().filter(|entry| !entry.2).enumerate() {
            let message = format!("`{}` is no key of {}", key.value, self.what);
            let mut diagnostic = Diagnostic::new("unknown-key", key.place, message);
            if n >= MAX_HINTS {
                reader.problem(diagnostic);
                continue;
            }
            let free: Vec<_> = self.known.iter().copied().filter(|name| !taken.contains(&(*name).to_owned())).collect();
            // A key that holds the other's whole name is nearer than one that is spelled much like it.
            let holds =
                |known: &&&str| key.value.len() > 3 && (known.contains(&*key.value) || key.value.contains(**known));
            diagnostic.help = meant(&key.value, &free, &KEYS)
                .or_else(|| {
                    nearest(&key.value, free.iter().copied())
                        .filter(|_| free.iter().filter(holds).count() != 1)
                        .map(did)
                })
                .or_else(|| free.iter().find(holds).map(|known| did(known)))
                .or_else(|| (!self.known.is_empty()).then(|| format!("{} has {}", self.what, listed(&self.known))));
            reader.problem(diagnostic);
        }
    }
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
