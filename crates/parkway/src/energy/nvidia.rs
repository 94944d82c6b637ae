//! The counters of NVIDIA's GPUs, as their driver tells them (NVML). Its library is looked for when the program runs.

use nvml_wrapper::Nvml;

use super::{EnergyMeter, NoMeter};

/// The counters of all NVIDIA GPUs of the machine, whoever uses them; GPUs from Volta on have one.
#[derive(Debug)]
pub struct Nvidia {
    nvml: Nvml,
    gpus: u32,
}

impl Nvidia {
    /// The GPUs of this machine.
    ///
    /// # Errors
    ///
    /// [`NoMeter`], where there is no driver or no GPU, or one of them does not count.
    pub fn find() -> Result<Nvidia, NoMeter> {
        let absent = || NoMeter::Absent("NVML".into());
        let nvml = Nvml::init().map_err(|_| absent())?;
        let gpus = nvml.device_count().ok().filter(|gpus| *gpus > 0).ok_or_else(absent)?;
        let meter = Nvidia { nvml, gpus };
        for gpu in 0..gpus {
            let unreadable = |why: String| NoMeter::Unreadable { path: format!("of GPU {gpu}"), why };
            meter.millijoules(gpu).map_err(unreadable)?;
        }
        Ok(meter)
    }

    fn millijoules(&self, gpu: u32) -> Result<u64, String> {
        let device = self.nvml.device_by_index(gpu).map_err(|e| e.to_string())?;
        device.total_energy_consumption().map_err(|e| e.to_string())
    }
}

impl EnergyMeter for Nvidia {
    fn part(&self, device: &str) -> Option<&str> {
        (device.contains("NVIDIA") || device.starts_with("CUDA")).then_some("gpu")
    }

    fn read(&self) -> Option<u64> {
        let counted: Result<u64, String> = (0..self.gpus).map(|gpu| self.millijoules(gpu)).sum();
        counted.ok().map(|millijoules| millijoules.saturating_mul(1_000))
    }
}
