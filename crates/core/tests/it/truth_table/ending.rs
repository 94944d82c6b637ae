//! The ways in which a step can end: the columns of the tables.

/// A way to end, and what makes a step end so.
pub(super) struct Ending {
    /// What the table calls it.
    pub(super) title: &'static str,
    /// The step's keys, as they stand between braces.
    pub(super) body: &'static str,
    /// Keys at the top level that it needs.
    pub(super) top: &'static str,
    /// The code of its error; empty where it has none.
    pub(super) code: &'static str,
    /// What is done to the run from outside.
    pub(super) from_outside: FromOutside,
}

/// What a person does while the run goes on.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum FromOutside {
    Nothing,
    /// Says no to whatever is asked.
    Reject,
    /// Cancels the run once the step runs.
    Cancel,
}

const fn ending(title: &'static str, body: &'static str, code: &'static str) -> Ending {
    Ending { title, body, top: "", code, from_outside: FromOutside::Nothing }
}

/// The columns of the large table.
pub(super) const ENDINGS: &[Ending] = &[
    ending("completed", "set: { n: 1 }", ""),
    ending("skipped", "if: 'false', set: { n: 1 }", ""),
    ending("failed", "tool: t.fail", "broken"),
    Ending { from_outside: FromOutside::Reject, ..ending("rejected", "approve: { prompt: 'go?' }", "rejected") },
    ending("expired", "approve: { prompt: 'go?', timeout: 20ms }", "rejected"),
    ending("timed out", "tool: t.slow, timeout: 20ms, retry: 0", "timeout"),
    Ending { top: "budget: { tool_calls: 0 }", ..ending("over budget", "tool: t.echo", "budget") },
    Ending { from_outside: FromOutside::Cancel, ..ending("cancelled", "tool: t.hang", "") },
    ending("in doubt", "tool: t.lose", ""),
];

/// The columns of the second table: other ways to the same ends.
pub(super) const MORE_ENDINGS: &[Ending] = &[
    ending("a group timed out", "timeout: 20ms, steps: { inner: { tool: t.slow } }", "timeout"),
    ending("a form not filled", "input: { prompt: 'n?', output: { n: { type: integer } }, timeout: 20ms }", "timeout"),
    ending("no signal came", "wait: { signal: go, timeout: 20ms }", "timeout"),
    ending(
        "a loop without end",
        "repeat: { until: 'false', max: 2 }, steps: { inner: { set: { n: 1 } } }",
        "exhausted",
    ),
    ending("a template in error", "set: { n: '${{ 1 / 0 }}' }", "template"),
    ending("a panic", "tool: t.panic", "panic"),
    ending("a late call that must not be repeated", "tool: t.hold, timeout: 20ms", ""),
    Ending {
        from_outside: FromOutside::Cancel,
        ..ending("a cancelled call that must not be repeated", "tool: t.hold", "")
    },
];
