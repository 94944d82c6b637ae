//! A query, from its text to a filter that counts what it uses.

use jaq_core::compile::Undefined;
use jaq_core::load::lex::Token;
use jaq_core::load::parse::{Def, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser, span};
use jaq_core::native::Fun;
use jaq_core::{Compiler, Filter};
use parkway_core::tool::ToolError;

use super::instrument::{call, definition, pipe, program};
use super::meter::{Metered, filters};

/// The longest query, in bytes.
const LONGEST: usize = 16 << 10;
/// How deep brackets in it are nested at most.
const NESTED: usize = 128;
/// The name under which the query is a definition.
const MAIN: &str = "parkway_query";

/// Filters whose results do not follow from the value and the query, or that do more than give results.
const IMPURE: [&str; 16] = [
    "debug",
    "debug_empty",
    "env",
    "get_search_list",
    "halt",
    "halt_error",
    "input",
    "input_filename",
    "input_line_number",
    "inputs",
    "localtime",
    "now",
    "repl",
    "stderr",
    "stderr_empty",
    "strflocaltime",
];
/// Filters that take long by themselves, or forms of time that do more than they should: what they are called inside, their arguments, and what counts before them.
const LONG: [(&str, &str, &[&str], &str); 9] = [
    ("contains", "!contains", &["$1"], "!square"),
    ("explode", "!explode", &[], "!letters"),
    ("has", "!has", &["$1"], "!place"),
    ("indices", "!indices", &["$1"], "!square"),
    ("matches", "!matches", &["$1", "$2"], "!search"),
    ("split_matches", "!split_matches", &["$1", "$2"], "!search"),
    ("split_", "!split_", &["$1", "$2"], "!search"),
    ("strftime", "!strftime", &["$1"], "!form"),
    ("strptime", "!strptime", &["$1"], "!form"),
];

/// The filter that a query is. `names` are the variables that it may use, with their `$`.
pub(super) fn compile(query: &str, names: &[String]) -> Result<Filter<Metered>, ToolError> {
    let term = parse(query)?;
    let natives = natives();
    let signatures: Vec<(&str, usize)> = natives.iter().map(|(name, args, _)| (*name, args.len())).collect();
    let native = |name: &str, args: usize| signatures.contains(&(name, args));
    let library = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let library = library.filter(|def| !IMPURE.contains(&def.name)).map(|def| definition(def, &native));
    let main = Def { name: MAIN, args: Vec::new(), body: program(term, &native) };
    let definitions = long().chain(library).chain([main]);
    let arena = Arena::default();
    let failed = || ToolError::invalid("internal", "the library of the query language cannot be read");
    let modules = Loader::new(definitions).load(&arena, File { code: MAIN, path: () }).map_err(|_| failed())?;
    let compiler = Compiler::default().with_funs(natives).with_global_vars(names.iter().map(String::as_str));
    compiler.compile(modules).map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, undefined)| undefined).next();
        first.map_or_else(failed, |(name, kind)| undefined(query, name, &kind, names))
    })
}

/// The filters of jaq that are functions of their input and arguments, and ours.
fn natives() -> Vec<Fun<Metered>> {
    let ours = filters();
    let replaced = |name: &str| ours.iter().any(|(ours, _, _)| *ours == name);
    let jaq = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let mut natives: Vec<Fun<Metered>> = jaq.filter(|(name, _, _)| !IMPURE.contains(name) && !replaced(name)).collect();
    natives.extend(ours);
    for (name, ..) in &mut natives {
        if let Some((_, inside, ..)) = LONG.iter().find(|(outside, ..)| outside == name) {
            *name = *inside;
        }
    }
    natives
}

/// The filters that take long, behind what counts.
fn long<'s>() -> impl Iterator<Item = Def<&'s str>> {
    LONG.into_iter().map(|(name, inside, args, count)| {
        let given = args.iter().map(|arg| Term::Var(*arg)).collect();
        let counted =
            pipe(call(count, args.first().map(|arg| Term::Var(*arg)).into_iter().collect()), call(inside, given));
        Def { name, args: args.to_vec(), body: pipe(counted, call("!made", Vec::new())) }
    })
}

fn parse(query: &str) -> Result<Term<&str>, ToolError> {
    if query.len() > LONGEST {
        let message = format!("the query has {} bytes and at most {LONGEST} are taken; use several steps", query.len());
        return Err(ToolError::invalid("query", message));
    }
    if nesting(query) > NESTED {
        let message = format!("the query nests brackets more than {NESTED} deep; use definitions or several steps");
        return Err(ToolError::invalid("query", message));
    }
    let tokens = Lexer::new(query).lex().map_err(|errors| match errors.first() {
        Some((expected, at)) => unexpected(query, at, expected.as_str()),
        None => unexpected(query, query, "token"),
    })?;
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| match errors.first() {
        Some((expected, found)) => unexpected(query, Token::opt_as_str(*found, query), expected.as_str()),
        None => unexpected(query, query, "term"),
    })
}

/// How deep brackets are nested at most, those in texts and comments counted as well.
fn nesting(query: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in query.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn unexpected(query: &str, at: &str, expected: &str) -> ToolError {
    let found = match at.chars().next() {
        None => "the end".into(),
        Some(_) => format!("`{}`", short(at)),
    };
    let place = place(query, span(query, at).start);
    let message = format!("query `{}` cannot be read: {expected} expected at {place}, not {found}", short(query));
    ToolError::invalid("query", format!("{message}; the language is that of jq, which `man jq` describes"))
}

fn undefined(query: &str, name: &str, kind: &Undefined, names: &[String]) -> ToolError {
    let arguments = match kind {
        Undefined::Filter(0) => " without arguments".into(),
        Undefined::Filter(1) => " with one argument".into(),
        Undefined::Filter(count) => format!(" with {count} arguments"),
        _ => String::new(),
    };
    let known = match kind {
        Undefined::Var if names.is_empty() => "; give it in `args`".into(),
        Undefined::Var => format!("; `args` has {}", names.join(", ")),
        Undefined::Filter(_) if IMPURE.contains(&name) => "; a query sees only its value and `args`".into(),
        _ => String::new(),
    };
    let place = place(query, span(query, name).start);
    let message = format!("there is no {} `{name}`{arguments}, at {place} of the query{known}", kind.as_str());
    ToolError::invalid("query", message)
}

/// Where a byte of the query is, as an author counts.
fn place(query: &str, byte: usize) -> String {
    let before = query.get(..byte).unwrap_or(query);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    if query.contains('\n') { format!("line {line}, column {column}") } else { format!("character {column}") }
}

/// The beginning of a text, for messages.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
