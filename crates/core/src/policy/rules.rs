//! Policy as data. Of the site's rules that are about a call the strictest wins, and stands in for the default of its
//! effect; a workflow's own rules only tighten what came out of that.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{Decision, DefaultPolicy, Example, Foresight, Match, Policy, PolicyRequest, Rule, Unknown, Verdict};
use crate::id::Digest;
use crate::label::Labels;
use crate::tool::Effect;

/// The policy of a site: [`DefaultPolicy`] with rules before it. A rule says `allow` of calls that the default asks about
/// and is heard; without a grant to the tool's family no rule allows anything.
#[derive(Clone, Debug, Default)]
pub struct RulePolicy {
    rules: Rules,
    /// Rules that are heard after these, and only tighten.
    tightening: Rules,
}

impl RulePolicy {
    /// The policy of these rules; or all that is wrong with them, by the names that decisions call them by (`site[0]`).
    pub fn new(rules: &[Rule]) -> Result<RulePolicy, Vec<String>> {
        Ok(RulePolicy { rules: Rules::checked("site", rules)?, tightening: Rules::default() })
    }

    /// The policy with rules of somebody who may only tighten it, such as the project's own settings; decisions call them
    /// by `name` and their place.
    pub fn tightened(self, name: &str, rules: &[Rule]) -> Result<RulePolicy, Vec<String>> {
        Ok(RulePolicy { tightening: Rules::checked(name, rules)?, ..self })
    }
}

impl Policy for RulePolicy {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        let decision = DefaultPolicy.decide(request);
        let decision = match self.rules.strictest(request) {
            // Not granted: rules say who may call what was granted, and grant nothing themselves.
            _ if decision.verdict == Verdict::Deny => decision,
            Some(ruled) => ruled,
            None => decision,
        };
        self.tightening.tighten(decision, request)
    }

    fn foresee(&self, request: &PolicyRequest<'_>, unknown: &Unknown) -> Foresight {
        let default = DefaultPolicy.decide(request);
        if default.verdict == Verdict::Deny {
            return Foresight::sure(default);
        }
        let (sure, possible) = self.rules.foreseen(request, unknown);
        // Where no rule is about the call for sure, the default may decide, and so may any rule that might be about it.
        let ruled = sure.is_some();
        let base = sure.unwrap_or(default);
        let (mut mildest, mut strictest) = (base.clone(), base.clone());
        for decision in possible {
            if decision.verdict > strictest.verdict {
                strictest = decision;
            } else if !ruled && decision.verdict < mildest.verdict {
                mildest = decision;
            }
        }
        Foresight { mildest, strictest }
    }

    fn fingerprint(&self) -> String {
        let rules = match self.rules.list.is_empty() {
            true => DefaultPolicy.fingerprint(),
            false => format!("rules-1-{}", self.rules.digest),
        };
        match self.tightening.list.is_empty() {
            true => rules,
            false => format!("{rules}+{}", self.tightening.digest),
        }
    }
}

/// Rules that are ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// What decisions call them by, before their place.
    name: String,
    list: Vec<Compiled>,
    digest: Digest,
}

impl Default for Rules {
    fn default() -> Self {
        Rules::new("site", &[])
    }
}

impl Rules {
    /// The rules of a place: `site`, or the file of a workflow.
    pub(crate) fn new(name: &str, rules: &[Rule]) -> Rules {
        let text = serde_json::to_vec(rules).unwrap_or_default();
        let digest = Digest::of(&[b"parkway-rules-1\0", &text]);
        Rules { name: name.to_owned(), list: rules.iter().map(Compiled::new).collect(), digest }
    }

    fn checked(name: &str, rules: &[Rule]) -> Result<Rules, Vec<String>> {
        let named = |(index, rule): (usize, &Rule)| {
            rule.problems().into_iter().map(move |problem| format!("{name}[{index}]: {problem}"))
        };
        let problems: Vec<_> = rules.iter().enumerate().flat_map(named).collect();
        if problems.is_empty() { Ok(Rules::new(name, rules)) } else { Err(problems) }
    }

