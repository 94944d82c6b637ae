//! What a file says of places where heads are kept: the table `[audit]`.

use serde_json::{Value, json};
use toml::de::DeValue;

use super::{Key, Node, Reader, Said, described, is_name};
use parkway_core::workflow::did_you_mean;

const KEYS: [&str; 4] = ["append", "commit", "post", "after_runs"];
const SERVER: [&str; 2] = ["url", "token"];

impl Reader<'_> {
    pub(super) fn audit(&mut self, key: &Key<'_>, node: &Node<'_>) -> Vec<Said> {
        if self.folder.is_none() {
            let message = "the file of a project names no places for heads";
            let help = "it lies where the store does: who can change the one can change the other; name them in your own \
                        ~/.config/parkway/parkway.toml, or in /etc/parkway";
            self.problem("outside-project", key.span(), message, Some(help.to_owned()));
            return Vec::new();
        }
        let mut said = Vec::new();
        for (key, node) in self.table("audit", node) {
            let value = match key.get_ref().as_ref() {
                "append" | "commit" => {
                    let paths: Vec<_> = listed(node).filter_map(|node| self.text(key, node)).collect();
                    paths.into_iter().map(|path| json!(self.located(path))).collect()
                }
                "post" => json!(listed(node).filter_map(|node| self.server(key, node)).collect::<Vec<_>>()),
                "after_runs" => match node.get_ref() {
                    DeValue::Boolean(yes) => json!(yes),
                    other => {
                        let message = format!("`after_runs` is true or false, not {}", described(other));
                        self.problem("bad-setting", node.span(), message, None);
                        continue;
                    }
                },
                other => {
                    let message = format!("`{other}` is no setting here");
                    self.problem("unknown-setting", key.span(), message, did_you_mean(other, KEYS));
                    continue;
                }
            };
            said.push(self.said(format!("audit.{}", key.get_ref()), value, key.span()));
        }
        said
    }

    /// A server: its address, or a table with that and the name of the secret that is its token.
    fn server(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<Value> {
        let mut server = json!({});
        let parts = match node.get_ref() {
            DeValue::Table(_) => self.table("audit.post", node),
            _ => {
                server["url"] = json!(self.address(key, node)?);
                Vec::new()
            }
        };
        for (key, node) in parts {
            match key.get_ref().as_ref() {
                "url" => server["url"] = json!(self.address(key, node)?),
                "token" => match self.text(key, node)? {
                    name if is_name(name) => server["token"] = json!(name),
                    // It is not quoted: it may be the token itself.
                    _ => {
                        let help = "write `token = \"NAME\"`, and under `[secrets]` `NAME = { env = \"NAME\" }`";
                        let message = "a token for heads is the name of a secret";
                        self.unquoted("inline-secret", node.span(), message, Some(help.to_owned()));
                        return None;
                    }
                },
                other => {
                    let message = format!("`{other}` is no setting here");
                    self.problem("unknown-setting", key.span(), message, did_you_mean(other, SERVER));
                    return None;
                }
            }
        }
        if server["url"].is_null() {
            let help = Some("write for example `post = \"https://auditor.example/heads\"`".to_owned());
            self.problem("bad-setting", node.span(), "a server for heads has a `url`", help);
            return None;
        }
        Some(server)
    }

    fn address(&mut self, key: &Key<'_>, node: &Node<'_>) -> Option<String> {
        let text = self.text(key, node)?.to_owned();
        #[cfg(feature = "anchors")]
        if let Err(why) = crate::audit::address(&text) {
            self.unquoted("bad-setting", node.span(), format!("heads cannot be sent there: {why}"), None);
            return None;
        }
        Some(text)
    }
}

/// Its entries, where it is a list; else itself.
fn listed<'n, 'i>(node: &'n Node<'i>) -> impl Iterator<Item = &'n Node<'i>> {
    let (list, one) = match node.get_ref() {
        DeValue::Array(list) => (Some(list.iter()), None),
        _ => (None, Some(node)),
    };
    list.into_iter().flatten().chain(one)
}
