//! The public API of core: which types of other crates stand in it, and how large it is. Read from the source with `syn`,
//! since rustdoc's machine form needs a nightly compiler.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::house::{sources, workspace};

/// Crates that core depends on, as paths begin with them.
const OTHERS: [&str; 14] = [
    "async_trait",
    "hex",
    "jiff",
    "jsonschema",
    "minijinja",
    "petgraph",
    "regex",
    "schemars",
    "serde",
    "serde_saphyr",
    "serde_json",
    "sha2",
    "tokio",
    "uuid",
];

#[derive(Default)]
struct Surface {
    imports: BTreeMap<String, String>,
    foreign: BTreeSet<String>,
    items: Vec<String>,
}

impl Surface {
    fn import(&mut self, prefix: &str, tree: &syn::UseTree) {
        let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        match tree {
            syn::UseTree::Path(path) => self.import(&join(&path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => {
                drop(self.imports.insert(name.ident.to_string(), join(&name.ident.to_string())))
            }
            syn::UseTree::Rename(name) => {
                self.imports.insert(name.rename.to_string(), join(&name.ident.to_string()));
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(prefix, tree)),
            syn::UseTree::Glob(_) => {}
        }
    }

    fn public(&mut self, vis: &syn::Visibility, name: impl ToString) -> bool {
        let public = matches!(vis, syn::Visibility::Public(_));
        if public {
            self.items.push(name.to_string());
        }
        public
    }

    fn signature(&mut self, sig: &syn::Signature) {
        sig.inputs.iter().for_each(|input| self.visit_fn_arg(input));
        self.visit_return_type(&sig.output);
        self.visit_generics(&sig.generics);
    }

    fn fields(&mut self, fields: &syn::Fields, of_enum: bool) {
        for field in fields {
            if of_enum || matches!(field.vis, syn::Visibility::Public(_)) {
                self.visit_type(&field.ty);
            }
        }
    }

    fn item(&mut self, item: &syn::Item) {
        match item {
            syn::Item::Struct(item) if self.public(&item.vis, &item.ident) => self.fields(&item.fields, false),
            syn::Item::Enum(item) if self.public(&item.vis, &item.ident) => {
                item.variants.iter().for_each(|variant| self.fields(&variant.fields, true));
            }
            syn::Item::Fn(item) if self.public(&item.vis, &item.sig.ident) => self.signature(&item.sig),
            syn::Item::Type(item) if self.public(&item.vis, &item.ident) => self.visit_type(&item.ty),
            syn::Item::Trait(item) if self.public(&item.vis, &item.ident) => {
                for member in &item.items {
                    if let syn::TraitItem::Fn(function) = member {
                        self.items.push(format!("{}::{}", item.ident, function.sig.ident));
                        self.signature(&function.sig);
                    }
                }
            }
            syn::Item::Impl(item) if item.trait_.is_none() => {
                for member in &item.items {
                    if let syn::ImplItem::Fn(function) = member
                        && self.public(&function.vis, &function.sig.ident)
                    {
                        self.signature(&function.sig);
                    }
                }
            }
            _ => {}
        }
    }
}

impl<'a> Visit<'a> for Surface {
    fn visit_path(&mut self, path: &'a syn::Path) {
        let first = path.segments[0].ident.to_string();
        let whole = match self.imports.get(&first) {
            Some(import) => import.clone(),
            None => path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<_>>().join("::"),
        };
        if OTHERS.contains(&whole.split("::").next().unwrap_or_default()) {
            self.foreign.insert(whole);
        }
        visit::visit_path(self, path);
    }
}

fn surface() -> Surface {
    let mut all = Surface::default();
    for (file, text) in sources(&workspace().join("crates/core/src")) {
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        let mut surface = Surface::default();
        for item in &parsed.items {
            if let syn::Item::Use(item) = item {
                surface.import("", &item.tree);
            }
        }
        parsed.items.iter().for_each(|item| surface.item(item));
        all.foreign.extend(surface.foreign);
        all.items.extend(surface.items);
    }
    all
}

#[test]
fn only_listed_types_of_other_crates_stand_in_the_api_of_core() {
    let foreign: Vec<_> = surface().foreign.into_iter().collect();
    let listed = [
        "schemars::JsonSchema",
        "serde::Serialize",
        "serde::de::DeserializeOwned",
        "serde_json::Map",
        "serde_json::Value",
    ];
    assert_eq!(foreign, listed);
}

/// A growth is no mistake, but it is a decision: raise the number in the commit that makes it.
#[test]
fn the_api_of_core_does_not_grow_unseen() {
    let items = surface().items.len();
    let most = 637;
    assert!(items <= most, "core has {items} public items, and {most} are agreed on");
    assert!(items + 40 > most, "core has only {items} public items: lower the number from {most}");
}
