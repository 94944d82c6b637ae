//! Workflows made from a seed, each with what is needed to come to a certain write point.

use std::fmt;

use parkway_core::testing::WritePoint;
use parkway_core::tool::Effect;

/// What kind of tool the steps of a workflow call: the columns of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Pure,
    Read,
    Idempotent,
    Transactional,
    /// At most once, and nobody but a person can find out what became of a call.
    AtMostOnce,
    /// At most once, and the tool can look.
    Reconciled,
}

impl Class {
    pub(crate) const ALL: [Class; 6] =
        [Class::Pure, Class::Read, Class::Idempotent, Class::Transactional, Class::AtMostOnce, Class::Reconciled];

    pub(crate) fn effect(self) -> Effect {
        match self {
            Class::Pure => Effect::Pure,
            Class::Read => Effect::Read,
            Class::Idempotent => Effect::Idempotent,
            Class::Transactional => Effect::Transactional,
            Class::AtMostOnce | Class::Reconciled => Effect::AtMostOnce,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Reconciled => "reconciled",
            other => other.effect().as_str(),
        }
    }

    pub(crate) fn named(name: &str) -> Class {
        Class::ALL.into_iter().find(|class| class.name() == name).unwrap()
    }
}

/// Chance that is the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// One workflow, and whoever stands around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// The point that it comes to.
    pub(crate) point: WritePoint,
    pub(crate) class: Class,
    pub(crate) seed: u64,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.point.name(), self.class.name(), self.seed)
    }
}

impl Scenario {
    /// The scenario of that name, as it is displayed.
    pub(crate) fn named(name: &str) -> Scenario {
        let [point, class, seed] = name.split(',').collect::<Vec<_>>()[..] else { unreachable!("{name}") };
        let point = WritePoint::ALL.iter().find(|known| known.name() == point).unwrap();
        Scenario { point: *point, class: Class::named(class), seed: seed.parse().unwrap() }
    }

    pub(crate) fn dice(&self) -> Dice {
        let point = WritePoint::ALL.iter().position(|point| *point == self.point).unwrap() as u64;
        Dice::new(self.seed << 32 | point << 16 | self.class as u64)
    }

    /// Whether approvals are given in advance.
    pub(crate) fn approves_early(&self) -> bool {
        self.seed.is_multiple_of(2)
    }

    /// Whether a person who finds no effect of a call says so, and leaves the rest to `retry`; else asks for it again.
    pub(crate) fn says_not_done(&self) -> bool {
        self.seed % 2 == 1
    }

    /// Whether the run fails until somebody mends the world and reopens it.
    pub(crate) fn reopens(&self) -> bool {
        self.point == WritePoint::RunReopened
    }

    /// The step from which on the run is done another time, as a fork, when it has ended.
    pub(crate) fn forks(&self) -> Option<&'static str> {
        (self.point == WritePoint::RunForked).then_some("s1")
    }

    /// Whether the store is tended when the run has ended: something is remembered, forgotten, erased, held, signed.
    pub(crate) fn is_tended(&self) -> bool {
        is_outside(self.point)
    }

    /// The text of the workflow, and of the one that it calls.
    pub(crate) fn files(&self) -> [(&'static str, String); 2] {
        let mut writer = Writer { dice: self.dice(), class: self.class, text: String::new(), steps: Vec::new() };
        let needed = needed(self.point);
        let mut parts: Vec<Part> = needed.to_vec();
        if !needed.iter().any(|part| part.calls_work()) || writer.dice.roll(2) == 0 {
            parts.push(Part::Work);
        }
        let more = [Part::Work, Part::Retry, Part::Each, Part::Group, Part::Repeat, Part::Run, Part::Work, Part::Goal];
        parts.push(more[writer.dice.roll(more.len() as u64) as usize]);
        let beside = [Part::Skip, Part::Bad, Part::Wait, Part::Approve, Part::Chat, Part::Asked, Part::Signal];
        if writer.dice.roll(2) == 0 {
            parts.push(beside[writer.dice.roll(beside.len() as u64) as usize]);
        }
        for i in (1..parts.len()).rev() {
            parts.swap(i, writer.dice.roll(i as u64 + 1) as usize);
        }
        if self.forks().is_some() {
            // What is forked from has this name.
            parts = vec![Part::Work, Part::Work, parts[0]];
        }
        for part in parts.into_iter().filter(|part| !part.comes_last()) {
            writer.part(part);
        }
        for last in needed.iter().filter(|part| part.comes_last()) {
            let body = match last {
                Part::Fail => "run_if: always, tool: t.bad",
                Part::Mend => "tool: t.mend",
                // Without `run_if: always`, which would hold the cancel up.
                _ => "wait: { signal: never }",
            };
            let skipped = |name: &str| *last != Part::Fail && name.starts_with('n');
            let names = writer.steps.iter().map(|(name, _)| name.as_str());
            let all: Vec<_> = names.filter(|name| !skipped(name)).collect();
            writer.text.push_str(&format!("  last: {{ needs: [{}], {body} }}\n", all.join(", ")));
        }
        let limited = |budget| if needed.contains(&Part::Budget) { budget } else { "" };
        // A workflow without a budget of its own would take all that is left of its caller's.
        let (budget, share) = (limited("budget: { tool_calls: 500, tokens: 100000 }\n"), limited(PART_BUDGET));
        let (_, output) = &writer.steps[writer.steps.len() - 1];
        let main =
            format!("{HEAD}name: main\n{budget}steps:\n{}outputs: {{ end: '${{{{ {output} }}}}' }}\n", writer.text);
        let part = format!(
            "{HEAD}name: part\n{share}inputs: {{ n: {{ type: integer }} }}\nsteps:\n  a: {{ {} }}\n  b: {{ {} }}\n\
             outputs: {{ n: '${{{{ steps.b.output.n }}}}' }}\n",
            writer.work("inputs.n", ""),
            writer.work("steps.a.output.n", "")
        );
        [("main.yaml", main), ("part.yaml", part)]
    }
}

