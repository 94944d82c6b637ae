//! Constraints on an answer, compiled to what they allow token by token.

use std::thread;

use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use parkway_core::model::{Constraint, ModelError, ToolDefinition};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv};

use crate::form::{Form, Thinking};

mod spelling;

pub(crate) use spelling::Tries;

/// Bytes of a constraint's source.
const SOURCE: usize = 256 << 10;
/// Objects and arrays in a schema. The compiler follows schemas and their references by recursion, once each, so this
/// bounds its depth; [`STACK`] holds that many.
const CONTAINERS: usize = 4_000;
/// Objects and arrays inside each other in a schema.
const NESTING: usize = 64;
/// Brackets inside each other in a Lark grammar, those in its texts counted in.
const BRACKETS: usize = 500;
/// Bytes of stack for a thread that compiles constraints or goes on in them; the system gives out only what is used.
pub(crate) const STACK: usize = 128 << 20;

/// Compiles constraints for one model.
pub(crate) struct Grammars {
    factory: ParserFactory,
}

impl Grammars {
    /// Takes some 0.1 s: the vocabulary is sliced by what occurs in JSON strings.
    pub(crate) fn new(env: &TokEnv) -> Result<Self, String> {
        let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let mut factory = ParserFactory::new(env, capabilities, &SlicedBiasComputer::general_slices())
            .map_err(|error| format!("{error:#}"))?;
        factory.quiet();
        // Half of llguidance's own limits: some 10 ms to compile the lexer, 10 ms a token.
        *factory.limits_mut() = ParserLimits {
            initial_lexer_fuel: 500_000,
            step_lexer_fuel: 100_000,
            step_max_items: 25_000,
            max_lexer_states: 50_000,
            max_grammar_size: 250_000,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        Ok(Grammars { factory })
    }

    /// Compiles one constraint, or says which part of it cannot be enforced. Needs up to [`STACK`].
    pub(crate) fn compile(&self, constraint: &Constraint) -> Result<Guide, ModelError> {
        let (grammar, source) = match constraint {
            Constraint::JsonSchema(schema) => {
                let source = json_source(schema, &JsonCompileOptions::default())?;
                (TopLevelGrammar::from_json_schema(source.clone()), source.to_string())
            }
            Constraint::Choice(choices) => choice_grammar(choices)?,
            Constraint::Regex(pattern) => (TopLevelGrammar::from_regex(pattern), pattern.clone()),
            Constraint::Lark(source) => lark_grammar(source)?,
            other => return Err(ModelError::Unsupported(format!("{:?} constraints", other.kind()))),
        };
        let json = matches!(constraint, Constraint::JsonSchema(_)).then(String::new);
        self.guide(grammar, &source).map(|guide| Guide { json, ..guide })
    }

    /// Compiles what an answer may be that may call these tools; names the tool whose arguments cannot be held to their schema.
    /// `control` tells the control token of a text that marks calls or thoughts, where it is one.
    pub(crate) fn compile_calls(
        &self,
        form: Form,
        tools: &[ToolDefinition],
        thinking: Thinking,
        control: impl Fn(&str) -> Option<u32>,
    ) -> Result<Guide, ModelError> {
        let of_tool = |tool: &ToolDefinition, error: ModelError| match error {
            ModelError::Unsupported(cause) => ModelError::Unsupported(format!(
                "calls of the tool `{}` cannot be held to its schema: {cause}",
                tool.name
            )),
            other => other,
        };
        // With spaces, as models have learned to write calls.
        let options = JsonCompileOptions {
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            ..JsonCompileOptions::default()
        };
        let mut sources = Vec::new();
        for tool in tools {
            let mut schema = tool.parameters.clone();
            if let Value::Object(members) = &mut schema {
                members.entry("type").or_insert("object".into());
            }
            let source = json_source(&schema, &options).map_err(|error| of_tool(tool, error))?;
            sources.push((tool, source));
        }
        let texts: Vec<_> = sources.iter().map(|(tool, source)| (*tool, source.to_string())).collect();
        let source = form.grammar(&texts, thinking, control);
        let guide = self.guide(TopLevelGrammar::from_lark(source.clone()), &source);
        guide.map(|guide| Guide { json: Some(form.opening()), ..guide }).map_err(|error| {
            // Each alone tells which one it is.
            let alone = |(tool, source): &(&ToolDefinition, Value)| {
                let compiled = self.guide(TopLevelGrammar::from_json_schema(source.clone()), &source.to_string());
                compiled.err().map(|error| of_tool(tool, error))
            };
            sources.iter().find_map(alone).unwrap_or(error)
        })
    }

    fn guide(&self, grammar: TopLevelGrammar, source: &str) -> Result<Guide, ModelError> {
        if source.len() > SOURCE {
            return Err(refuse(format!("it has {} bytes, and {SOURCE} are allowed", source.len())));
        }
        let matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(refuse(plain_words(&error))),
            None => Ok(Guide { matcher, hash: hex::encode(Sha256::digest(source)), json: None }),
        }
    }
}

