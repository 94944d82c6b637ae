//! A line of the table: a place where the step `x` can stand, what is looked at, and what is expected.

/// Lines that belong together.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
}

/// A place where the step `x` can stand.
pub(super) struct Line {
    /// What the table calls it.
    pub(super) title: String,
    /// The workflow; `BODY` stands for the keys of the step `x`.
    pub(super) yaml: String,
    /// What is looked at.
    pub(super) watch: Watch,
    /// What becomes of it: one word for each way to end.
    ///
    /// `runs` and `done`: it completes. `bad`: it fails with the code of `x`, `bad:code` with another. `skip:why`: it is
    /// skipped. `stop`: it is cancelled. `wait`: it has not ended. `never`: it does not begin. `no:codes`: the
    /// checker refuses the file, `no` with `approve-continue`. Anything else is an output as JSON, `-` is none.
    pub(super) cells: &'static str,
    /// How the run ends, in the same words.
    pub(super) run: &'static str,
}

/// What a line is about.
#[derive(Clone)]
pub(super) enum Watch {
    /// How this step ends.
    Step(String),
    /// What this step's output is.
    Output(String),
    /// What the run's outputs are.
    Outputs,
    /// Only how the run ends.
    Run,
}

pub(super) fn step(title: &str, yaml: &str, step: &str, cells: &'static str, run: &'static str) -> Line {
    Line { title: title.into(), yaml: yaml.into(), watch: Watch::Step(step.into()), cells, run }
}

pub(super) fn output(title: &str, yaml: &str, step: &str, cells: &'static str, run: &'static str) -> Line {
    Line { title: title.into(), yaml: yaml.into(), watch: Watch::Output(step.into()), cells, run }
}

pub(super) fn outputs(title: &str, yaml: &str, cells: &'static str, run: &'static str) -> Line {
    Line { title: title.into(), yaml: yaml.into(), watch: Watch::Outputs, cells, run }
}

pub(super) fn run(title: &str, yaml: &str, run: &'static str) -> Line {
    Line { title: title.into(), yaml: yaml.into(), watch: Watch::Run, cells: run, run }
}

/// What becomes of a step that depends on something, by its `run_if`.
pub(super) struct Dependents {
    pub(super) by_default: &'static str,
    pub(super) failed: &'static str,
    pub(super) not_rejected: &'static str,
    pub(super) always: &'static str,
}

/// The four lines of a step that depends on `needed`; `steps` is the map of the steps before it, without its braces.
pub(super) fn dependents(steps: &str, needed: &str, expected: &Dependents, run: &'static str) -> Vec<Line> {
    let by_run_if = [
        ("by default", "", expected.by_default),
        ("`run_if: failed`", "run_if: failed, ", expected.failed),
        ("`run_if: not_rejected`", "run_if: not_rejected, ", expected.not_rejected),
        ("`run_if: always`", "run_if: always, ", expected.always),
    ];
    let line = |(title, run_if, cells): (&str, &str, &'static str)| {
        let yaml = format!("steps: {{ {steps}, after: {{ needs: [{needed}], {run_if}set: {{ n: 1 }} }} }}");
        step(&format!("a step after it, {title}"), &yaml, "after", cells, run)
    };
    by_run_if.into_iter().map(line).collect()
}
