//! Processes that are killed at every place where something is written, and what is true of their runs afterwards.

mod ledger;
mod life;
mod matrix;
mod oracle;
mod oracle_tests;
mod scenario;
mod tools;
mod worker;
mod zombie;

use parkway_core::testing::{Moment, WritePoint};

use self::matrix::{Case, Table};
use self::scenario::{Class, Scenario, is_outside};

/// Not a test: what a process does that is to be killed. Without a role it is empty.
#[tokio::test]
async fn plays_a_process_that_dies() {
    matrix::play().await;
}

/// Cases of each point and class; of each class alone for kills at any time.
fn cases(points: &[WritePoint], classes: &[Class], seeds: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for point in points {
        for class in classes {
            for seed in 0..seeds {
                let scenario = Scenario { point: *point, class: *class, seed };
                cases.extend([Moment::Before, Moment::After].map(|side| Case { scenario, side: Some(side) }));
            }
        }
    }
    cases
}

fn at_any_time(seeds: u64) -> Vec<Case> {
    let scenarios = Class::ALL.into_iter().flat_map(|class| {
        (0..seeds).map(move |seed| {
            let point = WritePoint::ALL[seed as usize % WritePoint::ALL.len()];
            Scenario { point, class, seed: 1_000 + seed }
        })
    });
    scenarios.map(|scenario| Case { scenario, side: None }).collect()
}

fn check(table: &Table) {
    assert!(table.violations.is_empty(), "{}\n{}", table.violations.join("\n"), table.print());
    assert!(table.unreached.is_empty(), "no process was killed at {}", table.unreached.join(", "));
}

/// Whether the environment asks for this one, or for all.
fn wanted(what: &str, name: &str) -> bool {
    let asked = std::env::var(format!("PARKWAY_KILL_{what}"));
    asked.map_or(true, |asked| asked.split(',').any(|one| one == name))
}

fn classes() -> Vec<Class> {
    Class::ALL.into_iter().filter(|class| wanted("CLASSES", class.name())).collect()
}

fn points() -> Vec<WritePoint> {
    WritePoint::ALL.iter().copied().filter(|point| wanted("POINTS", point.name())).collect()
}

/// Each point with one class after the other; the whole matrix is `scripts/kill-matrix`.
#[test]
fn a_kill_at_a_write_point_breaks_a_promise() {
    let mut all = Vec::new();
    for (i, point) in WritePoint::ALL.iter().enumerate() {
        all.extend(cases(&[*point], &[Class::ALL[i % Class::ALL.len()]], 1));
    }
    all.extend(at_any_time(2));
    check(&matrix::run(&all));
}

/// Goals whose model plans, fails, mends the plan and answers: killed at 20 moments of planning and running, over all classes of what
/// the plan calls. Each ends as it would have, and nothing is done twice that may not.
#[test]
fn a_goal_that_is_killed_while_it_plans_and_runs_ends_otherwise() {
    let goals = (0..20).map(|seed| {
        let point = [WritePoint::PlanExtended, WritePoint::PlanClosed][seed as usize % 2];
        let class = Class::ALL[seed as usize % Class::ALL.len()];
        Case { scenario: Scenario { point, class, seed: 2_000 + seed }, side: None }
    });
    let table = matrix::run(&goals.collect::<Vec<_>>());
    println!("\n{}", table.print());
    check(&table);
}

/// Every point, every class, 20 seeds, both sides, and kills at any time.
#[test]
#[ignore = "takes minutes: run it with scripts/kill-matrix"]
fn the_whole_matrix() {
    let seeds = std::env::var("PARKWAY_KILL_SEEDS").map_or(20, |seeds| seeds.parse().unwrap());
    let points = points();
    let classes = classes();
    let mut all = cases(&points, &classes, seeds);
    if points.len() == WritePoint::ALL.len() && classes.len() == Class::ALL.len() {
        all.extend(at_any_time(seeds * 5));
    }
    let table = matrix::run(&all);
    println!("\n{}", table.print());
    check(&table);
}

/// Not a test: a worker that is stopped and goes on. Without a role it is empty.
#[tokio::test]
async fn plays_a_worker() {
    worker::play().await;
}

#[expect(clippy::print_stdout, reason = "prints what came of it")]
fn stop_holders(rounds: u64) {
    // Two that fork a run at once make two forks; and nobody is stopped as one who holds a run where none is held.
    let mut points = points();
    points.retain(|point| *point != WritePoint::RunForked && !is_outside(*point));
    if points.is_empty() {
        return;
    }
    let (tally, took) = zombie::run(rounds, &points, &classes());
    let text = tally.print(took);
    println!("\n{text}");
    let violations = tally.violations.lock().unwrap();
    assert!(violations.is_empty(), "{}\n{text}", violations.join("\n"));
    assert_eq!(tally.rounds(), rounds, "{text}");
}

#[test]
fn a_worker_that_was_stopped_writes_to_a_run_that_another_has() {
    stop_holders(24);
}

/// A thousand rounds, each with one worker that takes over from another that was stopped.
#[test]
#[ignore = "takes minutes: run it with scripts/kill-matrix"]
fn a_thousand_zombies() {
    stop_holders(1_000);
}