    /// What the strictest rule says that is about the call; the first of equals.
    fn strictest(&self, request: &PolicyRequest<'_>) -> Option<Decision> {
        let call = Call::of(request);
        let fitting = self.list.iter().enumerate().filter(|(_, rule)| rule.is_about(&call));
        let (index, rule) = fitting.reduce(|best, next| if next.1.verdict > best.1.verdict { next } else { best })?;
        Some(self.said(index, rule))
    }

    /// What the strictest rule says that is about the call whatever the unknown is, and what those say that may be about it.
    fn foreseen(&self, request: &PolicyRequest<'_>, unknown: &Unknown) -> (Option<Decision>, Vec<Decision>) {
        let call = Call::of(request);
        let possible = self.list.iter().enumerate().filter(|(_, rule)| rule.may_be_about(&call, unknown));
        (self.strictest(request), possible.map(|(index, rule)| self.said(index, rule)).collect())
    }

    /// What these rules, which only tighten, may make of a foreseen decision.
    pub(crate) fn foresee(&self, before: Foresight, request: &PolicyRequest<'_>, unknown: &Unknown) -> Foresight {
        let (_, possible) = self.foreseen(request, unknown);
        let strictest = possible
            .into_iter()
            .fold(before.strictest, |most, next| if next.verdict > most.verdict { next } else { most });
        Foresight { mildest: self.tighten(before.mildest, request), strictest }
    }

    fn said(&self, index: usize, rule: &Compiled) -> Decision {
        let name = format!("{}[{index}]", self.name);
        let whose = match self.name.as_str() {
            "site" => "the site's policy",
            "project" => "the project's policy",
            _ => "the workflow's `policy`",
        };
        let reason = match rule.verdict {
            Verdict::Allow => format!("{whose} allows it, rule {name}"),
            Verdict::Ask => format!("{whose} wants it approved, rule {name}"),
            Verdict::Deny => format!("{whose} forbids it, rule {name}"),
        };
        Decision { verdict: rule.verdict, reason, rule: name }
    }

    /// The decision, or that of a rule which is stricter.
    pub(crate) fn tighten(&self, decision: Decision, request: &PolicyRequest<'_>) -> Decision {
        match self.strictest(request) {
            Some(stricter) if stricter.verdict > decision.verdict => stricter,
            _ => decision,
        }
    }
}

/// What rules look at.
struct Call<'a> {
    tool: &'a str,
    /// Not known of an example: it has the effect that its rule names.
    effect: Option<Effect>,
    args: Option<&'a Map<String, Value>>,
    labels: Labels,
}