const HEAD: &str = "parkway: 1\ntools: { t: {} }\nmodels: { main: {} }\n";

const PART_BUDGET: &str = "budget: { tool_calls: 30, tokens: 10000 }\n";

/// A part of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A call of the tool of the column.
    Work,
    /// A call that fails at first, for sure.
    Retry,
    Each,
    Group,
    Repeat,
    /// A workflow with a run of its own.
    Run,
    Skip,
    /// A step that fails, and is handled.
    Bad,
    Wait,
    Signal,
    Input,
    Approve,
    Chat,
    /// A call of a reading tool, whatever the column, which the policy wants approved.
    Asked,
    /// A call that must not be repeated, and whose outcome gets lost.
    Lost,
    /// A transactional call, whatever the column.
    Store,
    /// A group whose time runs out.
    Late,
    /// A limit on what the run may use.
    Budget,
    /// A goal: what its model plans becomes steps while the run goes on.
    Goal,
    /// The run fails.
    Fail,
    /// The run waits for ever, and is cancelled.
    Never,
    /// The run fails, and is reopened when the world was mended.
    Mend,
}

impl Part {
    fn calls_work(self) -> bool {
        matches!(self, Part::Work | Part::Retry | Part::Each | Part::Group | Part::Repeat | Part::Run | Part::Goal)
    }

    fn comes_last(self) -> bool {
        matches!(self, Part::Fail | Part::Never | Part::Mend)
    }
}

/// Whether this is written outside of runs, where no worker holds one.
pub(crate) fn is_outside(point: WritePoint) -> bool {
    use WritePoint::{
        BackupShredded, HoldLifted, HoldPlaced, KeepHead, KeyRotated, MemoryForgotten, MemoryWritten, PayloadErased,
    };
    [BackupShredded, HoldLifted, HoldPlaced, KeepHead, KeyRotated, MemoryForgotten, MemoryWritten, PayloadErased]
        .contains(&point)
}

/// What a workflow must have to come to a point.
fn needed(point: WritePoint) -> &'static [Part] {
    match point {
        WritePoint::StepExpanded => &[Part::Each],
        WritePoint::StepFailed => &[Part::Bad],
        WritePoint::StepRetried => &[Part::Retry],
        WritePoint::StepSkipped => &[Part::Skip],
        WritePoint::StepCancelled => &[Part::Late],
        WritePoint::StepInDoubt | WritePoint::StepResolved => &[Part::Lost],
        WritePoint::StepRepeated => &[Part::Repeat],
        WritePoint::StepWaiting | WritePoint::TimerFired => &[Part::Wait],
        WritePoint::SignalReceived | WritePoint::Signal => &[Part::Signal],
        WritePoint::Claim | WritePoint::Release | WritePoint::Consume | WritePoint::InputReceived => &[Part::Input],
        WritePoint::ModelCalled => &[Part::Chat],
        WritePoint::PolicyDecided => &[Part::Asked],
        WritePoint::ApprovalRequested | WritePoint::ApprovalDecided => &[Part::Approve],
        WritePoint::PlanExtended | WritePoint::PlanClosed => &[Part::Goal],
        WritePoint::BudgetReserved | WritePoint::BudgetSettled => &[Part::Budget],
        WritePoint::CancelRequested | WritePoint::RunCancelled => &[Part::Never],
        WritePoint::RunFailed => &[Part::Fail],
        WritePoint::RunReopened => &[Part::Mend],
        WritePoint::Enqueue => &[Part::Run],
        WritePoint::Sql | WritePoint::Send | WritePoint::Outbox | WritePoint::Delivered => &[Part::Store],
        // Every workflow comes to the others.
        _ => &[],
    }
}

