//! One `parkway.toml`, read with the places of what it says. All that is wrong with it is told at once.

mod audit;
mod cost;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use parkway_core::host::HostPattern;
use parkway_core::policy::Rule;
use parkway_core::workflow::{Diagnostic, Diagnostics, ModelSpec, Place, did_you_mean};
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::RULES;
use super::secret::SecretSource;

const KEYS: [&str; 12] = [
    "store", "models", "embedder", "meaning", "secrets", "env", "roots", "egress", "cost", "audit", "policy", "profile",
];

/// How profiles are written.
const PROFILE: &str = "write `[profile.dev]` above the settings of a profile, and choose it with `--profile dev`";

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Whether it is the project's own, which comes with the project and may tighten only.
    pub(super) of_project: bool,
    pub(super) base: Vec<Said>,
    pub(super) profiles: BTreeMap<String, Vec<Said>>,
}

/// One thing that is said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: u32,
}

/// Reads a file. Paths in the project's own stay as they are; those in other files are relative to them, and made absolute.
pub(super) fn read(path: &Path, source: &str, of_project: bool) -> Result<File, Diagnostics> {
    let name = path.display().to_string();
    let (table, errors) = DeTable::parse_recoverable(source);
    let mut reader = Reader { source, folder: (!of_project).then(|| folder_of(path)), path, problems: Vec::new() };
    for error in errors {
        let start = error.span().map(|span| span.start);
        let place = start.map(|start| place(source, start));
        // What follows on a line follows from the first slip.
        if !reader.problems.iter().any(|known| known.place.map(|p| p.line) == place.map(|p| p.line)) {
            let mut problem = Diagnostic::new("toml", place, error.message().trim().replace('\n', ", "));
            problem.unquoted = start.is_some_and(|start| may_hold_a_secret(source, start));
            reader.problems.push(problem);
        }
    }
    // After a slip of the pen in the form, what the rest means is not certain.
    if !reader.problems.is_empty() {
        return Err(Diagnostics::new(&name, source, reader.problems));
    }
    let table = table.get_ref();
    let base = reader.part(in_order(table), true);
    let mut file = File { path: path.to_path_buf(), of_project, base, profiles: BTreeMap::new() };
    if let Some(profiles) = table.get("profile") {
        for (name, part) in reader.table("profile", profiles) {
            let tables = reader.table("a profile", part);
            let said = reader.part(tables, false);
            file.profiles.insert(name.get_ref().to_string(), said);
        }
    }
    match reader.problems.is_empty() {
        true => Ok(file),
        false => Err(Diagnostics::new(&name, source, reader.problems)),
    }
}

/// The folder that a file lies in, from the root of the file system.
fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.parent().map(Path::to_path_buf).unwrap_or_default()
}

