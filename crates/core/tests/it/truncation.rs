//! A store is cut back to any moment of its life, as a process that ended there left it, and another worker goes on.

mod journal;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parkway_core::engine::{Command, decide};
use parkway_core::id::{RunId, Seq, StepKey, Time};
use parkway_core::log::{Event, EventKind, RunState};
use parkway_core::store::{Commit, Write};
use parkway_core::testing::{frozen, thawed};

use journal::{Change, Journal};
use site::{End, Site};

/// Chance that repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Kinds of steps beside those of `recovery`.
const MORE: usize = 7;

fn more(i: usize, kind: usize, value: &str) -> String {
    let body = match kind {
        0 => format!("approve: {{ prompt: {value} }}"),
        1 => format!("tool: t.flaky, retry: {{ max: 4, initial: 1s }}, with: {{ n: {value} }}"),
        2 => format!("workflow: child.yaml, with: {{ n: {value} }}"),
        3 => format!("workflow: child.yaml, own_run: true, with: {{ n: {value} }}"),
        4 => format!("for_each: [1, 2], workflow: child.yaml, own_run: true, with: {{ n: {value} }}"),
        5 => format!("tool: t.post, with: {{ n: {value} }}"),
        _ => format!(
            "on_error: continue, steps: {{ a{i}: {{ tool: t.bad, with: {{ n: {value} }} }}, b{i}: {{ needs: [a{i}], run_if: failed, tool: t.write }}, c{i}: {{ needs: [a{i}], tool: t.pure }} }}"
        ),
    };
    format!("  s{i}: {{ {body} }}\n")
}

/// A workflow by its seed, and whether times decide how it ends.
fn workflow(seed: u64) -> (String, bool) {
    let mut chance = Chance(seed);
    let mut yaml = "parkway: 1\ntools: { t: {} }\nsteps:\n".to_owned();
    let steps = 1 + chance.below(6);
    let mut timed = false;
    for i in 0..steps {
        // A chain, a diamond, or anything between: up to three earlier steps.
        let names: BTreeSet<usize> = (0..chance.below(4)).filter(|_| i > 0).map(|_| chance.below(i.max(1))).collect();
        let names: Vec<usize> = names.into_iter().collect();
        let known = usize::from(crate::recovery::KINDS);
        let kind = chance.below(known + 2 * MORE);
        if kind < known {
            timed |= kind == 15;
            yaml.push_str(&crate::recovery::step(i, u8::try_from(kind).unwrap(), &names));
        } else {
            let list: Vec<_> = names.iter().map(|n| format!("steps.s{n}.output")).collect();
            yaml.push_str(&more(i, (kind - known) % MORE, &format!("\"${{{{ [{}] | length }}}}\"", list.join(", "))));
        }
    }
    let last = steps - 1;
    if chance.below(3) == 0 {
        // After all others, for what still runs when a run fails is a matter of chance.
        let all: Vec<_> = (0..=last).map(|i| format!("s{i}")).collect();
        yaml.push_str(&format!("  bad: {{ needs: [{}], run_if: always, tool: t.bad }}\n", all.join(", ")));
        yaml.push_str("  clean: { needs: [bad], run_if: failed, tool: t.write }\n");
    }
    yaml.push_str(&format!("outputs: {{ end: '${{{{ steps.s{last}.status }}}}' }}\n"));
    (yaml, timed)
}

/// What was looked at, so that a test cannot pass by looking at nothing.
#[derive(Debug, Default)]
struct Counts {
    graphs: usize,
    cuts: usize,
    within: usize,
    doubts: usize,
    children: usize,
    letters: usize,
    offsets: BTreeSet<i64>,
}