struct Writer {
    dice: Dice,
    class: Class,
    text: String,
    /// The steps so far, each with an expression for what it gives.
    steps: Vec<(String, String)>,
}

impl Writer {
    fn work(&self, n: &str, more: &str) -> String {
        // What a person calls not done is tried again by `retry` alone.
        let retry = match self.class {
            Class::AtMostOnce | Class::Reconciled => ", retry: { max: 9, initial: 1ms }",
            _ => "",
        };
        format!("tool: t.work, with: {{ n: '${{{{ {n} }}}}'{more} }}{retry}")
    }

    fn part(&mut self, part: Part) {
        let i = self.steps.len();
        // What an earlier step gave, or a number: a chain, or something beside.
        let before = match self.steps.len() as u64 {
            0 => None,
            count => Some(self.dice.roll(count + 1) as usize),
        };
        let before = before.and_then(|at| self.steps.get(at)).cloned();
        let n = before.as_ref().map_or_else(|| i.to_string(), |(_, output)| output.clone());
        let name = match part {
            Part::Approve => format!("q{i}"),
            Part::Lost => format!("l{i}"),
            Part::Late => format!("z{i}"),
            Part::Skip => format!("n{i}"),
            Part::Goal => format!("g{i}"),
            _ => format!("s{i}"),
        };
        let own = format!("steps.{name}.output.n");
        let (body, output) = match part {
            Part::Work => (self.work(&n, ""), own),
            Part::Retry => {
                let retry = match self.class {
                    Class::AtMostOnce | Class::Reconciled => "",
                    _ => ", retry: { max: 3, initial: 1ms }",
                };
                (self.work(&n, ", fail: true") + retry, own)
            }
            Part::Each => {
                let body = self.work("item", "");
                (format!("for_each: [1, 2, 3], max_parallel: 2, {body}"), format!("steps.{name}.output | length"))
            }
            Part::Group => {
                let (a, b) = (self.work(&n, ""), self.work(&format!("steps.a{i}.output.n"), ""));
                let result = format!("result: '${{{{ steps.b{i}.output }}}}'");
                (format!("steps: {{ a{i}: {{ {a} }}, b{i}: {{ {b} }} }}, {result}"), own)
            }
            Part::Repeat => (format!("repeat: {{ until: index == 1, max: 3 }}, {}", self.work(&n, "")), own),
            Part::Run => (format!("workflow: part.yaml, own_run: true, with: {{ n: '${{{{ {n} }}}}' }}"), own),
            Part::Skip => (format!("if: \"{n} < 0\", set: {{ n: 1 }}"), "0".into()),
            Part::Bad => ("tool: t.bad, on_error: continue".into(), "1".into()),
            Part::Wait => (format!("if: \"{n} >= 0\", wait: 8ms"), "2".into()),
            Part::Signal => (format!("wait: {{ signal: go{i} }}"), format!("steps.{name}.output")),
            Part::Input => {
                (format!("input: {{ prompt: 'say ${{{{ {n} }}}}', output: {{ n: {{ type: integer }} }} }}"), own)
            }
            Part::Approve => (format!("approve: {{ prompt: 'go with ${{{{ {n} }}}}?' }}"), "3".into()),
            Part::Chat => (
                format!(
                    "chat: {{ model: main, prompt: 'what is ${{{{ {n} }}}}?', output: {{ n: {{ type: integer }} }} }}"
                ),
                own,
            ),
            Part::Asked => (format!("tool: t.asked, with: {{ n: '${{{{ {n} }}}}' }}"), own),
            Part::Lost => (format!("tool: t.lost, with: {{ n: '${{{{ {n} }}}}' }}"), own),
            Part::Store => (format!("tool: t.store, with: {{ n: '${{{{ {n} }}}}' }}"), own),
            Part::Late => {
                // Long enough for what is inside to begin, on a busy machine too: what has not is skipped, not cancelled.
                let inner = format!("steps: {{ a{i}: {{ wait: 1h }}, b{i}: {{ needs: [a{i}], set: {{ n: 1 }} }} }}");
                (format!("timeout: 60ms, on_error: continue, {inner}"), "4".into())
            }
            Part::Budget => (self.work(&n, ""), own),
            Part::Goal => (
                format!(
                    "plan: {{ model: main, goal: 'work on ${{{{ {n} }}}}', tools: [t.work, t.bad], output: {{ n: {{ type: integer }} }} }}"
                ),
                own,
            ),
            Part::Fail | Part::Never | Part::Mend => return,
        };
        self.text.push_str(&format!("  {name}: {{ {body} }}\n"));
        self.steps.push((name, output));
    }
}
