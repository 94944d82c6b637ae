//! An expression and a template as trees of our own, each node with its place.

use serde_json::Value;

use super::span::Span;

#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) span: Span,
    pub(super) kind: ExprKind,
}

#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Name(String),
    Constant(Value),
    Not(Box<Expr>),
    Minus(Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `1 < x <= 3`: the first operand, then each operator with the next.
    Chain(Box<Expr>, Vec<(Binary, Expr)>),
    If {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    Filter(Applied),
    Test(Applied),
    /// `of.name`
    Field(Box<Expr>, String),
    /// `of[index]`
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Vec<Expr>),
    Call(Box<Expr>, Vec<Argument>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
}

/// A filter or a test with what it is applied to; a filter of a block has none.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) input: Box<Expr>,
    pub(super) arguments: Vec<Argument>,
}

#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: Option<String>,
    /// `*value` or `**value`.
    pub(super) spread: bool,
    pub(super) value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    Join,
    In,
    NotIn,
}

impl Binary {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Binary::Equal => "==",
            Binary::NotEqual => "!=",
            Binary::Less => "<",
            Binary::LessOrEqual => "<=",
            Binary::Greater => ">",
            Binary::GreaterOrEqual => ">=",
            Binary::And => "and",
            Binary::Or => "or",
            Binary::Add => "+",
            Binary::Subtract => "-",
            Binary::Multiply => "*",
            Binary::Divide => "/",
            Binary::FloorDivide => "//",
            Binary::Remainder => "%",
            Binary::Power => "**",
            Binary::Join => "~",
            Binary::In => "in",
            Binary::NotIn => "not in",
        }
    }
}

/// A piece of a text with expressions.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Print(Expr),
    If { test: Expr, then: Vec<Piece>, otherwise: Vec<Piece> },
    For { names: Vec<(String, Span)>, list: Expr, filter: Option<Expr>, body: Vec<Piece>, otherwise: Vec<Piece> },
    Set { names: Vec<(String, Span)>, value: Expr },
}
