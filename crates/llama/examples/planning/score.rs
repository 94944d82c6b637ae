//! Plans beside the known ones.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Side;
use crate::cases::{Call, Case};
use crate::plan::Record;

/// The figures of a side.
#[derive(Default)]
struct Sum {
    plans: usize,
    lines: usize,
    valid: usize,
    wrong: BTreeMap<String, usize>,
    empty: usize,
    open: usize,
    /// Plans that are closed, with no line that cannot stand and at least one step.
    sound: usize,
    gold: usize,
    planned: usize,
    matched: usize,
    args: usize,
    same: usize,
    complete: usize,
    /// Known plans that keep to the schemas of their tools: others cannot be written as they are.
    possible: usize,
    failed: usize,
    read: u64,
    wrote: u64,
    seconds: Vec<f64>,
}

/// Prints both sides.
pub(crate) fn tell(cases: &[Case], records: &[Record]) {
    let cases: BTreeMap<&str, &Case> = cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut sums: BTreeMap<Side, Sum> = BTreeMap::new();
    for record in records {
        if let Some(case) = cases.get(record.id.as_str()) {
            sums.entry(record.side).or_default().add(case, record);
        }
    }
    for (side, sum) in &mut sums {
        println!("{side:?}");
        sum.tell();
    }
}

impl Sum {
    fn add(&mut self, case: &Case, record: &Record) {
        self.plans += 1;
        self.lines += record.lines.len();
        self.valid += record.lines.iter().filter(|line| line.wrong.is_empty()).count();
        for line in &record.lines {
            if let Some(code) = line.wrong.first() {
                *self.wrong.entry(code.clone()).or_default() += 1;
            }
        }
        let standing = record.lines.iter().filter(|line| line.wrong.is_empty()).count() - usize::from(record.closed);
        let all_stand = record.lines.iter().all(|line| line.wrong.is_empty());
        self.empty += usize::from(standing == 0);
        self.open += usize::from(standing > 0 && !record.closed);
        self.sound += usize::from(record.closed && all_stand && standing > 0);
        self.failed += usize::from(record.failed.is_some());
        self.read += u64::from(record.read);
        self.wrote += u64::from(record.wrote);
        self.seconds.push(record.seconds);
        // Also of lines that cannot stand: what can be read of them counts for the side.
        let planned: Vec<Call> =
            record.lines.iter().filter_map(|line| call_of(serde_json::from_str(&line.text).ok()?)).collect();
        let pairs = pairs(&case.gold, &planned);
        self.gold += case.gold.len();
        self.possible += usize::from(case.departs.is_empty());
        self.planned += planned.len();
        self.matched += pairs.len();
        let mut whole = Vec::new();
        for (gold, plan) in &pairs {
            let (want, got) = (&case.gold[*gold].args, &planned[*plan].args);
            let same = want
                .iter()
                .filter(|(name, value)| got.get(*name).is_some_and(|g| alike(value, g, &pairs, case, &planned)));
            let same = same.count();
            self.args += want.len();
            self.same += same;
            if same == want.len() {
                whole.push((*gold, *plan));
            }
        }
        whole.sort_unstable();
        self.complete += usize::from(whole.len() == case.gold.len() && whole.is_sorted_by_key(|(_, plan)| *plan));
    }

    fn tell(&mut self) {
        let share =
            |part: usize, all: usize| format!("{part} of {all} ({:.1} %)", 100.0 * part as f64 / all.max(1) as f64);
        println!("  lines that can stand  {}", share(self.valid, self.lines));
        let wrong: Vec<String> = self.wrong.iter().map(|(code, count)| format!("{code} {count}")).collect();
        println!("  lines that cannot     {}", if wrong.is_empty() { "none".to_owned() } else { wrong.join(", ") });
        println!("  plans sound, closed   {}", share(self.sound, self.plans));
        println!("  plans without a step  {}", share(self.empty, self.plans));
        println!("  plans never closed    {}", share(self.open, self.plans));
        println!("  tools found           {}", share(self.matched, self.gold));
        println!("  tools that are wanted {}", share(self.matched, self.planned));
        println!("  their arguments same  {}", share(self.same, self.args));
        println!("  plans complete        {}", share(self.complete, self.plans));
        println!("  that could be         {}", share(self.possible, self.plans));
        println!("  requests refused      {}", self.failed);
        self.seconds.sort_unstable_by(f64::total_cmp);
        let median = self.seconds.get(self.seconds.len() / 2).copied().unwrap_or_default();
        println!("  tokens read, written  {}, {}", self.read, self.wrote);
        println!("  seconds a plan        {median:.1} at the median, with others beside it");
    }
}

fn call_of(value: Value) -> Option<Call> {
    let args = value.get("args").and_then(Value::as_object).cloned().unwrap_or_default();
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Call { id, tool: value.get("tool")?.as_str()?.to_owned(), args })
}

/// Which step of the known plan is which of the other: the same tool, and where there are several, the one with most arguments alike.
fn pairs(gold: &[Call], planned: &[Call]) -> BTreeMap<usize, usize> {
    let mut pairs = BTreeMap::new();
    for (at, call) in gold.iter().enumerate() {
        let free =
            (0..planned.len()).filter(|other| planned[*other].tool == call.tool && !pairs.values().any(|v| v == other));
        let equal = |args: &Map<String, Value>| {
            call.args.iter().filter(|(name, value)| args.get(*name) == Some(*value)).count()
        };
        // The first of the best.
        if let Some(best) = free.rev().max_by_key(|other| equal(&planned[*other].args)) {
            pairs.insert(at, best);
        }
    }
    pairs
}

/// Whether two arguments are the same, where references lead to steps that are pairs.
fn alike(want: &Value, got: &Value, pairs: &BTreeMap<usize, usize>, case: &Case, planned: &[Call]) -> bool {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => match (reference(a), reference(b)) {
            (Some((root, way)), Some((other, path))) => {
                let gold = case.gold.iter().position(|call| call.id == root);
                let plan = planned.iter().position(|call| call.id == other);
                way == path && gold.is_some_and(|gold| plan.is_some() && pairs.get(&gold).copied() == plan)
            }
            _ => {
                a.len() == b.len()
                    && a.iter().all(|(name, value)| b.get(name).is_some_and(|b| alike(value, b, pairs, case, planned)))
            }
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b, pairs, case, planned))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => want == got,
    }
}

fn reference(map: &Map<String, Value>) -> Option<(&str, &str)> {
    let text = map.get("$ref")?.as_str()?;
    Some(text.split_at(text.find(['.', '[']).unwrap_or(text.len())))
}
