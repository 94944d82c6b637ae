//! What a person sees of a run.

use parkway::log::{EventKind, Resolution, SkipReason, Timer, Verdict, WaitFor};
use parkway::{Labels, policy};
use parkway_cli::render::{Outline, OutlineStep, Symbols};
use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use unicode_width::UnicodeWidthStr;

use crate::letters::{Letters, at, run};

/// With all times of a clock alike, since that is the machine's.
fn timeless(text: &str) -> String {
    let clock = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").unwrap();
    clock.replace_all(text, "2026-01-01 00:00:00").into_owned()
}

/// The drawing without colours.
fn draw(letters: &Letters, now: i64, columns: usize, height: Option<usize>) -> String {
    letters.view.lines(at(now), columns, height, false).join("\n")
}

#[test]
fn a_run_that_has_not_begun_shows_its_plan() {
    insta::assert_snapshot!(draw(&Letters::new(), 500, 80, None), @r"
    ○ order_intake  01a1ee56-5e00-7707-8707-070707070707             pending    0.5s
      ○ list     files.list
      ○ intake   for each
      ○ confirm  approve
      ○ write    files.write_csv
    ");
}

#[test]
fn a_short_terminal_shows_what_moves_and_what_went_wrong() {
    let letters = Letters::halfway();
    insta::assert_snapshot!(draw(&letters, 6_400, 80, Some(20)), @r"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707             running    6.4s
      ✓ list     files.list                                                     0.0s
      ▸ intake   for each  12/28 done, 2 failed              4.4k in 651 out    6.3s
        ✗ [4]   data/letters/04.txt · extract  cut             320 in 44 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise
            `max_tokens` or ask for less
        ✗ [13]  data/letters/13.txt · extract  cut             320 in 53 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise
            `max_tokens` or ask for less
        ▸ [14]  data/letters/14.txt · extract                                   0.4s
        ▸ [15]  data/letters/15.txt · extract  backend  again in 1.7s           0.4s
            the model failed: out of memory
        ▸ [16]  data/letters/16.txt · letter                                    0.4s
      ○ confirm  approve
      ○ write    files.write_csv
      14 model calls · 4.4k in (3.6k cached) · 651 out · 110 tok/s
      smollm2-135m-instruct · cpu
    ");
    insta::assert_snapshot!(draw(&letters, 6_400, 60, Some(20)), @r"
    ▸ order_intake                               running    6.4s
      01a1ee56-5e00-7707-8707-070707070707
      ✓ list     files.list                                 0.0s
      ▸ intake   for each  12/28 done, 2 failed             6.3s
        ✗ [4]   dat…04.txt · extract  cut  320 in 44 out    0.8s
            the answer was cut after 200 tokens, before it was
            complete; raise `max_tokens` or ask for less
        ✗ [13]  dat…13.txt · extract  cut  320 in 53 out    0.8s
            the answer was cut after 200 tokens, before it was
            complete; raise `max_tokens` or ask for less
        ▸ [14]  data/letters/14.txt · extract               0.4s
        ▸ [15]  da…txt · extract  backend  again in 1.7s    0.4s
            the model failed: out of memory
        ▸ [16]  data/letters/16.txt · letter                0.4s
      ○ confirm  approve
      ○ write    files.write_csv
      14 model calls · 4.4k in (3.6k cached) · 651 out
      110 tok/s · smollm2-135m-instruct · cpu
    ");
    insta::assert_snapshot!(draw(&letters, 6_400, 40, Some(20)), @r"
    ▸ order_intake           running    6.4s
      01a1ee56-5e00-7707-8707-070707070707
      ✓ list     files.list             0.0s
      ▸ intake  12/28 done, 2 failed    6.3s
        ✗ [4]   ….txt · extract  cut    0.8s
            the answer was cut after 200
            tokens, before it was complete;…
        ✗ [13]  ….txt · extract  cut    0.8s
            the answer was cut after 200
            tokens, before it was complete;…
        ▸ [14]  dat…14.txt · extract    0.4s
        ▸ [15]  extract  backend        0.4s
            the model failed: out of memory
        ▸ [16]  dat…/16.txt · letter    0.4s
      ○ confirm  approve
      ○ write    files.write_csv
      14 model calls · 4.4k in (3.6k cached)
      651 out · 110 tok/s
      smollm2-135m-instruct · cpu
    ");
    insta::assert_snapshot!(draw(&letters, 6_400, 80, Some(9)), @r"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707             running    6.4s
      ▸ intake   for each  12/28 done, 2 failed              4.4k in 651 out    6.3s
        ✗ [4]   data/letters/04.txt · extract  cut             320 in 44 out    0.8s
        ▸ [14]  data/letters/14.txt · extract                                   0.4s
        ▸ [15]  data/letters/15.txt · extract  backend  again in 1.7s           0.4s
        ▸ [16]  data/letters/16.txt · letter                                    0.4s
      … 4 more
      14 model calls · 4.4k in (3.6k cached) · 651 out · 110 tok/s
      smollm2-135m-instruct · cpu
    ");
}

#[test]
fn a_tiny_terminal_shows_what_moves() {
    insta::assert_snapshot!(draw(&Letters::halfway(), 6_400, 30, Some(6)), @r"
    ▸ order_inta…  running    6.4s
      01a1ee56-5e00-7707-8707-070…
      ▸ intake   for each     6.3s
        ▸ [14]  extract       0.4s
        ▸ [15]  backend       0.4s
      … 6 more
    ");
}

#[test]
fn a_model_at_work_is_not_taken_for_one_that_hangs() {
    let mut letters = Letters::halfway();
    let extract = "intake[14].extract".parse().unwrap();
    letters.view.reads(&extract, 320, 512);
    insta::assert_snapshot!(draw(&letters, 6_400, 80, Some(9)), @r"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707             running    6.4s
      ▸ intake   for each  12/28 done, 2 failed              4.4k in 651 out    6.3s
        ✗ [4]   data/letters/04.txt · extract  cut             320 in 44 out    0.8s
        ▸ [14]  data/letters/14.txt · extract  read 320 of 512 tokens           0.4s
        ▸ [15]  data/letters/15.txt · extract  backend  again in 1.7s           0.4s
        ▸ [16]  data/letters/16.txt · letter                                    0.4s
      … 4 more
      14 model calls · 4.4k in (3.6k cached) · 651 out · 110 tok/s
      smollm2-135m-instruct · cpu
    ");
    assert!(draw(&letters, 6_400, 120, None).contains("read 320 of 512 tokens  █████···"));
    insta::assert_snapshot!(draw(&letters, 6_400, 60, Some(6)), @r"
    ▸ order_intake                               running    6.4s
      01a1ee56-5e00-7707-8707-070707070707
      ▸ intake   for each  12/28 done, 2 failed             6.3s
        ▸ [14]  data/…ers/14.txt · extract  read 320/512    0.4s
        ▸ [15]  da…txt · extract  backend  again in 1.7s    0.4s
      … 6 more
    ");
    letters.view.writes(&extract, "{\"order\": \"A-17\",\n  \"customer\": ");
    letters.view.writes(&extract, "\"Mil\u{1b}[2Jler\u{202e} & So");
    insta::assert_snapshot!(draw(&letters, 6_400, 80, Some(9)), @r#"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707             running    6.4s
      ▸ intake   for each  12/28 done, 2 failed              4.4k in 651 out    6.3s
        ✗ [4]   data/letters/04.txt · extract  cut             320 in 44 out    0.8s
        ▸ [14]  data/letters/14.txt · extract  49 characters  …l [2Jler & So    0.4s
        ▸ [15]  data/letters/15.txt · extract  backend  again in 1.7s           0.4s
        ▸ [16]  data/letters/16.txt · letter                                    0.4s
      … 4 more
      14 model calls · 4.4k in (3.6k cached) · 651 out · 110 tok/s
      smollm2-135m-instruct · cpu
    "#);
    insta::assert_snapshot!(draw(&letters, 6_400, 120, Some(9)), @r#"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707                                                     running    6.4s
      ▸ intake   for each  12/28 done, 2 failed                                                      4.4k in 651 out    6.3s
        ✗ [4]   data/letters/04.txt · extract  cut                                                     320 in 44 out    0.8s
        ✗ [13]  data/letters/13.txt · extract  cut                                                     320 in 53 out    0.8s
        ▸ [14]  data/letters/14.txt · extract  49 characters  {"order": "A-17", "customer": "Mil [2Jler & So            0.4s
        ▸ [15]  data/letters/15.txt · extract  backend  again in 1.7s                                                   0.4s
        ▸ [16]  data/letters/16.txt · letter                                                                            0.4s
      … 3 more
      14 model calls · 4.4k in (3.6k cached) · 651 out · 110 tok/s · smollm2-135m-instruct · cpu
    "#);
    insta::assert_snapshot!(draw(&letters, 6_400, 40, Some(9)), @r"
    ▸ order_intake           running    6.4s
      01a1ee56-5e00-7707-8707-070707070707
      ▸ intake  12/28 done, 2 failed    6.3s
        ▸ [14]  dat…14.txt · extract    0.4s
        ▸ [15]  extract  backend        0.4s
      … 6 more
      14 model calls · 4.4k in (3.6k cached)
      651 out · 110 tok/s
      smollm2-135m-instruct · cpu
    ");

    letters.chat(6_410, "intake[14].extract", 380, 50);
    let answered = draw(&letters, 6_420, 120, Some(9));
    assert!(!answered.contains("character") && !answered.contains("Mil"), "{answered}");
    // Notices of a step that does not run come too late.
    letters.view.writes(&"intake[13].extract".parse().unwrap(), "late");
    letters.view.writes(&"nothing".parse().unwrap(), "never");
    let late = draw(&letters, 6_420, 120, None);
    assert!(!late.contains("character") && !late.contains("never"), "{late}");
}

#[test]
fn what_a_model_writes_is_forgotten_when_its_step_ends() {
    for how in ["completed", "failed", "tried again"] {
        let mut letters = Letters::new();
        letters.start(10, "list", 1);
        letters.view.writes(&"list".parse().unwrap(), "half an answer");
        assert!(draw(&letters, 30, 80, None).contains("14 characters  half an answer"));
        match how {
            "completed" => letters.complete(40, "list", 1),
            "failed" => letters.fail(40, "list", "cut", "the answer was cut"),
            _ => letters.retry(40, "list", 2_000),
        }
        let drawn = draw(&letters, 50, 80, None);
        assert!(!drawn.contains("half"), "{how}: {drawn}");
        assert!(!letters.told.concat().contains("half"), "{how}: {:?}", letters.told);
    }
}

#[test]
fn a_tall_terminal_shows_every_item() {
    insta::assert_snapshot!(draw(&Letters::halfway(), 6_400, 120, Some(50)), @r"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707                                                     running    6.4s
      ✓ list     files.list                                                                                             0.0s
      ▸ intake   for each  12/28 done, 2 failed                                                      4.4k in 651 out    6.3s
        ✓ [0]   data/letters/00.txt                                                                    320 in 40 out    0.9s
        ✓ [1]   data/letters/01.txt                                                                    320 in 41 out    0.9s
        ✓ [2]   data/letters/02.txt                                                                    320 in 42 out    0.9s
        ✓ [3]   data/letters/03.txt                                                                    320 in 43 out    0.9s
        ✗ [4]   data/letters/04.txt · extract  cut                                                     320 in 44 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise `max_tokens` or ask for less
        ✓ [5]   data/letters/05.txt                                                                    320 in 45 out    0.9s
        ✓ [6]   data/letters/06.txt                                                                    320 in 46 out    0.9s
        ✓ [7]   data/letters/07.txt                                                                    320 in 47 out    0.9s
        ✓ [8]   data/letters/08.txt                                                                    320 in 48 out    0.9s
        ✓ [9]   data/letters/09.txt                                                                    320 in 49 out    0.9s
        ✓ [10]  data/letters/10.txt                                                                    320 in 50 out    0.9s
        ✓ [11]  data/letters/11.txt                                                                    320 in 51 out    0.9s
        ✓ [12]  data/letters/12.txt                                                                    320 in 52 out    0.9s
        ✗ [13]  data/letters/13.txt · extract  cut                                                     320 in 53 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise `max_tokens` or ask for less
        ▸ [14]  data/letters/14.txt · extract                                                                           0.4s
        ▸ [15]  data/letters/15.txt · extract  backend  again in 1.7s                                                   0.4s
            the model failed: out of memory
        ▸ [16]  data/letters/16.txt · letter                                                                            0.4s
      ○ confirm  approve
      ○ write    files.write_csv
      14 model calls · 4.4k in (3.6k cached) · 651 out · 110 tok/s · smollm2-135m-instruct · cpu
    ");
}

#[test]
fn a_waiting_run_shows_what_is_asked() {
    let letters = Letters::asking();
    insta::assert_snapshot!(draw(&letters, 15_000, 80, Some(24)), @r"
    ⏸ order_intake  01a1ee56-5e00-7707-8707-070707070707             waiting   15.0s
      ✓ list     files.list                                                     0.0s
      ✓ intake   for each  25/28 done, 3 failed             8.9k in 1.4k out   11.9s
        ✗ [4]   data/letters/04.txt · extract  cut             320 in 44 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise
            `max_tokens` or ask for less
        ✗ [13]  data/letters/13.txt · extract  cut             320 in 53 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise
            `max_tokens` or ask for less
        ✗ [22]  data/letters/22.txt · extract  cut             320 in 62 out    0.8s
            the answer was cut after 200 tokens, before it was complete; raise
            `max_tokens` or ask for less
      ⏸ confirm  approve  waits for approval                                    2.9s
          Write the accepted orders and leave 3 letters for a person?
      ○ write    files.write_csv
      28 model calls · 8.9k in (7.2k cached) · 1.4k out · 130 tok/s
      smollm2-135m-instruct · cpu
    ");
    insta::assert_snapshot!(draw(&letters, 15_000, 60, Some(24)), @r"
    ⏸ order_intake                               waiting   15.0s
      01a1ee56-5e00-7707-8707-070707070707
      ✓ list     files.list                                 0.0s
      ✓ intake   for each  25/28 done, 3 failed            11.9s
        ✗ [4]   dat…04.txt · extract  cut  320 in 44 out    0.8s
            the answer was cut after 200 tokens, before it was
            complete; raise `max_tokens` or ask for less
        ✗ [13]  dat…13.txt · extract  cut  320 in 53 out    0.8s
            the answer was cut after 200 tokens, before it was
            complete; raise `max_tokens` or ask for less
        ✗ [22]  dat…22.txt · extract  cut  320 in 62 out    0.8s
            the answer was cut after 200 tokens, before it was
            complete; raise `max_tokens` or ask for less
      ⏸ confirm  approve  waits for approval                2.9s
          Write the accepted orders and leave 3 letters for a
          person?
      ○ write    files.write_csv
      28 model calls · 8.9k in (7.2k cached) · 1.4k out
      130 tok/s · smollm2-135m-instruct · cpu
    ");
    insta::assert_snapshot!(draw(&letters, 15_000, 40, Some(12)), @r"
    ⏸ order_intake           waiting   15.0s
      01a1ee56-5e00-7707-8707-070707070707
      ✓ list     files.list             0.0s
      ✓ intake  25/28 done, 3 failed   11.9s
        ✗ [4]   ….txt · extract  cut    0.8s
        ✗ [13]  ….txt · extract  cut    0.8s
        ✗ [22]  ….txt · extract  cut    0.8s
      ⏸ confirm  waits for approval     2.9s
      ○ write    files.write_csv
      28 model calls · 8.9k in (7.2k cached)
      1.4k out · 130 tok/s
      smollm2-135m-instruct · cpu
    ");
}

#[test]
fn a_run_that_is_done_shows_every_item_and_the_totals() {
    insta::assert_snapshot!(draw(&Letters::done(), 99_000, 80, None), @r"
    ✓ order_intake  01a1ee56-5e00-7707-8707-070707070707           completed   20.2s
      ✓ list     files.list                                                     0.0s
      ✓ intake   for each  25/28 done, 3 failed             8.9k in 1.4k out   11.9s
        ✓ [0]   data/letters/00.txt                            320 in 40 out    0.9s
        ✓ [1]   data/letters/01.txt                            320 in 41 out    0.9s
        ✓ [2]   data/letters/02.txt                            320 in 42 out    0.9s
        ✓ [3]   data/letters/03.txt                            320 in 43 out    0.9s
        ✗ [4]   data/letters/04.txt  cut                       320 in 44 out    0.8s
          ✓ letter   files.read_text                                            0.1s
          ✗ extract  chat main  cut                            320 in 44 out    0.7s
              the answer was cut after 200 tokens, before it was complete; raise
              `max_tokens` or ask for less
          – found    text.find  needs extract
        ✓ [5]   data/letters/05.txt                            320 in 45 out    0.9s
        ✓ [6]   data/letters/06.txt                            320 in 46 out    0.9s
        ✓ [7]   data/letters/07.txt                            320 in 47 out    0.9s
        ✓ [8]   data/letters/08.txt                            320 in 48 out    0.9s
        ✓ [9]   data/letters/09.txt                            320 in 49 out    0.9s
        ✓ [10]  data/letters/10.txt                            320 in 50 out    0.9s
        ✓ [11]  data/letters/11.txt                            320 in 51 out    0.9s
        ✓ [12]  data/letters/12.txt                            320 in 52 out    0.9s
        ✗ [13]  data/letters/13.txt  cut                       320 in 53 out    0.8s
          ✓ letter   files.read_text                                            0.1s
          ✗ extract  chat main  cut                            320 in 53 out    0.7s
              the answer was cut after 200 tokens, before it was complete; raise
              `max_tokens` or ask for less
          – found    text.find  needs extract
        ✓ [14]  data/letters/14.txt                            320 in 54 out    0.9s
        ✓ [15]  data/letters/15.txt                            320 in 55 out    0.9s
        ✓ [16]  data/letters/16.txt                            320 in 56 out    0.9s
        ✓ [17]  data/letters/17.txt                            320 in 57 out    0.9s
        ✓ [18]  data/letters/18.txt                            320 in 58 out    0.9s
        ✓ [19]  data/letters/19.txt                            320 in 59 out    0.9s
        ✓ [20]  data/letters/20.txt                            320 in 60 out    0.9s
        ✓ [21]  data/letters/21.txt                            320 in 61 out    0.9s
        ✗ [22]  data/letters/22.txt  cut                       320 in 62 out    0.8s
          ✓ letter   files.read_text                                            0.1s
          ✗ extract  chat main  cut                            320 in 62 out    0.7s
              the answer was cut after 200 tokens, before it was complete; raise
              `max_tokens` or ask for less
          – found    text.find  needs extract
        ✓ [23]  data/letters/23.txt                            320 in 63 out    0.9s
        ✓ [24]  data/letters/24.txt                            320 in 64 out    0.9s
        ✓ [25]  data/letters/25.txt                            320 in 65 out    0.9s
        ✓ [26]  data/letters/26.txt                            320 in 66 out    0.9s
        ✓ [27]  data/letters/27.txt                            320 in 67 out    0.9s
      ✓ confirm  approve  approved by ada (flag)                                7.9s
      ✓ write    files.write_csv  attempt 2                                     0.1s
      28 model calls · 8.9k in (7.2k cached) · 1.4k out · 130 tok/s
      smollm2-135m-instruct · cpu
    ");
}

#[test]
fn every_status_has_its_mark() {
    let mut letters = Letters::new();
    letters.start(10, "list", 1);
    letters.fail(50, "list", "not_found", "there is no `data/leters`; the nearest name is `data/letters`");
    letters.skip(60, "intake", SkipReason::Dependency { id: "list".into() });
    letters.start(70, "mail", 1);
    letters.doubt(80, "mail");
    letters.start(70, "poll#1", 1);
    letters.complete(75, "poll#1", 1);
    letters.start(76, "poll#2.fetch", 1);
    letters.push(90, EventKind::StepCancelled { key: "late".parse().unwrap(), attempt: 0 });
    letters.start(90, "again", 1);
    letters.retry(95, "again", 3_095);
    letters.ask(96, "confirm", "Really?");
    insta::assert_snapshot!(draw(&letters, 1_000, 80, None), @r"
    ▸ order_intake  01a1ee56-5e00-7707-8707-070707070707             running    1.0s
      ✗ list     files.list  not_found                                          0.0s
          there is no `data/leters`; the nearest name is `data/letters`
      – intake   for each  needs list
      ⏸ confirm  approve  waits for approval                                    0.9s
          Really?
      ○ write    files.write_csv
      ? mail     crash  in doubt                                                0.9s
          the process ended while the call was under way
      ▸ poll     round 2                                                        0.9s
        ✓ #1                                                                    0.0s
        ▸ #2                                                                    0.9s
          ▸ fetch                                                               0.9s
      ⊘ late
      … again    backend  again in 2.0s                                         0.9s
          the model failed: out of memory
    ");
    letters.view.use_symbols(Symbols::Ascii);
    insta::assert_snapshot!(draw(&letters, 1_000, 80, None), @r"
    > order_intake  01a1ee56-5e00-7707-8707-070707070707             running    1.0s
      x list     files.list  not_found                                          0.0s
          there is no `data/leters`; the nearest name is `data/letters`
      - intake   for each  needs list
      = confirm  approve  waits for approval                                    0.9s
          Really?
      . write    files.write_csv
      ? mail     crash  in doubt                                                0.9s
          the process ended while the call was under way
      > poll     round 2                                                        0.9s
        + #1                                                                    0.0s
        > #2                                                                    0.9s
          > fetch                                                               0.9s
      / late
      ~ again    backend  again in 2.0s                                         0.9s
          the model failed: out of memory
    ");
    letters.run_fails(2_000, "not_found", "");
    insta::assert_snapshot!(draw(&letters, 9_000, 40, None), @r"
    x order_intake            failed    2.0s
      01a1ee56-5e00-7707-8707-070707070707
      x list     files.l~  not_found    0.0s
          there is no `data/leters`; the
          nearest name is `data/letters`
      - intake   for each  needs list
      = confirm  waits for approval     1.9s
          Really?
      . write    files.write_csv
      ? mail     crash  in doubt        1.9s
          the process ended while the call
          was under way
      > poll     round 2                1.9s
        + #1                            0.0s
        > #2                            1.9s
          > fetch                       1.9s
      / late
      ~ again    backend                1.9s
          the model failed: out of memory
      not_found
    ");
}

#[test]
fn an_item_that_waits_is_not_shown_as_running() {
    let mut letters = Letters::new();
    letters.start(10, "intake", 1);
    letters.expand(10, "intake", 2);
    letters.ask(20, "intake[0].confirm", "Send it?");
    letters.start(20, "intake[1].mail", 1);
    letters.doubt(30, "intake[1].mail");
    insta::assert_snapshot!(draw(&letters, 40, 80, Some(20)), @r"
    ⏸ order_intake  01a1ee56-5e00-7707-8707-070707070707             waiting    0.0s
      ○ list     files.list
      ⏸ intake   for each  0/2 done, 1 waiting, 1 in doubt                      0.0s
        ⏸ [0]  data/letters/00.txt · confirm  waits for approval                0.0s
            Send it?
        ? [1]  data/letters/01.txt · mail  crash  in doubt                      0.0s
            the process ended while the call was under way
      ○ confirm  approve
      ○ write    files.write_csv
    ");
}

#[test]
fn lines_for_a_pipe_tell_what_happened() {
    insta::assert_snapshot!(Letters::halfway().told[..24].join("\n"), @r"
    0.0s  run                 created  01a1ee56-5e00-7707-8707-070707070707  order_intake
    0.0s  list                completed  0.0s
    0.1s  intake              28 items
    0.3s  intake[0].letter    completed  0.1s
    0.7s  intake[1].letter    completed  0.1s
    1.0s  intake[0].extract   completed  40 tokens  0.7s
    1.1s  intake[0].found     completed  0.1s
    1.1s  intake[2].letter    completed  0.1s
    1.4s  intake[1].extract   completed  41 tokens  0.7s
    1.5s  intake[1].found     completed  0.1s
    1.5s  intake[3].letter    completed  0.1s
    1.8s  intake[2].extract   completed  42 tokens  0.7s
    1.9s  intake[2].found     completed  0.1s
    1.9s  intake[4].letter    completed  0.1s
    2.2s  intake[3].extract   completed  43 tokens  0.7s
    2.3s  intake[3].found     completed  0.1s
    2.3s  intake[5].letter    completed  0.1s
    2.6s  intake[4].extract   failed  cut: the answer was cut after 200 tokens, before it was complete; raise `max_tokens` or ask for less
    2.6s  intake[4].found     skipped  needs extract
    2.6s  intake[4]           failed  cut
    2.7s  intake[6].letter    completed  0.1s
    3.0s  intake[5].extract   completed  45 tokens  0.7s
    3.1s  intake[5].found     completed  0.1s
    3.1s  intake[7].letter    completed  0.1s
    ");
    let done = Letters::done().told;
    insta::assert_snapshot!(done[done.len() - 6..].join("\n"), @r"
    12.0s  confirm             waits for approval  Write the accepted orders and leave 3 letters for a person?
    20.0s  confirm             approved by ada (flag)  go on
    20.0s  confirm             completed  7.9s
    20.0s  write               attempt 1 failed, again in 0.0s  backend: the model failed: out of memory
    20.2s  write               completed  attempt 2  0.1s
    20.2s  run                 completed  28 model calls, 8.9k in (7.2k cached), 1.4k out, 130 tok/s, smollm2-135m-instruct, cpu
    ");
    let mut letters = Letters::new();
    letters.doubt(80, "mail");
    letters.chat(90, "mail", 50, 1);
    letters.answer(95, "confirm", Verdict::Rejected, "not yet");
    letters.run_fails(100, "rejected", "`confirm` was rejected");
    insta::assert_snapshot!(letters.told.join("\n"), @r"
    0.0s  run                 created  01a1ee56-5e00-7707-8707-070707070707  order_intake
    0.0s  mail                in doubt  crash: the process ended while the call was under way
    0.0s  mail                answer 1 is not of the form asked for  1 token
    0.0s  confirm             rejected by ada (flag)  not yet
    0.1s  run                 failed  rejected  `confirm` was rejected  1 model call, 320 in (260 cached), 1 out, 20 tok/s, smollm2-135m-instruct, cpu
    ");
}

#[test]
fn a_text_cannot_steer_the_terminal() {
    let mut letters = Letters::new();
    letters.ask(10, "confirm", "ok?\x1b]0;title\x07\x1b[2J\r\nApproved \u{202e}drowssap");
    let drawn = draw(&letters, 20, 80, None) + &letters.told.join("\n");
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{drawn:?}");
}

#[test]
fn colours_add_nothing_but_colours() {
    let letters = Letters::halfway();
    let colored = letters.view.lines(at(6_400), 80, Some(20), true).join("\n");
    assert!(colored.contains("\x1b["));
    assert_eq!(console::strip_ansi_codes(&colored), draw(&letters, 6_400, 80, Some(20)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_drawing_is_wider_or_higher_than_it_may_be(
        columns in 1_usize..200, height in 1_usize..60, name in "\\PC{0,40}", which in 0..3, done in 0_u32.., total in 0_u32..,
    ) {
        let mut letters = match which {
            0 => Letters::halfway(),
            1 => Letters::asking(),
            _ => Letters::done(),
        };
        letters.start(30_000, "extra", 2);
        letters.fail(30_000, "extra", &name, &name);
        for (step, written) in [("intake[14].extract", &name), ("reads", &name), ("writes", &name.repeat(20))] {
            letters.start(30_000, step, 1);
            letters.view.reads(&step.parse().unwrap(), done, total);
            if step != "reads" {
                letters.view.writes(&step.parse().unwrap(), written);
            }
        }
        if which > 0 {
            letters.run_fails(30_001, &name, &name);
        }
        for height in [None, Some(height)] {
            let lines = letters.view.lines(at(31_000), columns, height, false);
            prop_assert!(height.is_none_or(|height| lines.len() <= height));
            for line in lines {
                prop_assert!(line.width() <= columns, "{} > {columns}: {line}", line.width());
            }
        }
    }
}

/// Steps that wait, are repeated, run out of time, and have runs of their own.
fn waiting() -> Letters {
    let mut letters = Letters::new();
    let step = |id: &str, verb: &str| OutlineStep { id: id.into(), verb: verb.into(), ..OutlineStep::default() };
    letters.view.describe(Outline {
        workflow: "watch".into(),
        steps: vec![
            step("pause", "wait"),
            step("deployed", "wait"),
            step("edit", "input"),
            OutlineStep { detail: "child.yaml".into(), own_run: true, ..step("child", "workflow") },
            OutlineStep { rounds: Some(20), children: vec![step("probe", "tool")], ..step("poll", "steps") },
            OutlineStep { children: vec![step("slow", "tool"), step("later", "tool")], ..step("group", "steps") },
            step("send", "tool"),
        ],
    });
    let (signal, prompt) = (letters.text("deployed"), letters.text("Is this right?"));
    letters.wait(10, "pause", WaitFor::Timer { at: at(60_000) });
    letters.wait(10, "deployed", WaitFor::Signal { name: signal, expires: Some(at(90_000)) });
    let form = WaitFor::Input { prompt, filled: None, labels: Labels::NONE, expires: None };
    letters.wait(20, "edit", form);
    letters.start(20, "child", 1);
    letters.wait(30, "child", WaitFor::Run { run: run().child(&"child".parse().unwrap()), wake: None });
    letters.start(40, "poll", 1);
    for round in 1..3 {
        letters.start(50, &format!("poll#{round}.probe"), 1);
        letters.complete(60, &format!("poll#{round}.probe"), 1);
        letters.complete(60, &format!("poll#{round}"), 1);
        letters.push(70, EventKind::StepRepeated { key: "poll".parse().unwrap(), round, done: false });
    }
    letters.start(80, "poll#3.probe", 1);
    letters.start(80, "group", 1);
    letters.start(80, "group.slow", 1);
    letters.push(90, EventKind::TimerFired { key: Some("group".parse().unwrap()), timer: Timer::Timeout });
    letters.push(91, EventKind::StepCancelled { key: "group.slow".parse().unwrap(), attempt: 1 });
    letters.skip(92, "group.later", SkipReason::TimedOut { id: "group".into() });
    letters.fail(93, "group", "timeout", "it took longer than 10s");
    letters.doubt(94, "send");
    letters
}

#[test]
fn what_a_run_waits_for_is_seen() {
    let mut letters = waiting();
    insta::assert_snapshot!(timeless(&draw(&letters, 100, 80, None)), @r"
    ▸ watch  01a1ee56-5e00-7707-8707-070707070707                    running    0.1s
      ⏸ pause     wait  waits until 2026-01-01 00:00:00                         0.0s
      ⏸ deployed  wait  waits for the signal `deployed`                         0.0s
      ⏸ edit      input  waits for values                                       0.0s
          Is this right?
      ⏸ child     workflow child.yaml  waits for its run                        0.0s
          run 01a1ee56-5e00-7a8d-b8da-81d87549f0ab
      ▸ poll      repeat  round 3/20                                            0.0s
        ✓ #1                                                                    0.0s
        ✓ #2                                                                    0.0s
        ▸ #3                                                                    0.0s
          ▸ probe  tool                                                         0.0s
      ✗ group     steps  timeout                                                0.0s
          it took longer than 10s
        ⊘ slow   tool                                                           0.0s
        – later  tool  the time of group was over
      ? send      tool  crash  in doubt
          the process ended while the call was under way
    ");
    insta::assert_snapshot!(timeless(&draw(&letters, 100, 40, None)), @r"
    ▸ watch                  running    0.1s
      01a1ee56-5e00-7707-8707-070707070707
      ⏸ pause     waits for a time      0.0s
      ⏸ deployed  waits for a signal    0.0s
      ⏸ edit      waits for values      0.0s
          Is this right?
      ⏸ child     waits for its run     0.0s
          run 01a1ee56-5e00-7a8d-b8da-81d87…
      ▸ poll      repeat  round 3/20    0.0s
        ✓ #1                            0.0s
        ✓ #2                            0.0s
        ▸ #3                            0.0s
          ▸ probe  tool                 0.0s
      ✗ group     steps  timeout        0.0s
          it took longer than 10s
        ⊘ slow   tool                   0.0s
        – later  the time of group was over
      ? send      tool  crash  in doubt
          the process ended while the call
          was under way
    ");
    assert!(letters.view.lines(at(100), 80, Some(40), false).len() <= 40);

    // All that was waited for comes, and the deadline passes.
    let (signal, payload, other) = (letters.text("deployed"), letters.text("{}"), letters.text("other"));
    let received = |key: Option<&str>, name| EventKind::SignalReceived {
        key: key.map(|key| key.parse().unwrap()),
        name,
        payload,
        kept: None,
    };
    letters.push(110, EventKind::TimerFired { key: Some("pause".parse().unwrap()), timer: Timer::Wait });
    letters.complete(110, "pause", 0);
    letters.push_as("ada", 120, received(Some("deployed"), signal));
    letters.push_as("ada", 121, received(None, other));
    letters.push_as("ada", 130, EventKind::InputReceived { key: "edit".parse().unwrap(), values: payload });
    letters.complete(131, "edit", 0);
    let note = Some(letters.text("looked into the outbox"));
    let outcome = Resolution::Done { output: payload };
    letters.push_as("ada", 140, EventKind::StepResolved { key: "send".parse().unwrap(), outcome, note });
    letters.start(150, "child", 1);
    letters.complete(160, "child", 1);
    letters.push(165, EventKind::StepRepeated { key: "poll".parse().unwrap(), round: 3, done: true });
    let tool = "mail.send".to_owned();
    for (verdict, rule) in [(policy::Verdict::Ask, "default.at_most_once"), (policy::Verdict::Deny, "project[0]")] {
        let key = "send".parse().unwrap();
        letters.push(166, EventKind::PolicyDecided { key, tool: tool.clone(), verdict, rule: rule.into() });
    }
    letters.push(170, EventKind::TimerFired { key: None, timer: Timer::Deadline });
    letters.push(180, EventKind::TimerFired { key: None, timer: Timer::Grace });
    insta::assert_snapshot!(draw(&letters, 190, 80, None), @r"
    ▸ watch  01a1ee56-5e00-7707-8707-070707070707                    overdue    0.1s
      ✓ pause     wait                                                          0.1s
      ▸ deployed  wait                                                          0.1s
      ✓ edit      input  filled by ada (flag)                                   0.1s
      ✓ child     workflow child.yaml                                           0.1s
          run 01a1ee56-5e00-7a8d-b8da-81d87549f0ab
      ▸ poll      repeat  round 3/20                                            0.1s
        ✓ #1                                                                    0.0s
        ✓ #2                                                                    0.0s
        ▸ #3                                                                    0.1s
          ▸ probe  tool                                                         0.1s
      ✗ group     steps  timeout                                                0.0s
          it took longer than 10s
        ⊘ slow   tool                                                           0.0s
        – later  tool  the time of group was over
      ▸ send      tool  denied by policy, rule project[0]
    ");
    insta::assert_snapshot!(timeless(&letters.told.join("\n")), @r"
    0.0s  run                 created  01a1ee56-5e00-7707-8707-070707070707  order_intake
    0.0s  pause        waits until 2026-01-01 00:00:00
    0.0s  deployed     waits for the signal `deployed`
    0.0s  edit         waits for values  Is this right?
    0.0s  child        has a run of its own  01a1ee56-5e00-7a8d-b8da-81d87549f0ab
    0.0s  child        waits for its run  01a1ee56-5e00-7a8d-b8da-81d87549f0ab
    0.0s  poll#1.probe  completed  0.0s
    0.0s  poll#1       completed  0.0s
    0.0s  poll         round 1 is through, `until` does not hold yet
    0.0s  poll#2.probe  completed  0.0s
    0.0s  poll#2       completed  0.0s
    0.0s  poll         round 2 is through, `until` does not hold yet
    0.0s  group        its time is over
    0.0s  group.slow   cancelled
    0.0s  group.later  skipped  the time of group was over
    0.0s  group        failed  timeout: it took longer than 10s
    0.0s  send         in doubt  crash: the process ended while the call was under way
    0.1s  pause        completed  0.1s
    0.1s  deployed     the signal `deployed` received by ada (flag)
    0.1s  run          the signal `other` received by ada (flag), and kept
    0.1s  edit         filled by ada (flag)
    0.1s  edit         completed  0.1s
    0.1s  send         resolved by ada (flag): it was carried out  looked into the outbox
    0.1s  child        has a run of its own  01a1ee56-5e00-7a8d-b8da-81d87549f0ab
    0.1s  child        completed  0.1s
    0.1s  poll         round 3 is through, `until` holds
    0.1s  send         mail.send  denied by policy, rule project[0]
    0.1s  run          the deadline has passed
    0.1s  run          the time for ending is over
    ");
    letters.push_as("ada", 200, EventKind::CancelRequested { note: None });
    letters.push(210, EventKind::RunCancelled);
    insta::assert_snapshot!(letters.told[letters.told.len() - 2..].join("\n"), @r"
    0.2s  run          cancel requested by ada (flag)
    0.2s  run          cancelled
    ");
}

#[test]
fn a_goal_shows_what_it_planned_and_its_turns_in_a_few_words() {
    use parkway::definition::Turn;
    use parkway::log::{Does, Planned};
    let mut letters = Letters::new();
    let goal = OutlineStep { id: "goal".into(), verb: "plan".into(), detail: "main".into(), ..OutlineStep::default() };
    letters.view.describe(Outline { workflow: "letters".into(), steps: vec![goal] });
    let grow = |letters: &mut Letters, ms, id: &str, does| {
        let (key, texts) = ("goal".parse().unwrap(), letters.text(""));
        letters.push(ms, EventKind::PlanExtended { key, nodes: vec![Planned::new(id, Vec::new(), does)], texts });
    };
    let line = || Does::Turn { turn: Turn::Line { patch: 0 } };
    let tool = |name: &str, effect| Does::Tool { name: name.into(), effect };
    letters.start(10, "goal", 1);
    grow(&mut letters, 11, "line_1", line());
    letters.start(12, "goal.line_1", 1);
    letters.chat(900, "goal.line_1", 880, 40);
    letters.complete(901, "goal.line_1", 1);
    grow(&mut letters, 902, "s1", tool("files.read_text", parkway::Effect::Read));
    grow(&mut letters, 903, "s2", tool("files.write_text", parkway::Effect::Idempotent));
    grow(&mut letters, 904, "line_2", line());
    letters.start(905, "goal.s1", 1);
    letters.start(906, "goal.line_2", 1);
    letters.complete(930, "goal.line_2", 1);
    // The second line could not stand.
    grow(&mut letters, 931, "line_3", line());
    letters.start(932, "goal.line_3", 1);
    letters.view.writes(&"goal.line_3".parse().unwrap(), r#"{"done":true"#);
    insta::assert_snapshot!(draw(&letters, 1_000, 80, None));
    letters.fail(1_100, "goal.s1", "not_found", "there is no file `a.txt`");
    letters.skip(1_101, "goal.s2", SkipReason::Replanned);
    letters.fail(1_200, "goal.line_3", "model", "the model is gone");
    letters.push(1_201, EventKind::PlanClosed { key: "goal".parse().unwrap(), given_up: true });
    insta::assert_snapshot!(draw(&letters, 1_300, 80, None));
    insta::assert_snapshot!(letters.told.join("\n"));
}

#[test]
fn no_event_is_new_to_those_who_tell_it() {
    // Whoever adds an event decides here what is said of it: a line, or nothing.
    let source = include_str!("../../../core/src/log/event.rs");
    let names = source.split("pub fn name(&self)").nth(1).and_then(|rest| rest.split("/// The step").next()).unwrap();
    let known: Vec<_> = names.split('"').skip(1).step_by(2).collect();
    assert_eq!(
        known.join(" "),
        "run_created run_claimed run_reopened run_forked step_started step_expanded step_completed step_failed \
         step_retried step_skipped step_cancelled step_in_doubt step_resolved step_repeated step_waiting timer_fired signal_received \
         input_received model_called policy_decided approval_requested approval_decided plan_extended plan_closed \
         budget_reserved budget_settled memory_written memory_forgotten payload_erased hold_placed hold_lifted \
         key_rotated backup_shredded cancel_requested run_completed run_failed run_cancelled"
    );
    let source = include_str!("../../../core/src/log/waiting.rs");
    let variants = |name: &str| {
        let body = source.split(&format!("pub enum {name} {{")).nth(1).unwrap().split("\n}").next().unwrap();
        let starts = body.lines().filter_map(|line| line.strip_prefix("    ")?.split([' ', ',', '{']).next());
        starts.filter(|word| word.starts_with(char::is_uppercase)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(variants("WaitFor"), "Timer Signal Run Input");
    assert_eq!(variants("Timer"), "Wait Timeout Deadline Grace");
}
