//! The form of the next line, as a JSON Schema of the subset that models can be held to. It is compiled for every line, so it is kept
//! small: what several lines share stands once, and where it grows too large, fewer places are offered.

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::line::PlannedStep;
use super::part::Part;
use super::reach::{Place, elements, places, suits, surely};
use super::reference::{ITEM, Reference};
use super::shape::{self, Shapes};
use crate::schema::move_references;
use crate::tool::ToolSpec;
use crate::workflow::Type;

/// How large a form may be, in bytes of JSON.
const BYTES: usize = 48 << 10;
/// How many objects and lists it may have.
const CONTAINERS: usize = 3_000;
/// How much is offered, the most first: places below each step, kinds of items.
const OFFERS: [(usize, usize); 5] = [(24, 4), (12, 3), (8, 2), (4, 1), (1, 0)];
/// How deep an answer is written in a closing line.
const ANSWER: usize = 6;
/// The most characters of a text in which a planner says something to people.
const WORDS: u32 = 120;

impl Draft {
    /// JSON Schema of the next line: only known tools, arguments of the tool's schema, only earlier ids, only references whose
    /// schema fits. Every value of it passes [`Draft::read`], as far as the tools' schemas say what they allow by types, fields,
    /// elements, words, limits and patterns.
    pub fn form(&self) -> Value {
        let mut form = Value::Null;
        for (of_each, lists) in OFFERS {
            form = self.form_of(of_each, lists);
            if form.to_string().len() <= BYTES && containers(&form) <= CONTAINERS {
                break;
            }
        }
        form
    }

    fn form_of(&self, of_each: usize, lists: usize) -> Value {
        let places = self.places(of_each);
        let kinds = item_kinds(&places, lists);
        let items: Vec<Vec<Place>> = kinds.iter().map(|(kind, _)| places_of_item(kind, of_each)).collect();
        let mut writer =
            Writer { draft: self, shapes: Shapes::new(&places), named: self.nameable(), lines: Vec::new() };
        if self.room() > 0 {
            self.tools.iter().for_each(|tool| writer.step(tool, None));
            for (number, (kind, list)) in kinds.iter().enumerate() {
                let list = list.iter().map(ToString::to_string).collect();
                let Some(list) = writer.shapes.one_of(list) else { continue };
                writer.shapes.with_item(number + 1, &items[number]);
                let fitting = self.tools.iter().filter(|tool| takes(tool, kind, &items[number]));
                fitting.for_each(|tool| writer.step(tool, Some(&list)));
            }
            writer.shapes.with_item(0, &[]);
            writer.late();
        }
        writer.drops();
        writer.done();
        let mut form = json!({ "anyOf": writer.lines });
        if !writer.shapes.defs.is_empty() {
            form["$defs"] = Value::Object(writer.shapes.defs);
        }
        form
    }

    /// JSON Schema of the arguments of a step that is decided late: its tool's, written out.
    pub fn decide_form(&self, step: &str) -> Option<Value> {
        let step = self.steps.iter().find(|one| one.id == step && one.late.is_some())?;
        let mut schema = self.tool(&step.tool)?.input_schema.clone();
        if let Value::Object(map) = &mut schema {
            map.remove("$schema");
        }
        Some(schema)
    }

    /// JSON Schema of the answer that a model writes from what these steps gave: the steps that it took it from come first.
    pub fn answer_form(&self, sources: &[String]) -> Value {
        let mut answer = self.answer.clone().unwrap_or_else(|| json!({ "type": "string" }));
        move_references(&mut answer, "#/$defs/answer");
        let list = match sources {
            [] => json!({ "type": "array", "maxItems": 0 }),
            all => json!({ "type": "array", "items": { "enum": all }, "minItems": 1, "maxItems": all.len() }),
        };
        json!({
            "type": "object",
            "properties": { "sources": list, "answer": { "$ref": "#/$defs/answer" } },
            "required": ["sources", "answer"],
            "additionalProperties": false,
            "$defs": { "answer": answer },
        })
    }
}

/// Writes the kinds of lines that there may be.
struct Writer<'d> {
    draft: &'d Draft,
    shapes: Shapes<'d>,
    /// Steps that may be waited for.
    named: Vec<String>,
    lines: Vec<Value>,
}