impl<'a> Call<'a> {
    fn of(request: &PolicyRequest<'a>) -> Call<'a> {
        let spec = request.spec;
        Call { tool: &spec.name, effect: Some(spec.effect), args: request.args.as_object(), labels: request.labels }
    }
}

#[derive(Clone, Debug)]
struct Compiled {
    tool: Option<Pattern>,
    effect: Option<Effect>,
    args: Vec<(String, Pattern)>,
    labels: Option<Labels>,
    verdict: Verdict,
}

/// A pattern for a whole text. One that cannot be read fits any text: a loaded site has none, and a rule of a file, which
/// only tightens, must not become weaker where an older or newer engine reads its patterns otherwise.
#[derive(Clone, Debug)]
struct Pattern(Option<Regex>);

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl Compiled {
    fn new(rule: &Rule) -> Compiled {
        let Match { tool, effect, args, labels } = &rule.matches;
        Compiled {
            tool: tool.as_ref().map(|glob| Pattern(regex_of_glob(glob).ok())),
            effect: *effect,
            args: args.iter().map(|(name, pattern)| (name.clone(), Pattern(whole(pattern).ok()))).collect(),
            labels: (!labels.is_empty()).then(|| labels_of(labels).unwrap_or(Labels { untrusted: true, secret: true })),
            verdict: rule.verdict,
        }
    }

    fn is_about(&self, call: &Call<'_>) -> bool {
        self.may_be_about(call, &Unknown::default())
    }

    /// Whether it is about the call for some value of what is not known.
    fn may_be_about(&self, call: &Call<'_>, unknown: &Unknown) -> bool {
        let arg_fits = |(name, pattern): &(String, Pattern)| match call.args.and_then(|args| args.get(name)) {
            _ if unknown.args.contains(name) => true,
            Some(Value::String(text)) => pattern.fits(text),
            Some(other) => pattern.fits(&other.to_string()),
            None => false,
        };
        let has = call.labels.union(unknown.labels);
        let shares = |labels: Labels| labels.untrusted && has.untrusted || labels.secret && has.secret;
        self.tool.as_ref().is_none_or(|tool| tool.fits(call.tool))
            && (self.effect.is_none() || call.effect.is_none() || self.effect == call.effect)
            && self.args.iter().all(arg_fits)
            && self.labels.is_none_or(shares)
    }
}

impl Rule {
    /// What is wrong with it: patterns that cannot be read, labels that are none, examples that it contradicts. An example's
    /// tool is taken to have the effect that the rule names.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(Err(why)) = self.matches.tool.as_deref().map(regex_of_glob) {
            problems.push(format!("the tool pattern cannot be read: {why}"));
        }
        for (name, pattern) in &self.matches.args {
            if let Err(why) = whole(pattern) {
                problems.push(format!("the pattern of `{name}` cannot be read: {why}"));
            }
        }
        problems.extend(labels_of(&self.matches.labels).err());
        if !problems.is_empty() {
            return problems;
        }
        let compiled = Compiled::new(self);
        for (index, example) in self.examples.iter().enumerate() {
            problems.extend(example.contradiction(&compiled).map(|problem| format!("example {index} {problem}")));
        }
        problems
    }
}

impl Example {
    fn contradiction(&self, rule: &Compiled) -> Option<String> {
        let labels = match labels_of(&self.labels) {
            Ok(labels) => labels,
            Err(problem) => return Some(format!("is wrong: {problem}")),
        };
        let call = Call { tool: &self.tool, effect: None, args: Some(&self.args), labels };
        match (self.matches.unwrap_or(true), rule.is_about(&call)) {
            (true, false) => Some(format!(
                "(`{}`) should match and does not; mend the rule, or say `matches: false` beside it",
                self.tool
            )),
            (false, true) => Some(format!("(`{}`) should not match, and does; make the rule narrower", self.tool)),
            _ => None,
        }
    }
}

fn labels_of(names: &[String]) -> Result<Labels, String> {
    let mut labels = Labels::NONE;
    for name in names {
        match name.as_str() {
            "untrusted" => labels.untrusted = true,
            "secret" => labels.secret = true,
            other => return Err(format!("`{other}` is no label; there are `untrusted` and `secret`")),
        }
    }
    Ok(labels)
}

/// `*` stands for any text.
fn regex_of_glob(glob: &str) -> Result<Regex, String> {
    let parts: Vec<_> = glob.split('*').map(regex::escape).collect();
    whole(&parts.join(".*"))
}

/// The pattern for a whole text, line breaks and all: a text must not escape a rule by its second line.
fn whole(pattern: &str) -> Result<Regex, String> {
    let read = |pattern: &str| {
        // The last line says what is wrong; those before it draw the pattern.
        let why = |e: regex::Error| {
            let message = e.to_string();
            let last = message.lines().last().unwrap_or_default().trim();
            last.trim_start_matches("error: ").to_owned()
        };
        RegexBuilder::new(pattern).dot_matches_new_line(true).build().map_err(why)
    };
    // Alone first: `a)|(?:b` would break out of what is put around it.
    read(pattern)?;
    read(&format!(r"\A(?:{pattern})\z"))
}
