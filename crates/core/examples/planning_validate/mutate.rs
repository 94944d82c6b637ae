//! Plans that must not stand: a known plan with one thing in it made wrong.

use serde_json::{Map, Value, json};

use crate::cases::{Call, Case};

/// What is made wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutation {
    UnknownTool,
    UnknownArgument,
    MissingArgument,
    WrongType,
    ForwardReference,
    Cycle,
    SelfReference,
    UnknownStep,
    UnknownField,
}

impl Mutation {
    pub(crate) const ALL: [Mutation; 9] = [
        Mutation::UnknownTool,
        Mutation::UnknownArgument,
        Mutation::MissingArgument,
        Mutation::WrongType,
        Mutation::ForwardReference,
        Mutation::Cycle,
        Mutation::SelfReference,
        Mutation::UnknownStep,
        Mutation::UnknownField,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mutation::UnknownTool => "unknown tool",
            Mutation::UnknownArgument => "unknown argument",
            Mutation::MissingArgument => "missing argument",
            Mutation::WrongType => "wrong type",
            Mutation::ForwardReference => "forward reference",
            Mutation::Cycle => "cycle of two steps",
            Mutation::SelfReference => "reference to itself",
            Mutation::UnknownStep => "unknown step",
            Mutation::UnknownField => "unknown field",
        }
    }

    /// All ways to make this wrong in a plan: the step, and what it is then. None where the plan has no place for it.
    pub(crate) fn of(self, case: &Case) -> Vec<(usize, Call)> {
        let mut found = Vec::new();
        for (at, call) in case.gold.iter().enumerate() {
            let mut put = |change: &dyn Fn(&mut Call)| {
                let mut call = call.clone();
                change(&mut call);
                found.push((at, call));
            };
            match self {
                Mutation::UnknownTool => put(&|call| call.tool.push_str("_again")),
                Mutation::UnknownArgument => put(&|call| {
                    call.args.insert("an_argument_of_no_tool".into(), json!("x"));
                }),
                Mutation::MissingArgument => {
                    for name in required(case, call) {
                        put(&|call| {
                            call.args.remove(&name);
                        });
                    }
                }
                _ => {
                    for name in call.args.keys() {
                        for value in self.values(case, at, name) {
                            put(&|call| {
                                call.args.insert(name.clone(), value.clone());
                            });
                        }
                    }
                }
            }
        }
        found
    }

    /// What an argument can be set to so that this is wrong.
    fn values(self, case: &Case, at: usize, name: &str) -> Vec<Value> {
        let id = |at: usize| format!("s{}", at + 1);
        let refer = |text: String| json!({ "$ref": text });
        let later = at + 1..case.gold.len();
        match self {
            Mutation::WrongType => wrong(schema(case, &case.gold[at], name)).into_iter().collect(),
            Mutation::ForwardReference if at + 1 == case.gold.len() => vec![refer(id(at + 1))],
            Mutation::ForwardReference => later.map(|later| refer(id(later))).collect(),
            Mutation::Cycle => {
                let waits = later.clone().filter(|later| refers(&case.gold[*later].args, &id(at)));
                waits.map(|later| refer(id(later))).collect()
            }
            Mutation::SelfReference => vec![refer(id(at))],
            Mutation::UnknownStep => vec![refer("s99".into()), refer("first".into())],
            Mutation::UnknownField => {
                let known = (0..at).filter(|earlier| knows_fields(case, &case.gold[*earlier]));
                known.map(|earlier| refer(format!("{}.a_field_of_no_tool", id(earlier)))).collect()
            }
            Mutation::UnknownTool | Mutation::UnknownArgument | Mutation::MissingArgument => Vec::new(),
        }
    }
}

fn input<'a>(case: &'a Case, call: &Call) -> Option<&'a Value> {
    case.tools.iter().find(|tool| tool.name == call.tool).map(|tool| &tool.input_schema)
}

fn schema<'a>(case: &'a Case, call: &Call, name: &str) -> &'a Value {
    input(case, call).map_or(&Value::Null, |input| &input["properties"][name])
}

fn required(case: &Case, call: &Call) -> Vec<String> {
    let required = input(case, call).and_then(|input| input["required"].as_array());
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| call.args.contains_key(*name)).map(str::to_owned).collect()
}

fn knows_fields(case: &Case, call: &Call) -> bool {
    let output = case.tools.iter().find(|tool| tool.name == call.tool).map(|tool| &tool.output_schema);
    output.is_some_and(|output| output["properties"].as_object().is_some_and(|fields| !fields.is_empty()))
}

/// A value that a schema certainly does not allow, where it says of which type values are or lists them.
fn wrong(schema: &Value) -> Option<Value> {
    match &schema["type"] {
        Value::String(kind) if kind == "string" => Some(json!(7)),
        Value::String(_) => Some(json!("a text")),
        Value::Null if schema.get("enum").is_some() => Some(json!(7)),
        _ => None,
    }
}

fn refers(args: &Map<String, Value>, id: &str) -> bool {
    fn within(value: &Value, id: &str) -> bool {
        match value {
            Value::Object(map) => match map.get("$ref").and_then(Value::as_str) {
                Some(text) => text.split(['.', '[']).next() == Some(id),
                None => map.values().any(|value| within(value, id)),
            },
            Value::Array(items) => items.iter().any(|value| within(value, id)),
            _ => false,
        }
    }
    args.values().any(|value| within(value, id))
}
