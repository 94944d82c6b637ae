//! The `time` family on dates that are wrong, ambiguous, or at the edges of the calendar.

use serde_json::{Value, json};

use crate::project::Project;

fn call(name: &str, input: Value) -> Value {
    let project = Project::new();
    let output = project.call(name, input.clone()).unwrap();
    assert_eq!(project.call(name, input).unwrap(), output);
    output
}

#[track_caller]
fn parse(text: &str, format: Value, zone: Value, expected: &str) {
    let output = call("time.parse", json!({"text": text, "format": format, "zone": zone}));
    assert_eq!(output["time"], expected, "{text}");
}

#[test]
fn a_time_is_read_in_the_forms_in_which_it_is_written() {
    for text in [
        "2027-01-31T10:00:00Z",
        "2027-01-31T11:00:00+01:00",
        " 2027-01-31 10:00:00Z ",
        "2027-01-31 10:00",
        "2027-01-31T10:00",
    ] {
        parse(text, Value::Null, Value::Null, "2027-01-31T10:00:00.000000Z");
    }
    parse("2027-01-31", Value::Null, Value::Null, "2027-01-31T00:00:00.000000Z");
    parse("2027-01-31", Value::Null, json!("Europe/Berlin"), "2027-01-30T23:00:00.000000Z");
    parse("2027-07-31 12:00", Value::Null, json!("Europe/Berlin"), "2027-07-31T10:00:00.000000Z");
    parse("31.01.2027", json!("%d.%m.%Y"), Value::Null, "2027-01-31T00:00:00.000000Z");
    parse("03/04/2026", json!("%m/%d/%Y"), Value::Null, "2026-03-04T00:00:00.000000Z");
    parse("03/04/2026", json!("%d/%m/%Y"), Value::Null, "2026-04-03T00:00:00.000000Z");
    parse("3 Feb 2027, 4:05 PM", json!("%d %b %Y, %I:%M %p"), json!("America/New_York"), "2027-02-03T21:05:00.000000Z");
    parse("1801389600", json!("%s"), Value::Null, "2027-01-31T10:00:00.000000Z");
    parse("2027-01-31T10:00:00 +0530", json!("%Y-%m-%dT%H:%M:%S %z"), Value::Null, "2027-01-31T04:30:00.000000Z");
    assert_eq!(
        call("time.parse", json!({"text": "2027-01-31T23:30:00Z", "zone": "Asia/Tokyo"})),
        json!({"time": "2027-01-31T23:30:00.000000Z", "date": "2027-02-01", "clock": "08:30:00", "weekday": "Monday",
            "week": "2027-W05", "unix": 1_801_438_200, "has_clock": true})
    );
    assert_eq!(call("time.parse", json!({"text": "2027-01-31"}))["has_clock"], false);
}

#[test]
fn a_time_that_could_be_two_is_no_time() {
    let project = Project::new();
    let refused = |input| project.refused("time.parse", input);
    insta::assert_snapshot!(refused(json!({"text": "03/04/2026"})), @"time: `03/04/2026` is not written year first, as `2027-01-31` or `2027-01-31T10:00:00Z`; say how it is written with `format`, as `%d.%m.%Y` or `%m/%d/%Y`");
    for text in [
        "",
        "tomorrow",
        "2027-02-30",
        "2027-13-01",
        "27-01-31",
        "2027",
        "20270131",
        "2027-01-31[Europe/Berlin]",
        "2027-01-31T25:00",
    ] {
        assert!(refused(json!({"text": text})).starts_with("time: "), "{text}");
    }
    insta::assert_snapshot!(refused(json!({"text": "2027-10-31 02:30", "zone": "Europe/Berlin"})), @"ambiguous: `2027-10-31 02:30` is skipped or comes twice in that zone, as clocks are changed; write the offset, as `+01:00`");
    insta::assert_snapshot!(refused(json!({"text": "2027-03-28 02:30", "zone": "Europe/Berlin"})), @"ambiguous: `2027-03-28 02:30` is skipped or comes twice in that zone, as clocks are changed; write the offset, as `+01:00`");
    insta::assert_snapshot!(refused(json!({"text": "2027-01-31", "zone": "Berlin"})), @"zone: there is no time zone `Berlin`; take a name as `Europe/Berlin` or `UTC`");
    insta::assert_snapshot!(refused(json!({"text": "31.13.2027", "format": "%d.%m.%Y"})), @"time: `31.13.2027` is no time of the form `%d.%m.%Y`: strptime parsing failed: %m failed: failed to parse month number: parameter 'month' is not in the required range of 1..=12; correct `format`");
    insta::assert_snapshot!(refused(json!({"text": "31.01.", "format": "%d.%m."})), @"time: `31.01.` is no time of the form `%d.%m.`: year required to parse date; correct `format`");
    insta::assert_snapshot!(refused(json!({"text": "x", "format": "%!"})), @"time: `x` is no time of the form `%!`: strptime parsing failed: found unrecognized specifier directive `!`; correct `format`");
    assert!(refused(json!({"text": "x".repeat(100_000), "format": "%d".repeat(1000)})).starts_with("form: "));
}

