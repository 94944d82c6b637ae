//! Runs on a terminal: a pseudo terminal, with what a person would type.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::bench::{ASK, Bench};
use crate::shop::{self, PAY};

/// A program on a terminal.
struct Screen {
    child: Child,
    keyboard: File,
    written: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn run(bench: &Bench, args: &[&str], columns: u16) -> Screen {
        let owner = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&owner).unwrap();
        unlockpt(&owner).unwrap();
        tcsetwinsize(&owner, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&owner, Vec::new()).unwrap();
        let side = || OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
        let mut command = bench.command(args);
        command.env("TERM", "xterm").stdin(side()).stdout(Stdio::from(side())).stderr(Stdio::from(side()));
        let child = command.spawn().unwrap();
        drop(command);
        let keyboard = File::from(owner);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, written) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // At the end of the program a read is an error.
            while let Ok(read) = screen.read(&mut buffer) {
                if read == 0 || sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Screen { child, keyboard, written, seen: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until a text was written since the last wait.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let start = Instant::now();
        while !self.seen.contains(text) {
            assert!(start.elapsed() < Duration::from_secs(20), "no {text:?} in\n{}", self.seen);
            if let Ok(bytes) = self.written.recv_timeout(Duration::from_millis(50)) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        self.seen = self.seen.split_off(self.seen.find(text).unwrap() + text.len());
    }

    fn ends(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        while let Ok(bytes) = self.written.recv_timeout(Duration::from_millis(100)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (code, console::strip_ansi_codes(&self.seen).into_owned())
    }
}

const PROMPT: &str = "y or n, then a note if you like: ";

#[test]
fn a_person_at_the_terminal_is_asked() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows("Write Hello, Ada?");
    screen.shows("\"path\": \"out/hello.txt\"");
    screen.shows(PROMPT);
    screen.types("perhaps\n");
    screen.shows(PROMPT);
    assert!(!bench.path("out/hello.txt").exists());
    screen.types("y looks good\n");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("approved by ada (prompt)"), "{rest}");
    let step = bench.parkway(&["show", "--step", "confirm"]).out;
    assert!(step.contains("looks good"), "{step}");
}

#[test]
fn a_no_at_the_terminal_ends_with_3() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows(PROMPT);
    screen.types("n\n");
    assert_eq!(screen.ends().0, Some(3));
}

#[test]
fn an_answer_from_elsewhere_takes_the_question_away() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows(PROMPT);
    let shown = bench.parkway(&["show"]).code(0).out;
    assert!(shown.contains("waits for approval"), "{shown}");
    bench.parkway(&["approve", "last", "confirm"]).code(0).says("takes the answer up now");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("approved by ada (command)"), "{rest}");
}

#[test]
fn an_answer_typed_before_the_question_is_none() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.types("y\n");
    screen.shows(PROMPT);
    thread::sleep(Duration::from_millis(300));
    assert!(!bench.path("out/hello.txt").exists());
    screen.types("n\n");
    assert_eq!(screen.ends().0, Some(3));
}

#[test]
fn a_terminal_without_a_person_leaves_the_run_waiting() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows(PROMPT);
    screen.types("\u{4}");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(4), "{rest}");
    assert!(rest.contains("parkway approve"), "{rest}");
    bench.parkway(&["resume", "--yes"]).code(0);
}

#[test]
fn ctrl_c_at_the_question_can_be_resumed() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows(PROMPT);
    kill_process(Pid::from_child(&screen.child), Signal::INT).unwrap();
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(130), "{rest}");
    assert!(rest.contains("go on with: parkway resume"), "{rest}");
    bench.parkway(&["resume", "--yes"]).code(0);
}

#[test]
fn an_output_cannot_steer_the_terminal_and_stays_the_same_json() {
    let bench = Bench::new(
        "parkway: 1\nsteps: { a: { set: { text: \"\\u009b2J\\u202eb\\U000e0001é\" } } }\noutputs: { text: \"${{ steps.a.output.text }}\" }\n",
    );
    let (code, rest) = Screen::run(&bench, &["run", "flow.yaml", "--no-color"], 80).ends();
    assert_eq!(code, Some(0), "{rest}");
    assert!(!rest.contains(['\u{9b}', '\u{202e}', '\u{e0001}']), "{rest:?}");
    let line = rest.lines().find(|line| line.contains("\"text\"")).unwrap();
    let json = format!("{{{}}}", line.trim());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["text"], "\u{9b}2J\u{202e}b\u{e0001}é");
    assert_eq!(bench.parkway(&["run", "flow.yaml"]).code(0).json(), value);
}

