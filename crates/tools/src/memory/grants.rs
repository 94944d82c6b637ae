//! The granted namespaces.

use parkway_core::tool::{Reach, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::granted::granted;

/// Which namespaces the `memory` tools may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grants {
    /// Namespaces that are recalled from and written to: `customers`, and all below it as `customers/*`.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Namespaces that are recalled from only.
    #[serde(default)]
    read: Vec<String>,
}

/// What a call wants with a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Grants {
    pub(super) fn of(context: &ToolContext) -> Result<Self, ToolError> {
        Grants::read_from(&context.grants)
    }

    fn read_from(grants: &Value) -> Result<Self, ToolError> {
        let grants: Grants = granted(grants, |error| {
            format!("`tools.memory` is malformed: {error}; write it like `memory: {{ namespaces: [customers] }}`")
        })?;
        for pattern in grants.namespaces.iter().chain(&grants.read) {
            let name = pattern.strip_suffix("/*").unwrap_or(pattern);
            if name.is_empty() || name.contains('*') {
                let message = format!(
                    "`tools.memory` grants `{pattern}`; a namespace has a name, like `customers`, and `/*` behind it for all below"
                );
                return Err(ToolError::invalid("invalid_grants", message));
            }
        }
        Ok(grants)
    }

    fn of_access(&self, access: Access) -> impl Iterator<Item = &String> {
        let read = self.read.iter().filter(move |_| access == Access::Read);
        self.namespaces.iter().chain(read)
    }

    /// Whether the namespace is granted.
    pub(super) fn allows(&self, namespace: &str, access: Access) -> bool {
        self.of_access(access).any(|pattern| match pattern.strip_suffix('*') {
            Some(above) => namespace.strip_prefix(above).is_some_and(|below| !below.is_empty()),
            None => pattern == namespace,
        })
    }

    /// The namespaces that a call means: those that it names, or all that are granted by name.
    pub(super) fn meant(&self, named: Vec<String>, access: Access) -> Result<Vec<String>, ToolError> {
        if let Some(namespace) = named.iter().find(|namespace| !self.allows(namespace, access)) {
            return Err(self.denied(namespace, access));
        }
        if !named.is_empty() {
            return Ok(named);
        }
        let by_name: Vec<String> = self.of_access(access).filter(|pattern| !pattern.ends_with('*')).cloned().collect();
        if by_name.is_empty() {
            let message = "no namespace is named, and none is granted by its name; name one as `namespace`, and grant it under `tools`: \
                           `memory: { namespaces: [customers] }`";
            return Err(ToolError::invalid("denied", message));
        }
        Ok(by_name)
    }

    fn denied(&self, namespace: &str, access: Access) -> ToolError {
        let granted: Vec<_> = self.of_access(access).map(|pattern| format!("`{pattern}`")).collect();
        let so_far = if granted.is_empty() { "none is".into() } else { format!("granted: {}", granted.join(", ")) };
        let (what, key) = match access {
            Access::Read => ("to recall from it", "read"),
            Access::Write => ("to write to it", "namespaces"),
        };
        let message = format!(
            "the namespace `{namespace}` is not granted {what} ({so_far}); to allow it, write under `tools`: \
             `memory: {{ {key}: [{}] }}`",
            Value::from(namespace)
        );
        ToolError::invalid("denied", message)
    }
}

/// Nothing outside of the store.
pub(super) fn reach(grants: &Value) -> Result<Reach, ToolError> {
    Grants::read_from(grants).map(|_| Reach::default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_granted_is_denied() {
        let grants = Grants::read_from(&json!({"namespaces": ["a", "b/*"], "read": ["c", "d/*"]})).unwrap();
        for (namespace, read, write) in [
            ("a", true, true),
            ("a/b", false, false),
            ("b", false, false),
            ("b/", false, false),
            ("b/c", true, true),
            ("b/c/d", true, true),
            ("bc", false, false),
            ("c", true, false),
            ("d/e", true, false),
            ("", false, false),
            ("*", false, false),
        ] {
            assert_eq!(grants.allows(namespace, Access::Read), read, "to read {namespace:?}");
            assert_eq!(grants.allows(namespace, Access::Write), write, "to write {namespace:?}");
        }
        assert_eq!(grants.meant(vec![], Access::Read).unwrap(), ["a", "c"]);
        assert_eq!(grants.meant(vec!["d/e".into()], Access::Read).unwrap(), ["d/e"]);
        let denied = grants.meant(vec!["c".into()], Access::Write).unwrap_err();
        assert_eq!(
            denied.message,
            "the namespace `c` is not granted to write to it (granted: `a`, `b/*`); to allow it, write under `tools`: \
             `memory: { namespaces: [\"c\"] }`"
        );
        assert_eq!(Grants::read_from(&Value::Null).unwrap().meant(vec![], Access::Read).unwrap_err().code, "denied");
        for wrong in [json!({"namespaces": ["*"]}), json!({"read": ["a/*/b"]}), json!({"write": []})] {
            assert_eq!(Grants::read_from(&wrong).unwrap_err().code, "invalid_grants", "{wrong}");
        }
    }
}
