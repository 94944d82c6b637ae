//! `json.query` on queries that are wrong, hostile, or without end.

use std::time::Duration;

use parkway_core::tool::ToolError;
use serde_json::{Value, json};

use crate::project::Project;

/// What the query gives for the value, one result a line, or its error.
fn give(value: &Value, query: &str) -> String {
    said(Project::new().call("json.query", json!({"value": value, "query": query})))
}

fn said(result: Result<Value, ToolError>) -> String {
    match result {
        Ok(output) => output["results"].as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        Err(error) => {
            assert!(error.not_done, "{error}");
            format!("{}: {}", error.code, error.message)
        }
    }
}

#[track_caller]
fn ends_in(code: &str, query: &str) {
    let said = give(&Value::Null, query);
    assert!(said.starts_with(&format!("{code}: ")), "`{query:.200}` gave {said:.200}");
}

#[test]
fn a_query_gives_what_jq_gives() {
    let orders = json!({"orders": [
        {"id": "A-1", "total": 12.5, "tags": ["new"]}, {"id": "A-2", "total": 3, "tags": []}, {"id": "A-3", "total": 40},
    ]});
    for (query, expected) in [
        (".orders[0].id", r#""A-1""#),
        (".orders[] | select(.total > 10) | .id", "\"A-1\"\n\"A-3\""),
        (".orders | map(.total) | add", "55.5"),
        (".nothing", "null"),
        (".orders[] | .tags[]?", r#""new""#),
        ("empty", ""),
        ("[.orders[] | {id, big: (.total >= 10)}] | group_by(.big) | map(length)", "[1,2]"),
        (r#".orders | map({(.id): .total}) | add"#, r#"{"A-1":12.5,"A-2":3,"A-3":40}"#),
        (r#""\(.orders | length) orders""#, r#""3 orders""#),
        (".orders[1].total |= . * 2 | .orders[1].total", "6"),
        (".orders[0].total *= 2 | .orders[0].total", "25.0"),
        ("[.orders[].id] | sort | reverse | join(\", \")", r#""A-3, A-2, A-1""#),
        ("[paths] | length", "13"),
        ("del(.orders[1:]) | .orders | length", "1"),
        ("[.orders[] | .id as $id | {$id}] | last", r#"{"id":"A-3"}"#),
        (". as {orders: [{id: $x}]} | $x", r#""A-1""#),
        (". as {$orders, (\"orders\"): [$y]} | $y.id, ($orders | length)", "\"A-1\"\n3"),
        (".orders as [{\"\\(\"id\")\": $x}] | $x", r#""A-1""#),
        ("[.orders[].id | capture(\"(?<l>[A-Z])-(?<n>[0-9])\") | .n | tonumber]", "[1,2,3]"),
        (".orders[0] | to_entries | map(.key)", r#"["id","total","tags"]"#),
        ("[.. | numbers]", "[12.5,3,40]"),
        ("walk(if type == \"number\" then . + 1 else . end) | .orders[1].total", "4"),
        ("try error(\"x\") catch .", r#""x""#),
        ("[limit(3; repeat(1))]", "[1,1,1]"),
        ("label $out | 1, break $out, 2", "1"),
        ("[1,[2]] | contains([2]), indices(1), flatten", "false\n[0]\n[1,2]"),
        (
            "@base64 \"\\(.orders[0].id)\", (\"a,b\" | split(\",\")), ([1,2] | @json)",
            "\"QS0x\"\n[\"a\",\"b\"]\n\"[1,2]\"",
        ),
        ("def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 20 | fac", "2432902008176640000"),
        ("def up: if . >= 100000 then . else . + 1 | up end; 0 | up", "100000"),
        ("0 | todate, (\"2027-01-31T10:00:00Z\" | fromdate)", "\"1970-01-01T00:00:00Z\"\n1801389600"),
    ] {
        assert_eq!(give(&orders, query), expected, "{query}");
        assert_eq!(give(&orders, query), expected, "the second time: {query}");
    }
}

#[test]
fn arguments_are_variables() {
    let project = Project::new();
    let call = |query: &str| {
        said(
            project
                .call("json.query", json!({"value": [1, 5, 9], "query": query, "args": {"least": 4, "by": {"n": 2}}})),
        )
    };
    assert_eq!(call("map(select(. > $least) * $by.n)"), "[10,18]");
    insta::assert_snapshot!(call("$leest"), @"query: there is no variable `$leest`, at character 1 of the query; `args` has $by, $least");
}

#[test]
fn numbers_do_not_change() {
    let value = json!([9_007_199_254_740_993_i64, u64::MAX, i64::MIN, 0.1, 1e300, 1.5]);
    assert_eq!(give(&value, "."), value.to_string());
    assert_eq!(give(&value, ".[0] + 1"), "9007199254740994");
    assert_eq!(give(&value, ".[1] | tojson | fromjson"), u64::MAX.to_string());
    assert_eq!(give(&value, "1.10, 1e2, -0.5e-3"), "1.1\n100.0\n-0.0005");
    insta::assert_snapshot!(give(&value, ".[1] + 1"), @"not_json: result 0 of the query: 18446744073709551616 does not fit a number here; keep it as a text with `tostring`");
    insta::assert_snapshot!(give(&value, "0.30000000000000000001"), @"not_json: result 0 of the query: 0.30000000000000000001 does not fit a number here; keep it as a text with `tostring`");
    insta::assert_snapshot!(give(&value, "1, nan"), @"not_json: result 1 of the query: NaN is no number in JSON; test it with `isnormal` before");
    assert_eq!(give(&value, ".[1] + 1 | tostring"), "\"18446744073709551616\"");
}

#[test]
fn a_query_that_cannot_be_read_says_where() {
    let give = |query: &str| give(&json!({"a": 1}), query);
    insta::assert_snapshot!(give(""), @"query: query `` cannot be read: term expected at character 1, not the end; the language is that of jq, which `man jq` describes");
    insta::assert_snapshot!(give(".a | "), @"query: query `.a | ` cannot be read: term expected at character 6, not the end; the language is that of jq, which `man jq` describes");
    insta::assert_snapshot!(give("[.a"), @"query: query `[.a` cannot be read: closing bracket expected at character 4, not the end; the language is that of jq, which `man jq` describes");
    insta::assert_snapshot!(give(".a\n| mäp(.)"), @"
    query: query `.a
    | mäp(.)` cannot be read: token expected at line 2, column 4, not `äp(.)`; the language is that of jq, which `man jq` describes
    ");
    insta::assert_snapshot!(give(".a\n  | mapp(.; 1)"), @"query: there is no filter `mapp` with 2 arguments, at line 2, column 5 of the query");
    insta::assert_snapshot!(give("import \"x\" as x; 1"), @r#"query: query `import "x" as x; 1` cannot be read: nothing expected at character 8, not `"x"`; the language is that of jq, which `man jq` describes"#);
    insta::assert_snapshot!(give(".a.b"), @"failed: the query failed: cannot index 1 with \"b\"; `.x?` and `// null` pass over what is not there");
    insta::assert_snapshot!(give("error(\"no total\")"), @"failed: the query failed: no total; `.x?` and `// null` pass over what is not there");
    insta::assert_snapshot!(give("{(.a): 1}"), @"not_json: result 0 of the query: the name of a field is 1, and JSON has only texts there; use `tostring`");
    insta::assert_snapshot!(give("[255] | tobytes"), @"not_json: result 0 of the query: bytes are no JSON; turn them into text with `@base64`");
    insta::assert_snapshot!(give("\"/w==\" | @base64d"), @"not_json: result 0 of the query: a text is not UTF-8; keep it as `@base64` has it");
}

#[test]
fn nothing_but_the_value_is_seen() {
    for query in [
        "env",
        "now",
        "input",
        "inputs",
        "halt",
        "halt_error",
        "debug",
        "debug(1)",
        "stderr",
        "$ENV",
        "input_filename",
        "localtime",
        "strflocaltime(\"%Z\")",
        "input_line_number",
        "$__prog_args",
        "get_search_list",
    ] {
        ends_in("query", query);
    }
    insta::assert_snapshot!(give(&Value::Null, "now"), @"query: there is no filter `now` without arguments, at character 1 of the query; a query sees only its value and `args`");
}

#[test]
fn a_query_without_end_ends() {
    for query in [
        "def f: f; f",
        "[range(1e18)]",
        "[repeat(1)]",
        r#"reduce range(1e12) as $x (""; . + "a")"#,
        "try [repeat(1)] catch 1",
        "[range(500)] | [.[] as $a | .[] as $b | .[] as $c | .[] as $d | empty]",
        "[range(100)] | combinations(9) | empty",
        r#"("a" * 100000) | test("((a{100}){100}){10}b")"#,
        "[range(100000)|0] | indices([range(50000)|0])",
    ] {
        ends_in("too_long", query);
    }
    ends_in("too_many", "repeat(1)");
    ends_in("too_large", "repeat(\"a\" * 1000000)");
}

#[test]
fn a_stack_that_would_overflow_is_an_error() {
    // No definition calls itself here, and yet the calls are nested 2^17 deep.
    let twice = |n| format!("def f{}(f): f{n}(f{n}(f));", n + 1);
    let nested = format!("def f0(f): 1 + f; {} f17(1)", (0..17).map(twice).collect::<String>());
    for query in [
        "def f: [f]; f",
        "def f: f|f; f",
        "def f: 1 + f; f",
        "def f: try f catch f; f",
        "def f: walk(f); f",
        "def f: (.. |= f); f",
        "repeat(.) |= .",
        "recurse(.) |= .",
        "(reduce range(1e9) as $x (.; .)) |= 1",
        "reduce range(100000) as $i (.; [.])",
        &nested,
    ] {
        ends_in("too_deep", query);
    }
    let mut deep = json!(1);
    for _ in 0..500 {
        deep = json!([deep]);
    }
    insta::assert_snapshot!(give(&deep, "."), @"too_deep: `value` is nested more than 256 deep; query a part of it");
    ends_in("failed", r#""[" * 100000 | fromjson"#);
    for unit in
        ["[", "(", "{", "\"\\(", "-", "try ", ".|", "if . then ", "1+", "def a: ", "reduce ", "1 as $x|", "1//", ".a|="]
    {
        let query = unit.repeat(16_000 / unit.len());
        let said = give(&Value::Null, &format!("{query}1"));
        assert!(!said.starts_with("internal"), "{unit}: {said:.200}");
    }
    ends_in("query", &"[".repeat(20_000));
}

#[test]
fn a_value_that_would_fill_the_memory_is_an_error() {
    for query in [
        r#""a" * 1e15"#,
        r#""a" * 1000000000 | length"#,
        r#"reduce range(60) as $i ("a"; . + .)"#,
        r#"reduce range(60) as $i ("aaa"; . * 3)"#,
        "reduce range(60) as $i (1; [., .]) | tojson",
        "reduce range(60) as $i ([1]; . + .)",
        "reduce range(60) as $i (10; . * .)",
    ] {
        ends_in("too_large", query);
    }
    insta::assert_snapshot!(give(&Value::Null, "range(10001)"), @"too_many: the query gives more than 10000 results; use `limit(10000; …)`, or select less");
    ends_in("failed", r#"0 | strftime("%99999999d")"#);
    assert_eq!(give(&json!(0), r#"strftime("%d.%m.2027 %Y")"#), r#""01.01.2027 1970""#);
    ends_in("failed", r#""2027-01-31 10:00 Europe/Berlin" | strptime("%Y-%m-%d %H:%M %Q")"#);
}

#[track_caller]
fn is_too_much(query: &str) {
    let said = give(&Value::Null, query);
    let too_much = ["too_large: ", "too_long: "].iter().any(|code| said.starts_with(code));
    assert!(too_much, "`{query:.200}` gave {said:.200}");
}

#[test]
fn what_is_put_into_a_text_is_counted_as_it_grows() {
    let parts = r"\(.)".repeat(3_000);
    is_too_much(&format!(r#"("a" * 30000000) | "{parts}""#));
    is_too_much(&format!(r#"("a" * 30000000) | {{"{parts}": 1}}"#));
    is_too_much(&format!(r#"("a" * 30000000) | @text "{parts}""#));
    let value = json!({"a": [1, "x"], "b": "ä/b/c"});
    insta::assert_snapshot!(give(&value, r#""<\(.a) \(.b, 2)\n\(1, 2)>", @json "[\(.b)]", {"b"}, {"\("b")"}, """#), @r#"
    "<[1,\"x\"] ä/b/c\n1>"
    "<[1,\"x\"] ä/b/c\n2>"
    "<[1,\"x\"] 2\n1>"
    "<[1,\"x\"] 2\n2>"
    "[\"ä/b/c\"]"
    {"b":"ä/b/c"}
    {"b":"ä/b/c"}
    ""
    "#);
}

#[test]
fn matches_are_counted_before_all_are_made() {
    is_too_much(r#"("a" * 30000000) | [match(""; "g")] | length"#);
    ends_in("failed", r#""a" | test("()" * 30000)"#);
}

#[test]
fn matches_that_look_at_all_that_follows_are_counted() {
    ends_in("too_long", r#"("A" * 100000) | [match(".*[^A-Z]|[A-Z]"; "g")] | length"#);
}

#[test]
fn pieces_of_a_text_are_counted_before_they_are_made() {
    is_too_much(r#"("a" * 30000000) / "" | length"#);
    is_too_much(r#"("a" * 30000000) | split("a") | length"#);
    is_too_much(r#"("a" * 30000000) | . /= "" | length"#);
    is_too_much(r#"("a" * 30000000) | [splits("")] | length"#);
    is_too_much(r#"("a" * 30000000) | explode | length"#);
    ends_in("failed", r#"0 | strftime("%255d" * 100000)"#);
    insta::assert_snapshot!(give(&json!("a//b\n"), r#"./"/", ./"", (. / "a" | length), (. /= "/" | .[0]), 6 / 4"#), @r#"
    ["a","","b\n"]
    ["a","/","/","b","\n"]
    2
    "a"
    1.5
    "#);
}

#[test]
fn a_list_is_no_place_in_a_list() {
    for query in [
        "[range(200000) | 0] as $a | $a | has($a[:100000])",
        "[range(200000) | 0] as $a | $a[:100000] | in($a)",
        "[range(200000) | 0] as $a | $a | . as {($a[:100000]): $x} | $x",
        "[range(200000) | 0] as $a | $a[$a[:100000]]",
    ] {
        ends_in("failed", query);
    }
    assert_eq!(
        give(&json!([{"a": 1}, [1]]), r#"(.[0] | has("a", "b")), (.[1] | has(0, 1))"#),
        "true\nfalse\ntrue\nfalse"
    );
}

#[test]
fn a_search_gives_what_that_of_jq_gives() {
    let give = |query: &str| give(&json!("größe 12, GRÖSSE 7"), query);
    insta::assert_snapshot!(give(r#"match("(?<n>\\d)(x)?"; "g") | tojson"#), @r#"
    "{\"offset\":6,\"length\":1,\"string\":\"1\",\"captures\":[{\"offset\":6,\"length\":1,\"string\":\"1\",\"name\":\"n\"}]}"
    "{\"offset\":7,\"length\":1,\"string\":\"2\",\"captures\":[{\"offset\":7,\"length\":1,\"string\":\"2\",\"name\":\"n\"}]}"
    "{\"offset\":17,\"length\":1,\"string\":\"7\",\"captures\":[{\"offset\":17,\"length\":1,\"string\":\"7\",\"name\":\"n\"}]}"
    "#);
    insta::assert_snapshot!(give(r#"[match("e (.)"; "i")] | map(.captures[0].offset), length"#), @"
    [6]
    1
    ");
    insta::assert_snapshot!(give(r#"[splits(",? +")], sub("(?<d>[0-9]+)"; "<\(.d)>"), gsub("e"; "E"; "i")"#), @r#"
    ["größe","12","GRÖSSE","7"]
    "größe <12>, GRÖSSE 7"
    "größE 12, GRÖSSE 7"
    "#);
    insta::assert_snapshot!(give(r#"[scan("[0-9]+")], test("SSE"), test("S S E"; "x"), [match(""; "gn")], split("E"; "i")"#), @r#"
    ["12","7"]
    true
    true
    []
    ["größ"," 12, GRÖSS"," 7"]
    "#);
    insta::assert_snapshot!(give(r#"capture("(?<word>\\w+) (?<number>\\d+)"), [match("o.*"; "l").string]"#), @r#"
    {"word":"größe","number":"12"}
    []
    "#);
    insta::assert_snapshot!(give(r#"try test("(") catch ., try test("a"; "q") catch ., try (1 | test("a")) catch ."#), @r#"
    "pattern `(` cannot be read at character 1: unclosed group; there are no look-around and no back-references here, and a character with a meaning of its own takes a `\\` before it"
    "invalid regex flag: q"
    "cannot use 1 as string"
    "#);
}

#[test]
fn a_query_is_not_waited_for_longer_than_its_step() {
    let project = Project::new();
    let mut context = project.context();
    context.deadline = Some(context.now.after(Duration::from_millis(50)));
    let endless = json!({"value": null, "query": "[range(1e18)]"});
    for _ in 0..8 {
        let error = project.call_within("json.query", endless.clone(), &context).unwrap_err();
        assert!(["timeout", "busy"].contains(&error.code.as_str()) && error.retryable, "{error}");
    }
    // An evaluation that nobody waits for ends at its next call, so that others are taken.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(give(&Value::Null, "1"), "1");
}
