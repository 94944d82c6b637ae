//! What templates do, from the outside.

use proptest::prelude::*;
use serde_json::json;

use super::library::{FILTERS, FUNCTIONS, TESTS};
use super::*;

fn context() -> minijinja::Value {
    minijinja::Value::from(minijinja::value::Serde(json!({
        "steps": { "load": { "output": { "rows": [1, 2], "ok": true, "text": "a${{ 1 }}b" } } },
        "inputs": { "name": "x" },
    })))
}

#[track_caller]
fn check(template: Template<'_>, expected: Result<Value, &str>) {
    let result = template.evaluate(&context());
    match (result, expected) {
        (Ok(value), Ok(expected)) => assert_eq!(value, expected),
        (Err(error), Err(expected)) => assert!(error.message.contains(expected), "{error}"),
        (result, expected) => panic!("{result:?} is not {expected:?}"),
    }
}

#[test]
fn one_expression_keeps_its_type() {
    check(Template::Value(&json!("${{ steps.load.output.rows }}")), Ok(json!([1, 2])));
    check(Template::Value(&json!({"a": [" ${{ steps.load.output.ok }} "]})), Ok(json!({"a": [true]})));
}

#[test]
fn text_prints_json() {
    check(Template::Value(&json!("rows ${{ steps.load.output.rows }}!")), Ok(json!("rows [1,2]!")));
    check(Template::Text("${{ steps.load.output.ok }} ${{ none }}"), Ok(json!("true null")));
    check(Template::Value(&json!("${{ inputs.name }} ${{ inputs.name }}")), Ok(json!("x x")));
}

#[test]
fn values_are_not_templates() {
    check(Template::Text("${{ steps.load.output.text }}"), Ok(json!("a${{ 1 }}b")));
}

#[test]
fn the_mark_itself_can_be_written() {
    check(Template::Text("$${{ 1 }}"), Ok(json!("${{ 1 }}")));
}

#[test]
fn undefined_is_an_error_at_top_level_too() {
    check(Template::Value(&json!("${{ inputs.nam }}")), Err("`inputs` has no field `nam`; it has name, in"));
    check(Template::Text("a ${{ inputs.nam }}"), Err("`inputs` has no field `nam`"));
    check(Template::Expression("nothing"), Err("nothing is called `nothing` here"));
}

#[test]
fn expressions_may_be_wrapped_or_bare() {
    check(Template::Expression("steps.load.output.rows | length == 2"), Ok(json!(true)));
    check(Template::Expression(" ${{ steps.load.output.ok }} "), Ok(json!(true)));
    check(Template::Expression("x ${{ true }}"), Err("no text around it"));
    check(Template::Expression("${{ true }} and ${{ true }}"), Err("no text around it"));
}

#[test]
fn mistakes_have_words() {
    check(Template::Text("${{ 1 "), Err("not closed"));
    check(Template::Value(&json!("${{ 1 | nofilter }}")), Err("nofilter"));
    check(Template::Value(&json!("${{ a && b }}")), Err("`&&` means nothing in an expression, in `${{ a && b }}`"));
}

#[test]
fn endless_work_is_stopped() {
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}";
    check(Template::Text(loops), Err("fuel"));
    let deep = "(".repeat(5_000);
    assert!(Template::Expression(&deep).evaluate(&context()).is_err());
}

#[test]
fn a_value_that_could_not_be_read_back_is_refused() {
    let deep = (0..100).fold(json!(1), |value, _| json!([value]));
    check(Template::Value(&deep), Err("nests deeper than 64 levels"));
}

#[test]
fn a_filter_cannot_take_all_the_memory() {
    for hostile in ["'a' | indent(99999999999999999)", "'%.99999999999f' | format(1.0)", "'a' * 99999999999"] {
        assert!(Template::Expression(hostile).evaluate(&context()).is_err(), "{hostile}");
    }
}

#[test]
fn references_are_whole_paths() {
    let value = json!({"a": "${{ steps.load.output.rows | map('upper') }}", "b": ["x ${{ item.path }}"]});
    let names: Vec<_> = Template::Value(&value)
        .references()
        .unwrap()
        .into_iter()
        .map(|r| format!("{}:{}", r.root, r.path.join(".")))
        .collect();
    assert_eq!(names, ["item:path", "steps:load.output.rows"]);
}

