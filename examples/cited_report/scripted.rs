//! A played reader of the example's documents, for builds without a model: it copies well, and of what it does not know
//! it makes something up, as small models do.

use parkway::testing::ScriptedModel;
use serde_json::json;

/// A question, the sentence that answers it, and the answer in it.
const KNOWN: &[(&str, &str, &str)] = &[
    ("On which date", "The library closes for the renovation on Monday 2 March 2026.", "2 March 2026"),
    ("On which date", "The library closes a week later, on Monday 9 March 2026.", "9 March 2026"),
    ("How many books", "Before a closure of more than two weeks, a reader may borrow 20 books.", "20 books"),
    ("Where do readers", "readers return their books at the swimming pool in Mill Lane.", "Mill Lane"),
    ("the lift cost", "The lift costs £84,600 with fitting, before VAT.", "£84,600"),
    ("the site manager", "met Ines Okafor, she is the site manager for Dale & Sons (contractor)", "Ines Okafor"),
];

/// The played model.
pub(crate) fn model() -> ScriptedModel {
    ScriptedModel::new().script(|request| {
        let asked = request.messages.last().map_or("", |message| message.content.as_str());
        let known = KNOWN.iter().find(|(ask, quotation, _)| asked.contains(ask) && asked.contains(quotation));
        let (_, quotation, answer) = known.unwrap_or(&("", "It is said to be twelve of them", "twelve"));
        Ok(json!({ "quotation": quotation, "answer": answer }).to_string())
    })
}
