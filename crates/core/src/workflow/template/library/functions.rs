//! The functions of version 1.

use super::gives::{numbers, reached};
use super::{Given, Row, row};
use crate::workflow::template::kind::Type;

#[rustfmt::skip]
pub(in super::super) const FUNCTIONS: &[Row] = &[
    row("dict", "dict(object, name=value, …)", "An object, with fields added.", "dict({'a': 1}, b=2)", "{\"a\":1,\"b\":2}", |_: &Given<'_>| Type::open()),
    row("get", "get(value, 'a.b', default)", "What is reached by the names; the default, or null, where something on the way is missing or null.", "get({'a': {'b': 1}}, 'a.b', 0)", "1", reached),
    row("range", "range(from, to, step)", "The whole numbers from 0 or `from` up to, and without, `to`.", "range(1, 7, 2)", "[1,3,5]", numbers),
];
