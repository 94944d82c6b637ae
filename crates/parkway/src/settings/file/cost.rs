//! What a file says of prices: the table `[cost]`.

use serde_json::{Value, json};

use super::{Key, Node, Reader, Said, described};
use crate::cost::OwnPrice;
use parkway_core::id::Time;
use parkway_core::workflow::did_you_mean;

const KEYS: [&str; 5] = ["watts", "kwh", "hour", "currency", "models"];
const PRICE: [&str; 4] = ["input", "output", "cached", "as_of"];
/// How a price of a model is written.
const EXAMPLE: &str = "write for example `[cost.models.my-model]`, `input = 0.15`, `output = 0.6`, `as_of = \"2026-11-01\"`, for a \
                       million tokens each";

impl Reader<'_> {
    pub(super) fn cost(&mut self, node: &Node<'_>) -> Vec<Said> {
        let mut said = Vec::new();
        for (key, node) in self.table("cost", node) {
            match key.get_ref().as_ref() {
                name @ ("watts" | "kwh" | "hour") => {
                    let amount = self.amount(key, node);
                    said.extend(amount.map(|amount| self.said(format!("cost.{name}"), json!(amount), key.span())));
                }
                "currency" => said.extend(self.currency(key, node)),
                "models" => {
                    for (name, price) in self.table("cost.models", node) {
                        said.extend(self.price(name, price));
                    }
                }
                other => {
                    let message = format!("`{other}` is no setting here");
                    self.problem("unknown-setting", key.span(), message, did_you_mean(other, KEYS));
                }
            }
        }
        said
    }

    /// A number that is not below 0.
    pub(super) fn amount(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<Value> {
        let value = self.json(node)?;
        if value.as_f64().is_some_and(|number| number >= 0.0) {
            return Some(value);
        }
        let found = if value.is_number() { value.to_string() } else { described(node.get_ref()).to_owned() };
        let message = format!("`{}` takes a number from 0 upwards, not {found}", key.get_ref());
        self.problem("bad-setting", node.span(), message, None);
        None
    }

    fn currency(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<Said> {
        let text = self.text(key, node)?;
        if text.len() == 3 && text.chars().all(|c| c.is_ascii_uppercase()) {
            return Some(self.said("cost.currency", json!(text), key.span()));
        }
        let help = "write its three letters, for example `currency = \"EUR\"`".to_owned();
        self.problem("bad-setting", node.span(), format!("`{text}` is no currency"), Some(help));
        None
    }

    fn price(&mut self, name: &Key<'_>, node: &Node<'_>) -> Option<Said> {
        let before = self.problems.len();
        let mut price = serde_json::Map::new();
        for (key, node) in self.table(&format!("cost.models.{}", name.get_ref()), node) {
            match key.get_ref().as_ref() {
                part @ ("input" | "output" | "cached") => {
                    let amount = self.amount(key, node);
                    price.extend(amount.map(|amount| (part.to_owned(), amount)));
                }
                "as_of" => match self.json(node)? {
                    Value::String(day) if format!("{day}T00:00:00Z").parse::<Time>().is_ok() => {
                        price.insert("as_of".into(), json!(day));
                    }
                    _ => {
                        let help = Some("write it as `as_of = \"2026-11-01\"`".to_owned());
                        self.problem("bad-setting", node.span(), "`as_of` takes a day", help);
                    }
                },
                other => {
                    let message = format!("`{other}` is no setting here");
                    self.problem("unknown-setting", key.span(), message, did_you_mean(other, PRICE));
                }
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let value = Value::Object(price);
        if let Err(error) = serde_json::from_value::<OwnPrice>(value.clone()) {
            let message = format!("the price of `{}` is not whole: {error}", name.get_ref());
            self.problem("bad-setting", name.span(), message, Some(EXAMPLE.into()));
            return None;
        }
        Some(self.said(format!("cost.models.{}", name.get_ref()), value, name.span()))
    }
}
