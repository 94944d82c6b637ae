//! What `show` tells of a run below its tree.

use parkway::id::WorkerId;
use parkway::log::{EventKind, Verdict};
use parkway::{Effect, Labels, policy};
use parkway_cli::render::{Outline, OutlineStep, Symbols, Timeline};
use unicode_width::UnicodeWidthStr;

use crate::letters::{Letters, at};

/// What stands below the tree, without colours.
#[track_caller]
fn below(letters: &Letters, now: i64, columns: usize) -> String {
    let lines = letters.view.story(&Timeline::of(&letters.events), at(now), columns, false);
    let wide: Vec<_> = lines.iter().filter(|line| line.width() > columns).collect();
    assert!(wide.is_empty(), "{wide:?}");
    let tree = lines.iter().position(String::is_empty).map_or(lines.len(), |empty| empty + 1);
    lines[tree..].join("\n")
}

/// A call of a tool that a rule lets through.
fn call(letters: &mut Letters, ms: i64, step: &str, rule: Option<&str>) {
    let (effect, rule) = (Some(Effect::Idempotent), rule.map(str::to_owned));
    let key = step.parse().unwrap();
    let labels = [].into();
    letters.push(ms, EventKind::StepStarted { key, attempt: 1, args: None, labels, effect, rule, secrets: None });
}

fn labelled(letters: &mut Letters, ms: i64, step: &str, labels: Labels) {
    letters.push(ms, EventKind::StepCompleted { key: step.parse().unwrap(), attempt: 1, output: None, labels });
}

fn ruled(letters: &mut Letters, ms: i64, step: &str, verdict: policy::Verdict, rule: &str) {
    let (key, tool) = (step.parse().unwrap(), "http.send".to_owned());
    letters.push(ms, EventKind::PolicyDecided { key, tool, verdict, rule: rule.into() });
}

