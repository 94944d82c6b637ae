//! Puts filters that count into a program, so that neither its time nor the stack nor the values that it makes can grow without
//! limit: before each call of a definition, and after all that gives several results or makes a value.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

/// A definition that counts. `native` tells names and numbers of arguments of filters that are no definitions.
pub(super) fn definition<'s>(def: Def<&'s str>, native: &dyn Fn(&str, usize) -> bool) -> Def<&'s str> {
    Def { name: def.name, args: def.args, body: Counting { native }.term(def.body) }
}

/// A program that counts.
pub(super) fn program<'s>(term: Term<&'s str>, native: &dyn Fn(&str, usize) -> bool) -> Term<&'s str> {
    Counting { native }.term(term)
}

/// A call of a filter by its name.
pub(super) fn call<'s>(name: &'s str, args: Vec<Term<&'s str>>) -> Term<&'s str> {
    Term::Call(name, args)
}

/// One filter after another.
pub(super) fn pipe<'s>(first: Term<&'s str>, second: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(first), BinaryOp::Pipe(None), Box::new(second))
}

struct Counting<'n> {
    native: &'n dyn Fn(&str, usize) -> bool,
}

impl Counting<'_> {
    fn boxed<'s>(&self, term: Term<&'s str>) -> Box<Term<&'s str>> {
        Box::new(self.term(term))
    }

    fn term<'s>(&self, term: Term<&'s str>) -> Term<&'s str> {
        match term {
            Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) => term,
            Term::Recurse => pipe(Term::Recurse, call("!tick", Vec::new())),
            Term::Str(format, parts) => self.text(format, parts),
            Term::Arr(items) => made(Term::Arr(items.map(|items| self.boxed(*items)))),
            Term::Obj(fields) => {
                let fields = fields.into_iter().map(|(name, value)| match value {
                    Some(value) => (self.term(name), Some(self.term(value))),
                    None => (self.name(name), None),
                });
                made(Term::Obj(fields.collect()))
            }
            Term::Neg(term) => Term::Neg(self.boxed(*term)),
            Term::BinOp(left, op, right) => self.operation(*left, op, *right),
            Term::Label(name, term) => Term::Label(name, self.boxed(*term)),
            Term::Fold(name, items, pattern, args) => {
                let args = args.into_iter().map(|arg| pipe(call("!tick", Vec::new()), self.term(arg)));
                Term::Fold(name, self.boxed(*items), self.pattern(pattern), args.collect())
            }
            Term::TryCatch(term, catch) => Term::TryCatch(self.boxed(*term), catch.map(|catch| self.boxed(*catch))),
            Term::IfThenElse(cases, otherwise) => {
                let cases = cases.into_iter().map(|(condition, then)| (self.term(condition), self.term(then)));
                Term::IfThenElse(cases.collect(), otherwise.map(|otherwise| self.boxed(*otherwise)))
            }
            Term::Def(defs, term) => {
                let defs = defs.into_iter().map(|def| definition(def, self.native));
                Term::Def(defs.collect(), self.boxed(*term))
            }
            Term::Call(name, args) => {
                let native = (self.native)(name, args.len());
                let call_it = Term::Call(name, args.into_iter().map(|arg| self.term(arg)).collect());
                // The count stands before the call of a definition, which may be the last thing that another one does.
                if native { made(call_it) } else { pipe(call("!tick", Vec::new()), call_it) }
            }
            Term::Path(term, Path(parts)) => {
                let single = |part: &Part<Term<&str>>| {
                    matches!(part, Part::Index(Term::Num(_)))
                        || matches!(part, Part::Index(Term::Str(None, parts)) if parts.iter().all(|p| !matches!(p, StrPart::Term(_))))
                };
                let several = !parts.iter().all(|(part, _)| single(part));
                let parts = parts.into_iter().map(|(part, opt)| {
                    let part = match part {
                        part if single(&part) => part,
                        Part::Index(key) => Part::Index(pipe(self.term(key), call("!key", Vec::new()))),
                        Part::Range(from, to) => {
                            Part::Range(from.map(|from| self.term(from)), to.map(|to| self.term(to)))
                        }
                    };
                    (part, opt)
                });
                let path = Term::Path(self.boxed(*term), Path(parts.collect()));
                if several { pipe(path, call("!tick", Vec::new())) } else { path }
            }
        }
    }

    fn operation<'s>(&self, left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
        let (left, right) = (self.term(left), self.term(right));
        let joined = |left, op, right| Term::BinOp(Box::new(left), op, Box::new(right));
        match op {
            BinaryOp::Pipe(pattern) => joined(left, BinaryOp::Pipe(pattern.map(|p| self.pattern(p))), right),
            BinaryOp::Comma => joined(left, op, pipe(call("!tick", Vec::new()), right)),
            BinaryOp::Alt | BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => joined(left, op, right),
            // What these make may be so much larger than what it is made of that it is looked at before.
            BinaryOp::Math(Math::Mul) => made(call("!times", vec![left, right])),
            BinaryOp::Math(Math::Div) => made(call("!divided", vec![left, right])),
            BinaryOp::UpdateMath(math @ (Math::Mul | Math::Div)) => {
                let name = if math == Math::Mul { "!times" } else { "!divided" };
                let update = joined(left, BinaryOp::Update, call(name, vec![Term::Id, Term::Var("$!by")]));
                made(joined(right, BinaryOp::Pipe(Some(Pattern::Var("$!by"))), update))
            }
            BinaryOp::Math(_) | BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                made(joined(left, op, right))
            }
        }
    }

    fn pattern<'s>(&self, pattern: Pattern<&'s str>) -> Pattern<&'s str> {
        match pattern {
            Pattern::Var(name) => Pattern::Var(name),
            Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(|item| self.pattern(item)).collect()),
            Pattern::Obj(fields) => {
                let key = |name| pipe(self.term(name), call("!key", Vec::new()));
                Pattern::Obj(fields.into_iter().map(|(name, item)| (key(name), self.pattern(item))).collect())
            }
        }
    }

    /// The name of a field that stands for its value, too: a text or a variable, and nothing around the variable.
    fn name<'s>(&self, name: Term<&'s str>) -> Term<&'s str> {
        match name {
            Term::Str(format, parts) => self.text(format, parts),
            other => other,
        }
    }

    /// A text with what is put into it, as additions that count. jaq would make the same additions, and hold all that they make
    /// before anything is counted.
    fn text<'s>(&self, format: Option<&'s str>, parts: Vec<StrPart<&'s str, Term<&'s str>>>) -> Term<&'s str> {
        let mut terms: Vec<Term<&str>> = Vec::new();
        let mut plain = Vec::new();
        for part in parts {
            let StrPart::Term(term) = part else {
                plain.push(part);
                continue;
            };
            if !plain.is_empty() {
                terms.push(Term::Str(None, std::mem::take(&mut plain)));
            }
            // A text of one part alone is that part as text.
            let as_text = match format {
                Some(format) => self.term(call(format, Vec::new())),
                None => Term::Str(None, vec![StrPart::Term(Term::Id)]),
            };
            terms.push(made(pipe(self.term(term), as_text)));
        }
        if !plain.is_empty() || terms.is_empty() {
            terms.push(made(Term::Str(None, plain)));
        }
        let last = terms.pop().unwrap_or_default();
        terms
            .into_iter()
            .rev()
            .fold(last, |sum, term| made(Term::BinOp(Box::new(term), BinaryOp::Math(Math::Add), Box::new(sum))))
    }
}

fn made(term: Term<&str>) -> Term<&str> {
    pipe(term, call("!made", Vec::new()))
}