/// Whether a constraint can be compiled, told without a model: which tokens there are makes no difference, but for grammars that
/// name special ones, which are not looked at.
pub(crate) fn check(constraint: &Constraint) -> Result<(), ModelError> {
    if matches!(constraint, Constraint::Lark(_)) {
        return Ok(());
    }
    let lacking = |cause: &dyn ToString| ModelError::Backend { message: cause.to_string(), retryable: true };
    let compile = || {
        let grammars = Grammars::new(&ApproximateTokEnv::single_byte_env()).map_err(|error| lacking(&error))?;
        grammars.compile(constraint).map(|_| ())
    };
    thread::scope(|scope| {
        let compiling = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
        let compiled = compiling.map_err(|error| lacking(&error))?.join();
        compiled.unwrap_or_else(|_| Err(lacking(&"compiling it panicked")))
    })
}

/// One answer's constraint, and how far the answer has come in it.
pub(crate) struct Guide {
    matcher: Matcher,
    hash: String,
    /// What JSON in the answer begins behind: the last such text, or the beginning where it is empty.
    json: Option<String>,
}

impl Guide {
    /// SHA-256 (hex) of what was compiled.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Takes the tokens that must follow, so that none has to be sampled.
    pub(crate) fn take_forced(&mut self) -> Result<Vec<u32>, ModelError> {
        if self.is_complete() {
            return Ok(Vec::new());
        }
        let forced = self.matcher.consume_ff_tokens();
        self.check()?;
        Ok(forced)
    }

    /// The tokens that may follow; those that end an answer are among them where it may end.
    pub(crate) fn allowed(&mut self) -> Result<SimpleVob, ModelError> {
        self.matcher.compute_mask().map_err(failed)
    }

    /// Whether nothing more may follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && self.matcher.stop_reason().is_ok()
    }

    fn check(&self) -> Result<(), ModelError> {
        match self.matcher.get_error() {
            Some(error) => Err(failed(error)),
            None if self.matcher.stop_reason() == StopReason::NotStopped || self.is_complete() => Ok(()),
            None => Err(failed(self.matcher.stop_reason())),
        }
    }
}

/// A schema as it is compiled.
fn json_source(schema: &Value, options: &JsonCompileOptions) -> Result<Value, ModelError> {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        Value::Bool(true) => Value::Object(Map::new()),
        Value::Bool(false) => return Err(refuse("the schema `false` allows no value".into())),
        _ => return Err(refuse("a JSON schema is an object or a boolean".into())),
    };
    let containers =
        measure(&schema, NESTING).ok_or_else(|| refuse(format!("it nests deeper than {NESTING} levels")))?;
    if containers > CONTAINERS {
        return Err(refuse(format!("it has {containers} objects and arrays, and {CONTAINERS} are allowed")));
    }
    whole_counts(&mut schema);
    // Without free white space: small models wander off into it, and more tokens are forced. This also replaces options
    // that the schema itself may bring along.
    let options = JsonCompileOptions { whitespace_flexible: false, ..options.clone() };
    options.apply_to(&mut schema);
    Ok(schema)
}