#[test]
fn the_time_of_a_run_is_seen_at_a_glance() {
    let letters = Letters::done();
    insta::assert_snapshot!(below(&letters, 99_000, 80), @r"
    timeline  █ works  ░ waits
      list       █············································    0.0s
      intake     ███████████████████████████··················   11.7s
        letter   █████████████████████████····················    2.8s
        extract  ███████████████████████████··················   11.5s
        found    ··█████████████████████████··················    2.5s
      confirm    ··························█░░░░░░░░░░░░░░░░░█    7.9s
      write      ············································█    0.1s  2 attempts
    usage     28 model calls, 8.9k in (7.2k cached), 1.4k out, 130 tok/s,
              smollm2-135m-instruct, cpu
    ");
    insta::assert_snapshot!(below(&letters, 99_000, 60), @r"
    timeline  █ works  ░ waits
      list       █························    0.0s
      intake     ███████████████··········   11.7s
        letter   ██████████████···········    2.8s
        extract  ███████████████··········   11.5s
        found    ·██████████████··········    2.5s
      confirm    ··············█░░░░░░░░░█    7.9s
      write      ························█    0.1s  2 attempts
    usage     28 model calls, 8.9k in (7.2k cached), 1.4k out,
              130 tok/s, smollm2-135m-instruct, cpu
    ");
    insta::assert_snapshot!(below(&letters, 99_000, 40), @r"
    timeline  █ works  ░ waits
      list       █················    0.0s
      intake     ██████████·······   11.7s
        letter   ██████████·······    2.8s
        extract  ██████████·······   11.5s
        found    ██████████·······    2.5s
      confirm    ··········█░░░░░█    7.9s
      write      ················█    0.1s
    usage     28 model calls,
              8.9k in (7.2k cached),
              1.4k out, 130 tok/s,
              smollm2-135m-instruct, cpu
    ");
    // Bars that say nothing are left out.
    insta::assert_snapshot!(below(&letters, 99_000, 20), @r"
    usage
      28 model calls,
      8.9k in (7.2k c…
      1.4k out,
      130 tok/s,
      smollm2-135m-in…
      cpu
    ");
}

#[test]
fn a_run_that_waits_is_not_taken_for_one_that_works() {
    let mut letters = Letters::asking();
    insta::assert_snapshot!(below(&letters, 24_000, 60), @r"
    timeline  █ works  ░ waits
      list       █····································    0.0s
      intake     ███████████████████··················   11.7s
        letter   ██████████████████···················    2.8s
        extract  ███████████████████··················   11.5s
        found    ·██████████████████··················    2.5s
      confirm    ··················█░░░░░░░░░░░░░░░░░░   11.9s
    usage     28 model calls, 8.9k in (7.2k cached), 1.4k out,
              130 tok/s, smollm2-135m-instruct, cpu
    ");
    letters.view.use_symbols(Symbols::Ascii);
    insta::assert_snapshot!(below(&letters, 24_000, 60), @r"
    timeline  # works  - waits
      list       #....................................    0.0s
      intake     ###################..................   11.7s
        letter   ##################...................    2.8s
        extract  ###################..................   11.5s
        found    .##################..................    2.5s
      confirm    ..................#------------------   11.9s
    usage     28 model calls, 8.9k in (7.2k cached), 1.4k out,
              130 tok/s, smollm2-135m-instruct, cpu
    ");
}

#[test]
fn a_step_is_not_taken_for_working_while_no_process_had_the_run() {
    let mut letters = Letters::new();
    letters.ask(0, "confirm", "Really?");
    letters.start(0, "intake", 1);
    letters.start(0, "intake.letter", 1);
    letters.start(0, "list", 1);
    letters.complete(10_000, "intake.letter", 1);
    // Killed here, and resumed later.
    letters.push(90_000, EventKind::RunClaimed { worker: WorkerId::new("w2") });
    letters.start(90_000, "list", 2);
    letters.start(90_000, "intake.extract", 1);
    letters.complete(95_000, "intake.extract", 1);
    letters.complete(95_000, "intake", 1);
    letters.complete(100_000, "list", 2);
    insta::assert_snapshot!(below(&letters, 100_000, 80), @r"
    timeline  █ works  ░ waits
      list       █████···································█████   20.0s  2 attempts
      intake     █████···································███··   15.0s
        letter   █████········································   10.0s
        extract  ········································███··    5.0s
      confirm    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   1m40s
    ");
    // A group goes on.
    let mut letters = Letters::new();
    letters.start(0, "intake", 1);
    letters.start(0, "intake.letter", 1);
    letters.push(20_000, EventKind::RunClaimed { worker: WorkerId::new("w2") });
    letters.start(20_000, "intake.letter", 2);
    let lines = letters.view.story(&Timeline::of(&letters.events), at(30_000), 40, true);
    let row = |id: &str| lines.iter().rfind(|line| line.trim_start().starts_with(id)).unwrap();
    assert!(row("intake").contains("\u{1b}[36m█"), "{lines:?}");
}

#[test]
fn a_thousand_items_have_one_row() {
    let mut letters = Letters::new();
    letters.expand(10, "intake", 1_000);
    for i in 0..1_000 {
        let start = 1_000 + i64::from(i) * 10;
        letters.start(start, &format!("intake[{i}]"), 1);
        letters.start(start, &format!("intake[{i}].letter"), 1);
        letters.complete(start + 4, &format!("intake[{i}].letter"), 1);
        letters.ask(start + 4, &format!("intake[{i}].confirm"), "Really?");
    }
    for i in 0..1_000 {
        letters.answer(15_000, &format!("intake[{i}].confirm"), Verdict::Approved, "");
        letters.complete(15_000, &format!("intake[{i}].confirm"), 1);
        letters.complete(15_000, &format!("intake[{i}]"), 1);
    }
    letters.run_completes(20_000);
    insta::assert_snapshot!(below(&letters, 99_000, 60), @r"
    timeline  █ works  ░ waits
      intake     ·████████████████████░░░░░░█·········   14.0s
        letter   ·████████████████████················    4.0s
        confirm  ·░░░░░░░░░░░░░░░░░░░░░░░░░░█·········   13.9s
    ");
}

#[test]
fn ten_thousand_steps_have_their_rows_in_the_order_of_the_file_and_few_names() {
    let mut letters = Letters::new();
    let ids: Vec<_> = (0..10_000).map(|i| format!("s{i}")).collect();
    let steps = ids.iter().map(|id| OutlineStep { id: id.clone(), ..OutlineStep::default() }).collect();
    letters.view.describe(Outline { workflow: "many".into(), steps });
    for (ms, id) in (0..).zip(ids.iter().rev()) {
        call(&mut letters, ms, id, Some("default.read"));
        // What is told once of a step, however often it is called.
        ruled(&mut letters, ms, id, policy::Verdict::Ask, "site.2");
        ruled(&mut letters, ms, id, policy::Verdict::Ask, "site.2");
        labelled(&mut letters, ms + 1, id, Labels::UNTRUSTED);
    }
    letters.run_completes(10_000);
    let told = below(&letters, 10_000, 60);
    let rows: Vec<_> = told.lines().skip(1).map_while(|line| line.strip_prefix("    s")?.split(' ').next()).collect();
    assert_eq!(rows.len(), 10_000);
    assert!(rows.iter().zip(0..).all(|(row, i)| row.parse() == Ok(i)), "{rows:?}");
    let rest: Vec<_> = told.lines().skip(1 + rows.len()).collect();
    insta::assert_snapshot!(rest.join("\n"), @r"
    policy    needs an approval, rule site.2: s9999, s9998,
              s9997, s9996, s9995, s9994, s9993, s9992, s9991,
              s9990, s9989, s9988, s9987, s9986, s9985, s9984,
              s9983, s9982, s9981, s9980, … and 9980 more
              allowed, rule default.read: s9999, s9998, s9997,
              s9996, s9995, s9994, s9993, s9992, s9991, s9990,
              s9989, s9988, s9987, s9986, s9985, s9984, s9983,
              s9982, s9981, s9980, … and 9980 more
    labels    untrusted: s0, s1, s2, s3, s4, s5, s6, s7, s8,
              s9, s10, s11, s12, s13, s14, s15, s16, s17, s18,
              s19, … and 9980 more
    usage     10.0k tool calls
    ");
}

#[test]
fn the_rows_of_a_run_that_waits_come_in_the_same_order_each_time() {
    let mut letters = Letters::new();
    letters.view.describe(Outline::default());
    let ids = ["g", "c", "a", "h", "b", "f", "e", "d"];
    for id in ids {
        letters.ask(10, id, "Really?");
    }
    let told = below(&letters, 100, 60);
    assert_eq!(told, below(&letters, 100, 60));
    let rows: Vec<_> = told.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(rows, ids, "they come in the order of the log");
}

#[test]
fn who_let_a_call_through_and_where_labels_stand_is_told() {
    let mut letters = Letters::new();
    call(&mut letters, 10, "list", Some("default.read"));
    labelled(&mut letters, 20, "list", Labels::NONE);
    letters.expand(30, "intake", 2);
    for item in ["intake[0].letter", "intake[1].letter"] {
        call(&mut letters, 40, item, Some("default.read"));
        labelled(&mut letters, 50, item, Labels::UNTRUSTED);
    }
    ruled(&mut letters, 60, "write", policy::Verdict::Ask, "site.2");
    letters.ask(60, "write", "files.write_csv?");
    letters.answer(70, "write", Verdict::Approved, "go on");
    call(&mut letters, 80, "write", None);
    labelled(&mut letters, 90, "write", Labels { untrusted: true, secret: true });
    ruled(&mut letters, 95, "mail", policy::Verdict::Deny, "no \u{1b}[31mmail");
    letters.fail(95, "mail", "denied", "");
    letters.run_fails(100, "denied", "");
    insta::assert_snapshot!(below(&letters, 200, 80), @r"
    timeline  █ works  ░ waits
      list      ·····███████··············································    0.0s
      intake    ·······················██████·····························    0.0s
        letter  ·······················██████·····························    0.0s
      write     ··································░░░░░░█████████████·····    0.0s
    policy    denied by policy, rule no [31mmail: mail
              needs an approval, rule site.2: write, answered by ada (flag)
              allowed, rule default.read: list, intake.letter
    labels    secret: write
              untrusted: intake.letter, write
    usage     4 tool calls
    ");
    insta::assert_snapshot!(below(&letters, 200, 40), @r"
    timeline  █ works  ░ waits
      list      ·███··············    0.0s
      intake    ·······██·········    0.0s
        letter  ·······██·········    0.0s
      write     ··········░░█████·    0.0s
    policy    denied by policy, rule no
              [31mmail: mail
              needs an approval, rule
              site.2: write, answered
              by ada (flag)
              allowed, rule default.read:
              list, intake.letter
    labels    secret: write
              untrusted: intake.letter,
              write
    usage     4 tool calls
    ");
}

#[test]
fn a_long_name_leaves_room_for_its_bar() {
    let mut letters = Letters::new();
    letters.view.describe(Outline::default());
    let long = "read_all_the_letters_of_the_customers_that_have_come_in_since_yesterday";
    letters.start(0, long, 1);
    letters.complete(500, long, 1);
    letters.start(500, "then", 1);
    letters.retry(600, "then", 800);
    letters.start(800, "then", 2);
    insta::assert_snapshot!(below(&letters, 1_000, 80), @r"
    timeline
      read_all_the_letters_of_t…  ██████████████··············    0.5s
      then                        ··············███·····██████    0.3s  2 attempts
    ");
}

#[test]
fn one_step_needs_no_bars() {
    let mut letters = Letters::new();
    letters.start(10, "list", 1);
    letters.complete(90, "list", 1);
    letters.run_completes(100);
    assert_eq!(below(&letters, 100, 80), "");
}

#[test]
fn a_step_that_was_done_again_is_not_shown_as_failed() {
    let mut letters = Letters::new();
    letters.start(0, "list", 1);
    letters.fail(50, "list", "io", "");
    letters.start(0, "write", 1);
    letters.complete(50, "write", 1);
    letters.run_fails(60, "io", "");
    letters.push(80, EventKind::RunReopened { note: None, parent: None });
    letters.start(80, "list", 1);
    letters.complete(90, "list", 1);
    letters.run_completes(100);
    let lines = letters.view.story(&Timeline::of(&letters.events), at(100), 40, true);
    assert!(!lines.concat().contains("\u{1b}[31m"), "{lines:?}");
}

#[test]
fn bars_have_the_colours_of_the_tree() {
    let mut letters = Letters::new();
    letters.start(0, "list", 1);
    letters.fail(50, "list", "io", "");
    letters.start(50, "write", 1);
    letters.ask(60, "confirm", "Really?");
    letters.ask(0, "sent", "Really?");
    letters.answer(80, "sent", Verdict::Approved, "");
    letters.complete(90, "sent", 1);
    letters.start(0, "intake[0]", 1);
    letters.fail(20, "intake[0]", "io", "");
    letters.start(30, "intake[1]", 1);
    letters.complete(60, "intake[1]", 1);
    let lines = letters.view.story(&Timeline::of(&letters.events), at(100), 40, true);
    let row = |id: &str| lines.iter().rfind(|line| line.trim_start().starts_with(id)).unwrap();
    assert!(row("list").contains("\u{1b}[31m█"), "{lines:?}");
    assert!(row("intake").contains("\u{1b}[31m█"), "{lines:?}");
    assert!(row("sent").contains("\u{1b}[32m█"), "{lines:?}");
    assert!(row("write").contains("\u{1b}[36m█"), "{lines:?}");
    assert!(row("confirm").contains("\u{1b}[33m░"), "{lines:?}");
}
