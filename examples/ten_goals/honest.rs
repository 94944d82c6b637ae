//! A planner that is written down, and does it right.

use serde_json::{Value, json};

use crate::facts::{FAX, INVOICE, LETTERS, LOG, WEEK};
use crate::place::Place;
use crate::script::{Script, step};

/// What it writes for the goal of this name.
pub(crate) fn script(name: &str, place: &Place) -> Script {
    let one = |tool: &str, args: Value| vec![step("s1", tool, args, Value::Null)];
    let read = |path: &str| one("files.read_text", json!({ "path": path }));
    let show = |commit: &str| one("git.show", json!({ "repo": place.name("parcels"), "commit": commit }));
    match name {
        "count" => Script::new(one("files.list", json!({ "folder": LETTERS })), "s1", "There are 28 letters."),
        "order" => Script::new(read(FAX), "s1", "The order number is MDC-4410."),
        "birthday" => Script::new(birthday(), "s1 s3", "It is 24-private-person.txt."),
        "invoice" => Script::new(read(INVOICE), "s1", "With VAT the total is 952.95 EUR."),
        "cancelled" => {
            Script::new(one("files.read_csv", json!({ "path": WEEK })), "s1", "Of these orders 1 was cancelled.")
        }
        "errors" => {
            // Two of its lines are no JSON, as logs have them.
            let mut lines = read(LOG);
            let pattern = json!({ "text": { "$ref": "s1.text" }, "pattern": r#""level":"ERROR""# });
            lines.push(step("s2", "text.match", pattern, Value::Null));
            Script::new(lines, "s2", "There are 37 entries of the level ERROR.")
        }
        "author" => {
            let answer = "It was written by tom, and its subject is \"Ask the carrier for labels\".";
            Script::new(show("express~1"), "s1", answer)
        }
        "added" => Script::new(show("express~2"), "s1", "It added 26 lines."),
        "product" => {
            let sql = "SELECT product, sum(pieces) AS pieces FROM orders WHERE status = 'shipped' GROUP BY product \
                       ORDER BY pieces DESC LIMIT 1";
            let lines = one("sql.query", json!({ "database": "sales", "sql": sql }));
            Script::new(lines, "s1", "Most were shipped of the Cable tray: 36 pieces.")
        }
        _ => {
            let to = place.name("written/fax.txt");
            let args = json!({ "path": to, "text": { "$ref": "s1.text" } });
            let mut lines = read(FAX);
            lines.push(step("s2", "files.write_text", args, Value::Null));
            Script::new(lines, "s2", format!("The text was copied into {to}."))
        }
    }
}

/// All letters are read, and those are told that hold the word.
fn birthday() -> Vec<Value> {
    let each = |list: &str| json!({ "for_each": { "$ref": list } });
    let pattern = json!({ "text": { "$ref": "item.text" }, "pattern": "birthday", "limit": 1 });
    vec![
        step("s1", "files.list", json!({ "folder": LETTERS, "glob": "*.txt" }), Value::Null),
        step("s2", "files.read_text", json!({ "path": { "$ref": "item.path" } }), each("s1.files")),
        step("s3", "text.match", pattern, each("s2")),
    ]
}
