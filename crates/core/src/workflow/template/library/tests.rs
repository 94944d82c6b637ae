//! The tests of version 1: `value is name`, `select('name')`, `selectattr('field', 'name')`.

use super::gives::boolean;
use super::{Row, row};

macro_rules! test {
    ($name:literal, $form:literal, $about:literal, $example:literal, $result:literal) => {
        row($name, $form, $about, $example, $result, boolean)
    };
}

#[rustfmt::skip]
pub(in super::super) const TESTS: &[Row] = &[
    test!("!=", "'!='", "The same as `ne`, for `selectattr`.", "[1, 2] | select('!=', 1)", "[2]"),
    test!("<", "'<'", "The same as `lt`, for `selectattr`.", "[1, 2] | select('<', 2)", "[1]"),
    test!("<=", "'<='", "The same as `le`, for `selectattr`.", "[1, 2] | select('<=', 1)", "[1]"),
    test!("==", "'=='", "The same as `eq`, for `selectattr`.", "[1, 2] | select('==', 1)", "[1]"),
    test!(">", "'>'", "The same as `gt`, for `selectattr`.", "[1, 2] | select('>', 1)", "[2]"),
    test!(">=", "'>='", "The same as `ge`, for `selectattr`.", "[1, 2] | select('>=', 2)", "[2]"),
    test!("boolean", "value is boolean", "Whether it is true or false.", "1 is boolean", "false"),
    test!("containing", "value is containing(part)", "Whether a text has the part, a list the element, an object the field.", "[['a'], ['b']] | select('containing', 'a')", "[[\"a\"]]"),
    test!("defined", "value is defined", "Whether there is such a value.", "{}.a is defined", "false"),
    test!("divisibleby", "number is divisibleby(n)", "Whether it can be divided without a rest.", "9 is divisibleby(3)", "true"),
    test!("endingwith", "text is endingwith(end)", "Whether it ends so.", "'a.txt' is endingwith('.txt')", "true"),
    test!("eq", "value is eq(other)", "Whether they are equal.", "1 is eq(1)", "true"),
    test!("equalto", "value is equalto(other)", "The same as `eq`.", "1 is equalto(2)", "false"),
    test!("even", "number is even", "Whether it can be divided by two.", "2 is even", "true"),
    test!("false", "value is false", "Whether it is false itself.", "0 is false", "false"),
    test!("float", "value is float", "Whether it is a number with a fraction.", "1.5 is float", "true"),
    test!("ge", "value is ge(other)", "Whether it is the other or larger.", "2 is ge(2)", "true"),
    test!("gt", "value is gt(other)", "Whether it is larger.", "2 is gt(2)", "false"),
    test!("in", "value is in(list)", "Whether the list or the text has it.", "1 is in([1, 2])", "true"),
    test!("integer", "value is integer", "Whether it is a whole number.", "1.5 is integer", "false"),
    test!("le", "value is le(other)", "Whether it is the other or smaller.", "1 is le(2)", "true"),
    test!("lower", "text is lower", "Whether all its letters are small.", "'ab' is lower", "true"),
    test!("lt", "value is lt(other)", "Whether it is smaller.", "1 is lt(2)", "true"),
    test!("mapping", "value is mapping", "Whether it is an object.", "{} is mapping", "true"),
    test!("matching", "text is matching(pattern)", "Whether the pattern matches somewhere in the text.", "['a1', 'b'] | select('matching', '[0-9]')", "[\"a1\"]"),
    test!("ne", "value is ne(other)", "Whether they differ.", "1 is ne(2)", "true"),
    test!("none", "value is none", "Whether it is null.", "none is none", "true"),
    test!("number", "value is number", "Whether it is a number.", "'1' is number", "false"),
    test!("odd", "number is odd", "Whether it is whole and cannot be divided by two.", "3 is odd", "true"),
    test!("sequence", "value is sequence", "Whether it is a list.", "[] is sequence", "true"),
    test!("startingwith", "text is startingwith(start)", "Whether it begins so.", "'abc' is startingwith('ab')", "true"),
    test!("string", "value is string", "Whether it is a text.", "'a' is string", "true"),
    test!("true", "value is true", "Whether it is true itself.", "1 is true", "false"),
    test!("undefined", "value is undefined", "Whether there is no such value.", "{}.a is undefined", "true"),
    test!("upper", "text is upper", "Whether all its letters are large.", "'AB' is upper", "true"),
];