/// Plays a workflow, cuts its store everywhere, and compares how each copy ends.
async fn check(said: &str, yaml: &str, timed: bool, counts: &mut Counts) {
    let journal = Arc::new(Journal::new());
    let mut site = Site::recording(&journal);
    let run = site.begin(yaml).await;
    let said = format!("{said}:\n{yaml}");
    site.finish(run, &said).await;
    let expected = site.ends(run).await;
    let changes = journal.changes();
    counts.graphs += 1;
    counts.children += expected.len() - 1;
    counts.letters += expected.values().map(|end| end.letters.len()).sum::<usize>();
    let mut lives = BTreeMap::new();
    for at in 0..changes.len() {
        let mut parts = vec![None];
        if let (_, Change::Commit(commit)) = &changes[at] {
            look_alike(&site, &mut lives, commit, &said).await;
            // What a commit takes from the inbox belongs to one of its events, and the commit does not say to which.
            let takes = commit.writes.iter().any(|write| matches!(write, Write::Consume(_)));
            parts.extend((1..commit.events.len()).filter(|_| !takes).map(Some));
        }
        for part in parts {
            // A run begins with what its creation writes together.
            if at == 0 && part.is_some() {
                continue;
            }
            let offset = if timed { 0 } else { [0, 2_400, -2_400][counts.cuts % 3] };
            let said =
                format!("cut after {at} changes, in the last one after {part:?} events, clock {offset} s off\n{said}");
            let copy = cut(&site, &changes[..=at], part, offset, &said, counts).await;
            counts.cuts += 1;
            counts.within += usize::from(part.is_some());
            counts.offsets.insert(offset);
            compare(&copy, run, &expected, &said).await;
        }
    }
}

async fn compare(copy: &Site, run: RunId, expected: &BTreeMap<RunId, End>, said: &str) {
    let ends = copy.ends(run).await;
    if ends != *expected {
        let log = copy.world.log(run).await;
        panic!("{said}\n{log}\nit ends as {ends:#?}\nand not as {expected:#?}");
    }
}

/// Makes a store as it was after these changes, of the last one only a part, and has another worker go on.
async fn cut(
    site: &Site,
    changes: &[(Time, Change)],
    part: Option<usize>,
    offset: i64,
    said: &str,
    counts: &mut Counts,
) -> Site {
    let (last, before) = changes.split_last().unwrap();
    let mut changes = before.to_vec();
    changes.push(match (&last.1, part) {
        (Change::Commit(commit), Some(part)) => (last.0, Change::Commit(begun(site, commit, part).await)),
        _ => last.clone(),
    });
    let run = changes[0].1.run();
    let happened = counts.cuts.is_multiple_of(2);
    let mut copy = site.second(&changes, offset, happened).await;
    let prefix = copy.log(run).await;
    copy.send_early(&changes).await;
    let open = copy.open_calls(run).await;
    // What is unread is read before anybody says more.
    copy.resume(run, said).await;
    copy.check_doubts(run, &open, said).await;
    copy.finish(run, said).await;
    counts.doubts += copy.doubts;
    let log = copy.log(run).await;
    assert_eq!(log[..prefix.len()], prefix, "what was written has changed; {said}");
    copy
}

/// The beginning of a commit: as many of its events, and what belongs to them.
async fn begun(site: &Site, commit: &Commit, part: usize) -> Commit {
    let mut commit = commit.clone();
    commit.events.truncate(part);
    let run = commit.lease.run;
    let started: Vec<RunId> =
        commit.events.iter().filter_map(|event| event.kind.key()).map(|key| run.child(key)).collect();
    commit.writes.retain(|write| match write {
        Write::Enqueue(new) => new.run == run || started.contains(&new.run),
        _ => true,
    });
    let mut events = site.world.events(run).await;
    events.truncate(usize::try_from(commit.expect.0).unwrap() + part);
    let state = RunState::replay(run, site.plan(run).await, &events).unwrap();
    (commit.status, commit.wake) = (state.status(), state.wake());
    commit
}

/// A run's state as an executor has it: `decide` was asked after each event.
struct Life {
    state: RunState,
    /// What was handed out and has led to nothing yet.
    handed: Vec<Command>,
    events: Vec<Event>,
}

