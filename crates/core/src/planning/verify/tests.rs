use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

const GOAL: &str = "Say how many invoices of ACME are open in 2026, and for whom.";

fn against(answer: &Value, steps: &[(&str, Effect, Value)]) -> Vec<(String, String)> {
    let found: Vec<Found<'_>> =
        steps.iter().map(|(id, effect, output)| Found { id, effect: *effect, completed: true, output }).collect();
    let sources: Vec<String> = steps.iter().map(|(id, _, _)| (*id).to_owned()).collect();
    let problems = verify(answer, &sources, &found, GOAL).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.claim, problem.why)).collect()
}

/// What is not supported, each by the last words of why.
#[track_caller]
fn check_steps(answer: Value, steps: &[(&str, Effect, Value)], expect: &[&str]) {
    let problems = against(&answer, steps);
    let told = |(problem, expect): (&(String, String), &&str)| {
        problem.1.ends_with(expect) || problem.1.contains(&format!("`{expect}`"))
    };
    assert!(
        problems.len() == expect.len() && problems.iter().zip(expect).all(told),
        "{answer}\nexpected {expect:?}\nfound {problems:#?}"
    );
}

/// An answer held against one result that was read.
#[track_caller]
fn check(answer: &str, source: Value, expect: &[&str]) {
    check_steps(json!(answer), &[("s1", Effect::Read, source)], expect);
}

/// The same, and the result is of a step that changes something.
#[track_caller]
fn done(answer: &str, source: Value) {
    check_steps(json!(answer), &[("s1", Effect::Idempotent, source)], &[]);
}

/// The word by which a sentence claims a change, which nothing shows.
#[track_caller]
fn claims(sentence: &str, verb: &str) {
    let found = deed::claimed(sentence).map(|deed| deed.verb);
    assert_eq!(found.as_deref().unwrap_or(""), verb, "{sentence}");
}

#[track_caller]
fn numbers(word: &str, expect: Option<&[&[&str]]>) {
    let expect: Option<Vec<Vec<_>>> = expect.map(|all| {
        all.iter().map(|one| one.iter().map(|text| number::Decimal::parse(text).unwrap()).collect()).collect()
    });
    assert_eq!(number::written(word), expect, "{word}");
}

#[test]
fn an_invented_number_does_not_pass() {
    check("There are 47.", json!(47), &[]);
    check("There are 47.", json!(48), &["47"]);
    check("There are 47.", json!("a47 47b 1.47 147 47.5 v1.47.2"), &[]);
    check("There are 47.", json!("a47 x_47 1.47 147 47.5 v1.47.2"), &["47"]);
    check("There are 1,234 lines.", json!(1234.0), &[]);
    check("There are 1234.50 lines.", json!("1,234.5"), &[]);
    check("Es sind 1.234,50 € offen.", json!(1234.5), &[]);
    check("It is -5 now.", json!(-5), &[]);
    check("It fell by 5.", json!(-5), &[]);
    check("It is -5 now.", json!(5), &["-5"]);
    check("It is 45%.", json!(0.45), &[]);
    check("It is 45 %.", json!("45 %"), &[]);
    check("It took 10ms.", json!({"ms": 10}), &[]);
    check("From 3-5 of them.", json!([3, 5, 9, 9]), &[]);
    check("The year 2026 has it.", json!(null), &[]);
    check("It is ٤٧ and ４８.", json!(47), &["48"]);
    check("It is 47 and 47 again.", json!(1), &["47"]);
}

#[test]
fn an_invented_number_in_other_digits_or_scripts_does_not_pass() {
    check("共有47行。", json!(47), &[]);
    check("共有48行。", json!(47), &["48"]);
    check("عددها ٤٨", json!(47), &["48"]);
    check("It is 𝟒𝟖.", json!(47), &["48"]);
    check("It is 4\u{200b}8.", json!(47), &["48"]);
}

