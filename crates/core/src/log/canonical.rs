//! Canonical bytes (RFC 8785), as those of events, by putting the members of what serde_json writes in order. What is not as plain
//! as events are, a number with a fraction or a name outside of ASCII, is left to the library that does all of the standard.

use std::ops::Range;

use serde::Serialize;

/// The canonical bytes of a value. One that has no form in JSON is an error.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let written = serde_json::to_vec(value).map_err(|e| e.to_string())?;
    match sorted(&written) {
        Some(canonical) => Ok(canonical),
        None => serde_json_canonicalizer::to_vec(value).map_err(|e| e.to_string()),
    }
}

/// Compact JSON as serde_json writes it, with the members of its objects in order. `None` where more would have to be done.
fn sorted(written: &[u8]) -> Option<Vec<u8>> {
    let mut sorter = Sorter { written, at: 0, out: Vec::with_capacity(written.len()) };
    sorter.value()?;
    (sorter.at == written.len()).then_some(sorter.out)
}

struct Sorter<'a> {
    written: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

/// Where a member of an object stands in what was put out, and its name there.
struct Member {
    name: Range<usize>,
    whole: Range<usize>,
}

impl Sorter<'_> {
    fn peek(&self) -> Option<u8> {
        self.written.get(self.at).copied()
    }

    /// Puts out the next byte.
    fn step(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.out.push(byte);
        Some(byte)
    }

    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            b't' | b'f' | b'n' => self.plain(|byte| byte.is_ascii_lowercase()),
            // Integers that a double holds are written alike; of others the standard says something else.
            b'-' | b'0'..=b'9' => {
                let from = self.out.len();
                self.plain(|byte| byte == b'-' || byte.is_ascii_digit())?;
                let exact = self.out.len() - from <= 15 && !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
                exact.then_some(())
            }
            _ => None,
        }
    }

    fn plain(&mut self, is_part: impl Fn(u8) -> bool) -> Option<()> {
        while self.peek().is_some_and(&is_part) {
            self.step();
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.step()?;
        loop {
            match self.step()? {
                b'"' => return Some(()),
                b'\\' => {
                    self.step()?;
                }
                _ => {}
            }
        }
    }

    fn array(&mut self) -> Option<()> {
        self.step()?;
        if self.peek()? == b']' {
            return self.step().map(|_| ());
        }
        loop {
            self.value()?;
            if self.step()? == b']' {
                return Some(());
            }
        }
    }

    fn object(&mut self) -> Option<()> {
        self.step()?;
        if self.peek()? == b'}' {
            return self.step().map(|_| ());
        }
        let (begin, mut members) = (self.out.len(), Vec::<Member>::with_capacity(10));
        loop {
            let from = self.out.len();
            self.string()?;
            let name = from..self.out.len();
            if !self.out[name.clone()].iter().all(|byte| byte.is_ascii() && *byte != b'\\') {
                return None;
            }
            self.step()?;
            self.value()?;
            members.push(Member { name, whole: from..self.out.len() });
            if self.step()? == b'}' {
                break;
            }
        }
        // With its quotes a name that another begins with would stand behind that one.
        let name = |member: &Member| member.name.start + 1..member.name.end - 1;
        if !members.is_sorted_by(|a, b| self.out[name(a)] <= self.out[name(b)]) {
            members.sort_by(|a, b| self.out[name(a)].cmp(&self.out[name(b)]));
            let parts: Vec<&[u8]> = members.iter().map(|member| &self.out[member.whole.clone()]).collect();
            let ordered = parts.join(&b',');
            self.out.truncate(begin);
            self.out.extend(ordered);
            self.out.push(b'}');
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z_]{0,8}", "[\\x00-\\x20\"\\\\/a-b]{0,6}", any::<String>()];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u32>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let members = prop::collection::vec((text.clone(), inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn bytes_differ_from_those_of_the_standard(value in values()) {
            let standard = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(to_vec(&value).unwrap(), standard);
        }
    }

    /// What events are made of.
    fn plain_values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<u32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let members = prop::collection::vec(("[a-z_ .!~]{0,6}", inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn plain_values_are_left_to_the_library(value in plain_values()) {
            let standard = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(sorted(&serde_json::to_vec(&value).unwrap()), Some(standard));
        }
    }

    #[test]
    fn a_vector_of_the_standard_comes_out_otherwise() {
        macro_rules! vector {
            ($name:literal) => {
                (
                    include_str!(concat!("../../tests/rfc8785/", $name, ".in.json")),
                    include_str!(concat!("../../tests/rfc8785/", $name, ".out.json")),
                )
            };
        }
        let vectors = [
            vector!("arrays"),
            vector!("french"),
            vector!("structures"),
            vector!("unicode"),
            vector!("values"),
            vector!("weird"),
        ];
        for (given, expected) in vectors {
            let value: Value = serde_json::from_str(given).unwrap();
            assert_eq!(String::from_utf8(to_vec(&value).unwrap()).unwrap(), expected.trim_end());
        }
    }

    #[test]
    fn a_number_of_the_standard_comes_out_otherwise() {
        // Its appendix B.
        for (bits, expected) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let bytes = to_vec(&f64::from_bits(bits)).unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{bits:x}");
        }
    }

    #[test]
    fn names_that_others_begin_with_come_later() {
        let value = json!({"ab": 1, "a": {"z": [], "b": {}, "a!": [{"d": 1, "c": "}\",\""}]}, "a b": -3});
        let bytes = String::from_utf8(sorted(&serde_json::to_vec(&value).unwrap()).unwrap()).unwrap();
        assert_eq!(bytes, r#"{"a":{"a!":[{"c":"}\",\"","d":1}],"b":{},"z":[]},"a b":-3,"ab":1}"#);
    }

    #[test]
    fn what_is_not_plain_is_passed_for_canonical() {
        for value in [json!(1.5), json!(1e30), json!({"ä": 1}), json!({"a\"": 1}), json!(9_007_199_254_740_993_u64)] {
            assert_eq!(sorted(&serde_json::to_vec(&value).unwrap()), None, "{value}");
        }
    }
}
