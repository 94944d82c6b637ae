//! Follows a run: shows it, asks the person at the terminal, and stops it when somebody wants that.

use std::borrow::Borrow;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use parkway::id::Seq;
use parkway::log::{Channel, Event, RunStatus};
use parkway::{Builder, Ended, Error, Parkway, Plan, Record, Run, RunOptions, Update};
use serde_json::Value;

use super::desk::{Desk, Heard, Lines};
use super::ending::Ending;
use super::loading::Loading;
use super::person;
use crate::args::{Following, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{Out, now, say};
use crate::render::{Live, Outline, RunView, Symbols};
use crate::signals::Signals;
use crate::signing;

/// How often the drawing moves.
const TICK: Duration = Duration::from_millis(100);
/// How long a run may wait without a question before nobody can move it here.
const STUCK: Duration = Duration::from_secs(1);

/// What is the same for `run` and `resume`.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    out: &'a mut Out,
    signals: Signals,
    loading: Loading,
    json: bool,
    colors: bool,
    verbose: bool,
    ending: Ending,
    /// Whether a person sits at the terminal.
    attended: bool,
}

/// How following a run ended.
enum Followed {
    /// The program no longer executes it.
    Ended(Ended),
    /// Somebody interrupted the program; the run can be resumed.
    Interrupted,
}

impl<'a> Session<'a> {
    /// Listens for signals from now on.
    pub(crate) fn begin(global: &Global, following: &Following, out: &'a mut Out) -> Result<Self, Failure> {
        let attended = io::stdin().is_terminal() && io::stderr().is_terminal() && !following.json;
        Ok(Session {
            out,
            signals: Signals::listen()?,
            loading: Loading::new(global.verbose),
            json: following.json,
            colors: !global.no_color,
            verbose: global.verbose,
            ending: Ending::new(following, Next::new(global))?,
            attended,
        })
    }

    /// An engine that tells how far the loading of its models is.
    pub(crate) fn builder(&self, following: &Following) -> Builder {
        let loading = self.loading.clone();
        Parkway::builder().require_gpu(following.require_gpu).on_load(move |name, done| loading.tell(name, done))
    }

    /// Options for a run that is followed here.
    pub(crate) fn options(&self, preapprovals: Vec<parkway::Preapproval>) -> RunOptions {
        let mut options = RunOptions::default();
        options.stay = self.attended;
        options.preapprovals = preapprovals;
        options
    }

    /// Waits for the run to be there, follows it, and says how it ended. `earlier` is what it was before, for a run that
    /// is resumed: that is not told again.
    pub(crate) async fn follow(
        mut self,
        parkway: &Parkway,
        plan: &Plan,
        start: impl Future<Output = Result<Run, Error>>,
        earlier: Option<&Record>,
    ) -> Result<Exit, Failure> {
        match self.end_of(parkway, plan, start, earlier).await? {
            Ok((run, ended)) => {
                let told = self.ending.tell(parkway, &run, &ended, self.out).await;
                self.sign(parkway).await;
                told
            }
            Err(exit) => Ok(exit),
        }
    }

    /// The same for a new run, and leaves it to the caller what is said of one that completed.
    pub(crate) async fn complete(
        mut self,
        parkway: &Parkway,
        plan: &Plan,
        start: impl Future<Output = Result<Run, Error>>,
    ) -> Result<Result<Run, Exit>, Failure> {
        match self.end_of(parkway, plan, start, None).await? {
            Ok((run, ended)) => {
                let completed = ended.status == RunStatus::Completed;
                let told = if completed { None } else { Some(self.ending.tell(parkway, &run, &ended, self.out).await) };
                self.sign(parkway).await;
                told.map_or(Ok(Ok(run)), |exit| exit.map(Err))
            }
            Err(exit) => Ok(Err(exit)),
        }
    }

    /// Signs the log, where the settings say so after a run. Whoever interrupts that does not interrupt the run.
    async fn sign(&mut self, parkway: &Parkway) {
        let next = self.ending.next();
        tokio::select! {
            () = signing::after_run(parkway, next) => {}
            () = self.signals.next() => {
                say("warning: interrupted before the head of the log was kept");
                say(&signing::by_hand(next));
            }
        }
    }

    /// Waits for the run to be there, and follows it until this program no longer executes it.
    async fn end_of(
        &mut self,
        parkway: &Parkway,
        plan: &Plan,
        start: impl Future<Output = Result<Run, Error>>,
        earlier: Option<&Record>,
    ) -> Result<Result<(Run, Ended), Exit>, Failure> {
        let started = tokio::select! {
            started = start => started,
            () = self.signals.next() => {
                self.loading.end();
                return Ok(Err(self.ending.interrupted(earlier.map(|record| record.state.run()))));
            }
        };
        self.loading.end();
        let run = started?;
        let followed = self.watch(parkway, plan, &run, earlier.map_or(Seq(0), |record| record.state.head())).await;
        self.out.flush()?;
        match followed? {
            Followed::Interrupted => Ok(Err(self.ending.interrupted(Some(run.id())))),
            Followed::Ended(ended) => Ok(Ok((run, ended))),
        }
    }