/// Takes a commit into the lives, and holds the live state against a replay of the log: both say the same of the run, and
/// hand out the same work.
async fn look_alike(site: &Site, lives: &mut BTreeMap<RunId, Life>, commit: &Commit, said: &str) {
    let run = commit.lease.run;
    if commit.events.is_empty() {
        return;
    }
    let plan = site.plan(run).await;
    let new = || Life { state: RunState::new(run, plan.clone()), handed: Vec::new(), events: Vec::new() };
    let life = lives.entry(run).or_insert_with(new);
    for event in &commit.events {
        let claimed = matches!(event.kind, EventKind::RunClaimed { .. }) && event.seq > Seq(2);
        if claimed {
            // Another executor begins with a replay.
            life.state = RunState::replay(run, plan.clone(), &life.events).unwrap();
            life.handed.clear();
        }
        life.state.apply(event).unwrap_or_else(|illegal| panic!("{illegal}\n{said}"));
        life.events.push(event.clone());
        let key = event.kind.key();
        let answers =
            key.is_some() || life.state.status().ended() || matches!(event.kind, EventKind::TimerFired { .. });
        life.handed.retain(|command| !answers || about(command) != key);
        life.handed.extend(decide(&mut life.state, event.at, usize::MAX));
    }
    let last = commit.events.last().unwrap();
    let mut replayed = RunState::replay(run, plan.clone(), &life.events).unwrap();
    let (before, after) = life.events.split_at(last.seq.0 as usize * 31 % (life.events.len() + 1));
    let snapshot = frozen(&RunState::replay(run, plan.clone(), before).unwrap()).unwrap();
    let mut thawed = thawed(plan, &snapshot).unwrap();
    after.iter().for_each(|event| thawed.apply(event).unwrap());
    assert!(frozen(&thawed) == frozen(&replayed), "a snapshot and the rest are not the whole, at {}: {said}", last.seq);
    assert_eq!((replayed.status(), replayed.wake()), (commit.status, commit.wake), "at event {} of {said}", last.seq);
    assert_eq!(format!("{:?}", replayed.steps()), format!("{:?}", life.state.steps()), "{said}");
    assert_eq!(replayed.committed(), life.state.committed(), "{said}");
    let handed = |commands: &[Command]| {
        let mut commands: Vec<String> = commands.iter().map(|command| format!("{command:?}")).collect();
        commands.sort();
        commands.dedup();
        commands
    };
    let mut again = Vec::new();
    loop {
        let more = decide(&mut replayed, last.at, usize::MAX);
        if more.is_empty() {
            break;
        }
        again.extend(more);
    }
    assert_eq!(handed(&again), handed(&life.handed), "at event {} of run {run} of {said}", last.seq);
}

fn about(command: &Command) -> Option<&StepKey> {
    match command {
        Command::Skip { key, .. }
        | Command::Open { key }
        | Command::Begin { key }
        | Command::Item { key }
        | Command::Complete { key }
        | Command::Fail { key, .. }
        | Command::Reject { key, .. }
        | Command::Approve { key }
        | Command::Doubt { key }
        | Command::GiveUp { key }
        | Command::Cancel { key }
        | Command::Arrive { key }
        | Command::Resolve { key }
        | Command::Judge { key }
        | Command::Pause { key }
        | Command::Exhaust { key }
        | Command::TimeOut { key } => Some(key),
        Command::Fire { key, .. } => key.as_ref(),
        _ => None,
    }
}

/// How many workflows: about as many as 40 s of one core are enough for. `PARKWAY_GRAPHS` asks for another number.
const GRAPHS: u64 = 20;

#[tokio::test(start_paused = true)]
async fn a_cut_anywhere_changes_how_a_run_ends() {
    let mut counts = Counts::default();
    let graphs = std::env::var("PARKWAY_GRAPHS").map_or(GRAPHS, |graphs| graphs.parse().unwrap());
    for seed in 0..graphs {
        let (yaml, timed) = workflow(seed);
        check(&format!("seed {seed}"), &yaml, timed, &mut counts).await;
    }
    println!("{counts:?}");
    if graphs < GRAPHS {
        return;
    }
    assert!(counts.cuts > 800 && counts.within > 100, "{counts:?}");
    assert!(counts.children > 5 && counts.letters > 2 && counts.offsets.len() == 3, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_intent_without_an_outcome_is_acted_on_again() {
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  a: { tool: t.once, with: { n: 1 } }
  b: { needs: [a], for_each: [1, 2], tool: t.once, with: { n: '${{ item }}' } }
  c: { needs: [b], steps: { d: { tool: t.once, with: { n: 3 } }, e: { needs: [d], tool: t.post } } }
";
    let mut counts = Counts::default();
    check("calls that must not be repeated", yaml, false, &mut counts).await;
    assert!(counts.doubts >= 4, "{counts:?}");
}