#[test]
fn huge_numbers_are_compared_to_the_last_digit() {
    let huge = "123456789012345678901234567890123456789";
    check(&format!("It is {huge}."), json!(huge), &[]);
    check(&format!("It is {huge}0."), json!(huge), &[&format!("{huge}0")]);
    check("It is 1e21.", json!(1e21), &[]);
    check("It is 1e999999999.", json!(1), &["1e999999999"]);
    check("It is 1e99999999999.", json!(1), &["1e99999999999"]);
    check(&"9".repeat(100_000), json!(1), &[&cut(&"9".repeat(100_000))]);
    check("It is 18446744073709551615.", json!(u64::MAX), &[]);
    check("It is 0.1.", json!(0.1), &[]);
}

#[test]
fn a_number_is_read_as_it_is_written() {
    numbers("47", Some(&[&["47"]]));
    numbers("1.234", Some(&[&["1.234", "1234"]]));
    numbers("1,234,567", Some(&[&["1234567"]]));
    numbers("1.234.567,8", Some(&[&["1234567.8"]]));
    numbers("1'234", Some(&[&["1234"]]));
    numbers("$1,234.50", Some(&[&["1234.5"]]));
    numbers("-$5", Some(&[&["-5"]]));
    numbers("45%", Some(&[&["45", "0.45"]]));
    numbers("3/4", Some(&[&["3"], &["4"]]));
    numbers("5-day", Some(&[&["5"]]));
    numbers("1e3", Some(&[&["1000"]]));
    numbers("3rd", Some(&[]));
    for word in ["", "1.2.3", "007", "10:30", "INV-5", "a1", "12ab34", "1-2-3-4", "47abcdefg"] {
        numbers(word, None);
    }
}

#[test]
fn counting_items_is_no_claim() {
    check("1. alpha\n2. beta\n(3) gamma\n- delta\n10) end", json!([]), &[]);
    check("The 1st is alpha, the 22nd is beta.", json!([]), &[]);
}

#[test]
fn what_can_be_derived_is_not_refused() {
    let orders = json!([
        {"price": 1.1, "state": "open", "paid": false}, {"price": 2.2, "state": "open", "paid": true},
        {"price": 3.3, "state": "late", "paid": false},
    ]);
    check("There are 3 orders.", orders.clone(), &[]);
    check("In sum it is 6.6.", orders.clone(), &[]);
    check("From 1.1 to 3.3.", orders.clone(), &[]);
    check("Of them 2 are open, 1 is paid.", orders.clone(), &[]);
    check("On average it is 2.75.", orders, &["2.75"]);
    check("In sum it is 0.3.", json!([0.1, 0.2]), &[]);
    check("In sum it is 7.", json!({"rows": [{"n": "3"}, {"n": "4"}]}), &[]);
    check("In sum it is 7.", json!([{"n": "3"}, {"n": "4 or so"}]), &["7"]);
    check("It has 0 items.", json!([]), &[]);
    check("It has 4 fields.", json!({"a": "", "b": "", "c": "", "d": ""}), &[]);
    check("In sum it is 1.", json!([1e300, 1e-300, i64::MAX, 5]), &["1"]);
}

#[test]
fn an_invented_quote_does_not_pass() {
    let source = json!({"text": "The quick  brown\nfox jumps. It's fine."});
    check("It says \"the quick brown fox\".", source.clone(), &[]);
    check("It says “quick brown … jumps.”", source.clone(), &[]);
    check("It says 'It's fine.'", source.clone(), &[]);
    check("It says `brown cat`.", source.clone(), &["brown cat"]);
    check("Es heißt „brauner Fuchs“.", source.clone(), &["brauner Fuchs"]);
    check("It says \"rown fox\".", source.clone(), &["rown fox"]);
    check("It says `4`, and \"\".", json!([1, 2, 3, 4]), &[]);
    check("```\nquick brown\nslow\n```", source.clone(), &["slow"]);
    check("The fox's place isn't Anna's.", source, &["Anna"]);
    check("A \" that is alone, and 5'11 too.", json!(null), &["5'11"]);
}

