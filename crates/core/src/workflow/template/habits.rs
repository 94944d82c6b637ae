//! What authors write who come from JavaScript, Python or GitHub Actions, and the form that is meant here.

use super::marks::Part;
use super::span::{Problem, Span};

/// Signs that no expression has, and what to write in their place.
const SIGNS: [(&str, &str); 11] = [
    ("===", "write `==` in place of `===`"),
    ("!==", "write `!=` in place of `!==`"),
    ("&&", "write `and` in place of `&&`"),
    ("||", "write `or` in place of `||`"),
    ("??", "write `A | default(B)` in place of `A ?? B`"),
    ("?.", "write `get(A, 'b', none)` in place of `A?.b`"),
    ("=>", "there are no functions of one's own; `map`, `select` and `selectattr` do their work"),
    ("<>", "write `!=` in place of `<>`"),
    ("${{", "an expression stands within an expression: remove the inner `${{ }}`"),
    ("?", "write `A if B else C` in place of `B ? A : C`"),
    ("`", "texts stand between ' or \""),
];

/// A syntax error, with the sign or word that caused it named.
pub(super) fn syntax_problem(text: &str, inner: Span, at: Span, detail: &str) -> Problem {
    let source = &text[inner.start..inner.end];
    if source.is_empty() {
        return Problem::new("template", inner, "there is no expression here").help("write one, or remove the marks");
    }
    let bare = blanked(source);
    for (sign, help) in SIGNS {
        if let Some(found) = bare.find(sign) {
            let span = Span::new(inner.start + found, inner.start + found + sign.len());
            let message = format!("`{sign}` means nothing in an expression");
            return Problem::new("template", span, message).help(help);
        }
    }
    let not = bare.match_indices('!').find(|(at, _)| !bare[at + 1..].starts_with('='));
    if let Some((found, _)) = not {
        let span = Span::new(inner.start + found, inner.start + found + 1);
        return Problem::new("template", span, "`!` means nothing in an expression")
            .help("write `not` in place of `!`");
    }
    let equal = bare.match_indices('=').find(|(at, _)| {
        !bare[..*at].ends_with(['=', '!', '<', '>']) && !bare[at + 1..].starts_with('=') && depth(&bare[..*at]) == 0
    });
    if let Some((found, _)) = equal.filter(|_| !source.starts_with("set ") && !source.starts_with("with ")) {
        let span = Span::new(inner.start + found, inner.start + found + 1);
        let help = "write `==` to compare; a value gets a name in `{% set name = … %}`, or in a step `set`";
        return Problem::new("template", span, "`=` means nothing here").help(help);
    }
    if let Some(name) = detail.strip_prefix("unknown statement ") {
        return refused_block(at, name);
    }
    let sign = text[at.start..].chars().next().filter(|_| detail == "unexpected character");
    let message = sign.map_or_else(|| detail.to_owned(), |sign| format!("`{sign}` means nothing in an expression"));
    Problem::new("template", at, message)
}

