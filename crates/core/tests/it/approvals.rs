//! Asking a person: who is asked what, what an answer covers, and what silence means.

use std::time::Duration;

use parkway_core::engine::Preapproval;
use parkway_core::log::{Actor, Channel, EventKind, RunStatus};
use parkway_core::tool::Effect;
use serde_json::json;

use crate::check::{Acting, World, compare};

/// Runs a workflow until it waits, gives the answers, and goes on.
async fn check_answers(world: &World, yaml: &str, answers: &[(&str, bool)], log: &str) {
    let (run, ended) = world.run(&format!("parkway: 1\n{yaml}"), json!({})).await;
    assert_eq!((ended.status, ended.stopped), (RunStatus::Waiting, false), "{}", world.log(run).await);
    for (step, yes) in answers {
        world.answer(run, step, *yes).await;
    }
    world.resume(run).await.unwrap();
    compare(world, run, log).await;
}

fn writing() -> World {
    World::new().tool(Acting::new("t.write", Effect::AtMostOnce, |input, _| async move { Ok(input) }))
}

#[tokio::test]
async fn a_yes_completes_the_step_with_who_and_when() {
    let yaml = "steps: { ask: { approve: { prompt: 'go ${{ 1 + 1 }}?', show: { n: 1 } } }, b: { needs: [ask], set: { by: '${{ steps.ask.output.by }}' } } }";
    check_answers(
        &World::new(),
        yaml,
        &[("ask", true)],
        r##"
            approval_requested ask go 2? {"calls":[],"unknown":["b"],"show":{"n":1}}
            run_claimed
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"command","at":"T","note":null}
            step_started b #1
            step_completed b {"by":"ada"}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_no_fails_the_step_with_the_note() {
    let yaml = "
steps:
  ask: { approve: { prompt: go? } }
  b: { needs: [ask], set: { n: 1 } }
  c: { needs: [ask], run_if: not_rejected, set: { n: 1 } }
  d: { needs: [ask], run_if: failed, set: { why: '${{ steps.ask.error.message }}' } }
";
    check_answers(
        &World::new(),
        yaml,
        &[("ask", false)],
        r##"
            approval_requested ask go? {"calls":[],"unknown":["b","c","d"],"show":null}
            run_claimed
            approval_decided ask Rejected
            step_failed ask rejected: rejected: too soon
            step_skipped b RunFailed
            step_skipped c RunFailed
            step_started d #1
            step_completed d {"why":"rejected: too soon"}
            run_failed rejected at ask: rejected: too soon
"##,
    )
    .await;
}

#[tokio::test]
async fn a_group_does_not_turn_a_no_into_consent() {
    let yaml = "
steps:
  group: { on_error: continue, steps: { ask: { approve: { prompt: go? } } } }
  b: { needs: [group], set: { n: 1 } }
";
    check_answers(
        &World::new(),
        yaml,
        &[("group.ask", false)],
        r##"
            step_started group #1
            approval_requested group.ask go? {"calls":[],"unknown":[],"show":null}
            run_claimed
            approval_decided group.ask Rejected
            step_failed group.ask rejected: rejected: too soon
            step_failed group rejected: rejected: too soon
            step_skipped b RunFailed
            run_failed rejected at group.ask: rejected: too soon
"##,
    )
    .await;
}

#[tokio::test]
async fn silence_is_a_no() {
    let world = World::new();
    let yaml = "parkway: 1\nsteps: { ask: { approve: { prompt: go?, timeout: 20ms } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    compare(
        &world,
        run,
        r##"
            approval_requested ask go? {"calls":[],"unknown":[],"show":null}
            step_failed ask rejected: nobody answered in time
            run_failed rejected at ask: nobody answered in time
"##,
    )
    .await;
}

#[tokio::test]
async fn a_word_given_in_advance_is_recorded_as_such() {
    let mut world = World::new();
    world.control.preapprovals = vec![Preapproval { step: Some("ask".into()), by: "ada".into(), via: Channel::Flag }];
    let yaml = "parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed);
    let events = world.events(run).await;
    let decided = events.iter().find(|event| matches!(event.kind, EventKind::ApprovalDecided { .. })).unwrap();
    let Actor::Person { name, via: Channel::Flag } = decided.by else { panic!("{:?}", decided.by) };
    assert_eq!(world.payload(name).await, json!("ada"));
}

