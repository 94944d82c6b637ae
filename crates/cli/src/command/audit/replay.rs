//! `parkway audit replay RUN`.

use parkway::Parkway;
use parkway::audit::{Difference, Excerpt, Outcome, Replay, Replayed, Replaying};
use parkway::id::RunId;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::render::counted;

/// Decodes a run's calls of models again, and tells of each as soon as it is known.
pub(super) async fn replay(
    parkway: &Parkway,
    run: &str,
    anyway: bool,
    json: bool,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let found = parkway.find_run(run).await?;
    let run = found.run;
    let mut how = Replaying::default();
    how.anyway = anyway;
    let (mut written, mut of) = (Ok(()), run);
    let replay = parkway
        .replay(run, &how, |call| {
            if written.is_ok() && !json {
                written = tell(call, &mut of, out).and_then(|()| Ok(out.flush()?));
            }
        })
        .await?;
    written?;
    if json {
        out.pretty(&value(run, &replay))?;
    } else {
        sum_up(run, &replay, out)?;
    }
    if !found.status.ended() {
        say(&format!("run {run} has not ended: what it asks from now on is not among these"));
    }
    if let Some(from) = parkway.forked_from(run).await? {
        say(&format!(
            "it has what it kept from run {from}, which has the calls for that:  parkway audit replay {from}"
        ));
    }
    if !anyway && replay.calls.iter().any(|call| not_decoded(call) && !call.others.is_empty()) {
        say("decode these by what is here all the same:  --anyway");
    }
    Ok(if replay.holds() { Exit::Done } else { Exit::Failed })
}

fn not_decoded(call: &Replayed) -> bool {
    matches!(call.outcome, Outcome::NotDecoded(_))
}

/// A line for a call, and more where there is more to say.
fn tell(call: &Replayed, of: &mut RunId, out: &mut Out) -> Result<(), Failure> {
    if call.run != *of {
        *of = call.run;
        out.text(&format!("run {of}:"))?;
    }
    let mut step = call.step.to_string();
    if call.attempt > 1 {
        step.push_str(&format!(", attempt {}", call.attempt));
    }
    if call.turn > 1 {
        step.push_str(&format!(", answer {}", call.turn));
    }
    match &call.outcome {
        Outcome::Same { tokens: Some(tokens) } => {
            out.text(&format!("same         {step}: {}", counted(*tokens as u64, "token")))?;
        }
        Outcome::Same { tokens: None } => {
            out.text(&format!("same         {step}: its text; no ids of tokens are told"))?;
        }
        Outcome::Differs(difference) => differs(call, &step, difference, out)?,
        Outcome::NotDecoded(why) => out.text(&format!("not decoded  {step}: {why}"))?,
    }
    if !not_decoded(call) {
        for other in &call.others {
            out.text(&format!("             {other}"))?;
        }
    }
    Ok(())
}

fn differs(call: &Replayed, step: &str, difference: &Difference, out: &mut Out) -> Result<(), Failure> {
    let place = match (difference.token, difference.tokens) {
        (Some(at), Some((recorded, now))) => {
            format!("at token {at}; {recorded} were recorded, {now} came now")
        }
        _ => "its text; no ids of tokens are told".to_owned(),
    };
    out.text(&format!("differs      {step}: {place}"))?;
    match &difference.excerpt {
        Excerpt::Apart { recorded, now } => {
            out.text(&format!("             recorded: {recorded:?}"))?;
            out.text(&format!("             now:      {now:?}"))?;
        }
        Excerpt::Alike => out.text("             it says the same in other tokens")?,
        Excerpt::Secret => out.text("             what it says is not shown: the step was told a secret")?,
        Excerpt::Erased => out.text("             what it said was erased")?,
    }
    match &call.device_now {
        Some(now) if *now != call.device => {
            out.text(&format!("             recorded on {}, decoded on {now}", call.device))?;
        }
        _ => out.text(&format!("             recorded and decoded on {}", call.device))?,
    }
    Ok(())
}

fn sum_up(run: RunId, replay: &Replay, out: &mut Out) -> Result<(), Failure> {
    if replay.calls.is_empty() {
        return Ok(out.text(&format!("run {run} asked no model: there is nothing to decode again"))?);
    }
    let (same, differs, not_decoded) = replay.counts();
    let calls = counted(replay.calls.len() as u64, "call");
    out.text(&format!("{calls}: {same} the same, {differs} different, {not_decoded} not decoded"))?;
    Ok(())
}

fn value(run: RunId, replay: &Replay) -> Value {
    let (same, differs, not_decoded) = replay.counts();
    json!({
        "run": run, "holds": replay.holds(), "same": same, "differs": differs, "not_decoded": not_decoded,
        "calls": replay.calls.iter().map(call_value).collect::<Vec<_>>(),
    })
}

fn call_value(call: &Replayed) -> Value {
    let mut value = json!({
        "run": call.run, "event": call.event, "step": call.step, "attempt": call.attempt, "answer": call.turn,
        "model": call.model, "device": call.device, "device_now": call.device_now, "others": call.others,
    });
    let more = match &call.outcome {
        Outcome::Same { tokens } => json!({ "outcome": "same", "tokens": tokens }),
        Outcome::Differs(difference) => {
            let (recorded, now) = match &difference.excerpt {
                Excerpt::Apart { recorded, now } => (Some(recorded), Some(now)),
                _ => (None, None),
            };
            let (tokens, tokens_now) = difference.tokens.unzip();
            json!({
                "outcome": "differs", "at_token": difference.token, "tokens": tokens, "tokens_now": tokens_now,
                "recorded": recorded, "now": now, "secret": difference.excerpt == Excerpt::Secret,
            })
        }
        Outcome::NotDecoded(why) => json!({ "outcome": "not_decoded", "why": why }),
    };
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}