#[test]
fn ctrl_c_ends_a_command_that_reads_its_inputs() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml", "--inputs", "-"], 80);
    let start = Instant::now();
    while screen.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(30), "it goes on");
        thread::sleep(Duration::from_millis(300));
        // One that comes before the command runs is heard by nobody.
        let _ = kill_process(Pid::from_child(&screen.child), Signal::INT);
    }
    assert!(bench.runs().is_empty());
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_the_run_can_be_resumed() {
    let bench = Bench::new(ASK);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows(PROMPT);
    let child = Pid::from_child(&screen.child);
    kill_process(child, Signal::INT).unwrap();
    // The first one may have been enough.
    let _ = kill_process(child, Signal::INT);
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(130), "{rest}");
    bench.parkway(&["resume", "--yes"]).code(0);
}

#[test]
fn a_narrow_terminal_is_not_overrun() {
    let bench = Bench::new(ASK);
    let screen = Screen::run(&bench, &["run", "flow.yaml", "--yes"], 40);
    assert_eq!(screen.ends().0, Some(0));
    for args in [&["show"][..], &["runs"]] {
        let (code, text) = Screen::run(&bench, args, 40).ends();
        assert_eq!(code, Some(0), "{text}");
        let wide = text.lines().find(|line| console::measure_text_width(line.trim_end()) > 40);
        assert_eq!(wide, None, "{text}");
    }
}

/// A step that wants values.
const EDIT: &str = r#"
parkway: 1
steps:
  edit:
    input:
      prompt: Is 12 right?
      output:
        total: { type: integer, min: 1, default: 12 }
        paid: { type: boolean }
        note: { type: string, optional: true }
outputs: { total: "${{ steps.edit.output.total }}", paid: "${{ steps.edit.output.paid }}" }
"#;

#[test]
fn a_form_is_asked_field_by_field_while_a_run_waits() {
    let bench = Bench::new(EDIT);
    let mut screen = Screen::run(&bench, &["run", "flow.yaml"], 80);
    screen.shows("Is 12 right?");
    screen.shows("total (integer, at least 1) [12]: ");
    screen.types("0\n");
    screen.shows("minimum");
    screen.shows("total (integer, at least 1) [12]: ");
    screen.types("\n");
    screen.shows("paid (boolean): ");
    screen.types("yes\n");
    screen.shows("note (string, may be left out): ");
    screen.types("\n");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("\"total\": 12") && rest.contains("\"paid\": true"), "{rest}");
}

#[test]
fn a_form_is_asked_by_the_command_that_fills_it() {
    let bench = Bench::new(EDIT);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    let mut screen = Screen::run(&bench, &["input", "last", "edit"], 80);
    for (field, typed) in [("total (", "x\n"), ("total (", "7\n"), ("paid (", "no\n"), ("note (", "later\n")] {
        screen.shows(field);
        screen.types(typed);
    }
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(0), "{rest}");
    assert_eq!(bench.parkway(&["resume"]).code(0).json()["total"], 7);
}

#[test]
fn a_person_at_the_terminal_is_told_what_is_known_of_a_call_in_doubt() {
    let bench = Bench::new(PAY);
    shop::starts(&bench, "flow.yaml");
    let mut screen = Screen::run(&bench, &["resolve", "last", "pay"], 100);
    screen.shows("? pay  bank.pay");
    screen.shows("nobody knows whether this call was carried out: unreachable");
    screen.shows("the bank's answer did not come");
    screen.shows("\"amount\": 12");
    screen.shows("attempt 1");
    screen.shows(&shop::ledger(&bench)[0]);
    screen.shows("d, n or r, then a note if you like: ");
    screen.types("perhaps\n");
    screen.shows("d, n or r, then a note if you like: ");
    screen.types("d seen in the account\n");
    screen.shows("what it returned, as JSON: ");
    screen.types("R-17\n");
    screen.shows("! it is no JSON");
    screen.types("{\"receipt\": \"R-17\"}\n");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(0), "{rest}");
    let shown = bench.parkway(&["show", "last"]).code(0).out;
    assert!(shown.contains("in doubt"), "{shown}");
    assert_eq!(shop::resumes(&bench), parkway::log::RunStatus::Completed);
    let step = bench.parkway(&["show", "--step", "pay"]).out;
    assert!(step.contains("resolved by ada (prompt)") && step.contains("seen in the account"), "{step}");
}

#[test]
fn nothing_typed_about_a_call_in_doubt_is_taken_for_a_word() {
    let bench = Bench::new(PAY);
    shop::starts(&bench, "flow.yaml");
    let mut screen = Screen::run(&bench, &["resolve", "last", "pay"], 80);
    screen.shows("d, n or r");
    screen.types("\u{4}");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(130), "{rest}");
    assert!(rest.contains("`pay` stays in doubt"), "{rest}");
    bench.parkway(&["resolve", "last", "pay", "--not-done"]).code(0);
}
