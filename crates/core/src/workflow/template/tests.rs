//! What templates do, from the outside.

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
        let expected: Value = serde_json::from_str(row.result).unwrap();
        assert_eq!(value, Ok(expected), "{}", row.example);
        assert!(row.example.contains(row.name) && row.form.contains(row.name), "{}", row.name);
        let inspected = Template::Expression(row.example).inspect(&mut |_| None);
        assert!(inspected.problems.is_empty(), "{}: {:?}", row.example, inspected.problems);
        let value: Value = serde_json::from_str(row.result).unwrap();
        assert!(!clashes(&inspected.result, &Type::of_value(&value)), "{} gives no {}", row.name, inspected.result);
    }
    for rows in [FILTERS, TESTS, FUNCTIONS] {
        assert!(rows.is_sorted_by_key(|row| row.name));
    }
}