/// The source with what stands between quotes blanked.
fn blanked(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let (mut quote, mut escaped) = (None, false);
    for c in source.chars() {
        let inside = quote.is_some();
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None => {}
        }
        if inside || quote.is_some() {
            // As many bytes, so that places stay.
            out.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

fn depth(before: &str) -> isize {
    before
        .chars()
        .map(|c| if matches!(c, '(' | '[' | '{') { 1 } else { -isize::from(matches!(c, ')' | ']' | '}')) })
        .sum()
}

/// The last block that is opened and not closed, in a text that cannot be read.
pub(super) fn open_block(text: &str, parts: &[Part]) -> Option<Problem> {
    let mut open: Vec<(Span, &str)> = Vec::new();
    for part in parts {
        let Part::Block(whole, inner) = part else { continue };
        let inside = &text[inner.start..inner.end];
        let word = inside.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        match word {
            "if" | "for" => open.push((*whole, word)),
            "endif" | "endfor" if open.last().is_some_and(|(_, opened)| word.ends_with(opened)) => drop(open.pop()),
            "endif" | "endfor" => break,
            _ => {}
        }
    }
    let (span, word) = open.pop()?;
    let problem = Problem::new("unclosed", span, format!("`{{% {word} %}}` is not closed"));
    Some(problem.help(format!("write `{{% end{word} %}}` where it ends")))
}

/// A block that Jinja knows, and workflows do not.
pub(super) fn refused_block(span: Span, name: &str) -> Problem {
    let message = format!("`{{% {name} %}}` is no block of a workflow's text");
    let help = match name {
        "include" | "import" | "from" | "extends" | "block" => {
            "a text can stand in a file of its own: `{ file: path }`"
        }
        "macro" | "call" | "do" => "put it into a step, and use its output",
        "with" | "set … endset" => "write `{% set name = value %}`",
        "filter" => "write `${{ value | filter }}`",
        "endfor" | "endif" | "else" | "elif" => "it closes or continues a block that is not open here",
        _ => "there are `if`, `for`, `set`, `break`, `continue` and `raw`",
    };
    Problem::new("unknown-block", span, message).help(help)
}

/// A name that is a word of another language.
pub(crate) fn foreign_root(name: &str) -> Option<&'static str> {
    Some(match name {
        "null" | "nil" | "undefined" | "NULL" | "Null" => "write `none`",
        "TRUE" => "write `true`",
        "FALSE" => "write `false`",
        "github" | "context" | "ctx" => "there are `inputs`, `steps`, `env`, `secrets` and `run`",
        "input" => "did you mean `inputs`?",
        "step" | "needs" | "jobs" | "tasks" => "did you mean `steps`?",
        "vars" | "params" | "parameters" | "args" => "did you mean `inputs`?",
        _ => return None,
    })
}

/// A function of another language, or one that is a filter here.
pub(super) fn foreign_function(name: &str) -> Option<&'static str> {
    Some(match name {
        "len" | "size" | "count" => "write `value | length`",
        "toJSON" | "tojson" | "stringify" | "json" => "write `value | to_json`",
        "fromJSON" | "fromjson" | "parseJSON" => "write `text | from_json`",
        "startsWith" => "write `text is startingwith(start)`",
        "endsWith" => "write `text is endingwith(end)`",
        "success" => "a step runs when all that it depends on completed; `if` needs no `success()`",
        "failure" => "write `run_if: failed` beside the step",
        "always" => "write `run_if: always` beside the step",
        "cancelled" => "write `run_if: always` beside the step",
        "str" => "write `value | string`",
        "now" | "today" | "utcnow" => {
            "expressions know no clock: use `run.started_at`, or a step with the tool `time.now`"
        }
        "random" | "uuid" => "expressions are the same each time they are evaluated; use a tool",
        "env" => "write `env.NAME`",
        _ => return None,
    })
}

/// A method or property of another language, as it is written here.
pub(super) fn foreign_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "length" | "size" | "count" | "len" => "write `value | length`",
        "get" => "write `get(value, 'a.b', default)`",
        "items" | "entries" => "write `value | items`",
        "keys" => "write `value | list`",
        "values" => "write `value | items | map('last') | list`",
        "split" => "write `text | split(by)`",
        "join" => "write `list | join(by)`",
        "replace" | "replaceAll" => "write `text | replace(old, new)`",
        "strip" | "trim" | "lstrip" | "rstrip" => "write `text | trim`",
        "lower" | "toLowerCase" => "write `text | lower`",
        "upper" | "toUpperCase" => "write `text | upper`",
        "startswith" | "startsWith" | "starts_with" => "write `text is startingwith(start)`",
        "endswith" | "endsWith" | "ends_with" => "write `text is endingwith(end)`",
        "includes" | "contains" | "indexOf" | "has" => "write `value | contains(part)`, or `part in value`",
        "toString" => "write `value | string`",
        "map" => "write `list | map(attribute='name')`",
        "filter" => "write `list | selectattr('name', 'eq', value)`",
        "first" => "write `list | first`",
        "last" => "write `list | last`",
        "append" | "push" | "concat" => "write `list + [value]`",
        "slice" | "substring" | "substr" => "write `value[from:to]`",
        "toFixed" => "write `'%.2f' | format(number)`",
        "format" => "write `'%s' | format(value)`",
        _ => return None,
    })
}

/// A filter of another language, or of Ansible.
pub(super) fn foreign_filter(name: &str) -> Option<&'static str> {
    Some(match name {
        "size" | "len" => "write `| length`",
        "toJSON" | "json" | "to_nice_json" | "stringify" => "write `| to_json`, or `| to_json(2)` in lines",
        "fromjson" | "fromJSON" | "parse_json" => "write `| from_json`",
        "strip" => "write `| trim`",
        "d" => "write `| default(other)`",
        "regex_search" => "write `| regex_find(pattern)`",
        "filter" => "write `| select('test')`, or `| selectattr('name', 'eq', value)`",
        "includes" | "has" => "write `| contains(part)`",
        "keys" => "write `| list`",
        "values" => "write `| items | map('last') | list`",
        "str" => "write `| string`",
        "int_or" | "number" | "integer" => "write `| int` or `| float`",
        "escape" | "e" | "safe" => "texts are never escaped: leave it out",
        "pprint" => "write `| to_json(2)`",
        "attr" => "write `get(value, 'name')`, or `value[name]`",
        "chain" => "write `list + list`, or `[list, list] | flatten`",
        "date" | "strftime" => "write `| format_time('%Y-%m-%d')`",
        _ => return None,
    })
}
