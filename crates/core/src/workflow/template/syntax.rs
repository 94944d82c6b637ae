//! From text to trees, through minijinja's own parser. Its machinery has no stable interface, so this file alone knows it.

use minijinja::machinery::{self, Token, ast};
use minijinja::syntax::SyntaxConfig;
use serde_json::Value;

use super::convert;
use super::habits;
use super::marks::{Part, Prepared};
use super::span::{Problem, Span};
use super::tree::{Applied, Argument, Binary, Expr, ExprKind, Piece};

/// How long a chain of operators may be, over all levels of brackets. A parser that descends would end the process on
/// longer ones.
const DEPTH: usize = 250;

/// `${{ … }}` and `{% … %}`, and no comments.
pub(super) fn marks() -> Option<SyntaxConfig> {
    let mut syntax = SyntaxConfig::builder();
    syntax
        .variable_delimiters("${{", "}}")
        // There is no comment form: a text with a zero byte is refused.
        .comment_delimiters("{\0", "\0}")
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true);
    syntax.build().ok()
}

/// Reads what stands between marks, or a bare expression.
pub(super) fn expression(text: &str, inner: Span) -> Result<Expr, Problem> {
    let source = &text[inner.start..inner.end];
    check_chains(source, inner)?;
    let reader = Reader { place: &|at| inner.start + at };
    let parsed = machinery::parse_expr(source).map_err(|error| reader.problem(&error, text, inner))?;
    reader.expr(&parsed)
}

/// Reads a text with expressions.
pub(super) fn pieces(text: &str, parts: &[Part], prepared: &Prepared) -> Result<Vec<Piece>, Problem> {
    for part in parts {
        match part {
            // Each is read alone first, so that an error is told with its own place.
            Part::Expression(_, inner) => drop(expression(text, *inner)?),
            Part::Block(_, inner) => check_chains(&text[inner.start..inner.end], *inner)?,
            Part::Text(_) | Part::Mark(_) | Part::Raw(_) => {}
        }
    }
    let reader = Reader { place: &|at| prepared.written(at) };
    let Some(syntax) = marks() else { return Ok(Vec::new()) };
    let whole = Span::new(0, text.len());
    let parsed = machinery::parse(&prepared.source, "", syntax).map_err(|error| {
        if let Some(problem) = habits::open_block(text, parts) {
            return problem;
        }
        let at = error.range().map_or(0, |range| prepared.written(range.start));
        let inner = parts.iter().filter_map(|part| match part {
            Part::Block(_, inner) => Some(*inner),
            _ => None,
        });
        reader.problem(&error, text, inner.take_while(|inner| inner.start <= at).last().unwrap_or(whole))
    })?;
    match &parsed {
        ast::Stmt::Template(template) => reader.pieces(&template.children),
        other => reader.pieces(std::slice::from_ref(other)),
    }
}

/// Refuses chains and nestings that a parser could not follow.
fn check_chains(source: &str, inner: Span) -> Result<(), Problem> {
    let mut chains = vec![0];
    let mut depth = 0_usize;
    for token in machinery::tokenize(source, true, SyntaxConfig::default()) {
        // The parser tells it better.
        let Ok((token, _)) = token else { return Ok(()) };
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => chains.push(0),
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                depth -= chains.pop().unwrap_or_default();
                if chains.is_empty() {
                    return Ok(());
                }
            }
            Token::Comma => {
                if let Some(chain) = chains.last_mut() {
                    depth -= std::mem::take(chain);
                }
                continue;
            }
            _ => {}
        }
        if let Some(chain) = chains.last_mut() {
            *chain += 1;
            depth += 1;
        }
        if depth > DEPTH {
            let message = format!("this expression chains or nests more than {DEPTH} parts");
            return Err(Problem::new("template", inner, message).help("divide it, with a step `set` for each part"));
        }
    }
    Ok(())
}

struct Reader<'a> {
    /// From a place in what minijinja read to one in the text as written.
    place: &'a dyn Fn(usize) -> usize,
}