/// Writes counts such as `2.0`, which JSON Schema takes for whole, as llguidance reads them.
fn whole_counts(schema: &mut Value) {
    const COUNTS: [&str; 8] = [
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minContains",
        "maxContains",
    ];
    match schema {
        Value::Array(items) => items.iter_mut().for_each(whole_counts),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_f64().filter(|count| COUNTS.contains(&name.as_str()) && count.fract() == 0.0) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "out of range it ends at the last one"
                    )]
                    Some(count) if value.is_f64() && count >= 0.0 => *value = (count as u64).into(),
                    _ => whole_counts(value),
                }
            }
        }
        _ => {}
    }
}

fn lark_grammar(source: &str) -> Result<(TopLevelGrammar, String), ModelError> {
    // Its parser goes into brackets by recursion.
    let deeper = |depth: &mut usize, c: char| {
        match c {
            '(' | '[' | '{' => *depth += 1,
            ')' | ']' | '}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    };
    if source.chars().scan(0, deeper).any(|depth| depth > BRACKETS) {
        return Err(refuse(format!("its brackets nest deeper than {BRACKETS} levels")));
    }
    Ok((TopLevelGrammar::from_lark(source.to_owned()), source.to_owned()))
}

fn choice_grammar(choices: &[String]) -> Result<(TopLevelGrammar, String), ModelError> {
    if choices.is_empty() {
        return Err(refuse("a choice needs at least one text".into()));
    }
    if choices.iter().any(String::is_empty) {
        return Err(refuse("a choice cannot be an empty text".into()));
    }
    // Strings in Lark grammars are written as in JSON. One terminal, so that the longest match wins.
    let quoted: Vec<String> = choices.iter().map(|choice| Value::from(choice.as_str()).to_string()).collect();
    let source = format!("start: CHOICE\nCHOICE: {}\n", quoted.join(" | "));
    Ok((TopLevelGrammar::from_lark(source.clone()), source))
}

/// How many objects and arrays a value has; `None` when they nest deeper than `depth`.
fn measure(value: &Value, depth: usize) -> Option<usize> {
    let sum = |mut values: Box<dyn Iterator<Item = &Value> + '_>| {
        let depth = depth.checked_sub(1)?;
        values.try_fold(1, |sum, value| Some(sum + measure(value, depth)?))
    };
    match value {
        Value::Object(map) => sum(Box::new(map.values())),
        Value::Array(values) => sum(Box::new(values.iter())),
        _ => Some(0),
    }
}

fn refuse(cause: String) -> ModelError {
    ModelError::Unsupported(format!("the constraint cannot be enforced: {cause}"))
}

/// An error while decoding: a limit that the constraint runs into, or a dead end in it.
fn failed(error: impl ToString) -> ModelError {
    let words = plain_words(&error.to_string());
    if words.contains("NoExtension") { refuse("it comes to where nothing may follow".into()) } else { refuse(words) }
}

/// llguidance's words without what it adds for its own developers.
fn plain_words(error: &str) -> String {
    let words = error.split("\n<").next().unwrap_or(error);
    words.split(". Enable '").next().unwrap_or(words).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The grammar over single bytes, which needs no model. On a thread with the stack that the worker has.
    fn with_grammars<T: Send>(f: impl FnOnce(&Grammars) -> T + Send) -> T {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || f(&Grammars::new(&ApproximateTokEnv::single_byte_env()).unwrap()))
                .unwrap()
                .join()
                .unwrap()
        })
    }

    fn compile(constraint: Constraint) -> Result<Guide, ModelError> {
        with_grammars(|grammars| grammars.compile(&constraint))
    }

    #[track_caller]
    fn check_refused(schema: Value, words: &str) {
        assert!(check(&Constraint::JsonSchema(schema.clone())).is_err());
        match compile(Constraint::JsonSchema(schema)) {
            Err(ModelError::Unsupported(message)) => assert!(message.contains(words), "{message}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("compiled"),
        }
    }

    /// Whether an answer that has begun so may go on with a digit.
    fn takes_a_digit(guide: Result<Guide, ModelError>, text: &str) -> bool {
        let (mut guide, before) = (guide.unwrap(), text.bytes().map(u32::from).collect::<Vec<_>>());
        before.iter().for_each(|byte| assert_eq!(guide.accept(*byte).unwrap(), *byte, "{text}"));
        guide.spells(&before, b'9'.into(), |_| false, &mut Tries::default()).unwrap()
    }

    #[test]
    fn a_number_that_no_double_holds_is_not_gone_on_with() {
        let schema =
            json!({"type": "object", "properties": {"arguments": {"type": "string"}, "x": {"type": "number"}}});
        let whole = |text: &str| takes_a_digit(compile(Constraint::JsonSchema(schema.clone())), text);
        assert_eq!([r#"{"x":1e30"#, r#"{"x":1e29"#, r#"{"x":1e-30"#].map(whole), [false, true, true]);
        assert!(whole(r#"{"arguments":"1e30"#) && whole(r#"{"x":1e3"#));

        let tool = ToolDefinition { name: "t".into(), description: String::new(), parameters: schema.clone() };
        let calls = |form: Form, begin: &str| {
            let takes = |arguments: &str| {
                let control = |_: &str| None;
                let compile = |grammars: &Grammars| {
                    grammars.compile_calls(form, std::slice::from_ref(&tool), Thinking::None, control)
                };
                takes_a_digit(with_grammars(compile), &format!("{begin}{arguments}"))
            };
            assert_eq!(
                [r#"{"x": 1e30"#, r#"{"x": -1e-30"#, r#"{"x": 1e3"#].map(takes),
                [false, true, true],
                "{form:?}"
            );
            assert!(takes(r#"{"arguments": "\"arguments\": 1e30"#), "{form:?}");
            assert!(!takes(r#"{"arguments": "\"arguments\": 1", "x": 1e30"#), "{form:?}");
        };
        calls(Form::Hermes, "Say \"1e309\", \" <tool_call>\n{\"name\": \"t\", \"arguments\": ");
        calls(Form::Llama, "{\"name\": \"t\", \"parameters\": ");
        calls(Form::Mistral, "[TOOL_CALLS][{\"name\": \"t\", \"arguments\": ");
        calls(Form::DeepSeek, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>t\n```json\n");
    }

    /// Which of the texts the constraint takes from beginning to end.
    fn taken<'a>(constraint: Constraint, texts: &[&'a str]) -> Vec<&'a str> {
        let take = |text: &&&str| {
            let mut guide = compile(constraint.clone()).unwrap();
            text.bytes().all(|byte| guide.accept(byte.into()).is_ok()) && guide.matcher.is_accepting().unwrap_or(false)
                || guide.is_complete()
        };
        texts.iter().filter(take).copied().collect()
    }

    #[test]
    fn choices_are_taken_literally() {
        let choices = ["a\"b", "a\\x41", "/.*/", "line\nbreak", "zwölf", "ab", "abc", "<|im_end|>"];
        let choice = Constraint::Choice(choices.map(str::to_owned).to_vec());
        let texts = [&choices[..], &["aA", "a", "zz", "line", "abcd"]].concat();
        assert_eq!(taken(choice, &texts), choices);
    }

    #[test]
    fn a_count_may_be_written_with_a_point() {
        let schema =
            json!({"type": "array", "minItems": 1.0, "maxItems": 2, "items": {"type": "string", "maxLength": 1e0}});
        let texts = [r#"["a"]"#, r#"["a","b"]"#, "[]", r#"["ab"]"#, r#"["a","b","c"]"#];
        assert_eq!(taken(Constraint::JsonSchema(schema), &texts), texts[..2]);
    }

    #[test]
    fn json_has_no_free_white_space() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}},
            "required": ["a", "b"], "additionalProperties": false, "x-guidance": {"whitespace_flexible": true}});
        let texts = [r#"{"a":1,"b":null}"#, r#"{"a": 1,"b":null}"#, r#"{"a":1, "b":null}"#, r#"{"b":null,"a":1}"#];
        assert_eq!(taken(Constraint::JsonSchema(schema), &texts), texts[..1]);
    }

    #[test]
    fn a_keyword_that_cannot_be_enforced_is_named() {
        check_refused(json!({"type": "array", "uniqueItems": true}), "uniqueItems");
        check_refused(json!({"not": {"type": "string"}}), "not");
        check_refused(json!({"type": "string", "format": "colour"}), "colour");
        check_refused(json!({"oneOf": [{"minimum": 3}, {"minimum": 5}]}), "oneOf");
        check_refused(json!({"$ref": "https://example.com/schema.json"}), "example.com");
        check_refused(json!({"enum": []}), "empty");
        check_refused(json!({"type": "string", "maxLength": 2.5}), "maxLength");
        check_refused(json!({"type": "integer", "minimum": 3, "maximum": 2}), "nsatisfiable");
        check_refused(json!(false), "false");
        check_refused(json!("string"), "object or a boolean");
    }

    #[test]
    fn a_regular_expression_holds_for_the_whole_text() {
        let order = Constraint::Regex("[A-Z]{2}-[0-9]{2,4}".into());
        assert_eq!(taken(order, &["AB-12", "AB-12345", "ab-12", " AB-12", "XY-1234"]), ["AB-12", "XY-1234"]);
        let any = Constraint::Regex("(ä|ö)+".into());
        assert_eq!(taken(any, &["äöä", "", "ae"]), ["äöä"]);
    }

    #[test]
    fn a_lark_grammar_is_context_free() {
        let source = "start: sum\nsum: product | sum \"+\" product\nproduct: atom | product \"*\" atom\n\
                      atom: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]+/\n";
        let texts = ["1+2*3", "(1+2)*3", "((7))", "(1+2", "1+", "a"];
        assert_eq!(taken(Constraint::Lark(source.into()), &texts), texts[..3]);
    }

    #[test]
    fn a_pattern_or_grammar_that_is_none_says_where() {
        let cases = [
            (Constraint::Regex("(a".into()), "unclosed group"),
            (Constraint::Regex("(?=a)b".into()), "look"),
            (Constraint::Lark("start: missing\n".into()), "missing"),
            (Constraint::Lark("start: (\n".into()), "1(9)"),
            (Constraint::Lark("begin: \"a\"\n".into()), "start"),
            (Constraint::Lark(String::new()), "start"),
            (Constraint::Lark(format!("start: {}\"a\"{}\n", "(".repeat(50_000), ")".repeat(50_000))), "brackets"),
            (Constraint::Lark("a".repeat(300_000)), "bytes"),
        ];
        for (constraint, words) in cases {
            match compile(constraint) {
                Err(ModelError::Unsupported(message)) => assert!(message.contains(words), "{words}: {message}"),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("compiled: {words}"),
            }
        }
    }

    #[test]
    fn an_empty_choice_is_refused() {
        assert!(matches!(compile(Constraint::Choice(vec![])), Err(ModelError::Unsupported(_))));
        assert!(matches!(compile(Constraint::Choice(vec![String::new()])), Err(ModelError::Unsupported(_))));
    }

    #[test]
    fn a_deep_or_large_schema_does_not_exhaust_the_stack() {
        let mut deep = json!({});
        (0..500).for_each(|_| deep = json!({"items": deep.take()}));
        check_refused(deep, "deeper");

        // Each definition refers to the next one: as deep as a schema of this size can be.
        let chain = |links: usize| {
            let link = |at: usize| (format!("d{at}"), json!({"$ref": format!("#/$defs/d{}", at + 1)}));
            let mut defs: Map<String, Value> = (0..links).map(link).collect();
            defs.insert(format!("d{links}"), json!({"type": "array", "items": {"type": "null"}}));
            json!({"$ref": "#/$defs/d0", "$defs": defs})
        };
        check_refused(chain(CONTAINERS), "objects and arrays");
        let result = compile(Constraint::JsonSchema(chain(CONTAINERS - 8)));
        assert!(matches!(result, Ok(_) | Err(ModelError::Unsupported(_))));
        check_refused(json!({"enum": vec!["x".repeat(1000); 1000]}), "bytes");
    }

    #[test]
    fn hostile_constraints_end_fast() {
        let schemas = [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
            json!({"type": "string", "pattern": "^((a{1,1000}){1,1000}){1,1000}$"}),
            json!({"type": "string", "pattern": "(.*a){500}"}),
            json!({"type": "string", "minLength": 1_000_000_000u64}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1_000_000_000u64}),
            json!({"type": "object", "minProperties": 1_000_000_000u64}),
            json!({"anyOf": vec![json!({"type": "object", "properties": {"a": {"$ref": "#"}}}); 500]}),
        ];
        let chain: String = (0..12_000).map(|n| format!("r{n}: r{}\n", n + 1)).collect();
        let others = [
            Constraint::Regex("((a{1,1000}){1,1000}){1,1000}".into()),
            Constraint::Regex("(.*a){500}b{1000}".into()),
            Constraint::Regex("(".repeat(5_000) + &")".repeat(5_000)),
            Constraint::Lark("start: start start | \"\"\n".into()),
            Constraint::Lark("start: a\na: b\nb: a\n".into()),
            Constraint::Lark(format!("start: r0\n{chain}r12000: \"x\"\n")),
            Constraint::Lark("start: a a a a a a a a\na: b~0..1000\nb: c~0..1000\nc: \"x\"~0..1000\n".into()),
        ];
        let all = schemas.into_iter().map(Constraint::JsonSchema).chain(others);
        with_grammars(|grammars| {
            for (at, constraint) in all.enumerate() {
                let start = std::time::Instant::now();
                let compiled = grammars.compile(&constraint).and_then(|mut guide| {
                    guide.take_forced()?;
                    if !guide.is_complete() {
                        guide.allowed()?;
                    }
                    Ok(())
                });
                assert!(matches!(compiled, Ok(()) | Err(ModelError::Unsupported(_))), "{at}: {compiled:?}");
                assert!(start.elapsed().as_secs() < 5, "{at}: {:?}", start.elapsed());
            }
        });
    }

    /// Which of the texts are answers that may call two tools.
    #[track_caller]
    fn check_answers(form: Form, thinking: Thinking, answers: &[&str], none: &[&str]) {
        let tool = |name: &str, parameters: Value| ToolDefinition {
            name: name.into(),
            description: String::new(),
            parameters,
        };
        let tools = [
            tool(
                "files.read",
                json!({"type": "object", "properties": {"path": {"$ref": "#/$defs/path"}, "n": {"type": "integer"}},
                "required": ["path"], "additionalProperties": false, "$defs": {"path": {"type": "string", "maxLength": 9}}}),
            ),
            tool("now", json!({"properties": {}, "additionalProperties": false})),
        ];
        with_grammars(|grammars| {
            let takes = |text: &str| {
                let mut guide = grammars.compile_calls(form, &tools, thinking, |_| None).unwrap();
                let taken = text.bytes().all(|byte| guide.matcher.consume_token(byte.into()).is_ok());
                taken && (guide.matcher.is_accepting().unwrap_or(false) || guide.is_complete())
            };
            for answer in answers {
                assert!(takes(answer), "{form:?} {thinking:?} refuses {answer}");
            }
            for answer in none {
                assert!(!takes(answer), "{form:?} {thinking:?} takes {answer}");
            }
        });
    }

    #[test]
    fn answers_with_tools_are_text_or_calls_that_fit() {
        let read =
            "<tool_call>\n{\"name\": \"files.read\", \"arguments\": {\"path\": \"a.txt\", \"n\": 3}}\n</tool_call>";
        let now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
        let both = format!("Let me <tool look.\n{read}\n{now}");
        let wrong =
            ["<tool_call>\n{\"name\": \"other", "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a", "<tool_call>x"];
        let half = &read[..read.len() - 3];
        let none = [&wrong[..], &[half, "a <tool_call>"]].concat();
        check_answers(Form::Hermes, Thinking::None, &["", "Hello {} < <tool_cal\n", read, now, &both], &none);

        let read = "{\"name\": \"files.read\", \"parameters\": {\"path\": \"a\"}}";
        let none = ["{\"a\": 1}", " {", &read[..9], "{\"name\": \"files.read\", \"parameters\": {}}"];
        check_answers(Form::Llama, Thinking::None, &["", "Hello {}", "\n a", read], &none);

        let read = "{\"name\": \"files.read\", \"arguments\": {\"path\": \"a\"}, \"id\": \"abc123DEF\"}";
        let two = format!("[TOOL_CALLS][{read}, {read}]");
        check_answers(Form::Mistral, Thinking::None, &["Hello [TOOL", &two], &["[TOOL_CALLS]", &two[..two.len() - 1]]);

        let call = |name: &str, arguments: &str| {
            format!("<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>")
        };
        let (read, now) = (call("files.read", "{\"path\": \"a\"}"), call("now", "{}"));
        let two = format!("<｜tool▁calls▁begin｜>{read}\n{now}<｜tool▁calls▁end｜>");
        let wrong = format!("<｜tool▁calls▁begin｜>{}", call("now", "{\"a\": 1}"));
        check_answers(Form::DeepSeek, Thinking::None, &["Hello", &two], &[&wrong, two.strip_suffix("｜>").unwrap()]);
    }

    #[test]
    fn a_thought_may_hold_what_no_answer_may() {
        let now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
        let thought = format!("So <tool_call> is it?</think>\n\nWell.\n{now}");
        let written = format!("\n<think>{thought}");
        let bad = "<think>so</think><tool_call>x";
        check_answers(Form::Hermes, Thinking::Within, &[&thought, "a</think>b"], &["so", "a</think><tool_call>"]);
        check_answers(Form::Hermes, Thinking::May, &[&written, "b", "", now], &["<think>so", bad, "<tool_call>x"]);
        let call = "<think>{</think>{\"name\": \"now\", \"parameters\": {}}";
        check_answers(Form::Llama, Thinking::May, &[call, "<think>{</think>x", "x <think>"], &["<think>{</think>{\"a"]);
    }

    #[test]
    fn a_tool_whose_schema_cannot_be_enforced_is_named() {
        let tool = |name: &str, parameters: Value| ToolDefinition {
            name: name.into(),
            description: String::new(),
            parameters,
        };
        for schema in
            [json!({"properties": {"a": {"type": "array", "uniqueItems": true}}, "required": ["a"]}), json!(false)]
        {
            let tools = [tool("good", json!({})), tool("bad.one", schema)];
            let error = with_grammars(|grammars| {
                grammars.compile_calls(Form::Hermes, &tools, Thinking::None, |_| None).map(|_| ()).unwrap_err()
            });
            assert!(matches!(&error, ModelError::Unsupported(cause) if cause.contains("`bad.one`")), "{error}");
        }
    }
}