    /// Until this program no longer executes the run, or a second signal comes. Events up to `told` are not told again.
    async fn watch(&mut self, parkway: &Parkway, plan: &Plan, run: &Run, told: Seq) -> Result<Followed, Failure> {
        let mut live = (!self.json).then(|| {
            // What the parts say would tear a drawing apart.
            let mut live = if self.verbose { Live::plain_stderr() } else { Live::stderr() };
            live.view().describe(Outline::from(plan));
            if !self.colors {
                live.without_colors();
            }
            live
        });
        let (mut updates, mut desk, mut lines) = (run.updates(), Desk::default(), None);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut stopping, mut idle_since) = (false, Instant::now());
        loop {
            tokio::select! {
                biased;
                () = self.signals.next() => {
                    if stopping {
                        return Ok(Followed::Interrupted);
                    }
                    stopping = true;
                    run.stop();
                }
                line = typed(&mut lines), if live.as_ref().is_some_and(Live::is_asking) => {
                    let Some(live) = live.as_mut() else { continue };
                    live.answered(line.as_deref().map(str::trim_end));
                    match line.as_deref().map(|line| desk.hear(line)) {
                        Some(Heard::Decided(step, verdict, note)) => {
                            run.answer(&step.to_string(), verdict, note, &person(), Channel::Prompt).await?;
                        }
                        Some(Heard::Filled(step, values)) => run.fill(step, values, &person(), Channel::Prompt).await?,
                        Some(Heard::More) => {}
                        // The end of the input: nobody is there any more, and the run can wait without this program.
                        None => {
                            lines = None;
                            self.attended = false;
                            run.stop();
                        }
                    }
                }
                update = updates.next() => match update {
                    None => break,
                    Some(Err(error)) => return Err(error.into()),
                    Some(Ok(Update::Event(event))) => {
                        idle_since = Instant::now();
                        if self.json && event.seq > told {
                            self.out.event(&event)?;
                            self.out.flush()?;
                        }
                        if let Some(live) = &mut live {
                            explain(parkway, live.view(), std::slice::from_ref(&event)).await?;
                            if desk.apply(parkway, plan, &event).await? && live.is_asking() {
                                live.answered(None);
                            }
                            if event.seq > told {
                                live.apply(&event, now());
                            } else {
                                live.view().apply(&event);
                            }
                        }
                    }
                    Some(Ok(update)) => {
                        if let Some(live) = &mut live {
                            match update {
                                Update::Prefill { step, done, total } => live.view().reads(&step, done, total),
                                Update::Delta { step, text } => live.view().writes(&step, &text),
                                _ => {}
                            }
                            live.tick(now());
                        }
                    }
                },
                _ = tick.tick() => {
                    let Some(live) = &mut live else { continue };
                    live.tick(now());
                    if !self.attended || stopping || live.is_asking() {
                        continue;
                    }
                    if let Some(question) = desk.lines(console::Term::stderr().size().1.into(), Symbols::from_env()) {
                        lines.get_or_insert_with(Lines::new).want();
                        live.ask(&question, now());
                    } else if live.view().status() == RunStatus::Waiting
                        && !live.view().may_move()
                        && idle_since.elapsed() > STUCK
                    {
                        // It waits for nothing that can come here: a step is in doubt, or its own run asks somebody.
                        run.stop();
                    }
                }
            }
        }
        if let Some(live) = live {
            live.finish(now());
        }
        let ended = run.wait().await?;
        Ok(if stopping && !ended.status.ended() { Followed::Interrupted } else { Followed::Ended(ended) })
    }
}

/// The next typed line, if lines are read.
async fn typed(lines: &mut Option<Lines>) -> Option<String> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

/// Says to the view what the events' commitments stand for.
pub(crate) async fn explain<E: Borrow<Event>>(
    parkway: &Parkway,
    view: &mut RunView,
    events: &[E],
) -> Result<(), Failure> {
    let wanted: Vec<_> = events.iter().flat_map(|event| RunView::wanted(event.borrow())).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    for (commitment, value) in wanted.iter().zip(parkway.texts(&wanted).await?) {
        match value {
            Value::Null => {}
            Value::String(text) => view.explain(*commitment, &text),
            Value::Array(names) => {
                let names = names.into_iter().map(|name| match name {
                    Value::String(name) => name,
                    other => other.to_string(),
                });
                view.name_items(*commitment, names);
            }
            other => view.explain(*commitment, &other.to_string()),
        }
    }
    Ok(())
}
