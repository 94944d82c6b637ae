//! Names of tools, as servers take them: ours hold dots, theirs `[a-zA-Z0-9_-]{1,64}` alone.

use std::collections::{BTreeMap, BTreeSet};

use parkway_core::model::ChatRequest;

const LONGEST: usize = 64;

/// The names of a request's tools, here and at the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    theirs: BTreeMap<String, String>,
    ours: BTreeMap<String, String>,
}

impl Names {
    /// The names of all tools that a request offers or speaks of.
    pub(crate) fn of(request: &ChatRequest) -> Self {
        let offered = request.tools.iter().map(|tool| &tool.name);
        let called = request.messages.iter().flat_map(|message| &message.tool_calls).map(|call| &call.name);
        let all: BTreeSet<&String> = offered.chain(called).collect();
        let mut names = Names::default();
        // Those that can stay as they are come first, so that no other one takes their place.
        let (fit, unfit): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| fits(name));
        for name in fit {
            names.add(name, name.clone());
        }
        for name in unfit {
            let plain: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).take(LONGEST).collect();
            let plain = if plain.is_empty() { "_".to_owned() } else { plain };
            let free = |candidate: &String| !names.ours.contains_key(candidate);
            let numbered = (2u32..).map(|n| {
                let end = format!("_{n}");
                format!("{}{end}", &plain[..plain.len().min(LONGEST - end.len())])
            });
            if let Some(theirs) = std::iter::once(plain.clone()).chain(numbered).find(free) {
                names.add(name, theirs);
            }
        }
        names
    }

    fn add(&mut self, ours: &str, theirs: String) {
        self.ours.insert(theirs.clone(), ours.to_owned());
        self.theirs.insert(ours.to_owned(), theirs);
    }

    /// What the server calls it.
    pub(crate) fn theirs<'a>(&'a self, ours: &'a str) -> &'a str {
        self.theirs.get(ours).map_or(ours, String::as_str)
    }

    /// What we call it; a name that the server made up stays as it is.
    pub(crate) fn ours<'a>(&'a self, theirs: &'a str) -> &'a str {
        self.ours.get(theirs).map_or(theirs, String::as_str)
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn fits(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use parkway_core::model::ToolDefinition;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn names(all: &[String]) -> Names {
        let mut request = ChatRequest::new(Vec::new());
        let tool =
            |name: &String| ToolDefinition { name: name.clone(), description: String::new(), parameters: json!({}) };
        request.tools = all.iter().map(tool).collect();
        Names::of(&request)
    }

    #[test]
    fn dots_are_written_otherwise_and_no_two_tools_are_taken_for_one() {
        let all = ["files.read", "files_read", "files:read", "plain-1"].map(str::to_owned);
        let names = names(&all);
        let theirs: Vec<_> = all.iter().map(|name| names.theirs(name)).collect();
        assert_eq!(theirs, ["files_read_2", "files_read", "files_read_3", "plain-1"]);
        assert_eq!(names.ours("made_up"), "made_up");
    }

    proptest! {
        #[test]
        fn each_name_comes_back(all in prop::collection::vec("[a-c._:é-]{0,3}|[a-c.]{60,70}", 0..20)) {
            let names = names(&all);
            for name in &all {
                prop_assert!(fits(names.theirs(name)), "{}", names.theirs(name));
                prop_assert_eq!(names.ours(names.theirs(name)), name);
            }
        }
    }
}