struct Reader<'a> {
    source: &'a str,
    path: &'a Path,
    /// What paths are relative to; `None` if they stay as they are.
    folder: Option<PathBuf>,
    problems: Vec<Diagnostic>,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Node<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn problem(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let mut problem = Diagnostic::new(code, place(self.source, span.start), message);
        problem.help = help;
        problem.unquoted = may_hold_a_secret(self.source, span.start);
        self.problems.push(problem);
    }

    /// The same of a line that is not quoted, since a secret stands there.
    fn unquoted(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let mut problem = Diagnostic::new(code, place(self.source, span.start), message);
        (problem.help, problem.unquoted) = (help, true);
        self.problems.push(problem);
    }

    fn line(&self, span: Range<usize>) -> u32 {
        place(self.source, span.start).line
    }

    /// What the top of the file says, or one profile.
    fn part(&mut self, entries: Entries<'_, '_>, top: bool) -> Vec<Said> {
        let mut said = Vec::new();
        for (key, node) in entries {
            match key.get_ref().as_ref() {
                "store" => said.extend(self.store(key, node)),
                "models" => {
                    for (name, model) in self.table("models", node) {
                        said.extend(self.model(name, model));
                    }
                }
                "secrets" => {
                    for (name, source) in self.table("secrets", node) {
                        said.extend(self.secret(name, source));
                    }
                }
                "env" | "egress" | "roots" => said.extend(self.list(key, node)),
                "cost" => said.extend(self.cost(node)),
                "audit" => said.extend(self.audit(key, node)),
                "policy" => said.extend(self.rules(node)),
                "embedder" => {
                    let name = self.text(key, node);
                    said.extend(name.map(|name| self.said("embedder", json!(name), key.span())));
                }
                "meaning" => {
                    let weight = self.amount(key, node);
                    said.extend(weight.map(|weight| self.said("meaning", weight, key.span())));
                }
                "profile" if top => {}
                other => {
                    if other == "profiles" && top {
                        let message = "`profiles` is no setting";
                        self.problem("unknown-setting", key.span(), message, Some(PROFILE.into()));
                        continue;
                    }
                    let known: Vec<_> = KEYS.into_iter().filter(|known| top || *known != "profile").collect();
                    let message = format!("`{other}` is no setting");
                    self.problem("unknown-setting", key.span(), message, did_you_mean(other, known));
                }
            }
        }
        said
    }

    /// The entries of a table, in the order of their lines.
    fn table<'n, 'i>(&mut self, what: &str, node: &'n Node<'i>) -> Entries<'n, 'i> {
        match node.get_ref() {
            DeValue::Table(table) => in_order(table),
            other => {
                let message = format!("`{what}` is a table, not {}", described(other));
                let help = (what == "profile").then(|| match other.as_str() {
                    Some(name) => {
                        format!("write `[profile.{name}]` above its settings, and choose it with `--profile {name}`")
                    }
                    None => PROFILE.to_owned(),
                });
                self.problem("bad-setting", node.span(), message, help);
                Vec::new()
            }
        }
    }

    fn text<'n>(&mut self, key: &Key<'_>, node: &'n Node<'_>) -> Option<&'n str> {
        let text = node.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            let message = format!("`{}` takes a text, not {}", key.get_ref(), described(node.get_ref()));
            self.problem("bad-setting", node.span(), message, None);
        }
        text
    }

    fn said(&self, key: impl Into<String>, value: Value, span: Range<usize>) -> Said {
        Said { key: key.into(), value, line: self.line(span) }
    }

    fn store(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<Said> {
        let text = self.text(key, node)?;
        let store = match text.strip_prefix("sqlite:") {
            // Commands are given in many folders; the store is one.
            Some(path) if path != ":memory:" && !path.is_empty() => {
                format!("sqlite:{}", folder_of(self.path).join(path).display())
            }
            Some(":memory:") => text.to_owned(),
            _ => {
                let help = Some("write for example `store = \"sqlite:runs.db\"`".to_owned());
                self.problem("bad-setting", node.span(), format!("`{text}` is no store"), help);
                return None;
            }
        };
        Some(self.said("store", json!(store), key.span()))
    }

    /// A path as it is kept.
    fn located(&self, path: &str) -> String {
        match &self.folder {
            Some(folder) => folder.join(path).display().to_string(),
            None => path.to_owned(),
        }
    }

    fn list(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<Said> {
        let name = key.get_ref().as_ref();
        let DeValue::Array(items) = node.get_ref() else {
            let message = format!("`{name}` is a list of texts, not {}", described(node.get_ref()));
            self.problem("bad-setting", node.span(), message, None);
            return None;
        };
        let mut list = Vec::new();
        for item in items.iter() {
            if let Some(text) = self.text(key, item) {
                if name == "egress"
                    && let Err(why) = HostPattern::parse(text)
                {
                    let help = "write it like `example.com`, `*.example.com`, `http://plain.example:8080` or \
                                `postgres://db.example.com`";
                    let message = format!("`{text}` is no host: {why}");
                    self.problem("bad-setting", item.span(), message, Some(help.to_owned()));
                    continue;
                }
                list.push(if name == "roots" { self.located(text) } else { text.to_owned() });
            }
        }
        Some(self.said(name, json!(list), key.span()))
    }

    fn model(&mut self, name: &Key<'_>, node: &Node<'_>) -> Vec<Said> {
        let mut said = Vec::new();
        for (key, node) in self.table(&format!("models.{}", name.get_ref()), node) {
            let part = key.get_ref().as_ref();
            let Some(mut value) = self.json(node) else { continue };
            if let Err(error) = serde_json::from_value::<ModelSpec>(json!({ part: value })) {
                self.misfit(key, node, &error.to_string());
                continue;
            }
            let secret = value.get("key").and_then(Value::as_str).filter(|_| part == "openai");
            if secret.is_some_and(|secret| !is_name(secret)) {
                let line = self.line(key.span());
                let message = format!(
                    "the key of the model `{}` stands in line {line}; a file of settings names the secret that holds it",
                    name.get_ref()
                );
                let mut problem = Diagnostic::new("inline-secret", None, message);
                let help = "write `key = \"NAME\"`, and under `[secrets]` `NAME = { env = \"NAME\" }`; and give the key a new value";
                problem.help = Some(help.to_owned());
                self.problems.push(problem);
                continue;
            }
            if part == "adapters" {
                for (_, adapter) in value.as_object_mut().into_iter().flatten() {
                    let path = if adapter.is_object() { &mut adapter["path"] } else { adapter };
                    *path = json!(self.located(path.as_str().unwrap_or_default()));
                }
            }
            if let Some(path) = value.get("path").and_then(Value::as_str).map(|path| self.located(path)) {
                value["path"] = json!(path);
            }
            said.push(self.said(format!("models.{}.{part}", name.get_ref()), value, key.span()));
        }
        said
    }

    fn secret(&mut self, name: &Key<'_>, node: &Node<'_>) -> Option<Said> {
        let help = |name: &str| Some(format!("write `{name} = {{ env = \"{name}\" }}`, or `{{ file = \"path\" }}`"));
        let name_text = name.get_ref().as_ref();
        if node.get_ref().as_str().is_some() {
            // The value is not quoted, since it may be the secret itself; so its line must not be either.
            let mut problem = Diagnostic::new("inline-secret", None, String::new());
            let line = self.line(name.span());
            problem.message =
                format!("the secret `{name_text}` stands in line {line}; a file of settings names its source only");
            problem.help = help(name_text).map(|help| format!("{help}; and give the secret a new value"));
            self.problems.push(problem);
            return None;
        }
        let value = self.json(node)?;
        let Some(source) = SecretSource::from_value(&value) else {
            let message = format!("the source of the secret `{name_text}` is an environment variable or a file");
            self.problem("bad-setting", node.span(), message, help(name_text));
            return None;
        };
        if let SecretSource::File(path) = &source
            && self.folder.is_none()
            && !is_within(path)
        {
            let message = format!("the source of the secret `{name_text}` lies outside the project");
            let help = "the file of a project names files within it only, since it comes with the project; name others in \
                        your own ~/.config/parkway/parkway.toml, or take a variable: `{ env = \"NAME\" }`";
            self.problem("outside-project", node.span(), message, Some(help.to_owned()));
            return None;
        }
        let value = match source {
            SecretSource::Env(variable) => json!({ "env": variable }),
            SecretSource::File(path) => json!({ "file": self.located(&path.display().to_string()) }),
        };
        Some(self.said(format!("secrets.{name_text}"), value, name.span()))
    }

    fn rules(&mut self, node: &Node<'_>) -> Vec<Said> {
        let DeValue::Array(items) = node.get_ref() else {
            let help = Some("write each rule as a table of its own: `[[policy]]`".to_owned());
            self.problem("bad-setting", node.span(), "`policy` is a list of rules", help);
            return Vec::new();
        };
        let mut said = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some(value) = self.json(item) else { continue };
            match serde_json::from_value::<Rule>(value.clone()) {
                Ok(rule) => {
                    for problem in rule.problems() {
                        self.problem("bad-rule", item.span(), format!("the rule `policy[{index}]`: {problem}"), None);
                    }
                    said.push(self.said(RULES, value, item.span()));
                }
                Err(error) => {
                    self.misfit(&Spanned::new(item.span(), format!("policy[{index}]").into()), item, &error.to_string())
                }
            }
        }
        said
    }

    /// Says in our words that a value does not have its form.
    fn misfit(&mut self, key: &Key<'_>, node: &Node<'_>, error: &str) {
        let name = key.get_ref().as_ref();
        let quoted = error.split('`').nth(1).unwrap_or_default();
        let known: Vec<_> =
            error.split_once("expected").map_or("", |(_, rest)| rest).split('`').skip(1).step_by(2).collect();
        if error.starts_with("unknown field") {
            let span = key_within(node, quoted).unwrap_or_else(|| key.span());
            let help = did_you_mean(quoted, known);
            return self.problem("unknown-setting", span, format!("`{quoted}` is no setting here"), help);
        }
        if may_hold_a_secret(self.source, node.span().start) {
            let message = format!("`{name}` is not of its form; it is not quoted, since a secret may stand there");
            return self.problem("bad-setting", key.span(), message, None);
        }
        if error.starts_with("unknown variant") {
            let help = did_you_mean(quoted, known);
            let span = text_within(node, quoted).unwrap_or_else(|| node.span());
            return self.problem("bad-setting", span, format!("`{quoted}` is no value here"), help);
        }
        let error = error.replace("invalid type: ", "").replace("invalid value: ", "");
        let error = ["u32", "u64", "i64"].iter().fold(error, |error, kind| error.replace(kind, "a whole number"));
        self.problem("bad-setting", node.span(), format!("`{name}` is wrong: {error}"), None);
    }

    fn json(&mut self, node: &Node<'_>) -> Option<Value> {
        Some(match node.get_ref() {
            DeValue::String(text) => json!(text),
            DeValue::Integer(number) => match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                Ok(number) => json!(number),
                Err(_) => {
                    self.problem("bad-setting", node.span(), format!("`{number}` is too large"), None);
                    return None;
                }
            },
            DeValue::Float(number) => {
                json!(number.as_str().replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite()))
            }
            DeValue::Boolean(yes) => json!(yes),
            DeValue::Datetime(time) => json!(time.to_string()),
            DeValue::Array(items) => {
                let values: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                Value::Array(values.into_iter().collect::<Option<_>>()?)
            }
            DeValue::Table(table) => {
                let mut map = Map::new();
                for (key, node) in in_order(table) {
                    map.insert(key.get_ref().to_string(), self.json(node)?);
                }
                Value::Object(map)
            }
        })
    }
}