#[test]
fn a_month_later_is_a_day_of_that_month() {
    let add = |time: &str, add: &str, zone: Value| {
        call("time.add", json!({"time": time, "add": add, "zone": zone}))["time"].as_str().unwrap().to_owned()
    };
    assert_eq!(add("2027-01-31T10:00:00Z", "3d", Value::Null), "2027-02-03T10:00:00.000000Z");
    assert_eq!(add("2027-01-31T10:00:00Z", "-2h30m", Value::Null), "2027-01-31T07:30:00.000000Z");
    assert_eq!(add("2027-01-31T10:00:00Z", "1mo", Value::Null), "2027-02-28T10:00:00.000000Z");
    assert_eq!(add("2027-01-31T10:00:00Z", "P1DT2H", Value::Null), "2027-02-01T12:00:00.000000Z");
    assert_eq!(add("2027-01-31T10:00:00Z", "1 week", Value::Null), "2027-02-07T10:00:00.000000Z");
    // A day in which clocks are changed has 23 hours in Berlin.
    assert_eq!(add("2027-03-27T11:00:00Z", "1d", json!("Europe/Berlin")), "2027-03-28T10:00:00.000000Z");
    assert_eq!(add("2027-03-27T11:00:00Z", "24h", json!("Europe/Berlin")), "2027-03-28T11:00:00.000000Z");
    let project = Project::new();
    let refused = |time: &str, add: &str| project.refused("time.add", json!({"time": time, "add": add}));
    insta::assert_snapshot!(refused("2027-01-31T10:00:00Z", "3 days ahead"), @"span: `add` is `3 days ahead`, which is no span; write it as `3d`, `-2h30m`, `1mo` or `P1DT2H`");
    insta::assert_snapshot!(refused("2027-01-31", "3d"), @"time: `time` is `2027-01-31`, which is no time with its zone; write it as 2027-01-31T10:00:00Z, or read it with `time.parse`");
    insta::assert_snapshot!(refused("2027-01-31T10:00:00Z", "19000y"), @"span: `19000y` leads out of the calendar, which goes from the year -9999 to 9999; add less");
    assert!(refused("2027-01-31T10:00:00Z", "999999999999999999999d").starts_with("span: "));
}

#[test]
fn what_lies_between_two_times_has_a_sign() {
    let between =
        |from: &str, to: &str, zone: Value| call("time.between", json!({"from": from, "to": to, "zone": zone}));
    assert_eq!(
        between("2027-01-31T10:00:00Z", "2027-02-03T14:00:00.5Z", Value::Null),
        json!({"seconds": 273_600.5, "days": 3, "text": "3d 4h 500ms"})
    );
    assert_eq!(
        between("2027-02-03T14:00:00Z", "2027-01-31T10:00:00Z", Value::Null),
        json!({"seconds": -273_600.0, "days": -3, "text": "3d 4h ago"})
    );
    assert_eq!(
        between("2027-01-31T10:00:00Z", "2027-01-31T10:00:00Z", Value::Null),
        json!({"seconds": 0.0, "days": 0, "text": "0s"})
    );
    assert_eq!(between("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z", json!("Europe/Berlin"))["days"], 1);
    assert_eq!(between("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z", Value::Null)["days"], 0);
}

#[test]
fn a_time_is_written_as_people_write_it() {
    let format = |format: &str, zone: Value| {
        call("time.format", json!({"time": "2027-01-31T23:30:00Z", "format": format, "zone": zone}))["text"].clone()
    };
    assert_eq!(format("%d.%m.%Y %H:%M", json!("Europe/Berlin")), "01.02.2027 00:30");
    assert_eq!(format("%A, %B %-d, %Y %Z", Value::Null), "Sunday, January 31, 2027 UTC");
    assert_eq!(format("", Value::Null), "");
    assert_eq!(format("plain", Value::Null), "plain");
    assert_eq!(
        format("%d.%m.2027, 20270131, %%20270131 %5Y %03d", Value::Null),
        "31.01.2027, 20270131, %20270131 02027 031"
    );
    parse("No. 20270131 of 31.01.2027", json!("No. 20270131 of %d.%m.%Y"), Value::Null, "2027-01-31T00:00:00.000000Z");
    let project = Project::new();
    let refused =
        |format: &str| project.refused("time.format", json!({"time": "2027-01-31T23:30:00Z", "format": format}));
    insta::assert_snapshot!(refused("%!"), @"form: `%!` is no form of a time: strftime formatting failed: found unrecognized specifier directive `!`; write it as `%d.%m.%Y %H:%M`");
    for wide in ["%-9999d", "%_9999d", "%^9999d", "%.9999f", "%%%9999d", "%d%9999d"] {
        assert!(refused(wide).starts_with("form: the form"), "{wide}");
    }
    insta::assert_snapshot!(refused("%99999999d"), @"form: the form `%99999999d` is too long or has too large a width; use a shorter one");
}