impl Reader<'_> {
    fn span(&self, span: machinery::Span) -> Span {
        Span::new((self.place)(span.start_offset as usize), (self.place)(span.end_offset as usize))
    }

    fn problem(&self, error: &minijinja::Error, text: &str, inner: Span) -> Problem {
        let span = error.range().map_or(inner, |range| Span::new((self.place)(range.start), (self.place)(range.end)));
        let clip = |at: usize| at.clamp(inner.start, inner.end);
        let start = text.floor_char_boundary(clip(span.start));
        let span = Span::new(start, text.ceil_char_boundary(clip(span.end)));
        let detail = error.detail().unwrap_or("it cannot be read");
        habits::syntax_problem(text, inner, span, detail)
    }

    fn pieces(&self, children: &[ast::Stmt<'_>]) -> Result<Vec<Piece>, Problem> {
        let mut pieces = Vec::new();
        for child in children {
            if let Some(piece) = self.piece(child)? {
                pieces.push(piece);
            }
        }
        Ok(pieces)
    }

    fn piece(&self, stmt: &ast::Stmt<'_>) -> Result<Option<Piece>, Problem> {
        let refused = |span: machinery::Span, name: &str| Err(habits::refused_block(self.span(span), name));
        Ok(Some(match stmt {
            ast::Stmt::EmitRaw(_) => return Ok(None),
            ast::Stmt::EmitExpr(print) => Piece::Print(self.expr(&print.expr)?),
            ast::Stmt::IfCond(branch) => Piece::If {
                test: self.expr(&branch.expr)?,
                then: self.pieces(&branch.true_body)?,
                otherwise: self.pieces(&branch.false_body)?,
            },
            ast::Stmt::ForLoop(each) if !each.recursive => Piece::For {
                names: self.names(&each.target)?,
                list: self.expr(&each.iter)?,
                filter: each.filter_expr.as_ref().map(|filter| self.expr(filter)).transpose()?,
                body: self.pieces(&each.body)?,
                otherwise: self.pieces(&each.else_body)?,
            },
            ast::Stmt::Set(set) => Piece::Set { names: self.names(&set.target)?, value: self.expr(&set.expr)? },
            ast::Stmt::Break(_) | ast::Stmt::Continue(_) => return Ok(None),
            ast::Stmt::Template(inner) => return refused(inner.span(), "template"),
            ast::Stmt::ForLoop(each) => return refused(each.span(), "for … recursive"),
            ast::Stmt::WithBlock(inner) => return refused(inner.span(), "with"),
            ast::Stmt::SetBlock(inner) => return refused(inner.span(), "set … endset"),
            ast::Stmt::AutoEscape(inner) => return refused(inner.span(), "autoescape"),
            ast::Stmt::FilterBlock(inner) => return refused(inner.span(), "filter"),
            ast::Stmt::Block(inner) => return refused(inner.span(), "block"),
            ast::Stmt::Import(inner) => return refused(inner.span(), "import"),
            ast::Stmt::FromImport(inner) => return refused(inner.span(), "from"),
            ast::Stmt::Extends(inner) => return refused(inner.span(), "extends"),
            ast::Stmt::Include(inner) => return refused(inner.span(), "include"),
            ast::Stmt::Macro(inner) => return refused(inner.span(), "macro"),
            ast::Stmt::CallBlock(inner) => return refused(inner.span(), "call"),
            ast::Stmt::Do(inner) => return refused(inner.span(), "do"),
        }))
    }

    /// The names that a `for` or a `set` gives values to.
    fn names(&self, target: &ast::Expr<'_>) -> Result<Vec<(String, Span)>, Problem> {
        match target {
            ast::Expr::Var(name) => Ok(vec![(name.id.to_owned(), self.span(name.span()))]),
            ast::Expr::List(list) => {
                let mut names = Vec::new();
                for item in &list.items {
                    names.extend(self.names(item)?);
                }
                Ok(names)
            }
            other => {
                let message = "only a name can be given a value here, not a part of one";
                Err(Problem::new("template", self.span(other.span()), message))
            }
        }
    }

    fn expr(&self, expr: &ast::Expr<'_>) -> Result<Expr, Problem> {
        let mut span = self.span(expr.span());
        let kind = match expr {
            ast::Expr::Var(name) => ExprKind::Name(name.id.to_owned()),
            ast::Expr::Const(constant) => ExprKind::Constant(convert::json(&constant.value).unwrap_or(Value::Null)),
            ast::Expr::Slice(slice) => {
                let bounds = [&slice.start, &slice.stop, &slice.step].into_iter().flatten();
                let bounds = bounds.map(|bound| self.expr(bound)).collect::<Result<_, _>>()?;
                ExprKind::Slice(Box::new(self.expr(&slice.expr)?), bounds)
            }
            ast::Expr::UnaryOp(unary) => {
                let operand = Box::new(self.expr(&unary.expr)?);
                match (&unary.op, operand.kind) {
                    // minijinja reads `a not in b` as `not (a in b)`.
                    (ast::UnaryOpKind::Not, ExprKind::Binary(Binary::In, a, b)) if a.span.start <= span.start => {
                        ExprKind::Binary(Binary::NotIn, a, b)
                    }
                    (ast::UnaryOpKind::Not, kind) => ExprKind::Not(Box::new(Expr { span: operand.span, kind })),
                    (ast::UnaryOpKind::Neg, kind) => ExprKind::Minus(Box::new(Expr { span: operand.span, kind })),
                }
            }
            ast::Expr::BinOp(both) => {
                let (left, right) = (self.expr(&both.left)?, self.expr(&both.right)?);
                span = left.span.to(right.span);
                ExprKind::Binary(binary(both.op), Box::new(left), Box::new(right))
            }
            ast::Expr::Compare(chain) => {
                let first = self.expr(&chain.expr)?;
                let rest: Vec<_> = chain
                    .ops
                    .iter()
                    .map(|op| Ok((compared(op.op), self.expr(&op.expr)?)))
                    .collect::<Result<_, Problem>>()?;
                span = first.span.to(rest.last().map_or(span, |(_, last)| last.span));
                ExprKind::Chain(Box::new(first), rest)
            }
            ast::Expr::IfExpr(branch) => {
                let then = Box::new(self.expr(&branch.true_expr)?);
                let otherwise = branch.false_expr.as_ref().map(|expr| self.expr(expr)).transpose()?;
                span = then.span.to(span);
                ExprKind::If { test: Box::new(self.expr(&branch.test_expr)?), then, otherwise: otherwise.map(Box::new) }
            }
            ast::Expr::Filter(filter) => {
                let Some(input) = &filter.expr else { return Err(habits::refused_block(span, "filter")) };
                let applied = self.applied(filter.name, input, &filter.args, &mut span)?;
                ExprKind::Filter(applied)
            }
            ast::Expr::Test(test) => ExprKind::Test(self.applied(test.name, &test.expr, &test.args, &mut span)?),
            ast::Expr::GetAttr(field) => {
                let of = self.expr(&field.expr)?;
                span = of.span.to(span);
                ExprKind::Field(Box::new(of), field.name.to_owned())
            }
            ast::Expr::GetItem(item) => {
                let of = self.expr(&item.expr)?;
                span = of.span.to(span);
                ExprKind::Item(Box::new(of), Box::new(self.expr(&item.subscript_expr)?))
            }
            ast::Expr::Call(call) => {
                let of = self.expr(&call.expr)?;
                span = of.span.to(span);
                ExprKind::Call(Box::new(of), self.arguments(&call.args)?)
            }
            ast::Expr::List(list) => ExprKind::List(self.all(&list.items)?),
            ast::Expr::Tuple(tuple) => ExprKind::List(self.all(&tuple.items)?),
            ast::Expr::Map(map) => {
                let keys = map.keys.iter().zip(&map.values);
                ExprKind::Map(keys.map(|(k, v)| Ok((self.expr(k)?, self.expr(v)?))).collect::<Result<_, Problem>>()?)
            }
        };
        Ok(Expr { span, kind })
    }

    fn all(&self, items: &[ast::Expr<'_>]) -> Result<Vec<Expr>, Problem> {
        items.iter().map(|item| self.expr(item)).collect()
    }

    /// A filter or a test; minijinja's place of one begins with its name.
    fn applied(
        &self,
        name: &str,
        input: &ast::Expr<'_>,
        arguments: &[ast::CallArg<'_>],
        span: &mut Span,
    ) -> Result<Applied, Problem> {
        let input = Box::new(self.expr(input)?);
        let name_span = Span::new(span.start, span.start + name.len());
        *span = input.span.to(*span);
        Ok(Applied { name: name.to_owned(), name_span, input, arguments: self.arguments(arguments)? })
    }

    fn arguments(&self, arguments: &[ast::CallArg<'_>]) -> Result<Vec<Argument>, Problem> {
        let argument = |argument: &ast::CallArg<'_>| {
            let (name, spread, value) = match argument {
                ast::CallArg::Pos(value) => (None, false, value),
                ast::CallArg::Kwarg(name, value) => (Some((*name).to_owned()), false, value),
                ast::CallArg::PosSplat(value) | ast::CallArg::KwargSplat(value) => (None, true, value),
            };
            Ok(Argument { name, spread, value: self.expr(value)? })
        };
        arguments.iter().map(argument).collect()
    }
}

fn binary(op: ast::BinOpKind) -> Binary {
    match op {
        ast::BinOpKind::Eq => Binary::Equal,
        ast::BinOpKind::Ne => Binary::NotEqual,
        ast::BinOpKind::Lt => Binary::Less,
        ast::BinOpKind::Lte => Binary::LessOrEqual,
        ast::BinOpKind::Gt => Binary::Greater,
        ast::BinOpKind::Gte => Binary::GreaterOrEqual,
        ast::BinOpKind::ScAnd => Binary::And,
        ast::BinOpKind::ScOr => Binary::Or,
        ast::BinOpKind::Add => Binary::Add,
        ast::BinOpKind::Sub => Binary::Subtract,
        ast::BinOpKind::Mul => Binary::Multiply,
        ast::BinOpKind::Div => Binary::Divide,
        ast::BinOpKind::FloorDiv => Binary::FloorDivide,
        ast::BinOpKind::Rem => Binary::Remainder,
        ast::BinOpKind::Pow => Binary::Power,
        ast::BinOpKind::Concat => Binary::Join,
        ast::BinOpKind::In => Binary::In,
    }
}

fn compared(op: ast::CompareOpKind) -> Binary {
    match op {
        ast::CompareOpKind::Eq => Binary::Equal,
        ast::CompareOpKind::Ne => Binary::NotEqual,
        ast::CompareOpKind::Lt => Binary::Less,
        ast::CompareOpKind::Lte => Binary::LessOrEqual,
        ast::CompareOpKind::Gt => Binary::Greater,
        ast::CompareOpKind::Gte => Binary::GreaterOrEqual,
        ast::CompareOpKind::In => Binary::In,
        ast::CompareOpKind::NotIn => Binary::NotIn,
    }
}