impl Writer<'_> {
    /// A step with this tool, over the items of one of these lists.
    fn step(&mut self, tool: &ToolSpec, list: Option<&Value>) {
        self.shapes.within(&tool.name);
        let args = self.shapes.args(&Part::whole(&tool.input_schema));
        let args = self.shapes.shared(args);
        let mut fields = self.begin(json!({ "const": tool.name }));
        self.may_replace(&mut fields, tool, list.is_some());
        let mut required = vec!["id", "tool"];
        if let Some(list) = list {
            fields.insert("for_each".into(), list.clone());
            required.push("for_each");
        }
        self.may_depend(&mut fields);
        fields.insert("args".into(), args);
        required.push("args");
        self.end(fields, required);
    }

    /// A step whose arguments are decided when something is known.
    fn late(&mut self) {
        if self.named.is_empty() || self.draft.tools.is_empty() {
            return;
        }
        let names: Vec<_> = self.draft.tools.iter().map(|tool| &tool.name).collect();
        let mut fields = self.begin(json!({ "enum": names }));
        self.may_depend(&mut fields);
        fields.insert("late".into(), json!({ "type": "string", "minLength": 1, "maxLength": WORDS }));
        fields.insert("uses".into(), self.ids());
        self.end(fields, vec!["id", "tool", "late", "uses"]);
    }

    fn begin(&self, tool: Value) -> Map<String, Value> {
        Map::from_iter([("id".to_owned(), json!({ "const": self.draft.next_id() })), ("tool".to_owned(), tool)])
    }

    fn may_replace(&self, fields: &mut Map<String, Value>, tool: &ToolSpec, fans_out: bool) {
        let lost = if self.draft.patching { self.draft.lost_steps() } else { Vec::new() };
        let fits = |id: &String| {
            let mut step = PlannedStep::new(self.draft.next_id(), tool.name.clone());
            step.replaces = Some(id.clone());
            // What it gives depends on whether it fans out, not over what.
            step.for_each = fans_out.then(|| Reference::to(ITEM));
            self.draft.misfits_behind(&step).is_empty()
        };
        let may: Vec<_> = lost.into_iter().filter(fits).collect();
        if !may.is_empty() {
            fields.insert("replaces".into(), json!({ "enum": may }));
        }
    }

    fn may_depend(&mut self, fields: &mut Map<String, Value>) {
        if let Some(condition) = self.condition() {
            fields.insert("if".into(), condition);
        }
    }

    fn end(&mut self, mut fields: Map<String, Value>, mut required: Vec<&str>) {
        if !self.named.is_empty() {
            fields.insert("after".into(), self.ids());
        }
        fields.insert("why".into(), json!({ "type": "string", "maxLength": WORDS }));
        required.push("why");
        self.lines.push(object(fields, &required));
    }

    fn ids(&mut self) -> Value {
        let most = self.named.len().min(4);
        let list = json!({ "type": "array", "items": { "enum": self.named }, "minItems": 1, "maxItems": most });
        self.shapes.shared(list)
    }

    fn condition(&mut self) -> Option<Value> {
        let numbers = |kind: &Type| surely(kind, |kind| matches!(kind, Type::Integer | Type::Number));
        let texts = |kind: &Type| surely(kind, |kind| matches!(kind, Type::Text(_)));
        let of_texts =
            |kind: &Type| surely(kind, |kind| matches!(kind, Type::List(of) if suits(&Type::TEXT, &of.widened())));
        let counted = |kind: &Type| surely(kind, |kind| matches!(kind, Type::List(_) | Type::Text(_)));
        let mut options: Vec<Value> = Vec::new();
        options.extend(self.shapes.references(&|kind| surely(kind, |kind| *kind == Type::Bool)));
        let text = json!({ "type": "string", "maxLength": WORDS });
        let with_right = [
            (self.shapes.references(&numbers), json!(["==", "!=", ">", "<"]), shape::number()),
            (self.shapes.references(&texts), json!(["==", "!=", "contains"]), text.clone()),
            (self.shapes.references(&of_texts), json!(["contains"]), text),
        ];
        for (left, is, right) in with_right {
            let left = left.map(|left| {
                let fields = [("left", left), ("is", json!({ "enum": is })), ("right", right)];
                object(
                    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
                    &["left", "is", "right"],
                )
            });
            options.extend(left);
        }
        if let Some(left) = self.shapes.references(&counted) {
            let fields = [("left", left), ("is", json!({ "enum": ["empty", "not_empty"] }))];
            let fields = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
            options.push(object(fields, &["left", "is"]));
        }
        (!options.is_empty()).then(|| self.shapes.shared(json!({ "anyOf": options })))
    }

    fn drops(&mut self) {
        let may = if self.draft.patching { self.draft.droppable() } else { Vec::new() };
        if !may.is_empty() {
            self.lines.push(object(Map::from_iter([("drop".to_owned(), json!({ "enum": may }))]), &["drop"]));
        }
    }

    fn done(&mut self) {
        if !self.draft.may_close() {
            return;
        }
        let mut fields = Map::from_iter([("done".to_owned(), json!({ "const": true }))]);
        let text = json!({ "type": "string" });
        self.shapes.within("answer");
        let schema = self.draft.answer.as_ref();
        let answer = self.shapes.answer(&Part::whole(schema.unwrap_or(&text)), ANSWER);
        if let Some(answer) = answer {
            fields.insert("answer".into(), answer);
        }
        self.lines.push(object(fields, &["done"]));
    }
}

fn object(fields: Map<String, Value>, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false })
}

/// The kinds of items that there are lists of, with the lists: the newest first.
fn item_kinds(places: &[Place], most: usize) -> Vec<(Type, Vec<&Reference>)> {
    let mut kinds: Vec<(Type, Vec<&Reference>)> = Vec::new();
    let lists = places.iter().rev().filter(|place| surely(&place.kind, |kind| matches!(kind, Type::List(_))));
    for place in lists {
        let Some(kind) = elements(&place.kind) else { continue };
        match kinds.iter().position(|(known, _)| *known == kind) {
            Some(at) => kinds[at].1.push(&place.at),
            None if kinds.len() < most => kinds.push((kind, vec![&place.at])),
            None => {}
        }
    }
    kinds
}

fn places_of_item(kind: &Type, most: usize) -> Vec<Place> {
    places(ITEM, kind, most)
}

/// Whether a tool has an argument that an item, or a part of one, fits.
fn takes(tool: &ToolSpec, item: &Type, parts: &[Place]) -> bool {
    let whole = Part::whole(&tool.input_schema).resolved();
    let known = |kind: &Type| *kind != Type::Any;
    let fits = |wanted: &Type| parts.iter().any(|part| known(&part.kind) && suits(&part.kind, wanted));
    whole.fields().any(|(_, field)| *item == Type::Any || fits(&field.kind()))
}

fn containers(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(containers).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(containers).sum::<usize>(),
        _ => 0,
    }
}
