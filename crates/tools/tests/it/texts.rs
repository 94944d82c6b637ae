//! The `text` family on texts and patterns that are empty, huge, malformed or hostile.

use std::collections::BTreeMap;
use std::sync::Arc;

use parkway_core::model::{Capabilities, ChatRequest, Deltas, Model, ModelError, SharedModel};
use parkway_core::tool::Tokens;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::project::Project;

fn call(name: &str, input: Value) -> Value {
    Project::new().call(name, input).unwrap()
}

#[test]
fn a_match_says_where_it_is() {
    let found = call("text.match", json!({"text": "größe 12 cm\nund 7 kg", "pattern": r"(?<n>\d+) (cm|kg)( x)?"}));
    assert_eq!(
        found,
        json!({"matches": [
            {"text": "12 cm", "start": 6, "end": 11, "line": 1, "groups": {"n": "12", "2": "cm", "3": null}},
            {"text": "7 kg", "start": 16, "end": 20, "line": 2, "groups": {"n": "7", "2": "kg", "3": null}},
        ], "more": false})
    );
    let first = call("text.match", json!({"text": "aaa", "pattern": "a", "limit": 2}));
    assert_eq!((first["matches"].as_array().unwrap().len(), &first["more"]), (2, &json!(true)));
    assert_eq!(call("text.match", json!({"text": "", "pattern": "a"})), json!({"matches": [], "more": false}));
    assert_eq!(call("text.match", json!({"text": "äö", "pattern": ""}))["matches"].as_array().unwrap().len(), 3);
    // An engine that tries again would not come to an end.
    let hostile = json!({"text": "a".repeat(1 << 20), "pattern": "(a+)+$|(a|a)*b"});
    assert_eq!(call("text.match", hostile)["matches"][0]["end"], 1 << 20);
}

