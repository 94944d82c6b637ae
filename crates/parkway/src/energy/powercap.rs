//! The counters of Intel's and AMD's processors (RAPL), as Linux shows them under `/sys/class/powercap`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{EnergyMeter, NoMeter};

const COUNTERS: &str = "/sys/class/powercap";

/// The counters of the processors and of their memory. They count all that the processors do, whoever asks for it, and neither GPUs nor
/// disks nor what the power supply loses.
#[derive(Debug)]
pub struct Powercap {
    domains: Vec<Domain>,
}

/// One counter: a processor, or its memory.
#[derive(Debug)]
struct Domain {
    counter: PathBuf,
    /// After so many microjoules it begins again at 0.
    range: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    last: Option<u64>,
    total: u64,
}

impl Powercap {
    /// The counters of this machine.
    ///
    /// # Errors
    ///
    /// [`NoMeter`], where there are none or they cannot be read.
    pub fn find() -> Result<Powercap, NoMeter> {
        Powercap::at(COUNTERS)
    }

    /// Counters in another folder of the same form.
    ///
    /// # Errors
    ///
    /// [`NoMeter`], where there are none or they cannot be read.
    pub fn at(folder: impl AsRef<Path>) -> Result<Powercap, NoMeter> {
        let folder = folder.as_ref();
        let absent = || NoMeter::Absent(folder.display().to_string());
        let zones = fs::read_dir(folder).map_err(|_| absent())?.filter_map(Result::ok).map(|entry| entry.path());
        let mut domains = Vec::new();
        // `intel-rapl-mmio` shows the same processors once more.
        let is_rapl =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("intel-rapl:"));
        for zone in zones.filter(is_rapl) {
            let name = fs::read_to_string(zone.join("name")).unwrap_or_default();
            // Cores and the graphics of a processor are a part of its package; `psys`, where there is one, has the packages in it.
            if name.starts_with("package") || name.trim() == "dram" {
                domains.push(Domain::at(&zone)?);
            }
        }
        if domains.is_empty() { Err(absent()) } else { Ok(Powercap { domains }) }
    }
}

impl EnergyMeter for Powercap {
    fn part(&self, device: &str) -> Option<&str> {
        device.starts_with("cpu").then_some("cpu")
    }

    fn read(&self) -> Option<u64> {
        self.domains.iter().map(Domain::read).sum()
    }
}

impl Domain {
    fn at(zone: &Path) -> Result<Domain, NoMeter> {
        let counter = zone.join("energy_uj");
        let unreadable = |why: String| NoMeter::Unreadable { path: counter.display().to_string(), why };
        number(&counter).map_err(unreadable)?;
        let range = number(&zone.join("max_energy_range_uj")).map_err(unreadable)?;
        Ok(Domain { counter, range, seen: Mutex::default() })
    }

    /// Microjoules since it was read first. A counter that went round more than once between two looks is taken for one that went round
    /// once: at 200 W that takes from 5 minutes (65 kJ) to 22 (262 kJ), in which no call of a model began or ended.
    fn read(&self) -> Option<u64> {
        let now = number(&self.counter).ok()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let more = match seen.last {
            None => 0,
            Some(last) if now >= last => now - last,
            Some(last) => self.range.saturating_sub(last).saturating_add(now),
        };
        seen.last = Some(now);
        seen.total = seen.total.saturating_add(more);
        Some(seen.total)
    }
}

fn number(file: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(file).map_err(|e| e.to_string())?;
    text.trim().parse().map_err(|_| format!("`{}` is no number", text.trim()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder like that of a machine with one processor.
    fn machine() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let zones = [
            ("intel-rapl:0", "package-0", "1000"),
            ("intel-rapl:0:0", "core", "900"),
            ("intel-rapl:0:1", "dram", "50"),
            ("intel-rapl:1", "psys", "2000"),
            ("intel-rapl-mmio:0", "package-0", "1000"),
        ];
        fs::create_dir(folder.path().join("intel-rapl")).unwrap();
        for (zone, name, counted) in zones {
            let zone = folder.path().join(zone);
            fs::create_dir(&zone).unwrap();
            fs::write(zone.join("name"), format!("{name}\n")).unwrap();
            fs::write(zone.join("energy_uj"), format!("{counted}\n")).unwrap();
            fs::write(zone.join("max_energy_range_uj"), "10000\n").unwrap();
        }
        folder
    }

    fn count(folder: &TempDir, zone: &str, counted: &str) {
        fs::write(folder.path().join(zone).join("energy_uj"), counted).unwrap();
    }

    #[test]
    fn a_part_of_the_processor_is_counted_twice() {
        let folder = machine();
        let meter = Powercap::at(folder.path()).unwrap();
        assert_eq!(meter.read(), Some(0));
        for zone in ["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"] {
            count(&folder, zone, "3000\n");
        }
        count(&folder, "intel-rapl:0:1", "57");
        assert_eq!(meter.read(), Some(2007));
        assert_eq!((meter.part("cpu, 2 threads"), meter.part("CUDA0 NVIDIA H200 (31/31 layers)")), (Some("cpu"), None));
    }

    #[test]
    fn a_counter_that_goes_round_counts_backwards() {
        let folder = machine();
        let meter = Powercap::at(folder.path()).unwrap();
        for (counted, total) in [("9990", 0), ("20", 30), ("20", 30), ("9999", 10_009), ("0", 10_010)] {
            count(&folder, "intel-rapl:0", counted);
            assert_eq!(meter.read(), Some(total), "at {counted}");
        }
    }

    #[test]
    fn a_counter_that_cannot_be_read_counts_nothing() {
        let folder = machine();
        let meter = Powercap::at(folder.path()).unwrap();
        count(&folder, "intel-rapl:0:1", "");
        assert_eq!(meter.read(), None);
        assert!(
            matches!(Powercap::at(folder.path()), Err(NoMeter::Unreadable { path, .. }) if path.contains("rapl:0:1"))
        );
        let nothing = tempfile::tempdir().unwrap();
        assert!(matches!(Powercap::at(nothing.path()), Err(NoMeter::Absent(_))));
        assert!(matches!(Powercap::at(nothing.path().join("none")), Err(NoMeter::Absent(_))));
    }
}
