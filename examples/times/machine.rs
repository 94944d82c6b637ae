//! What the figures depend on: processors, load, the cost of bringing bytes to the disk.

use std::fs::{File, read_to_string};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// How long a sync takes, in milliseconds.
pub(crate) struct Sync {
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

/// Writes and syncs small blocks, as a commit does.
pub(crate) fn sync_cost(folder: &Path) -> std::io::Result<Sync> {
    let path = folder.join("sync.probe");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[0; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    drop(file);
    std::fs::remove_file(&path)?;
    let median = median(&mut times);
    Ok(Sync { median, p99: times[times.len() * 99 / 100] })
}

/// The middle one; sorts them.
pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The processors.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    format!("{cores} cores, {}", name.unwrap_or("of a kind that is not told"))
}

/// The load averages, where the system tells them.
pub(crate) fn load() -> String {
    let load = read_to_string("/proc/loadavg").unwrap_or_else(|_| "not told".into());
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The most memory that this process has had, in KiB, where the system tells it.
pub(crate) fn peak_kib() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The processor time that this process has used, where the system tells it.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // Behind the name in parentheses: user and system time are the 12th and 13th, in hundredths.
    let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((times.next()?.ok()? + times.next()?.ok()?) / 100.0)
}