#[test]
fn an_invented_name_does_not_pass() {
    let source = json!([{"name": "Anna Müller", "firm": "acme", "path": "/srv/data/src/lib.rs", "read_all": 1}]);
    check("Then Anna Müller of ACME came.", source.clone(), &[]);
    check("Then ANNA came with Anna's data.", source.clone(), &[]);
    check("Then Peter came.", source.clone(), &["Peter"]);
    check("Then IBM came. Nobody else.", source.clone(), &["IBM"]);
    check("Dr. Peter came.", source.clone(), &["Peter"]);
    check("See src/lib.rs, `lib.rs`, and ./src/lib.rs.", source.clone(), &[]);
    check("See src/main.rs and /etc/passwd.", source.clone(), &["src/main.rs", "/etc/passwd"]);
    check("Call read_all, not read_some.", source.clone(), &["read_some"]);
    check("Call read.", json!({"read_all": 1}), &[]);
    check(
        "Call HttpClient, core::fmt, a@b.de, or INV-2026-1.",
        source.clone(),
        &["HttpClient", "core::fmt", "a@b.de", "INV-2026-1"],
    );
    check("As s1 and s1.name say, i.e. **Anna**, e.g. _Anna_.", source.clone(), &[]);
    check("Version 1.2 is old.", json!("version 1.2.3"), &["1.2"]);
    check("Version 1.2.3 is old.", json!("version 1.2.3."), &[]);
    check("Commit deadbeef1 has https://x.example/a?b=1.", source, &["deadbeef1", "https://x.example/a?b=1"]);
    check("He said (it was Anna.) Then \"It was so.\" Then nothing… Well.", json!("It was so. Anna"), &[]);
    check("I'd say OK, and I've seen it.\n# About Some Thing\n| Peter | Anna |", json!("Anna"), &[]);
}

#[test]
fn a_german_noun_is_not_taken_for_a_name() {
    let source = json!({"name": "Anna Müller", "n": 47});
    check("Die Datei ist von Anna Müller und hat 47 Zeilen.", source.clone(), &[]);
    check("Die Datei ist von Peter Schmidt und hat 48 Zeilen.", source.clone(), &["Schmidt", "48"]);
    check("Die Datei `b.txt` ist von der NASA.", source, &["b.txt", "NASA"]);
}

#[test]
fn a_date_is_the_same_in_every_form() {
    let source = json!({"at": "2026-03-05T10:30:00Z"});
    check("It was on March 5, 2026, at 10:30.", source.clone(), &[]);
    check("It was on the 5th of March, in March 2026.", source.clone(), &[]);
    check("Es war am 5. März 2026 oder 05.03.2026.", source.clone(), &[]);
    check("It was on 3/5/2026, in March.", source.clone(), &[]);
    check("It was on March 6, 2026, or in May 2026.", source.clone(), &["March 6, 2026", "May 2026"]);
    check("It was at 11:30.", source.clone(), &["11:30"]);
    check("It was on 2026-13-77.", source, &["2026-13-77"]);
    check("It was on 2026-03-05.", json!("the 5 March 2026, a Thursday"), &[]);
}

#[test]
fn a_json_answer_is_looked_at_to_its_last_leaf() {
    let source = json!({"rows": [{"name": "Widget A", "n": 5}], "text": "see INV-7"});
    let step = [("s1", Effect::Read, source)];
    check_steps(json!({"a": [{"b": {"name": "Widget A", "n": 5, "ok": false, "none": null}}]}), &step, &[]);
    check_steps(json!({"a": [{"b": {"name": "Of Widget B1", "n": 6}}]}), &step, &["Widget", "B1", "6"][1..]);
    check_steps(json!([5, 1, 5.0]), &step, &[]);
    assert_eq!(against(&json!({"total": 6}), &step), [("total: 6".to_owned(), "no result of s1 holds 6".to_owned())]);
}

#[test]
fn an_answer_without_claims_passes() {
    for answer in [json!(""), json!(null), json!([]), json!({}), json!("Nothing was found."), json!(true)] {
        check_steps(answer.clone(), &[], &[]);
        check_steps(answer, &[("s1", Effect::Read, json!("x"))], &[]);
    }
    check_steps(json!("There are 47."), &[], &["the goal does not say 47"]);
}

