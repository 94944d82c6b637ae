//! What an answer says, by what it says that it is: JSON as a value, pages for people as Markdown, other texts as they are.

use parkway_core::tool::ToolError;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page;

/// How the answer is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// By its content type: JSON, Markdown of a page, or text.
    #[default]
    Auto,
    /// As text, whatever it is.
    Text,
    /// As JSON; an error if it is none.
    Json,
    /// A page as Markdown, without its scripts and styles.
    Markdown,
}

/// What an answer says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) text: Option<String>,
    pub(super) value: Option<Value>,
}

/// The content type without its parameters, in small letters.
pub(super) fn kind_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!kind.is_empty()).then_some(kind)
}

/// Reads a body.
pub(super) fn read(body: &[u8], headers: &HeaderMap, form: Form, place: &str) -> Result<Content, ToolError> {
    let kind = kind_of(headers);
    let kind = kind.as_deref();
    let form = match form {
        Form::Auto => natural(kind).ok_or_else(|| {
            let kind = kind.unwrap_or_default();
            let message =
                format!("`{place}` is `{kind}`, which is no text; ask with `as: text` if it is one all the same");
            ToolError::invalid("content_type", message)
        })?,
        form => form,
    };
    if body.is_empty() && form != Form::Json {
        return Ok(Content { text: Some(String::new()), value: None });
    }
    let text = decoded(body, headers, kind, place)?;
    match form {
        Form::Json => match serde_json::from_str(&text) {
            Ok(value) => Ok(Content { text: None, value: Some(value) }),
            Err(error) => Err(ToolError::invalid("malformed", format!("`{place}` is no JSON: {error}"))),
        },
        Form::Markdown => Ok(Content { text: Some(markdown(&text, place)?), value: None }),
        Form::Text | Form::Auto => Ok(Content { text: Some(text), value: None }),
    }
}

/// The form that belongs to a content type; an answer that names none is taken for text.
fn natural(kind: Option<&str>) -> Option<Form> {
    let Some(kind) = kind else { return Some(Form::Text) };
    Some(match kind {
        "application/json" => Form::Json,
        "text/html" | "application/xhtml+xml" => Form::Markdown,
        "application/xml" | "application/javascript" | "application/x-ndjson" | "application/yaml" => Form::Text,
        kind if kind.starts_with("text/") || kind.ends_with("+xml") => Form::Text,
        kind if kind.ends_with("+json") => Form::Json,
        _ => return None,
    })
}

/// The text in the encoding that the content type names, or that a page names itself; UTF-8 otherwise.
fn decoded(body: &[u8], headers: &HeaderMap, kind: Option<&str>, place: &str) -> Result<String, ToolError> {
    let parameters = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = parameters.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    let named = named.or_else(|| (kind == Some("text/html")).then(|| charset_within(body)).flatten());
    let encoding = match &named {
        Some(name) => encoding_rs::Encoding::for_label(name.as_bytes()).ok_or_else(|| {
            ToolError::invalid("encoding", format!("`{place}` is in the encoding `{name}`, which nobody knows"))
        })?,
        None => encoding_rs::UTF_8,
    };
    // A byte order mark says more than the header.
    let (text, encoding, malformed) = encoding.decode(body);
    if malformed {
        let message =
            format!("`{place}` is not the {} that it says it is: some of its bytes are no characters", encoding.name());
        return Err(ToolError::invalid("encoding", message));
    }
    Ok(text.into_owned())
}

/// What a page says of its own encoding, in its first kilobyte.
fn charset_within(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(1024)]).to_ascii_lowercase();
    let after = head.split_once("charset=")?.1.trim_start_matches(['"', '\'']);
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:".contains(c)).unwrap_or(after.len());
    (end > 0).then(|| after[..end].to_owned())
}

fn markdown(page: &str, place: &str) -> Result<String, ToolError> {
    page::markdown(page).map_err(|why| {
        ToolError::invalid("malformed", format!("`{place}` cannot be read as a page: {why}; ask with `as: text`"))
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn read_as(kind: &'static str, body: &[u8], form: Form) -> Result<Content, String> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        read(body, &headers, form, "https://a.example/").map_err(|error| format!("{}: {}", error.code, error.message))
    }

    fn text(text: &str) -> Result<Content, String> {
        Ok(Content { text: Some(text.into()), value: None })
    }

    #[test]
    fn an_answer_is_read_as_what_it_says_it_is() {
        let value = |value: Value| Ok(Content { text: None, value: Some(value) });
        assert_eq!(read_as("application/json", b"{\"a\": 1}", Form::Auto), value(json!({"a": 1})));
        assert_eq!(read_as("application/problem+json; charset=utf-8", b"[]", Form::Auto), value(json!([])));
        assert_eq!(read_as("text/plain", b"{\"a\": 1}", Form::Auto), text("{\"a\": 1}"));
        assert_eq!(read_as("text/plain", b"{\"a\": 1}", Form::Json), value(json!({"a": 1})));
        assert_eq!(read_as("", "größer".as_bytes(), Form::Auto), text("größer"));
        assert_eq!(read_as("text/plain; charset=ISO-8859-1", b"gr\xf6\xdfer", Form::Auto), text("größer"));
        assert_eq!(read_as("application/json", b"{\"a\": 1}", Form::Text), text("{\"a\": 1}"));
        assert_eq!(
            read_as("image/png", b"", Form::Auto).unwrap_err(),
            "content_type: `https://a.example/` is `image/png`, which is no text; ask with `as: text` if it is one all the same"
        );
        assert!(read_as("application/json", b"", Form::Auto).unwrap_err().starts_with("malformed"));
        assert!(read_as("application/json", b"{", Form::Auto).unwrap_err().contains("line 1 column 1"));
        assert!(read_as("text/plain", b"\xff\xfe\xfd", Form::Auto).unwrap_err().starts_with("encoding"));
        assert!(read_as("text/plain; charset=klingon", b"a", Form::Auto).unwrap_err().contains("`klingon`"));
    }

    #[test]
    fn a_page_says_itself_how_it_is_written() {
        let latin = b"<html><head><meta charset=\"windows-1252\"></head><body>\x80 5</body></html>";
        assert_eq!(read_as("text/html", latin, Form::Auto), self::text("€ 5"));
    }
}