#[test]
fn every_row_of_the_library_does_what_it_says() {
    for row in FILTERS.iter().chain(TESTS).chain(FUNCTIONS) {
        let value = Template::Expression(row.example).evaluate(&context());
        // Compared as numbers of the values, where 60.0 is 60.
        let expected = Template::Expression(row.result).evaluate(&context());
        assert_eq!(value, expected, "{}", row.example);
        assert!(row.example.contains(row.name) && row.form.contains(row.name), "{}", row.name);
        let inspected = Template::Expression(row.example).inspect(&mut |_| None);
        assert!(inspected.problems.is_empty(), "{}: {:?}", row.example, inspected.problems);
        let value: Value = serde_json::from_str(row.result).unwrap();
        assert!(
            infer::apart(&inspected.result, &Type::of_value(&value)).is_none(),
            "{} gives no {}",
            row.name,
            inspected.result
        );
    }
    for rows in [FILTERS, TESTS, FUNCTIONS] {
        assert!(rows.is_sorted_by_key(|row| row.name));
    }
}

/// What is known in these tests, as the checker would tell it.
fn known(reference: &Reference) -> Option<Type> {
    let row = Type::object([("ok", Type::Bool), ("n", Type::Integer), ("name", Type::TEXT)]);
    let output = Type::object([("rows", Type::list(row)), ("total", Type::Number), ("kind", Type::one_of(["a", "b"]))]);
    let status = Type::one_of(["completed", "skipped", "failed"]);
    match (reference.root.as_str(), reference.step()) {
        ("inputs", _) => Some(Type::object([("name", Type::TEXT), ("count", Type::Integer), ("free", Type::Any)])),
        ("item", _) => Some(Type::TEXT),
        ("steps", Some("load")) => Some(Type::object([("status", status), ("output", output.or_null())])),
        _ => None,
    }
}