/// Whether a path stays in the folder that it is relative to, as far as its letters tell.
fn is_within(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

type Entries<'n, 'i> = Vec<(&'n Key<'i>, &'n Node<'i>)>;

fn in_order<'n, 'i>(table: &'n DeTable<'i>) -> Entries<'n, 'i> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Whether a text can be the name of a secret.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty()
}

/// Where a key stands within a value.
fn key_within(node: &Node<'_>, name: &str) -> Option<Range<usize>> {
    match node.get_ref() {
        DeValue::Table(table) => in_order(table)
            .into_iter()
            .find_map(|(key, node)| if key.get_ref() == name { Some(key.span()) } else { key_within(node, name) }),
        DeValue::Array(items) => items.iter().find_map(|item| key_within(item, name)),
        _ => None,
    }
}

/// Where a text stands within a value.
fn text_within(node: &Node<'_>, text: &str) -> Option<Range<usize>> {
    match node.get_ref() {
        DeValue::String(found) => (found.as_ref() == text).then(|| node.span()),
        DeValue::Table(table) => in_order(table).into_iter().find_map(|(_, node)| text_within(node, text)),
        DeValue::Array(items) => items.iter().find_map(|item| text_within(item, text)),
        _ => None,
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text",
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether the line at a place may hold a secret that somebody wrote there, so that it is not quoted: one below `[secrets]`, and one
/// that says so itself.
fn may_hold_a_secret(source: &str, offset: usize) -> bool {
    let end = source.get(offset..).and_then(|rest| rest.find('\n')).map_or(source.len(), |length| offset + length);
    let mut above = source.get(..end).unwrap_or(source).lines().rev();
    let line = above.next().unwrap_or_default();
    let header = std::iter::once(line).chain(above).find(|line| line.trim_start().starts_with('['));
    let says = |text: &str| {
        let text = text.to_lowercase();
        ["secret", "key", "token", "passw"].iter().any(|word| text.contains(word))
    };
    says(line) || header.is_some_and(says)
}

fn place(source: &str, offset: usize) -> Place {
    let before = source.get(..offset).unwrap_or(source);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let number = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
    Place { line: number(before.matches('\n').count()), column: number(before[start..].chars().count()) }
}
