//! Schemas, tools, lines and mistakes by chance.

use serde_json::{Map, Value, json};

use super::super::part::Part;
use super::super::{Draft, PlannedStep};
use crate::testing::dice::Dice;
use crate::tool::{Effect, ToolSpec};
use crate::workflow::{Type, fits};

/// How deep values go before they are kept short.
const DEEP: usize = 7;

pub(super) struct Chance {
    pub(super) dice: Dice,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Chance { dice: Dice::new(seed) }
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.dice.below(of.len() as u64) as usize]
    }

    pub(super) fn tool(&mut self, name: &str) -> ToolSpec {
        let effect = *self.pick(&[Effect::Pure, Effect::Read, Effect::Idempotent, Effect::AtMostOnce]);
        let mut input = self.object(3);
        input["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        self.recursive(&mut input);
        let mut output = self.schema(3);
        self.recursive(&mut output);
        super::tool(name, effect, input, output)
    }

    /// Sometimes a field that leads back into the schema.
    fn recursive(&mut self, schema: &mut Value) {
        if schema["properties"].is_object() && self.dice.one_in(4) {
            schema["$defs"] = json!({ "node": {
                "type": "object",
                "properties": { "name": { "type": "string" }, "next": { "$ref": "#/$defs/node" } },
                "required": ["name"],
            }});
            schema["properties"]["node"] = json!({ "$ref": "#/$defs/node" });
        }
    }

    fn object(&mut self, levels: usize) -> Value {
        let names = ["path", "count", "max-size", "text", "a b", "list", "it's"];
        let mut fields = Map::new();
        let mut required = Vec::new();
        for _ in 0..1 + self.dice.below(4) {
            let name = *self.pick(&names);
            fields.insert(name.into(), self.schema(levels - 1));
            if self.dice.one_in(2) && !required.contains(&name) {
                required.push(name);
            }
        }
        let mut schema = json!({ "type": "object", "properties": fields });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if self.dice.one_in(2) {
            schema["additionalProperties"] = json!(false);
        }
        schema
    }

    pub(super) fn schema(&mut self, levels: usize) -> Value {
        let most = if levels <= 1 { 8 } else { 15 };
        match self.dice.below(most) {
            0 => json!({ "type": "string", "description": "A text.", "default": "" }),
            1 => json!({ "type": "string", "minLength": 2, "maxLength": 9 }),
            2 => json!({ "type": "string", "enum": ["red", "green", "blue"] }),
            3 => json!({ "type": "integer", "minimum": 1, "maximum": 50, "format": "uint32" }),
            4 => json!({ "type": "number" }),
            5 => json!({ "type": "boolean" }),
            6 => json!({ "type": ["string", "null"] }),
            7 => json!({ "oneOf": [{ "const": "up", "description": "Up." }, { "type": "string", "enum": ["down"] }] }),
            8 => json!({}),
            9 => json!({ "type": "object" }),
            10 => json!({ "anyOf": [self.schema(levels - 1), { "type": "null" }] }),
            11 => {
                json!({ "type": "array", "items": self.schema(levels - 1), "minItems": self.dice.below(2), "maxItems": 3 })
            }
            12 => json!({ "type": "array", "items": self.schema(levels - 1) }),
            13 => json!({ "type": "object", "additionalProperties": self.schema(levels - 1) }),
            _ => self.object(levels),
        }
    }

    /// A value of a schema.
    pub(super) fn value(&mut self, root: &Value, schema: &Value, level: usize) -> Value {
        let deep = level > DEEP;
        if let Some(target) = schema["$ref"].as_str() {
            let found = root.pointer(&target[1..]).unwrap_or_else(|| panic!("{target} leads nowhere"));
            return self.value(root, found, level + 1);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        for key in ["enum", "anyOf"] {
            let Some(options) = schema[key].as_array() else { continue };
            let chosen = if deep { &options[0] } else { self.pick(options) };
            return if key == "enum" { chosen.clone() } else { self.value(root, chosen, level + 1) };
        }
        let kind = match &schema["type"] {
            Value::Array(names) => self.pick(names).clone(),
            name => name.clone(),
        };
        let whole = |key: &str, or: u64| schema[key].as_u64().unwrap_or(or);
        match kind.as_str().unwrap_or_else(|| panic!("{schema} has no type")) {
            "null" => Value::Null,
            "boolean" => json!(self.dice.one_in(2)),
            "integer" => {
                let least = whole("minimum", 0);
                json!(least + self.dice.below(whole("maximum", 99) - least + 1))
            }
            "number" => json!(self.dice.below(1000) as f64 / 8.0),
            "string" => {
                let least = whole("minLength", 0);
                let length = least + self.dice.below(whole("maxLength", 12).min(12) - least + 1);
                let letters = ["a", "ü", " ", "${{", "{%", "'", "\"", "\\", "}}", "$ref"];
                let text: String = (0..length).map(|_| *self.pick(&letters)).collect();
                json!(text.chars().take(length as usize).collect::<String>())
            }
            "array" => {
                let least = whole("minItems", 0);
                let most = whole("maxItems", 3).min(3);
                let length = if deep { least } else { least + self.dice.below(most.saturating_sub(least) + 1) };
                (0..length).map(|_| self.value(root, &schema["items"], level + 1)).collect()
            }
            _ => self.fields(root, schema, level, deep),
        }
    }

    fn fields(&mut self, root: &Value, schema: &Value, level: usize, deep: bool) -> Value {
        let mut map = Map::new();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let required = schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
            if required || !deep && self.dice.one_in(2) {
                map.insert(name.clone(), self.value(root, field, level + 1));
            }
        }
        for others in schema["patternProperties"].as_object().into_iter().flat_map(Map::values).filter(|_| !deep) {
            for name in ["x", "A b"] {
                if self.dice.one_in(2) {
                    map.insert(name.into(), self.value(root, others, level + 1));
                }
            }
        }
        Value::Object(map)
    }

    /// What the line would be with one mistake in it, and the codes that tell of it.
    pub(super) fn mistakes(
        &mut self,
        draft: &Draft,
        line: &Value,
        step: &PlannedStep,
    ) -> Vec<(&'static str, Value, &'static [&'static str])> {
        let Some(tool) = draft.tool(&step.tool) else { return Vec::new() };
        let with = |name: &str, value: Value| {
            let mut line = line.clone();
            line["args"][name] = value;
            line
        };
        let mut found: Vec<(_, _, &[&str])> = Vec::new();
        let mut other = line.clone();
        other["tool"] = json!("tool_99");
        found.push(("tool", other, &["unknown_tool"]));
        found.push(("argument", with("no_such", json!(1)), &["unknown_argument"]));
        let whole = Part::whole(&tool.input_schema);
        for (name, part) in whole.fields() {
            if whole.required().any(|one| one == name) {
                let mut line = line.clone();
                line["args"].as_object_mut().unwrap().remove(name);
                found.push(("missing", line, &["missing_argument"]));
            }
            for wrong in [json!(true), json!("no such word"), json!(-1.5), json!([[[1]]]), json!({ "zz": 1 })] {
                if part.check(&wrong).is_err() {
                    found.push(("type", with(name, wrong), &["type"]));
                }
            }
            let next = draft.steps().len() + 1;
            let to = |target: String| with(name, json!({ "$ref": target }));
            found.push(("cycle", to(format!("s{next}")), &["cycle"]));
            found.push((
                "forward",
                to(format!("s{}.x", next + 1 + self.dice.below(3) as usize)),
                &["forward_reference"],
            ));
            found.push(("step", to("files".into()), &["unknown_step"]));
            let wanted = part.kind();
            for (earlier, kind) in draft.steps().iter().zip(&draft.kinds) {
                if matches!(kind, Type::Object(fields) if fields.rest.is_none()) {
                    found.push(("field", to(format!("{}.no_such", earlier.id)), &["unknown_field"]));
                }
                if !fits(kind, &wanted) {
                    found.push(("reference type", to(earlier.id.clone()), &["type"]));
                }
            }
        }
        found
    }
}