#[tokio::test]
async fn a_word_given_at_the_resume_counts_for_a_question_that_waits() {
    let mut world = World::new();
    let yaml = "parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    world.control.preapprovals = vec![Preapproval { step: None, by: "ada".into(), via: Channel::Flag }];
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

const WRITE: &str = "
tools: { t: {} }
steps:
  ask: { approve: { prompt: write? } }
  write: { needs: [ask], tool: t.write, with: { n: 1 } }
";

#[tokio::test]
async fn a_yes_to_a_shown_call_is_a_yes_to_the_policy() {
    check_answers(&writing(), WRITE, &[("ask", true)], r##"
            approval_requested ask write? {"calls":[{"step":"write","tool":"t.write","args":{"n":1}}],"unknown":[],"show":null}
            run_claimed
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"command","at":"T","note":null}
            policy_decided write Ask by default.at_most_once
            step_started write #1 {"n":1}
            step_completed write {"n":1}
            run_completed {}
"##).await;
}

#[tokio::test]
async fn a_word_given_in_advance_is_none_to_the_policy() {
    let mut world = writing();
    world.control.preapprovals = vec![Preapproval { step: None, by: "ada".into(), via: Channel::Flag }];
    check_answers(&world, WRITE, &[("write", true)], r##"
            approval_requested ask write? {"calls":[{"step":"write","tool":"t.write","args":{"n":1}}],"unknown":[],"show":null}
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"flag","at":"T","note":null}
            policy_decided write Ask by default.at_most_once
            approval_requested write Call `t.write`? (a call that must not be repeated is asked about first) {"calls":[{"step":"write","tool":"t.write","args":{"n":1}}],"unknown":[],"show":null}
            run_claimed
            approval_decided write Approved
            policy_decided write Ask by default.at_most_once
            step_started write #1 {"n":1}
            step_completed write {"n":1}
            run_completed {}
"##).await;
}

#[tokio::test]
async fn a_no_to_the_policy_fails_the_call() {
    check_answers(&writing(), "tools: { t: {} }\nsteps: { w: { tool: t.write } }", &[("w", false)], r##"
            policy_decided w Ask by default.at_most_once
            approval_requested w Call `t.write`? (a call that must not be repeated is asked about first) {"calls":[{"step":"w","tool":"t.write","args":{}}],"unknown":[],"show":null}
            run_claimed
            approval_decided w Rejected
            step_failed w rejected: rejected: too soon
            run_failed rejected at w: rejected: too soon
"##).await;
}

#[tokio::test]
async fn a_call_that_depends_on_the_answer_is_not_shown() {
    let yaml = "
steps:
  ask: { approve: { prompt: go? } }
  told: { needs: [ask], tool: t.echo, with: { value: 'by ${{ steps.ask.status }}' } }
";
    check_answers(
        &World::new(),
        yaml,
        &[("ask", true)],
        r##"
            approval_requested ask go? {"calls":[],"unknown":["told"],"show":null}
            run_claimed
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"command","at":"T","note":null}
            step_started told #1 {"value":"by completed"}
            step_completed told "by completed"
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn calls_that_are_not_known_yet_are_listed_as_such() {
    let yaml = "
steps:
  ask: { approve: { prompt: go? } }
  later: { needs: [ask], set: { n: 1 } }
  unknown: { needs: [ask], tool: t.echo, with: { value: '${{ steps.later.output.n }}' } }
  each: { needs: [ask], for_each: [1], tool: t.echo }
";
    check_answers(
        &World::new(),
        yaml,
        &[],
        r##"
            approval_requested ask go? {"calls":[],"unknown":["later","unknown","each"],"show":null}
            run_claimed
"##,
    )
    .await;
}

#[tokio::test]
async fn items_that_wait_leave_their_place_and_a_no_fails_one_item() {
    let yaml = "
steps:
  each:
    for_each: [a, b, c]
    max_parallel: 1
    on_item_error: collect
    steps:
      ask: { approve: { prompt: 'take ${{ item }}?' } }
      take: { needs: [ask], set: { took: '${{ item }}' } }
    result: ${{ steps.take.output.took }}
outputs: { took: '${{ steps.each.output }}' }
";
    let answers = [("each[1].ask", false), ("each[0].ask", true), ("each[2].ask", true)];
    check_answers(
        &World::new(),
        yaml,
        &answers,
        r##"
            step_expanded each 3 items
            step_started each[0] #1
            approval_requested each[0].ask take a? {"calls":[],"unknown":["each[0].take"],"show":null}
            step_started each[1] #1
            approval_requested each[1].ask take b? {"calls":[],"unknown":["each[1].take"],"show":null}
            step_started each[2] #1
            approval_requested each[2].ask take c? {"calls":[],"unknown":["each[2].take"],"show":null}
            run_claimed
            approval_decided each[1].ask Rejected
            approval_decided each[0].ask Approved
            approval_decided each[2].ask Approved
            step_failed each[1].ask rejected: rejected: too soon
            step_completed each[0].ask {"by":"ada","via":"command","at":"T","note":null}
            step_completed each[2].ask {"by":"ada","via":"command","at":"T","note":null}
            step_skipped each[1].take since ask did not complete
            step_started each[0].take #1
            step_completed each[0].take {"took":"a"}
            step_started each[2].take #1
            step_completed each[2].take {"took":"c"}
            step_failed each[1] rejected: rejected: too soon
            step_completed each[0] "a"
            step_completed each[2] "c"
            step_completed each
            run_completed {"took":["a",null,"c"]}
"##,
    )
    .await;
}

#[tokio::test]
async fn late_and_double_answers_change_nothing() {
    let yaml = "steps: { ask: { approve: { prompt: one? } }, two: { needs: [ask], approve: { prompt: two? } } }";
    check_answers(
        &World::new(),
        yaml,
        &[("ask", true), ("ask", false), ("none", true)],
        r##"
            approval_requested ask one? {"calls":[],"unknown":["two"],"show":null}
            run_claimed
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"command","at":"T","note":null}
            approval_requested two two? {"calls":[],"unknown":[],"show":null}
"##,
    )
    .await;
}

#[tokio::test]
async fn an_answer_reaches_a_live_run() {
    let mut world = World::new();
    world.control.stay = true;
    let executor = world.create("parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }", json!({})).await;
    let run = executor.run();
    let going = tokio::spawn(executor.execute());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!going.is_finished());
    world.answer(run, "ask", true).await;
    world.control.poke.poke();
    let ended = tokio::time::timeout(Duration::from_secs(5), going).await.expect("hangs").unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Completed);
}

#[tokio::test]
async fn an_answer_keeps_the_labels_of_the_condition_under_which_it_was_asked() {
    let world = World::new();
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  letter: { tool: t.letter }
  ask: { if: \"steps.letter.output.text != ''\", approve: { prompt: go? } }
";
    let (run, _) = world.run(yaml, serde_json::json!({})).await;
    world.answer(run, "ask", true).await;
    world.resume(run).await.unwrap();
    let state = world.state(run).await;
    assert!(state.step(&"ask".parse().unwrap()).unwrap().labels.untrusted, "{}", world.log(run).await);
}
