//! Public plans before the check of plan lines: those that keep to the schemas of their tools must stand, those in which one thing
//! was made wrong must not.
//!
//! `scripts/planning-data`, then `cargo run --release -p parkway-core --example planning_validate`, or with files of its form. Ends with an
//! error if the check and that of `scripts/planning-data`, which shares nothing with it, differ about a plan, or if a wrong one stands.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

#[expect(dead_code, reason = "the planner's own program, which shares it, reads more of a case")]
mod cases;
mod mutate;

use std::collections::BTreeMap;
use std::time::Instant;

use parkway_core::planning::{Draft, LineError};
use serde_json::{Value, json};

use self::cases::{Case, Outcome};
use self::mutate::Mutation;

/// Wrong plans of each kind that are made of one plan, at most.
const OF_EACH: usize = 3;

fn main() -> Outcome<()> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        let home = std::env::var("HOME")?;
        files = ["nestful", "complex"].map(|name| format!("{home}/.cache/parkway/benchmarks/{name}.jsonl")).into();
    }
    let (mut bad, mut dice) = (0, Dice(7));
    for file in files {
        let cases = cases::read(&file)?;
        println!("{file}");
        let (standing, differ) = stand(&cases);
        bad += differ + fall(&standing, &mut dice);
    }
    if bad > 0 { Err(format!("{bad} plans are not judged as they must be").into()) } else { Ok(()) }
}

/// Holds the known plans as they are; those that stand, and the number of those about which the two checks differ.
fn stand(cases: &[Case]) -> (Vec<&Case>, usize) {
    let (started, mut standing, mut differ, mut lines) = (Instant::now(), Vec::new(), 0, 0);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases {
        lines += case.gold.len() + 1;
        let part = case.id.split('-').next().unwrap_or_default();
        match hold(case, &lines_of(case)) {
            Ok(()) if case.departs.is_empty() => standing.push(case),
            // A plan line has no way to say it, and to the check it is a text like any other.
            Ok(()) if case.departs.iter().all(|place| place.ends_with("within a text")) => {
                println!("  {}: {}", case.id, case.departs.join("; "));
                *reasons.entry(format!("{part}: a reference within a text")).or_default() += 1;
            }
            Ok(()) => {
                differ += 1;
                println!("  {} stands, and yet {}", case.id, case.departs.join("; "));
            }
            Err((at, errors)) => {
                let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let place = case.gold.get(at).map_or("the last line", |call| &call.id);
                println!("  {}, {place}: {}", case.id, told.join("; "));
                *reasons.entry(format!("{part}: {}", errors[0].code)).or_default() += 1;
                if case.departs.is_empty() {
                    differ += 1;
                    println!("  ^ keeps to the schemas of its tools");
                }
            }
        }
    }
    let clean = cases.iter().filter(|case| case.departs.is_empty()).count();
    println!(
        "{} plans, {lines} lines, {:.0} µs a line; {} stand, of {clean} that keep to the schemas of their tools",
        cases.len(),
        started.elapsed().as_secs_f64() * 1e6 / lines as f64,
        standing.len(),
    );
    reasons.iter().for_each(|(reason, count)| println!("  {count} × {reason}"));
    (standing, differ)
}

/// Makes the plans wrong; the number of wrong ones that stand.
fn fall(cases: &[&Case], dice: &mut Dice) -> usize {
    let mut stood = 0;
    println!("{:<22}{:>8}{:>9}{:>10}  codes", "made wrong", "plans", "refused", "no place");
    for mutation in Mutation::ALL {
        let (mut made, mut refused, mut without) = (0, 0, 0);
        let mut codes: BTreeMap<&'static str, usize> = BTreeMap::new();
        for case in cases {
            let mut ways = mutation.of(case);
            without += usize::from(ways.is_empty());
            for _ in 0..OF_EACH.min(ways.len()) {
                let (at, call) = ways.swap_remove(dice.below(ways.len()));
                let mut lines = lines_of(case);
                lines[at] = call.line();
                made += 1;
                match hold(case, &lines) {
                    Err((line, errors)) if line == at => {
                        refused += 1;
                        errors.iter().for_each(|error| *codes.entry(error.code).or_default() += 1);
                    }
                    _ => println!("  {} stands as {}", case.id, lines[at]),
                }
            }
        }
        stood += made - refused;
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{code} {count}")).collect();
        println!("{:<22}{made:>8}{refused:>9}{without:>10}  {}", mutation.name(), codes.join(", "));
    }
    stood
}

fn lines_of(case: &Case) -> Vec<Value> {
    let mut lines: Vec<Value> = case.gold.iter().map(cases::Call::line).collect();
    lines.push(match &case.answer {
        Some(answer) => json!({"done": true, "answer": answer}),
        None => json!({"done": true}),
    });
    lines
}

/// The first line that cannot stand, and why.
fn hold(case: &Case, lines: &[Value]) -> Result<(), (usize, Vec<LineError>)> {
    let most = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let answer = case.answer.as_ref().map(|_| json!({"type": "object"}));
    let mut draft = Draft::new(case.tools.clone(), answer, most);
    for (at, line) in lines.iter().enumerate() {
        let line = draft.read(line).map_err(|errors| (at, errors))?;
        draft.take(line, "");
    }
    Ok(())
}

/// Numbers by chance, the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap_or(0)
    }
}
