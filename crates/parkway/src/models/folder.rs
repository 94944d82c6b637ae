//! Where model files lie: `$PARKWAY_CACHE/models`, else below the user's cache folder.

use std::env;
use std::path::PathBuf;

/// The folder for model files, or `None` where the user has no home.
pub(super) fn model_folder() -> Option<PathBuf> {
    choose(|name| env::var_os(name).map(PathBuf::from), env::home_dir())
}

fn choose(var: impl Fn(&str) -> Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if let Some(cache) = var("PARKWAY_CACHE").filter(|path| !path.as_os_str().is_empty()) {
        return Some(cache.join("models"));
    }
    let user_cache = if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Caches"))
    } else if cfg!(windows) {
        var("LOCALAPPDATA")
    } else {
        // The XDG rules: a relative path is invalid and counts as unset.
        var("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".cache")))
    };
    user_cache.map(|cache| cache.join("parkway").join("models"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vars: &[(&str, &str)], home: Option<&str>, expect: Option<&str>) {
        let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value));
        assert_eq!(choose(var, home.map(PathBuf::from)), expect.map(PathBuf::from));
    }

    #[test]
    fn a_model_is_not_looked_for_in_the_wrong_folder() {
        check(&[("PARKWAY_CACHE", "/big"), ("XDG_CACHE_HOME", "/x")], Some("/home/a"), Some("/big/models"));
        check(&[("PARKWAY_CACHE", ""), ("XDG_CACHE_HOME", "/x")], Some("/home/a"), Some("/x/parkway/models"));
        check(&[("XDG_CACHE_HOME", "relative")], Some("/home/a"), Some("/home/a/.cache/parkway/models"));
        check(&[], None, None);
    }
}