#[test]
fn a_source_that_is_no_completed_step_is_refused() {
    let output = json!(47);
    let found = [
        Found { id: "s1", effect: Effect::Read, completed: true, output: &output },
        Found { id: "s2", effect: Effect::AtMostOnce, completed: false, output: &output },
    ];
    let told = |answer: &str, sources: &[&str]| {
        let sources: Vec<String> = sources.iter().map(|id| (*id).to_owned()).collect();
        let problems = verify(&json!(answer), &sources, &found, GOAL).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(told("It is 47.", &["s1", "s1"]).is_empty());
    assert_eq!(told("", &["s3"]), ["s3: no step of the run has this id"]);
    assert_eq!(told("", &["s2"]), ["s2: the step has not completed, so it shows nothing"]);
    assert_eq!(told("I sent it.", &["s2", "s1"]).len(), 2, "a step that did not complete is no record");
    assert_eq!(told("It is 47.", &[]).len(), 1, "a result that is not named shows nothing");
}

#[test]
fn a_claim_of_a_change_without_a_record_does_not_pass() {
    check("The file was deleted.", json!("a.txt"), &["deleted"]);
    check("I have sent the mail.", json!("a.txt"), &["sent"]);
    check("It's all there. I've also updated it.", json!("a.txt"), &["updated"]);
    done("The file was deleted, and I have sent the mail.", json!("a.txt"));
    check_steps(json!("I sent it."), &[("s1", Effect::Pure, json!(1)), ("s2", Effect::Transactional, json!(1))], &[]);
    let step = [("s1", Effect::Read, json!({"sent": false}))];
    check_steps(json!({"email_sent": true}), &step, &["sent"]);
    check_steps(json!({"emailSent": true}), &step, &["sent"]);
    check_steps(json!({"done": true}), &step, &["done"]);
    check_steps(json!({"sent": false, "found": true}), &step, &[]);
    check_steps(json!({"sent": true}), &[("s1", Effect::Read, json!([{"sent": true}]))], &[]);
    check_steps(json!({"status": "sent"}), &step, &["sent"]);
    check_steps(json!({"status": "sent"}), &[("s1", Effect::Read, json!([{"status": "sent"}]))], &[]);
    let problems = against(&json!("All is well. The file was deleted."), &step);
    assert_eq!(problems[0].0, "The file was deleted.", "the failure names the sentence");
}

#[test]
fn what_a_source_says_is_no_claim_of_ones_own() {
    let log = json!(["fix the parser, the old file was deleted by accident", "The File  was deleted."]);
    check("The file was deleted.", log.clone(), &[]);
    check("The log says \"the old file was deleted by accident\".", log.clone(), &[]);
    check("I have deleted the file.", log.clone(), &["deleted"]);
    check("The file was deleted, as you wished.", log, &["deleted"]);
    check("The old file was deleted.", json!("Deleted. It was deleted."), &["deleted"]);
    check("Invoice 47 was paid.", json!({"no": 47, "status": "paid"}), &[]);
    check("Invoice 47 was paid.", json!({"no": 47, "paid_at": "2026-03-05"}), &[]);
    check("Invoice 47 was paid.", json!({"no": 47, "paid_at": null}), &["paid"]);
    check("I paid invoice 47.", json!({"no": 47, "status": "paid"}), &["paid"]);
    let commit = json!({"author": "tom", "subject": "Fix it", "email": "tom@a.example"});
    check("It was written by tom.", commit.clone(), &[]);
    check("It was written by tim.", commit.clone(), &["written"]);
    check("It was sent by email.", json!({"way": "email", "email": "a"}), &["sent"]);
    check("I have written it by tom.", commit, &["written"]);
}

#[test]
fn a_sentence_that_claims_is_not_overlooked() {
    claims("I wrote it to a.txt.", "wrote");
    claims("I've just successfully deleted both files", "deleted");
    claims("The report has been saved.", "saved");
    claims("The mails were all successfully sent to Anna.", "sent");
    claims("I read the file and deleted it.", "deleted");
    claims("I did not find errors, but I removed the cache.", "removed");
    claims("Successfully renamed.", "renamed");
    claims("Deleted 3 files.", "deleted");
    claims("Updated the index.", "updated");
    claims("Email sent.", "sent");
    claims("The commit was reverted.", "reverted");
    claims("The invoice is now paid.", "paid");
    claims("The report was sent by email to Anna.", "sent");
    claims("It was deleted by the agent.", "deleted");
    claims("The meeting was scheduled on \u{2}\u{2}\u{2}.", "scheduled");
    claims("I have written the summary to the file.", "written");
    claims("Die Datei wurde gelöscht.", "gelöscht");
    claims("Ich habe die Nachricht an Anna gesendet.", "gesendet");
    claims("Danach habe ich die Datei nach b verschoben.", "verschoben");
    claims("Die Datei wurde von A nach B verschoben.", "verschoben");
    claims("Die Rechnungen sind bezahlt worden.", "bezahlt");
    claims("Ich löschte die Datei.", "löschte");
    claims("Datei erfolgreich gespeichert.", "gespeichert");
}

#[test]
fn a_sentence_that_does_not_claim_is_not_refused() {
    for sentence in [
        "The mail was not sent.",
        "The mail wasn't sent.",
        "I haven't deleted it.",
        "No mail was sent.",
        "I sent nothing.",
        "Nothing was changed or deleted.",
        "The file should be deleted.",
        "It should be checked and sent to Anna.",
        "If the file was deleted, say so.",
        "Was the file deleted?",
        "It will be sent tomorrow.",
        "I was unable to see whether it was sent.",
        "The commit was created by Anna.",
        "The file was created on \u{2}\u{2}\u{2}\u{2}.",
        "The file was last changed in 2019.",
        "According to the log the file was deleted.",
        "There are files that were deleted.",
        "The code is written in Rust.",
        "Deleted files are not listed.",
        "I have written a summary.",
        "I added up the numbers.",
        "Here is the updated list.",
        "The paid invoices are open.",
        "Die Datei wurde nicht gelöscht.",
        "Die Datei wurde von Anna gelöscht.",
        "Es wurde keine Datei gelöscht.",
        "Die Datei sollte gelöscht werden.",
        "Ich habe eine Zusammenfassung geschrieben.",
        "",
    ] {
        claims(sentence, "");
    }
}

#[test]
fn no_more_than_eight_things_are_told_and_each_is_short() {
    let answer = (100..200).map(|n| format!("{n} {}", "x".repeat(300))).collect::<Vec<_>>().join(". ");
    let problems = against(&json!(answer), &[("s1", Effect::Read, json!(null))]);
    assert_eq!(problems.len(), 8);
    assert!(problems.iter().all(|(claim, _)| claim.chars().count() <= 120));
}

#[test]
fn megabytes_are_not_looked_through_for_each_claim() {
    let line = "The order INV-7 of Anna Müller was paid on 2026-03-05 with 1,234.50 € by 'card'.\n";
    let text = line.repeat(5_000_000 / line.len());
    let rows: Vec<Value> = (0..10_000).map(|n| json!({"id": format!("row-{n}"), "n": n, "name": "Widget"})).collect();
    let source = json!({"text": text, "rows": rows});
    let same: Vec<Value> = (0..10_000).map(|n| json!({"note": format!("It is row-{n}."), "n": n})).collect();
    let invented: Vec<Value> =
        (0..10_000).map(|n| json!(format!("It is x-{n} “{}” Peter{n}.", "a".repeat(n % 100)))).collect();
    let step = [("s1", Effect::Read, source.clone())];
    let start = Instant::now();
    check_steps(json!({"copied": source, "same": same}), &step, &[]);
    let short = [("s1", Effect::Read, json!(line))];
    assert_eq!(against(&json!(invented), &short).len(), 8);
    // A line without an end, as an answer.
    check_steps(json!(line.repeat(2_000).replace('\n', " ")), &short, &[]);
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_panic(answer in "\\PC*|[-0-9.,'a-zA-ZäÄ\"`„“_/ \u{a0}–€%eE\n]{0,80}", source in "\\PC*") {
        let steps = [("s1", Effect::Read, json!([source, answer]))];
        proptest::prop_assert_eq!(against(&json!(answer), &steps), []);
        against(&json!(answer), &[("s1", Effect::Read, json!(source))]);
    }
}
