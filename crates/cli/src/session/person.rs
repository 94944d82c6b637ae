//! In whose name this program speaks.

use std::env;
use std::process::Command;

/// The user's name: `$USER`, else what the system says, else the user's number.
pub(crate) fn name() -> String {
    let variable = |name| env::var(name).ok().filter(|name: &String| !name.trim().is_empty());
    variable("USER").or_else(|| variable("USERNAME")).or_else(asked).unwrap_or_else(number)
}

fn asked() -> Option<String> {
    let output = Command::new("id").arg("-un").output().ok().filter(|output| output.status.success())?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(unix)]
fn number() -> String {
    rustix::process::getuid().as_raw().to_string()
}

#[cfg(not(unix))]
fn number() -> String {
    "unknown".into()
}
