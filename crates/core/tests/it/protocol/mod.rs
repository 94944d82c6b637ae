//! The protocol of claims, commits, releases and messages, in all orders in which they may come.

mod model;
mod real;

use stateright::{Checker, HasDiscoveries, Model};

use self::model::{ACKNOWLEDGED, CALLED_FOR, DEAD, Flaw, MESSAGES, ONE_WRITER, PROGRESS, Protocol, TAKEN_WHILE_ALIVE};

/// The properties that do not hold, until one of `enough` is found; and how many states were seen.
fn explore(protocol: Protocol, enough: &[&'static str]) -> (Vec<&'static str>, usize) {
    let enough = match enough {
        [] => HasDiscoveries::All,
        some => HasDiscoveries::AnyOf(some.iter().copied().collect()),
    };
    let checker = protocol.checker().threads(2).finish_when(enough).spawn_bfs().join();
    assert!(checker.is_done());
    (checker.discoveries().into_keys().collect(), checker.unique_state_count())
}

#[test]
fn an_order_of_claims_commits_and_faults_breaks_a_promise() {
    for (workers, messages, faults) in [(2, 2, 2), (3, 1, 2)] {
        let (broken, states) = explore(Protocol { workers, messages, faults, flaw: Flaw::None }, &[]);
        println!("{workers} workers, {messages} messages, {faults} faults: {states} states");
        assert_eq!(broken, Vec::<&str>::new(), "{workers} workers, {messages} messages, {faults} faults");
    }
}

#[test]
fn a_flaw_is_not_found() {
    let flaws = [
        (Flaw::NoFence, ONE_WRITER),
        (Flaw::NoFenceNorHead, ACKNOWLEDGED),
        (Flaw::NoFenceNorInbox, MESSAGES),
        (Flaw::ReleasesUnread, CALLED_FOR),
        (Flaw::ReleasesUnread, PROGRESS),
        (Flaw::ClaimsHeld, TAKEN_WHILE_ALIVE),
        (Flaw::DeadHolds, DEAD),
        (Flaw::TellsEarly, ACKNOWLEDGED),
    ];
    for (flaw, property) in flaws {
        let (broken, _) = explore(Protocol { workers: 2, messages: 2, faults: 2, flaw }, &[property]);
        assert!(broken.contains(&property), "{flaw:?} breaks {broken:?}, and not: {property}");
    }
}