#[test]
fn a_pattern_that_cannot_be_read_says_where() {
    let project = Project::new();
    let refused = |pattern: &str| project.refused("text.match", json!({"text": "a", "pattern": pattern}));
    insta::assert_snapshot!(refused("ab(c"), @r#"pattern: pattern `ab(c` cannot be read at character 3: unclosed group; there are no look-around and no back-references here, and a character with a meaning of its own takes a `\` before it"#);
    insta::assert_snapshot!(refused("größe(?=x)"), @r#"pattern: pattern `größe(?=x)` cannot be read at character 6: look-around, including look-ahead and look-behind, is not supported; there are no look-around and no back-references here, and a character with a meaning of its own takes a `\` before it"#);
    insta::assert_snapshot!(refused(r"(a)\1"), @r#"pattern: pattern `(a)\1` cannot be read at character 4: backreferences are not supported; there are no look-around and no back-references here, and a character with a meaning of its own takes a `\` before it"#);
    insta::assert_snapshot!(refused("a{2,1}"), @r#"pattern: pattern `a{2,1}` cannot be read at character 2: invalid repetition count range, the start must be <= the end; there are no look-around and no back-references here, and a character with a meaning of its own takes a `\` before it"#);
    insta::assert_snapshot!(refused("a\n(b"), @r#"
    pattern: pattern `a
    (b` cannot be read: unclosed group; there are no look-around and no back-references here, and a character with a meaning of its own takes a `\` before it
    "#);
    insta::assert_snapshot!(refused("((a{1000}){1000}){1000}"), @r#"pattern: pattern `((a{1000}){1000}){1000}` is too large when its repetitions are written out; repeat less, as `\d+` instead of `\d{1,10000}`"#);
    assert!(refused(&"(".repeat(100_000)).len() < 600);
    assert!(refused(&format!("{}{}", "(".repeat(1000), ")".repeat(1000))).starts_with("pattern: "));
    insta::assert_snapshot!(project.refused("text.match", json!({"text": "a", "pattern": "a", "limit": 10_001})), @"limit: `limit` is 10001; it goes from 1 to 10000");
    insta::assert_snapshot!(project.refused("text.match", json!({"text": "a", "pattern": "a", "limit": 0})), @"limit: `limit` is 0; it goes from 1 to 10000");
}

#[test]
fn a_literal_is_not_a_pattern() {
    let replace = |input: Value| call("text.replace", input);
    assert_eq!(
        replace(json!({"text": "a.b.c", "literal": ".", "with": "$1"})),
        json!({"text": "a$1b$1c", "replaced": 2})
    );
    assert_eq!(replace(json!({"text": "a.b.c", "pattern": ".", "with": "x"})), json!({"text": "xxxxx", "replaced": 5}));
    assert_eq!(
        replace(json!({"text": "2027-01", "pattern": r"(?<y>\d+)-(\d+)", "with": "$2/${y}, $$1"})),
        json!({"text": "01/2027, $1", "replaced": 1})
    );
    assert_eq!(
        replace(json!({"text": "aaa", "literal": "a", "with": "", "limit": 2})),
        json!({"text": "a", "replaced": 2})
    );
    assert_eq!(replace(json!({"text": "", "literal": "a", "with": "b"})), json!({"text": "", "replaced": 0}));
    assert_eq!(replace(json!({"text": "äö", "pattern": "", "with": "-"})), json!({"text": "-ä-ö-", "replaced": 3}));
    let project = Project::new();
    let refused = |input: Value| project.refused("text.replace", input);
    insta::assert_snapshot!(refused(json!({"text": "a", "literal": "", "with": "b"})), @r#"pattern: `literal` is empty, which stands everywhere; to put a text between all characters, use `pattern: ""`"#);
    insta::assert_snapshot!(refused(json!({"text": "a", "literal": "a", "pattern": "a", "with": "b"})), @"invalid: `literal` and `pattern` are both given; give one");
    insta::assert_snapshot!(refused(json!({"text": "a", "with": "b"})), @"invalid: nothing says what to replace; give `literal`, or `pattern` for a regular expression");
    insta::assert_snapshot!(refused(json!({"text": "1", "pattern": r"(\d)", "with": "$1st"})), @"group: `with` names the group `1st`, which the pattern does not have; it has 0, 1. A letter after a group needs braces, as in `${1}st`, and a dollar is `$$`");
    insta::assert_snapshot!(refused(json!({"text": "a".repeat(1 << 20), "literal": "a", "with": "b".repeat(100)})), @"too_large: the text would grow to more than 16777216 bytes (16 MiB); replace in a part of it");
}

#[test]
fn a_text_that_would_grow_is_refused_before_it_does() {
    let project = Project::new();
    let refused = |input: Value| project.refused("text.replace", input);
    let text = "a".repeat(10 << 20);
    let (grows, many) =
        (refused(json!({"text": text, "pattern": "(?s).+", "with": "$0".repeat(100)})), "$0".repeat(100_000));
    insta::assert_snapshot!(grows, @"too_large: the text would grow to more than 16777216 bytes (16 MiB); replace in a part of it");
    insta::assert_snapshot!(refused(json!({"text": text, "pattern": "(?s).+", "with": many})), @"group: `with` names groups more than 100 times; replace in several steps");
    assert!(refused(json!({"text": "a", "pattern": "a", "with": "${}"})).starts_with("group: "));
    let kept = json!({"text": "a", "pattern": "(?<x>a)(b)?", "with": "$ $0-${1}1$x $2$$0 ${x$"});
    assert_eq!(call("text.replace", kept)["text"], "$ a-a1a $0 ${x$");
    let literal = json!({"text": "aaaaa", "literal": "aa", "with": "$0"});
    assert_eq!(call("text.replace", literal), json!({"text": "$0$0a", "replaced": 2}));
}

#[test]
fn a_pattern_of_many_groups_is_refused() {
    let project = Project::new();
    let groups = |count: usize| json!({"text": "a", "pattern": "()".repeat(count), "with": ""});
    insta::assert_snapshot!(project.refused("text.replace", groups(8_000)), @"pattern: pattern `()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()…` has more than 100 groups; write `(?:…)` where a group need not be told");
    assert!(project.call("text.replace", groups(100)).is_ok());
    let nested = json!({"text": "a".repeat(1 << 20), "pattern": format!("{}a+{}", "(".repeat(90), ")".repeat(90))});
    assert!(project.refused("text.match", nested).starts_with("too_large: "));
}

#[test]
fn matches_that_look_at_all_that_follows_come_to_an_end() {
    let project = Project::new();
    let hostile = json!({"text": "A".repeat(100_000), "pattern": ".*[^A-Z]|[A-Z]", "limit": 10_000});
    insta::assert_snapshot!(project.refused("text.match", hostile), @r#"too_long: the pattern looks at more than 135817728 bytes, as it goes through what follows a match again and again; let it have no `.*` that may find nothing behind it, no `\b` beside letters that are not ASCII, or give a part of the text"#);
}

#[test]
fn replacements_that_look_at_all_that_follows_come_to_an_end() {
    let hostile = json!({"text": "A".repeat(100_000), "pattern": ".*[^A-Z]|[A-Z]", "with": "b"});
    assert!(Project::new().refused("text.replace", hostile).starts_with("too_long: "));
    // Where a search ends soon, there may be as many as there are.
    let words = json!({"text": "word,  other ".repeat(50_000), "pattern": r"\s+|\b[a-z]+\b", "with": ""});
    assert_eq!(call("text.replace", words)["replaced"], 200_000);
}

#[test]
fn a_diff_is_that_of_diff_u() {
    let diff = |before: &str, after: &str| call("text.diff", json!({"before": before, "after": after, "context": 1}));
    let changed = diff("a\nb\nc\nd\n", "a\nB\nc\nd");
    insta::assert_snapshot!(changed["diff"].as_str().unwrap(), @r#"
    --- before
    +++ after
    @@ -1,4 +1,4 @@
     a
    -b
    +B
     c
    -d
    +d
    \ No newline at end of file
    "#);
    assert_eq!((&changed["added"], &changed["removed"], &changed["equal"]), (&json!(2), &json!(2), &json!(false)));
    assert_eq!(diff("a\n", "a\n"), json!({"diff": "", "added": 0, "removed": 0, "equal": true}));
    assert_eq!(diff("", ""), json!({"diff": "", "added": 0, "removed": 0, "equal": true}));
    assert_eq!(diff("", "a\n")["diff"], "--- before\n+++ after\n@@ -0,0 +1 @@\n+a\n");
    assert_eq!(diff("a\r\n", "a\n")["added"], 1);
}

#[test]
fn a_diff_ends_in_time_and_is_the_same_each_time() {
    let numbers = |from: u32, to: u32| (from..to).map(|n| format!("{n}\n")).collect::<String>();
    let one = json!({"before": numbers(0, 100_000), "after": numbers(1, 100_000)});
    assert_eq!(call("text.diff", one)["removed"], 1);
    let most = json!({"before": numbers(0, 2_000), "after": numbers(2_000, 4_000)});
    assert_eq!(call("text.diff", most.clone()), call("text.diff", most));
    let project = Project::new();
    let hostile = json!({"before": numbers(0, 100_000), "after": numbers(100_000, 200_000)});
    insta::assert_snapshot!(project.refused("text.diff", hostile), @"too_large: 100000 lines are to be compared with 100000, and at most 10000 together are; compare the texts in parts");
    let hostile = json!({"before": "a\n", "after": "b\n".repeat(100_000)});
    assert!(project.refused("text.diff", hostile).starts_with("too_large: "));
    let added = json!({"before": "a\nb\n", "after": format!("a\n{}b\n", "c\n".repeat(50_000)), "context": usize::MAX});
    assert_eq!(call("text.diff", added)["added"], 50_000);
}

fn texts(output: &Value) -> Vec<String> {
    output["chunks"].as_array().unwrap().iter().map(|chunk| chunk["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_chunk_ends_where_it_is_least_missed() {
    let split = |text: &str, size: usize, overlap: usize| {
        texts(&call("text.split", json!({"text": text, "size": size, "overlap": overlap})))
    };
    assert_eq!(split("One two. Three four. Five", 15, 0), ["One two. ", "Three four. ", "Five"]);
    assert_eq!(split("aaa bbb\n\nccc ddd eee", 14, 0), ["aaa bbb\n\n", "ccc ddd eee"]);
    assert_eq!(split("intro text\n# Head\nbody body", 22, 0), ["intro text\n", "# Head\nbody body"]);
    assert_eq!(split("abcdefghij", 4, 0), ["abcd", "efgh", "ij"]);
    assert_eq!(split("👨‍👩‍👧👨‍👩‍👧", 6, 0), ["👨‍👩‍👧", "👨‍👩‍👧"]);
    assert_eq!(split("one two three four", 9, 4), ["one two ", "two three", " four"]);
    assert_eq!(split("", 5, 0), [""; 0]);
    let chunk = &call("text.split", json!({"text": "ä b\nc d", "size": 4}))["chunks"][1];
    assert_eq!(chunk, &json!({"index": 1, "text": "c d", "start": 4, "end": 7, "line": 2, "size": 3}));
    let project = Project::new();
    let refused = |size: usize, overlap: usize| {
        project.refused("text.split", json!({"text": "ab👨‍👩‍👧", "size": size, "overlap": overlap}))
    };
    insta::assert_snapshot!(refused(0, 0), @"size: `size` is 0 and `overlap` 0; a chunk needs a size above 0 and above the overlap");
    insta::assert_snapshot!(refused(2, 2), @"size: `size` is 2 and `overlap` 2; a chunk needs a size above 0 and above the overlap");
    insta::assert_snapshot!(refused(3, 0), @"size: the character at 2 alone is larger than `size`, which is 3; choose a larger one");
    insta::assert_snapshot!(project.refused("text.split", json!({"text": "a".repeat(200_000), "size": 1})), @"too_many: the text gives more than 100000 chunks; choose a larger `size`");
    assert_eq!(split(&"word ".repeat(200_000), 10_000, 500).len(), 106);
    let repeated = json!({"text": "a ".repeat(100_000), "size": 100_000, "overlap": 99_999});
    insta::assert_snapshot!(project.refused("text.split", repeated), @"too_large: the chunks would have more than 67108864 bytes (64 MiB) together, as they repeat so much; choose a smaller `overlap`");
}

#[test]
fn signs_without_end_are_no_long_search_for_a_sentence() {
    let split = |text: &str, size: usize| texts(&call("text.split", json!({"text": text, "size": size})));
    let mark = ")\u{102b}";
    for (sign, count) in
        [(")", 200_000), (" ", 200_000), ("1", 200_000), (mark, 60_000), (")\u{ff9e}", 60_000), ("🇦", 60_000)]
    {
        let text = format!("One.{} two", sign.repeat(count));
        assert_eq!(split(&text, 100_000).concat(), text);
    }
    let leader = format!("Chapter one {} 7. Then more. And so on", ".".repeat(200));
    assert_eq!(split(&leader, 230), [leader.strip_suffix("And so on").unwrap(), "And so on"]);
    assert_eq!(split("He saw e.g. two of them. Then he left.", 30), ["He saw e.g. two of them. ", "Then he left."]);
}

proptest! {
    #[test]
    fn nothing_of_a_text_is_lost_in_its_chunks(
        text in "(\\PC|[ .\n#]){0,200}", size in 8_usize..60, overlap in 0_usize..7,
    ) {
        let Ok(whole) = Project::new().call("text.split", json!({"text": text, "size": size})) else {
            // A grapheme may be larger than the size.
            return Ok(());
        };
        prop_assert_eq!(texts(&whole).concat(), text.clone());
        let over = call("text.split", json!({"text": text, "size": size, "overlap": overlap}));
        let characters: Vec<char> = text.chars().collect();
        let mut end = 0;
        for chunk in over["chunks"].as_array().unwrap() {
            let place = |name: &str| usize::try_from(chunk[name].as_u64().unwrap()).unwrap();
            let (from, to) = (place("start"), place("end"));
            prop_assert!(from <= end && end - from <= overlap && to > end && to - from <= size);
            prop_assert_eq!(characters[from..to].iter().collect::<String>(), chunk["text"].as_str().unwrap());
            end = to;
        }
        prop_assert_eq!(end, characters.len());
    }

    #[test]
    fn a_diff_holds_both_texts(before in "([ab]{0,2}\n){0,12}[ab]?", after in "([ab]{0,2}\n){0,12}[ab]?") {
        let diff = call("text.diff", json!({"before": before, "after": after, "context": 1000}));
        prop_assert_eq!(&diff["equal"], &json!(before == after));
        if before != after {
            let side = |other: char| {
                let lines = diff["diff"].as_str().unwrap().split_inclusive('\n').skip(3).collect::<Vec<_>>();
                let mut text = String::new();
                for (line, next) in lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])) {
                    if !line.starts_with([other, '\\']) {
                        let cut = next.is_some_and(|next| next.starts_with('\\'));
                        text.push_str(if cut { line[1..].trim_end_matches('\n') } else { &line[1..] });
                    }
                }
                text
            };
            prop_assert_eq!(side('+'), before);
            prop_assert_eq!(side('-'), after);
        }
    }
}

/// A model whose tokens are bytes behind a template of ten, or that does not know them.
struct Bytes(Option<Capabilities>, bool);

#[async_trait::async_trait]
impl Model for Bytes {
    fn capabilities(&self) -> &Capabilities {
        self.0.as_ref().unwrap()
    }

    async fn stream(&self, _: ChatRequest) -> Result<Deltas, ModelError> {
        Err(ModelError::Unsupported("it only counts".into()))
    }

    fn count_tokens(&self, request: &ChatRequest) -> Option<usize> {
        self.1.then(|| 10 + request.messages[0].content.len())
    }
}

#[test]
fn tokens_are_those_of_the_model_that_is_named() {
    let project = Project::new();
    let mut context = project.context();
    let split = |context: &_, model: &str| {
        let input = json!({"text": "größe ist viel", "model": model, "size": 8});
        project
            .call_within("text.split_tokens", input, context)
            .map(|output| texts(&output))
            .map_err(|e| format!("{}: {e}", e.code))
    };
    insta::assert_snapshot!(split(&context, "main").unwrap_err(), @"unknown_model: no model of this run is called `main`; it has none, of those that its `chat` steps ask");
    let model = |counts| Arc::new(Bytes(None, counts)) as SharedModel;
    context.tokens = Tokens::new(BTreeMap::from([("main".into(), model(true)), ("far".into(), model(false))]));
    assert_eq!(split(&context, "main").unwrap(), ["größe ", "ist viel"]);
    insta::assert_snapshot!(split(&context, "other").unwrap_err(), @"unknown_model: no model of this run is called `other`; it has far, main, of those that its `chat` steps ask");
    insta::assert_snapshot!(split(&context, "far").unwrap_err(), @"no_tokens: the tokens of model `far` cannot be counted here; count characters instead");
    context.cancel.cancel();
    assert!(split(&context, "main").is_err());
}