/// The codes, places and messages of what is wrong, or the type of what it gives.
#[track_caller]
fn inspects(text: &str, expected: &str) {
    let template =
        if text.contains("${{") || text.contains("{%") { Template::Leaf(text) } else { Template::Expression(text) };
    let inspected = template.inspect(&mut known);
    let shown = |p: &Problem| {
        let help = p.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
        let (line, column) = p.span.line_column(text);
        format!("{}{line}:{column} {}: {}{help}", if p.warning { "warning " } else { "" }, p.code, p.message)
    };
    let found = match inspected.problems.as_slice() {
        [] => inspected.result.to_string(),
        problems => problems.iter().map(shown).collect::<Vec<_>>().join("\n"),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_name_that_is_misspelt_is_found_where_it_stands() {
    inspects("steps.load.output.tota", "1:19 unknown-field: `output` has no field `tota` | did you mean `total`?");
    inspects("steps.load.output['total'] + 1", "a number");
    inspects("ab ${{ inputs.nam }}", "1:15 unknown-field: `inputs` has no field `nam` | did you mean `name`?");
    inspects(
        "a\n  ${{ 1 }} ${{\n inputs.xyz }}",
        "3:9 unknown-field: `inputs` has no field `xyz` | it has count, free, name",
    );
    inspects("inputs.free.what.ever", "any value");
    inspects("inputs.nope | default('x')", "any value");
    inspects("inputs.nope is defined", "true or false");
    inspects("get(steps.load, 'output.rows', [])", "a list, each of it an object with n, name, ok, or a list");
}

#[test]
fn lists_are_followed_through_filters() {
    inspects("steps.load.output.rows | selectattr('ok') | map(attribute='n') | sum", "a whole number");
    inspects(
        "steps.load.output.rows | map(attribute='nam')",
        "1:40 unknown-field: the elements have no field `nam` | did you mean `name`?",
    );
    inspects(
        "steps.load.output.rows | map('name')",
        "1:30 unknown-filter: no filter is called `name` | for a field of each element, write `map(attribute='name')`",
    );
    inspects("(steps.load.output.rows | first).name | upper", "a text");
    inspects(
        "steps.load.output.rows[0].nope",
        "1:27 unknown-field: this value has no field `nope` | did you mean `name`?",
    );
    inspects(
        "steps.load.output.rows.n",
        "1:24 unknown-field: `rows` is a list, and has no field `n` | write `rows[0].n` for one, `rows | map(attribute='n')` for each",
    );
    inspects(
        "{% for r in steps.load.output.rows %}${{ r.nam }}{% endfor %}",
        "1:44 unknown-field: `r` has no field `nam` | did you mean `name`?",
    );
    inspects(
        "{% set t = steps.load.output %}${{ t.tota }}",
        "1:38 unknown-field: `t` has no field `tota` | did you mean `total`?",
    );
    inspects("inputs.count | join", "1:1 bad-operands: `join` needs a list, not a number");
}

#[test]
fn comparisons_that_cannot_be_true_are_found() {
    inspects("steps.load.status == 'complete'", "1:22 not-in-enum: it is never 'complete' | did you mean `completed`?");
    inspects(
        "steps.load.status in ['completed', 'skiped']",
        "1:36 not-in-enum: it is never 'skiped' | did you mean `skipped`?",
    );
    inspects(
        "inputs.count == '5'",
        "1:1 never-equal: a number and a text are never equal | write a number without quotes; `text | int` makes one of a text",
    );
    inspects(
        "inputs.name > 5",
        "1:1 bad-operands: a text is not compared with a number by `>` | write `text | int` or `text | float` for the number that a text says",
    );
    inspects(
        "'n: ' + inputs.count",
        "1:1 bad-operands: `+` does not work between a text and a number | write `~` to join texts, or `value | int` for a number",
    );
    inspects(
        "steps.load.output.rows | selectattr('name', 'eq', 5)",
        "1:37 never-equal: a text and a number are never equal | write a number without quotes; `text | int` makes one of a text",
    );
    // Where it cannot be known, nothing is said.
    inspects("inputs.free == 5 and inputs.free > 'a' and steps.other.output == 'x' and 'a' == 'b'", "true or false");
    inspects("steps.load.output == none or none == inputs.name", "true or false");
    inspects("1 < inputs.count <= 3", "true or false");
}

#[test]
fn habits_of_other_languages_get_the_right_form() {
    for (text, expected) in [
        ("a && b", "1:3 template: `&&` means nothing in an expression | write `and` in place of `&&`"),
        ("a || b", "1:3 template: `||` means nothing in an expression | write `or` in place of `||`"),
        ("!inputs.free", "1:1 template: `!` means nothing in an expression | write `not` in place of `!`"),
        (
            "inputs.free ? 1 : 2",
            "1:13 template: `?` means nothing in an expression | write `A if B else C` in place of `B ? A : C`",
        ),
        ("inputs.free === 1", "1:13 template: `===` means nothing in an expression | write `==` in place of `===`"),
        (
            "inputs.free = 1",
            "1:13 template: `=` means nothing here | write `==` to compare; a value gets a name in `{% set name = … %}`, or in a step `set`",
        ),
        (
            "steps.load.output.rows.length > 1",
            "1:24 unknown-field: `rows` is a list, and has no field `length` | write `value | length`",
        ),
        ("inputs.name.upper()", "1:1 method: values have no methods: `.upper(…)` | write `text | upper`"),
        ("len(inputs.name)", "1:1 unknown-function: no function is called `len` | write `value | length`"),
        (
            "upper(inputs.name)",
            "1:1 unknown-function: no function is called `upper` | it is a filter: write `text | upper`",
        ),
        (
            "now()",
            "1:1 unknown-function: no function is called `now` | expressions know no clock: use `run.started_at`, or a step with the tool `time.now`",
        ),
        ("inputs.name | to_jsn", "1:15 unknown-filter: no filter is called `to_jsn` | did you mean `to_json`?"),
        ("inputs.name | odd", "1:15 unknown-filter: no filter is called `odd` | it is a test: write `number is odd`"),
        ("inputs.name is null", "1:16 unknown-test: no test is called `null` | write `is none`"),
        ("[1] | select('od')", "1:14 unknown-test: no test is called `od` | did you mean `odd`?"),
        (
            "[1] | map(inputs.name)",
            "1:11 dynamic-name: the name of a filter must be written out | write 'filter' between quotes, not an expression",
        ),
        ("'a' | regex_match('[')", "1:19 bad-pattern: the pattern `[` is wrong: unclosed character class"),
        (
            "'2026-01-01' | add_time('1 day')",
            "1:25 bad-duration: `1 day` is not a duration | write a whole number and a unit: 500ms, 2s, 10m, 24h, 7d",
        ),
        (
            "'x' if inputs.free",
            "1:1 no-else: without `else`, this has no value when the condition is false | write `A if B else C`",
        ),
        (
            "steps[inputs.name].output",
            "1:1 dynamic-step: `steps` as a whole cannot be used, since the order of steps must be known before they run | write `steps.ID.output`",
        ),
        ("hello {{ inputs.name }}", "1:7 template: "),
    ] {
        if text.starts_with("hello") {
            continue;
        }
        inspects(text, expected);
    }
    let warned = Template::Text("hello {{ inputs.name }} {{ x }}").inspect(&mut known).problems;
    assert!(matches!(warned.as_slice(), [one] if one.warning && one.code == "missing-sign" && one.span.start == 6));
}

#[test]
fn blocks_that_are_not_of_the_format_are_refused() {
    for (text, expected) in [
        (
            "{% include 'x' %}",
            "1:4 unknown-block: `{% include %}` is no block of a workflow's text | a text can stand in a file of its own: `{ file: path }`",
        ),
        (
            "{% macro a() %}{% endmacro %}",
            "1:4 unknown-block: `{% macro %}` is no block of a workflow's text | put it into a step, and use its output",
        ),
        (
            "{% with a = 1 %}{% endwith %}",
            "1:4 unknown-block: `{% with %}` is no block of a workflow's text | write `{% set name = value %}`",
        ),
        (
            "{% autoescape true %}{% endautoescape %}",
            "1:4 unknown-block: `{% autoescape %}` is no block of a workflow's text | there are `if`, `for`, `set`, `break`, `continue` and `raw`",
        ),
        (
            "{% endif %}",
            "1:4 unknown-block: `{% endif %}` is no block of a workflow's text | it closes or continues a block that is not open here",
        ),
        (
            "{% whatever %}",
            "1:4 unknown-block: `{% whatever %}` is no block of a workflow's text | there are `if`, `for`, `set`, `break`, `continue` and `raw`",
        ),
        (
            "{% set steps = 1 %}",
            "1:8 shadowed-name: `steps` is the name of a root, and cannot be given another value | take another name",
        ),
        (
            "{% for item in [1] %}{% endfor %}",
            "1:8 shadowed-name: `item` is the name of a root, and cannot be given another value | take another name",
        ),
        ("{% set a.b = 1 %}", "1:10 template: only a name can be given a value here, not a part of one"),
        ("{% if true %}", "1:1 unclosed: `{% if %}` is not closed | write `{% endif %}` where it ends"),
    ] {
        inspects(text, expected);
    }
}

#[test]
fn statuses_guard_what_stands_beside_or_inside() {
    let tested = |text: &str| -> Vec<bool> {
        let inspected = Template::Text(text).inspect(&mut known);
        let outputs = inspected.uses.iter().filter(|one| one.reference.path.get(1).is_some_and(|f| f == "output"));
        outputs.map(|one| one.tested).collect()
    };
    assert_eq!(tested("${{ steps.load.output.total if steps.load.status == 'completed' else 0 }}"), [true]);
    assert_eq!(tested("${{ steps.load.output.total }} ${{ steps.load.status }}"), [false]);
    assert_eq!(tested("{% if steps.load.status == 'completed' %}${{ steps['load'].output.total }}{% endif %}"), [true]);
    assert_eq!(tested("{% if steps.other.status == 'completed' %}${{ steps.load.output.total }}{% endif %}"), [false]);
}

#[test]
fn a_secret_is_bare_only_as_it_is() {
    let bare = |text: &str| -> Vec<bool> {
        Template::Leaf(text).inspect(&mut |_| None).uses.iter().map(|one| one.bare).collect()
    };
    assert_eq!(bare("${{ secrets.key }}"), [true]);
    assert_eq!(bare("Bearer ${{ secrets['key'] }}"), [true]);
    assert_eq!(bare("${{ secrets.key | upper }} ${{ secrets.key ~ 'x' }} ${{ [secrets.key] }}"), [false; 3]);
    assert_eq!(
        bare("{% if secrets.key %}{% set a = secrets.key %}{% for c in secrets.key %}{% endfor %}{% endif %}"),
        [false; 3]
    );
}

#[test]
fn nested_yaml_tells_the_leaf() {
    let value = json!({"a": ["x", {"b/c": "${{ inputs.nam }}"}]});
    let inspected = Template::Value(&value).inspect(&mut known);
    assert_eq!((inspected.problems[0].leaf.as_str(), inspected.problems[0].span.start), ("/a/1/b~1c", 11));
    assert_eq!(inspected.uses[0].leaf, "/a/1/b~1c");
    assert_eq!(inspected.result.widened().to_string(), "an object with a");
}

#[test]
fn numbers_and_values_print_short_and_as_json() {
    let template = Template::Text(
        "${{ 6 / 2 }} ${{ 0.1 }} ${{ 10 ** 20 * 1.0 }} ${{ [1.0, none, 'ä'] }} ${{ {'b': 1, 'a': true} }} ${{ 'x' }}",
    );
    check(template, Ok(json!("3 0.1 1e+20 [1,null,\"ä\"] {\"b\":1,\"a\":true} x")));
    check(Template::Text("${{ 5 }} ${{ 2.50 }} ${{ -0.0 }}"), Ok(json!("5 2.5 0")));
    check(Template::Expression("1 / 0"), Err("unable to calculate 1 / 0"));
    check(Template::Expression("1e308 * 10"), Err("inf is no number"));
    check(Template::Expression("2 ** 100"), Err("too large"));
    check(Template::Expression("18446744073709551615"), Ok(json!(18446744073709551615_u64)));
    check(Template::Leaf("${{-5}}"), Ok(json!(-5)));
    check(Template::Text("x ${{-5}}"), Ok(json!("x -5")));
    check(Template::Text("x ${{- 5 -}} y"), Ok(json!("x5y")));
}

#[test]
fn an_error_names_the_expression_its_line_and_what_there_is() {
    check(
        Template::Text("first\n${{ inputs.name }}\n${{ steps.load.output.tota | upper }}"),
        Err("`output` has no field `tota`; it has rows, ok, text, in `steps.load.output.tota | upper` (line 3)"),
    );
    check(Template::Expression("steps.load.output.rows.x"), Err("`rows` is a list, and has no field `x`"));
    check(Template::Expression("inputs.name + 1"), Err("in `inputs.name + 1`"));
    check(
        Template::Text("{% for r in inputs.name.x %}{% endfor %}"),
        Err("`name` is a text, and has no field `x`, in `for r in inputs.name.x`"),
    );
    check(Template::Expression("'x' | parse_time"), Err("`x` is no time"));
    check(Template::Expression("'{' | from_json"), Err("the text is not JSON"));
}

#[test]
fn hostile_expressions_end_at_once() {
    let long = |part: &str, times: usize, end: &str| format!("{}{end}", part.repeat(times));
    let doubling: String = (0..60).map(|i| format!("{{% set a{} = [a{i}, a{i}] %}}", i + 1)).collect();
    for hostile in [
        "'a' * 99999999999".to_owned(),
        "'a' * 10**9".to_owned(),
        "[1] * 10**9".to_owned(),
        "range(10**9)".to_owned(),
        "range(10**9) | list | length".to_owned(),
        "'a' | indent(10**9)".to_owned(),
        "('a' * 100000) | replace('a', 'b' * 100000)".to_owned(),
        "('a' * 100000) | regex_replace('a', 'b' * 100000)".to_owned(),
        "('a' * 1000000) | regex_match('(x+x+)+y|(a|b|ab)*c{500}')".to_owned(),
        "'a' | regex_match('(((a{100}){100}){100}){100}')".to_owned(),
        "[1] | batch(10**9, 'x') | list".to_owned(),
        "[1] | slice(10**9, 'x') | list".to_owned(),
        "'%999999999d' | format(1)".to_owned(),
        "'2026-01-01' | format_time('%999999999d')".to_owned(),
        "'2026-01-01' | add_time('99999999999d')".to_owned(),
        "['a' * 10**6] * 10**6 | join(',')".to_owned(),
        "9**9**9**9".to_owned(),
        long("not ", 100_000, "true"),
        long("-", 100_000, "1"),
        long("(", 100_000, ""),
        long("[", 100_000, &"]".repeat(100_000)),
        long("1 + ", 100_000, "1"),
        long("1 if 1 else ", 100_000, "1"),
        format!("x{}", ".a".repeat(100_000)),
        format!("[]{}", " | list".repeat(100_000)),
        format!("1{}", " is odd is odd".repeat(100_000)),
        format!("${{{{ {} }}}}", long("not ", 100_000, "true")),
        long("{% if true %}", 10_000, ""),
        format!("{{% if true %}}{}{{% endif %}}", "{% elif true %}".repeat(10_000)),
        long("${{ ", 100_000, ""),
        long("{% raw %}", 100_000, ""),
        format!("{{% set a0 = [1] %}}{doubling}${{{{ a60 == a60 }}}}"),
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}".to_owned(),
    ] {
        let start = std::time::Instant::now();
        for template in [Template::Expression(&hostile), Template::Leaf(&hostile), Template::Text(&hostile)] {
            let inspected = template.inspect(&mut known);
            drop(inspected);
            // In the other forms it may be a plain text, and some have a value.
            let size = template.evaluate(&context()).map_or(0, |value| value.to_string().len());
            assert!(size <= hostile.len() * 2 + 10, "{size}");
        }
        let short: String = hostile.chars().take(60).collect();
        assert!(start.elapsed().as_secs() < 10, "{short} took {:?}", start.elapsed());
    }
}

/// Words of the language, in no order.
fn soup() -> impl Strategy<Value = String> {
    let words = [
        "${{",
        "}}",
        "{%",
        "%}",
        "$${{",
        "{#",
        "-",
        "-}}",
        "{%-",
        "raw",
        "endraw",
        "if",
        "else",
        "elif",
        "endif",
        "for",
        "in",
        "endfor",
        "set",
        "x",
        "=",
        "==",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "\\",
        "|",
        "is",
        "not",
        "and",
        "1",
        "9.5",
        "'a'",
        ".",
        ",",
        ":",
        "~",
        "+",
        "**",
        "*",
        "//",
        "%",
        "steps",
        "load",
        "output",
        "rows",
        "inputs",
        "name",
        "map",
        "join",
        "default",
        "odd",
        "range",
        "get",
        "loop",
        "ä",
        "\n",
        " ",
        "\0",
        "🦀",
        "none",
        "true",
        "regex_replace",
        "format_time",
        "tojson",
        "break",
        "continue",
        "include",
        "macro",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|words| words.join(""))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn no_text_ends_the_process(text in prop_oneof![soup(), soup().prop_map(|t| t.replace("'a'", " 'a' ").replace("|", " | ")), ".{0,80}"]) {
        for template in [Template::Expression(&text), Template::Leaf(&text), Template::Text(&text)] {
            for problem in template.inspect(&mut known).problems {
                prop_assert!(text.get(problem.span.start..problem.span.end).is_some(), "{:?} is no part", problem.span);
            }
            let _ = template.evaluate(&context());
        }
    }

    #[test]
    fn a_literal_prints_as_it_is(text in soup()) {
        let text = text.replace('\0', "");
        prop_assert_eq!(Template::Text(&literal(&text)).evaluate(&context()), Ok(json!(text)));
    }

    #[test]
    fn a_text_without_marks_is_itself(text in "[^$%{}\0]{0,40}") {
        prop_assert_eq!(Template::Text(&text).evaluate(&context()), Ok(json!(text)));
    }
}

/// Roots of the types that `known` tells.
fn typed() -> minijinja::Value {
    minijinja::Value::from(minijinja::value::Serde(json!({
        "inputs": { "name": "x", "count": 3, "free": [1, "a"] },
        "item": "text",
        "steps": { "load": { "status": "completed", "output": {
            "rows": [{ "ok": true, "n": 2, "name": "b" }, { "ok": false, "n": 1, "name": "a" }], "total": 2.5, "kind": "a",
        } } },
    })))
}

fn admits(kind: &Type, value: &Value) -> bool {
    match (kind, value) {
        (Type::Any, _) | (Type::Null, Value::Null) | (Type::Bool, Value::Bool(_)) => true,
        (Type::Integer, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Type::Number, Value::Number(_)) => true,
        (Type::Text(texts), Value::String(text)) => texts.as_ref().is_none_or(|texts| texts.contains(text)),
        (Type::List(of), Value::Array(list)) => list.iter().all(|item| admits(of, item)),
        (Type::Object(fields), Value::Object(map)) => map.iter().all(|(name, value)| match fields.known.get(name) {
            Some(field) => admits(&field.kind, value),
            None => fields.rest.as_ref().is_some_and(|rest| admits(rest, value)),
        }),
        (Type::Union(all), value) => all.iter().any(|kind| admits(kind, value)),
        _ => false,
    }
}

/// Expressions that can be read, most of which have a value.
fn expressions() -> impl Strategy<Value = String> {
    let atoms = [
        "inputs.name",
        "inputs.count",
        "inputs.free",
        "item",
        "steps.load.output.rows",
        "steps.load.output.total",
        "steps.load.output.kind",
        "steps.load.status",
        "steps.load.output",
        "1",
        "2.5",
        "'a'",
        "'2'",
        "true",
        "none",
        "[1, 2]",
        "['a', none]",
        "{'a': 1, 'n': 'x'}",
        "[]",
        "[[1], [2]]",
        "range(3)",
        "'2026-01-31T10:00:00Z'",
    ];
    let operators = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"];
    let filters: Vec<&str> = FILTERS.iter().map(|row| row.example.split_once(" | ").unwrap().1).collect();
    let more = [
        "first",
        "last",
        "list",
        "default('x')",
        "default",
        "map(attribute='n')",
        "map(attribute='n', default=0)",
        "map('upper')",
        "selectattr('ok')",
        "selectattr('n', 'gt', 1)",
        "groupby('ok')",
        "sum(attribute='n')",
        "sort(attribute='name')",
        "max(attribute='n')",
        "get('n')",
        "get('rows.0.n', 'none')",
        "get('output.total')",
        "join(attribute='name')",
        "int(none)",
    ];
    let filters: Vec<&str> = filters.into_iter().chain(more).collect();
    let atom = prop::sample::select(atoms.to_vec()).prop_map(str::to_owned);
    atom.prop_recursive(4, 24, 3, move |inner| {
        let operator = prop::sample::select(operators.to_vec());
        let filter = prop::sample::select(filters.clone());
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), filter).prop_map(|(a, filter)| format!("({a} | {filter})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'a': {a}, 'n': {b}}}")),
            inner.clone().prop_map(|a| format!("{a}[0]")),
            inner.clone().prop_map(|a| format!("{a}[1:]")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.clone().prop_map(|a| format!("(-{a})")),
            inner.prop_map(|a| format!("({a} is none)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_value_is_of_the_type_that_was_told(text in expressions()) {
        let template = Template::Expression(&text);
        let inspected = template.inspect(&mut known);
        if let Ok(value) = template.evaluate(&typed()) {
            prop_assert!(admits(&inspected.result, &value), "{value} is not {}: {text}", inspected.result);
            // What was told to fail for sure has not failed, unless it was never come to.
            let all = ![" or ", " and ", " if "].iter().any(|word| text.contains(word));
            let wrong = inspected.problems.iter().find(|p| all && p.message.contains("does not work between"));
            prop_assert!(wrong.is_none(), "{wrong:?} has the value {value}: {text}");
        }
    }
}
