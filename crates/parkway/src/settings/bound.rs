//! Whether what is granted lies within the folders and hosts that the site allows.

use std::path::{Component, Path, PathBuf};

use parkway_core::host::HostPattern;

/// Why a folder or a file lies outside all of `roots`; `None` if it lies in one of them. Both are relative to `project`.
pub(super) fn outside(project: &Path, folder: &str, roots: &[&str]) -> Option<String> {
    let wanted = real(&project.join(folder));
    if roots.iter().any(|root| wanted.starts_with(real(&project.join(root)))) {
        return None;
    }
    let allowed: Vec<_> = roots.iter().map(|root| format!("`{root}`")).collect();
    Some(match allowed.len() {
        0 => format!("`{folder}` is granted, and the site's `roots` allow no folder"),
        _ => format!("`{folder}` is granted, and lies outside the site's `roots`: {}", allowed.join(", ")),
    })
}

/// Why `host` is not among `allowed`; `None` if it is. With `private` it may be in a network that is not public, which only an
/// entry that names it allows: `*` are the public ones.
pub(super) fn beyond(host: &HostPattern, private: bool, allowed: &[&str]) -> Option<String> {
    let named = private && host.names();
    let within = |text: &&str| {
        HostPattern::parse(text).is_ok_and(|allowed| host.within(&allowed) && (allowed.names() || !named))
    };
    if allowed.iter().any(within) {
        return None;
    }
    let listed: Vec<_> = allowed.iter().map(|host| format!("`{host}`")).collect();
    Some(match listed.len() {
        0 => format!("`{host}` is granted, and the site's `egress` allows no host"),
        _ => format!("`{host}` is granted, and lies outside the site's `egress`: {}", listed.join(", ")),
    })
}

/// The path without links and `..`, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = plain(path);
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        match (there.file_name(), there.parent()) {
            (Some(name), Some(parent)) => {
                missing.push(name);
                there = parent;
            }
            _ => return path,
        }
    }
}

/// The path with `.` and `..` resolved by their letters.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_beside_a_root_is_not_taken_for_one_inside() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path();
        for (wanted, roots, inside) in [
            ("data", &["data"][..], true),
            ("data/new", &["data"], true),
            ("./data/", &["data"], true),
            ("data", &["."], true),
            ("database", &["data"], false),
            (".", &["data"], false),
            ("data/../out", &["data"], false),
            ("out", &["data", "out"], true),
            ("out", &[], false),
        ] {
            assert_eq!(outside(project, wanted, roots).is_none(), inside, "{wanted} in {roots:?}");
        }
    }

    #[test]
    fn hosts_beside_those_of_the_site_are_named() {
        let host = |text| HostPattern::parse(text).unwrap();
        assert_eq!(beyond(&host("api.example.com"), true, &["other.org", "*.example.com"]), None);
        assert_eq!(beyond(&host("10.0.0.5"), false, &["*"]), None);
        assert!(beyond(&host("10.0.0.5"), true, &["*"]).is_some());
        assert_eq!(beyond(&host("10.0.0.5"), true, &["*", "10.0.0.5"]), None);
        assert_eq!(beyond(&host("*"), true, &["*"]), None);
        let why = beyond(&host("*"), false, &["*.example.com", "example.com"]).unwrap();
        assert_eq!(why, "`*` is granted, and lies outside the site's `egress`: `*.example.com`, `example.com`");
        assert!(beyond(&host("example.com"), false, &[]).unwrap().contains("allows no host"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_out_of_a_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        std::fs::create_dir_all(folder.path().join("private")).unwrap();
        std::os::unix::fs::symlink("../private", folder.path().join("data/link")).unwrap();
        assert!(outside(folder.path(), "data/link/deep", &["data"]).is_some());
    }
}
