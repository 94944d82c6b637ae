//! How long the threads that compute a model stay awake while they wait for each other.
//!
//! OpenMP of GCC lets a thread that waits spin for about a millisecond. Where other programs want the cores as well, the thread that it
//! waits for is often one that was put aside, and both lose their turns: answers then take twice to ten times as long. A wait inside of a
//! model is some ten microseconds. OpenMP reads its variable when it is loaded, which is before `main`.

/// Starts the program anew in its place with the variable set, unless somebody has said something about it.
#[cfg(all(feature = "llama", target_os = "linux", target_env = "gnu"))]
pub(crate) fn shorten() {
    use std::env;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    // The turns of a loop that a thread waits awake for; some ten microseconds.
    const TURNS: &str = "2000";
    if ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"].into_iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    let mut args = env::args_os();
    // Itself, also where its file was replaced since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    // It comes back only if that failed; then it goes on as it is.
    let _ = command.args(args).env("GOMP_SPINCOUNT", TURNS).exec();
}

/// Elsewhere models wait by other means.
#[cfg(not(all(feature = "llama", target_os = "linux", target_env = "gnu")))]
pub(crate) fn shorten() {}
