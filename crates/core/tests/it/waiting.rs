//! Steps that wait: for times, for signals, for a form that a person fills.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use parkway_core::engine::Executor;
use parkway_core::log::{Question, RunState, RunStatus, StepStatus};
use parkway_core::store::{Message, Queue, Released};
use parkway_core::testing::{Moment, StopAt, WritePoint};
use serde_json::json;

use crate::check::{World, check_in, compare};

#[tokio::test(start_paused = true)]
async fn a_wait_takes_its_time_and_says_nothing() {
    let world = World::paced();
    let run = check_in(
        &world,
        "
steps:
  a: { wait: 30s }
  b: { set: { said: '${{ steps.a.output }}', status: '${{ steps.a.status }}' } }
",
        r##"
            step_waiting a for a time
            timer_fired a Wait
            step_completed a null
            step_started b #1
            step_completed b {"said":null,"status":"completed"}
            run_completed {}
"##,
    )
    .await;
    let state = world.state(run).await;
    assert!(state.updated().since(state.created()) >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_a_day_does_not_hold_the_run_and_survives_the_process() {
    let mut world = World::paced();
    let yaml = "parkway: 1\nsteps: { a: { wait: 1d }, b: { needs: [a], set: { n: 1 } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    // Somebody looks too early.
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    tokio::time::advance(Duration::from_secs(86_400)).await;
    world.worker = "two";
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_time_that_is_past_ends_at_once_and_one_that_is_none_fails() {
    check_in(
        &World::paced(),
        "
steps:
  s: { set: { at: '2026-12-31T23:00:00+01:00', none: tomorrow } }
  past: { wait: { until: '${{ steps.s.output.at }}' } }
  soon: { needs: [past], wait: { until: '2027-01-01T00:00:20Z' } }
  none: { needs: [soon], on_error: continue, wait: { until: '${{ steps.s.output.none }}' } }
  told: { set: { code: '${{ steps.none.error.code }}' } }
",
        r##"
            step_started s #1
            step_completed s {"at":"2026-12-31T23:00:00+01:00","none":"tomorrow"}
            step_waiting past for a time
            timer_fired past Wait
            step_completed past null
            step_waiting soon for a time
            timer_fired soon Wait
            step_completed soon null
            step_failed none template: `until` needs a time such as 2027-01-31T12:00:00Z, not `"tomorrow"`
            step_started told #1
            step_completed told {"code":"template"}
            run_completed {}
"##,
    )
    .await;
}

#[tokio::test]
async fn a_signal_moves_the_first_step_that_waits_for_it_and_only_that() {
    let world = World::new();
    let yaml = "
parkway: 1
steps:
  one: { wait: { signal: 'paid-${{ 1 + 1 }}' } }
  two: { wait: { signal: paid-2 } }
  other: { wait: { signal: shipped } }
outputs: { one: '${{ steps.one.output.amount }}', two: '${{ steps.two.output }}', other: '${{ steps.other.output }}' }
";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    world.signal(run, "paid-2", json!({"amount": 5})).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    let state = world.state(run).await;
    let status = |step: &str| state.step(&step.parse().unwrap()).unwrap().status;
    assert_eq!(
        [status("one"), status("two"), status("other")],
        [StepStatus::Completed, StepStatus::Waiting, StepStatus::Waiting]
    );
    world.signal(run, "shipped", json!("now")).await;
    world.signal(run, "paid-2", json!(7)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"one": 5, "two": 7, "other": "now"}));
}

#[tokio::test]
async fn a_signal_that_comes_too_early_is_kept_for_one_step() {
    let world = World::new();
    let yaml = "
steps:
  ask: { approve: { prompt: go? } }
  one: { needs: [ask], wait: { signal: go } }
  two: { needs: [one], wait: { signal: go } }
";
    let (run, _) = world.run(&format!("parkway: 1\n{yaml}"), json!({})).await;
    world.signal(run, "go", json!(1)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    compare(
        &world,
        run,
        r##"
            approval_requested ask go? {"calls":[],"unknown":["one"],"show":null}
            run_claimed
            signal_received go 1
            run_claimed
            approval_decided ask Approved
            step_completed ask {"by":"ada","via":"command","at":"T","note":null}
            step_waiting one for signal go
            signal_received one go 1
            step_completed one 1 (untrusted)
            step_waiting two for signal go
"##,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_does_not_come_is_a_failure() {
    check_in(
        &World::paced(),
        "steps: { a: { wait: { signal: go, timeout: 50s } }, b: { needs: [a], run_if: failed, set: { code: '${{ steps.a.error.code }}' } } }",
        r##"
            step_waiting a for signal go
            timer_fired a Wait
            step_failed a timeout: no signal `"go"` came within 50s
            step_started b #1
            step_completed b {"code":"timeout"}
            run_failed timeout at a: no signal `"go"` came within 50s
"##,
    )
    .await;
}

const FORM: &str = "
steps:
  ask:
    input:
      prompt: 'How much of ${{ 10 }}?'
      timeout: 2m
      output:
        amount: { type: integer, min: 1 }
        currency: { type: string, default: EUR }
        note: { type: string, optional: true }
outputs: { form: '${{ steps.ask.output }}' }
";

#[tokio::test(start_paused = true)]
async fn a_form_that_is_filled_wrongly_is_refused_and_the_question_stands() {
    let world = World::paced();
    let (run, ended) = world.run(&format!("parkway: 1\n{FORM}"), json!({})).await;
    assert_eq!(ended.status, RunStatus::Waiting);
    let state = world.state(run).await;
    let (step, question) = state.questions().next().unwrap();
    let Question::Input { form, expires: Some(_), .. } = question else { panic!("{question:?}") };
    assert_eq!((step.key.to_string().as_str(), form["required"].clone()), ("ask", json!(["amount"])));
    for wrong in [json!({"amount": 0}), json!({"amount": 3, "more": 1}), json!({}), json!("three")] {
        world.fill(run, "ask", wrong).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    }
    world.fill(run, "ask", json!({"amount": 3})).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"form": {"amount": 3, "currency": "EUR", "note": null}}));
    assert_eq!(world.state(run).await.questions().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_form_begins_with_may_come_from_a_step_and_is_what_is_left_in_it() {
    let world = World::paced();
    let yaml = "
parkway: 1
tools: { t: {} }
steps:
  letter: { tool: t.letter }
  edit:
    input:
      prompt: Please edit.
      output:
        text: { type: string, min: 3, default: '${{ steps.letter.output.text }}' }
        size: { type: integer, default: '${{ steps.letter.output.text | length }}' }
outputs: { form: '${{ steps.edit.output }}' }
";
    for (values, text) in [(json!({}), "dear all"), (json!({"text": "dear friends"}), "dear friends")] {
        let (run, _) = world.run(yaml, json!({})).await;
        let state = world.state(run).await;
        let Question::Input { filled: Some(filled), form, .. } = state.questions().next().unwrap().1 else { panic!() };
        assert_eq!(world.payload(filled).await, json!({"text": "dear all", "size": 8}));
        assert_eq!(form["required"], json!([]));
        world.fill(run, "edit", json!({"text": "no"})).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
        world.fill(run, "edit", values).await;
        assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
        assert_eq!(world.outputs(run).await, json!({"form": {"text": text, "size": 8}}));
        assert!(world.log(run).await.contains("(untrusted)"), "what stood in the letter stays untrusted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_that_nobody_fills_is_a_timeout_and_no_rejection() {
    let mut world = World::paced();
    world.control.stay = true;
    check_in(
        &world,
        FORM,
        r##"
            step_waiting ask for input: How much of 10?
            timer_fired ask Wait
            step_failed ask timeout: nobody answered in time
            run_failed timeout at ask: nobody answered in time
"##,
    )
    .await;
}

#[tokio::test]
async fn items_that_wait_for_a_form_or_a_signal_leave_their_place_to_others() {
    let world = World::new();
    let yaml = "
parkway: 1
steps:
  each:
    for_each: [a, b, c]
    max_parallel: 1
    steps:
      ask: { input: { prompt: 'Fill ${{ item }}', output: { n: { type: integer } } } }
      go: { wait: { signal: 'go-${{ item }}' } }
    result: '${{ steps.ask.output.n }}'
outputs: { all: '${{ steps.each.output }}' }
";
    let (run, _) = world.run(yaml, json!({})).await;
    let state = world.state(run).await;
    assert_eq!(state.questions().count(), 3, "{}", world.log(run).await);
    for (i, item) in ["a", "b", "c"].into_iter().enumerate() {
        world.fill(run, &format!("each[{i}].ask"), json!({"n": i})).await;
        world.signal(run, &format!("go-{item}"), json!(null)).await;
    }
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(world.outputs(run).await, json!({"all": [0, 1, 2]}));
}

#[tokio::test(start_paused = true)]
async fn items_that_wait_for_a_time_keep_their_place() {
    let world = World::paced();
    let yaml = "parkway: 1\nsteps: { each: { for_each: [a, b, c], max_parallel: 1, wait: 10s } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed);
    let state = world.state(run).await;
    assert!(state.updated().since(state.created()) >= Duration::from_secs(30));
}

#[tokio::test]
async fn a_failure_elsewhere_ends_the_waiting() {
    check_in(
        &World::new(),
        "
steps:
  hours: { wait: 5h }
  signal: { wait: { signal: go } }
  form: { input: { prompt: p, output: { n: { type: integer } } } }
  bad: { tool: t.fail }
",
        r##"
            step_waiting hours for a time
            step_waiting signal for signal go
            step_waiting form for input: p
            step_started bad #1 {}
            step_failed bad broken: told to fail with null
            step_skipped hours RunFailed
            step_skipped signal RunFailed
            step_skipped form RunFailed
            run_failed broken at bad: told to fail with null
"##,
    )
    .await;
}

#[tokio::test]
async fn a_message_of_a_newer_version_stays_and_ends_nobody() {
    let unknown: Message = serde_json::from_value(json!({"type": "transmogrify", "into": {"a": 1}})).unwrap();
    assert_eq!(unknown, Message::Unknown);
    let world = World::new();
    let yaml = "parkway: 1\nsteps: { ask: { approve: { prompt: go? } } }";
    let (run, _) = world.run(yaml, json!({})).await;
    world.store.signal(run, unknown.clone()).await.unwrap();
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    // The run is free for others at once.
    let worker = parkway_core::id::WorkerId::new("two");
    let claim = parkway_core::store::Claim::new(worker, Some(run), Duration::from_secs(1));
    let lease = world.store.claim(&claim).await.unwrap().expect("the run is held");
    assert_eq!(world.store.inbox(run).await.unwrap().len(), 1);
    assert_eq!(world.store.release(&lease, None).await.unwrap(), Released::Unread);
    world.store.renew(&lease, Duration::ZERO).await.unwrap();
    world.answer(run, "ask", true).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_event_out_of_its_place_is_refused() {
    let mut world = World::paced();
    world.control.stay = true;
    let yaml = "
parkway: 1
steps:
  wait: { wait: 5s }
  poll: { needs: [wait], repeat: { until: index == 1, max: 3, delay: 5s }, set: { n: '${{ index }}' } }
  form: { needs: [poll], input: { prompt: p, output: { n: { type: integer } } } }
  signal: { needs: [form], wait: { signal: go } }
  group: { needs: [signal], timeout: 5s, steps: { a: { wait: 1h } } }
";
    let executor = world.create(yaml, json!({})).await;
    let run = executor.run();
    world.fill(run, "form", json!({"n": 1})).await;
    let going = tokio::spawn(executor.execute());
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.fill(run, "form", json!({"n": 1})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.signal(run, "go", json!(1)).await;
    assert_eq!(going.await.unwrap().unwrap().status, RunStatus::Failed, "{}", world.log(run).await);
    let events = world.events(run).await;
    let plan = std::sync::Arc::new(world.stored_plan(run).await);
    let mut refused = 0;
    for place in 2..events.len() {
        if events[place].kind.name() == "run_claimed" {
            continue;
        }
        let state = RunState::replay(run, plan.clone(), &events[..place]).unwrap();
        for other in &events {
            if other.kind == events[place].kind
                || other.kind.name() == "run_claimed"
                || other.kind.name() == "run_failed"
            {
                continue;
            }
            let mut event = other.clone();
            event.seq = state.head().next();
            let mut state = state.clone();
            match state.apply(&event) {
                Err(_) => refused += 1,
                // How long something took is not looked at.
                Ok(()) => assert!(
                    event.kind.name().starts_with("step_c")
                        || matches!(event.kind.name(), "step_failed" | "step_skipped")
                        || event.kind.key().is_some_and(|key| key.to_string() == "group"),
                    "{:?} was taken after {:?}",
                    event.kind,
                    events[place - 1].kind
                ),
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_form_for_a_step_between_two_rounds_is_passed_over() {
    let world = World::paced();
    let yaml = "
parkway: 1
steps:
  form:
    repeat: { until: steps.form.output.n == 2, max: 3, delay: 1h }
    input: { prompt: p, output: { n: { type: integer } } }
outputs: { n: '${{ steps.form.output.n }}' }
";
    let yaml = yaml.replace("steps.form.output.n == 2", "previous.n == 2");
    let (run, _) = world.run(&yaml, json!({})).await;
    world.fill(run, "form#1", json!({"n": 1})).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    // The step itself waits for its delay, and not for a form.
    world.fill(run, "form", json!({"n": 2})).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    assert!(world.store.inbox(run).await.unwrap().is_empty());
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Waiting);
    world.fill(run, "form#2", json!({"n": 2})).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_while_nobody_had_the_run_comes_before_what_follows_without_it() {
    let world = World::paced();
    let yaml = "
parkway: 1
steps:
  wait: { wait: 2h }
  next: { needs: [wait], set: { n: 1 } }
  ask: { approve: { prompt: go?, timeout: 3h } }
";
    let (run, _) = world.run(yaml, json!({})).await;
    world.answer(run, "ask", true).await;
    tokio::time::advance(Duration::from_secs(4 * 3_600)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Completed, "{}", world.log(run).await);

    let (run, _) = world.run(yaml, json!({})).await;
    world.cancel(run).await;
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    assert_eq!(world.resume(run).await.unwrap().status, RunStatus::Cancelled);
    assert!(!world.log(run).await.contains("step_started next"), "{}", world.log(run).await);
}

#[tokio::test(start_paused = true)]
async fn runs_of_one_process_renew_their_leases_one_by_one_or_too_late() {
    let mut world = World::paced();
    world.control.stay = true;
    let start = tokio::time::Instant::now();
    let renewals = Arc::new(Mutex::new(Vec::new()));
    let seen = renewals.clone();
    let mut services = world.services();
    services.store = Arc::new(StopAt::new(world.store.clone(), move |point, moment, _| {
        if (point, moment) == (WritePoint::Renew, Moment::Before) {
            seen.lock().unwrap().push(start.elapsed());
        }
    }));
    let plan = Arc::new(world.plan("parkway: 1\nsteps: { wait: { wait: { signal: go } } }").unwrap());
    let mut going = Vec::new();
    for _ in 0..10 {
        let (services, models, control) = (services.clone(), world.models(), world.control.clone());
        let executor = Executor::create(services, models, control, plan.clone(), &json!({})).await.unwrap();
        going.push(tokio::spawn(executor.execute()));
        tokio::time::sleep(Duration::from_millis(770)).await;
    }
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.control.stop.cancel();
    for run in going {
        assert!(run.await.unwrap().unwrap().stopped);
    }
    // The first of each is its own: it makes the lease as long as is asked for.
    let third = services.lease / 3;
    let later: Vec<u128> = renewals.lock().unwrap().iter().map(Duration::as_millis).filter(|at| *at > 25_000).collect();
    let mut moments = later.clone();
    moments.dedup();
    assert_eq!(later.len(), moments.len() * 10, "{later:?}");
    assert!((17..=19).contains(&moments.len()), "{moments:?}");
    for pair in moments.windows(2) {
        assert!(pair[1] - pair[0] <= third.as_millis() * 3 / 2, "{moments:?}");
    }
}
