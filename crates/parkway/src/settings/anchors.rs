//! The places where heads are kept, as settings name them.

use parkway_core::secret::Secret;
use serde_json::Value;

use super::{Settings, layers::ANCHORS};
use crate::audit::{Anchor, address};

impl Settings {
    /// The places where heads are kept, those of all layers. Tokens are read now; one that cannot be had is told when a head is to be sent.
    pub fn anchors(&self) -> Vec<Anchor> {
        let [append, commit, post] = ANCHORS.map(|key| {
            let said = self.list.iter().filter(move |setting| setting.key == key);
            said.flat_map(|setting| setting.value.as_array().into_iter().flatten())
        });
        let append = append.filter_map(Value::as_str).map(Anchor::append);
        let commit = commit.filter_map(Value::as_str).map(Anchor::commit);
        let post = post.filter_map(|place| self.server(place));
        let mut anchors = Vec::new();
        for anchor in append.chain(commit).chain(post) {
            // Two layers may name the same place.
            if !anchors.contains(&anchor) {
                anchors.push(anchor);
            }
        }
        anchors
    }

    fn server(&self, place: &Value) -> Option<Anchor> {
        let url = address(place.get("url")?.as_str()?).ok()?;
        let token = match place.get("token").and_then(Value::as_str) {
            None => Ok(None),
            Some(name) => self.secret(name).map(|token| Some(Secret::new(token))).map_err(|error| error.to_string()),
        };
        Some(Anchor::posted(url, token))
    }
}
