//! What a server that refuses says, as an error of the port.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use parkway_core::model::ModelError;
use regex::Regex;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::scrub::Scrub;

/// Whom an error is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// What the model is called here.
    pub(crate) model: String,
    /// What it is called at the server.
    pub(crate) asked: String,
    pub(crate) origin: String,
    pub(crate) has_key: bool,
    pub(crate) scrub: Scrub,
}

/// What the server told.
pub(crate) struct Told {
    /// The status of the answer, or the one that an error within a stream names; 0 without one.
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// Whether it is a page for people.
    pub(crate) page: bool,
    pub(crate) text: String,
    /// The most tokens that the answer could have.
    pub(crate) max_tokens: u32,
}

impl Subject {
    /// A failure of the server, in our words.
    pub(crate) fn fails(&self, message: &str, retryable: bool) -> ModelError {
        ModelError::Backend { message: self.scrub.clean(&format!("{} {message}", self.origin)), retryable }
    }

    /// What an error within an answer that had begun well means.
    pub(crate) fn broke_off(&self, text: &str, max_tokens: u32) -> ModelError {
        self.refused(&Told { status: 0, retry_after: None, page: false, text: text.to_owned(), max_tokens })
    }

    /// What a refusal means.
    pub(crate) fn refused(&self, told: &Told) -> ModelError {
        let body: Option<Value> = serde_json::from_str(&told.text).ok();
        let said = Said::of(body.as_ref(), told);
        let (origin, status) = (&self.origin, said.status);
        let words = match said.words.trim() {
            "" => String::new(),
            words => format!(": {}", self.scrub.words(words)),
        };
        let backend = |message: String, retryable| ModelError::Backend { message, retryable };
        let busy = |what: &str| {
            let message = format!("{origin} {what} ({status}){words}");
            ModelError::Busy { message, retry_after: told.retry_after }
        };
        if let Some(error) = self.too_long(&said, told.max_tokens) {
            return error;
        }
        match status {
            0 => backend(format!("{origin} broke off with an error{words}"), true),
            300..=399 => {
                let way = "it is not followed, so that no key goes elsewhere; write the final address into `url`";
                backend(format!("{origin} sends on to another address ({status}); {way}"), false)
            }
            401 | 403 if self.has_key => {
                let way = "check the value of the secret that `key` names, and what it may do";
                backend(format!("{origin} does not accept the key ({status}){words}; {way}"), false)
            }
            401 | 403 => {
                let way = "name the secret that holds one: `key: ${{ secrets.NAME }}`";
                backend(format!("{origin} wants a key ({status}){words}; {way}"), false)
            }
            402 => backend(format!("{origin} wants to be paid ({status}){words}"), false),
            404 => {
                let way = "check `model`, and whether `url` ends as the server wants it (often `/v1`)";
                let model = self.scrub.words(&self.asked);
                backend(
                    format!("{origin} has no model `{model}`, or nothing at this address ({status}){words}; {way}"),
                    false,
                )
            }
            405 | 501 => {
                let way = "check `url`; it often ends in `/v1`";
                backend(format!("{origin} does not take chats at this address ({status}){words}; {way}"), false)
            }
            408 | 409 | 425 => backend(format!("{origin} could not take the request now ({status}){words}"), true),
            413 => ModelError::Unsupported(format!(
                "it is larger than {origin} takes ({status}){words}; shorten the messages"
            )),
            429 if said.is_quota() => {
                backend(format!("{origin} says that the account has used up what it may use ({status}){words}"), false)
            }
            429 => busy("asks to be asked less often"),
            503 | 529 => busy("has too much to do, or is still loading"),
            400 | 422 => ModelError::Unsupported(format!("{origin} refuses it ({status}){words}")),
            400..=499 => backend(format!("{origin} refuses the request ({status}){words}"), false),
            500..=599 => backend(format!("{origin} failed ({status}){words}"), true),
            _ => backend(format!("{origin} answered with the status {status}{words}"), false),
        }
    }

    /// The error of a prompt that does not fit, if the words say so.
    fn too_long(&self, said: &Said, max_tokens: u32) -> Option<ModelError> {
        let (limit, prompt) = said.sizes();
        let is = matches!(said.status, 0 | 400 | 413 | 422 | 500) && (said.is_context() || limit.is_some());
        if !is {
            return None;
        }
        Some(match (limit, prompt) {
            (Some(context_length), Some(prompt_tokens)) => {
                ModelError::PromptTooLong { model: self.model.clone(), prompt_tokens, max_tokens, context_length }
            }
            _ => ModelError::Unsupported(format!(
                "the prompt does not fit into the context of `{}` at {}: {}",
                self.model,
                self.origin,
                self.scrub.words(&said.words)
            )),
        })
    }
}

/// What stands in the body of an error, whatever its form.
struct Said {
    status: u16,
    words: String,
    kind: String,
    limit: Option<u32>,
    prompt: Option<u32>,
}

