//! Links of the documents lead somewhere.

use super::pages::{apart, heading, pages, read, root};

/// How a heading is called in an address, by mdBook and by forges alike.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

fn anchors(text: &str) -> Vec<String> {
    let (lines, _) = apart(text);
    let mut found: Vec<String> = Vec::new();
    for title in lines.into_iter().filter_map(heading).map(|(_, title)| anchor(title)) {
        // The second of a name gets a number.
        let same = found.iter().filter(|known| **known == title || known.starts_with(&format!("{title}-"))).count();
        found.push(if found.contains(&title) { format!("{title}-{same}") } else { title });
    }
    found
}

/// The targets of a page's links, in the lines of its text and not in code.
fn targets(text: &str) -> Vec<String> {
    let (lines, _) = apart(text);
    let mut found = Vec::new();
    for line in lines {
        for part in line.split("](").skip(1) {
            found.extend(part.split([')', ' ']).next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut documents: Vec<String> = pages().into_iter().map(|page| format!("docs/src/{page}")).collect();
    documents.extend(["README.md", "CHANGELOG.md", "docs/ARCHITECTURE.md"].map(str::to_owned));
    let (mut dead, mut seen) = (Vec::new(), 0);
    for document in &documents {
        let text = read(document);
        for target in targets(&text) {
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (path, name) =
                target.split_once('#').map_or((target.as_str(), None), |(path, name)| (path, Some(name)));
            let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
            let file = if path.is_empty() { document.clone() } else { format!("{folder}/{path}") };
            let full = root().join(file.trim_start_matches('/'));
            if !full.exists() {
                dead.push(format!("{document}: {target}"));
            } else if let Some(name) = name {
                let there = std::fs::read_to_string(&full).unwrap_or_default();
                if !anchors(&there).iter().any(|known| known == name) {
                    dead.push(format!("{document}: {target}, and there is no such heading"));
                }
            }
        }
    }
    assert!(seen > 30, "only {seen} links were found");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn every_page_stands_in_the_summary() {
    let summary = targets(&read("docs/src/SUMMARY.md"));
    let forgotten: Vec<_> =
        pages().into_iter().filter(|page| page != "SUMMARY.md" && !summary.contains(page)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
