//! The facts that the goals ask for, found with the standard library and the program `git`, so that they stay right when the files change.

use std::error::Error;
use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::place::Place;

pub(crate) const LETTERS: &str = "examples/data/letters";
pub(crate) const FAX: &str = "examples/data/letters/03-fax.txt";
pub(crate) const INVOICE: &str = "examples/data/invoices/2026-10-brenner.txt";
pub(crate) const WEEK: &str = "examples/data/weekly-report/orders-2026-46.csv";
pub(crate) const LOG: &str = "examples/data/incident-triage/logs/checkout.jsonl";

/// A line of the shop's exports.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) number: String,
    pub(crate) product: String,
    pub(crate) pieces: i64,
    pub(crate) status: String,
}

/// The text of a file of this repository.
pub(crate) fn text(place: &Place, name: &str) -> Result<String, Box<dyn Error>> {
    fs::read_to_string(place.path_of(name)).map_err(|cause| format!("cannot read {name}: {cause}").into())
}

/// The names of the files in the folder of letters, each with its text.
pub(crate) fn letters(place: &Place) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut letters = Vec::new();
    for entry in fs::read_dir(place.path_of(LETTERS))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let text = text(place, &format!("{LETTERS}/{name}"))?;
        letters.push((name, text));
    }
    letters.sort();
    Ok(letters)
}

/// The word that follows these words.
pub(crate) fn word_after(text: &str, words: &str) -> Result<String, Box<dyn Error>> {
    let after = text.split_once(words).and_then(|(_, after)| after.split_whitespace().next());
    Ok(after.ok_or_else(|| format!("nothing follows `{words}`"))?.to_owned())
}

/// The lines of a file of a week. A customer's name may hold commas, so they are read from their ends.
pub(crate) fn week(place: &Place, name: &str) -> Result<Vec<Order>, Box<dyn Error>> {
    let mut orders = Vec::new();
    for line in text(place, name)?.lines().skip(1) {
        let line = line.replace("\"1.299,00\"", "1299.00");
        let number = line.split(',').next().unwrap_or_default().to_owned();
        let mut cells = line.rsplit(',');
        let status = cells.next().unwrap_or_default().to_owned();
        let pieces = cells.nth(1).and_then(|pieces| pieces.parse().ok());
        let pieces = pieces.ok_or_else(|| format!("{name} has a line without a quantity: {line}"))?;
        let product = cells.next().unwrap_or_default().to_owned();
        orders.push(Order { number, product, pieces, status });
    }
    Ok(orders)
}

/// The orders of both weeks.
pub(crate) fn orders(place: &Place) -> Result<Vec<Order>, Box<dyn Error>> {
    let mut orders = week(place, WEEK)?;
    orders.extend(week(place, "examples/data/weekly-report/orders-2026-47.csv")?);
    Ok(orders)
}

/// What was shipped of each product, the most first.
pub(crate) fn shipped(orders: &[Order]) -> Vec<(String, i64)> {
    let mut products: Vec<(String, i64)> = Vec::new();
    for order in orders.iter().filter(|order| order.status == "shipped") {
        match products.iter_mut().find(|(product, _)| *product == order.product) {
            Some((_, pieces)) => *pieces += order.pieces,
            None => products.push((order.product.clone(), order.pieces)),
        }
    }
    products.sort_by_key(|(_, pieces)| -pieces);
    products
}

/// What the program `git` says about the made repository.
pub(crate) fn git(place: &Place, args: &[&str]) -> Result<String, Box<dyn Error>> {
    let said = Command::new("git").arg("-C").arg(place.path("parcels")).args(args).output()?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).trim().into());
    }
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}