impl Said {
    fn of(body: Option<&Value>, told: &Told) -> Said {
        let Some(body) = body.filter(|body| body.is_object() || body.is_array()) else {
            let page = told.page || told.text.trim_start().starts_with('<');
            let words = if page { "the answer is a web page".to_owned() } else { told.text.clone() };
            return Said { status: told.status, words, kind: String::new(), limit: None, prompt: None };
        };
        // Some wrap their errors in a list.
        let body = body.get(0).unwrap_or(body);
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let text = |value: &Value, name| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let words = error.as_str().map(str::to_owned).or_else(|| text(error, "message")).or_else(|| {
            let detail = error.get("detail").or_else(|| error.get("object"))?;
            Some(detail.as_str().map_or_else(|| detail.to_string(), str::to_owned))
        });
        let code = error.get("code").or_else(|| body.get("code"));
        let number = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let status = number.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
        let kinds = [code.and_then(Value::as_str).map(str::to_owned), text(error, "type")];
        let count = |name| error.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        Said {
            // Within a stream there is no other one.
            status: if told.status == 0 { status.unwrap_or(0) } else { told.status },
            words: words.unwrap_or_else(|| told.text.clone()),
            kind: kinds.into_iter().flatten().collect::<Vec<_>>().join(" ").to_ascii_lowercase(),
            limit: count("n_ctx"),
            prompt: count("n_prompt_tokens"),
        }
    }

    fn is_quota(&self) -> bool {
        self.kind.contains("insufficient_quota")
    }

    fn is_context(&self) -> bool {
        ["context_length_exceeded", "exceed_context_size"].iter().any(|kind| self.kind.contains(kind))
            || IS_CONTEXT.as_ref().is_some_and(|pattern| pattern.is_match(&self.words))
    }

    /// Tokens of the context and of the prompt, where the words tell them.
    fn sizes(&self) -> (Option<u32>, Option<u32>) {
        let find = |patterns: &[Regex]| {
            patterns.iter().find_map(|pattern| pattern.captures(&self.words)?.get(1)?.as_str().parse().ok())
        };
        if self.limit.is_some() && self.prompt.is_some() {
            return (self.limit, self.prompt);
        }
        let limit = find(&LIMITS);
        (limit, limit.and_then(|_| find(&PROMPTS)))
    }
}

/// How servers say that a prompt does not fit.
static IS_CONTEXT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(maximum|model's|available) context (length|size|window)|exceeds? the context (length|size|window)|maximum model length|context length (is )?exceeded",
    )
    .ok()
});

fn patterns(texts: &[&str]) -> Vec<Regex> {
    texts.iter().filter_map(|text| Regex::new(text).ok()).collect()
}

/// Where the words tell how much fits.
static LIMITS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    patterns(&[
        r"(?i)maximum context length (?:is|of) (\d+)",
        r"(?i)available context size \((\d+) tokens\)",
        r"(?i)context length \((\d+) tokens\)",
        r"(?i)maximum model length of (\d+)",
    ])
});

/// Where they tell how long the prompt is.
static PROMPTS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    patterns(&[
        r"(?i)\((\d+) in the messages",
        r"(?i)(?:has|messages resulted in|contains at least) (\d+) (?:input )?tokens",
        r"(?i)(\d+) tokens from the input",
        r"(?i)(?:request|input) \((\d+) tokens\)",
        r"(?i)prompt \(length (\d+)\)",
        r"(?i)(\d+) input tokens",
        r"(?i)you requested (\d+) tokens",
    ])
});

/// How long the server asks to be left alone: seconds, or until a moment.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(text).ok()?;
    // A moment that has passed means now.
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, text: &str) -> ModelError {
        let subject = Subject {
            model: "m".into(),
            asked: "m".into(),
            origin: "http://s".into(),
            has_key: false,
            scrub: Scrub::default(),
        };
        let told = Told { status, retry_after: None, page: false, text: text.into(), max_tokens: 500 };
        subject.refused(&told)
    }

    #[track_caller]
    fn check_sizes(text: &str, prompt: u32, context: u32) {
        let body = serde_json::json!({ "error": { "message": text } }).to_string();
        let expect = ModelError::PromptTooLong {
            model: "m".into(),
            prompt_tokens: prompt,
            max_tokens: 500,
            context_length: context,
        };
        assert_eq!(told(400, &body), expect);
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_with_both_sizes() {
        check_sizes(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4500 in the messages, 500 in the completion). Please reduce the length of the messages or completion.",
            4500,
            4096,
        );
        check_sizes(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            9000,
            8192,
        );
        check_sizes(
            "'max_tokens' or 'max_completion_tokens' is too large: 500. This model's maximum context length is 4096 tokens and your request has 4000 input tokens (500 > 4096 - 4000).",
            4000,
            4096,
        );
        check_sizes(
            "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4500 tokens from the input messages and 500 tokens for the completion.",
            4500,
            4096,
        );
        check_sizes("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 5000, 4096);
        check_sizes(
            "the request (4476 tokens) exceeds the available context size (4096 tokens), try increasing it",
            4476,
            4096,
        );
        check_sizes("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 5000, 4096);
        let told = told(
            400,
            r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_prompt_tokens":70,"n_ctx":64}}"#,
        );
        assert!(matches!(told, ModelError::PromptTooLong { prompt_tokens: 70, context_length: 64, .. }), "{told}");
    }

    #[test]
    fn a_prompt_that_is_too_long_without_sizes_keeps_the_servers_words() {
        let said =
            told(400, r#"{"error":{"message":"the request exceeds the available context size. try increasing it"}}"#);
        let words = "the model cannot take this request: the prompt does not fit into the context of `m` at http://s: the request exceeds the available context size. try increasing it";
        assert_eq!(said.to_string(), words);
    }

    #[test]
    fn a_moment_to_come_back_is_read_in_both_forms() {
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!((90..=100).contains(&after(&date).unwrap().as_secs()));
        for wrong in ["soon", "-1", "NaN", "1e300"] {
            assert_eq!(after(wrong), None, "{wrong}");
        }
    }
}
