//! The devices that llama.cpp can compute on, and which of them a model gets.

use std::path::Path;
use std::sync::OnceLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::params::{LlamaModelParams, LlamaSplitMode};
use llama_cpp_2::{LlamaBackendDeviceType, LogOptions, list_llama_ggml_backend_devices, send_logs_to_tracing};

use crate::memory::Need;
use crate::turns::Cores;
use crate::{GpuLayers, GpuSplit, LlamaConfig, LoadError};

/// A device that this build of llama.cpp can compute on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Short name, for example `CPU` or `CUDA0`.
    pub name: String,
    /// What it is, for example `NVIDIA H200`.
    pub description: String,
    /// The backend that drives it, for example `CPU`, `CUDA`, `Vulkan`.
    pub backend: String,
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// All its memory, in bytes; for the CPU that of the machine.
    pub memory_total: u64,
    /// Its free memory when it was asked, in bytes.
    pub memory_free: u64,
}

/// The sort of a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// A unit that helps the processor and holds no layers of its own, such as a BLAS library or AMX.
    Accelerator,
    /// A graphics card with its own memory.
    Gpu,
    /// A graphics unit that shares the machine's memory.
    IntegratedGpu,
    /// Something that this version has no word for.
    Other,
}

/// The devices that this build can compute on, in llama.cpp's order. Touches the drivers, so it can take a moment.
pub fn devices() -> Vec<Device> {
    if let Err(cause) = backend() {
        tracing::warn!(cause, "llama.cpp did not start");
    }
    list_llama_ggml_backend_devices()
        .into_iter()
        .map(|device| Device {
            name: device.name,
            description: device.description,
            backend: device.backend,
            kind: match device.device_type {
                LlamaBackendDeviceType::Cpu => DeviceKind::Cpu,
                LlamaBackendDeviceType::Accelerator => DeviceKind::Accelerator,
                LlamaBackendDeviceType::Gpu => DeviceKind::Gpu,
                LlamaBackendDeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
                LlamaBackendDeviceType::Unknown => DeviceKind::Other,
            },
            memory_total: device.memory_total as u64,
            memory_free: device.memory_free as u64,
        })
        .collect()
}

/// The one backend of this process. It is never freed: models may come and go until the end. Its log goes to `tracing`.
pub(crate) fn backend() -> Result<&'static LlamaBackend, &'static str> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            send_logs_to_tracing(LogOptions::default());
            LlamaBackend::init().map_err(|cause| format!("{cause} by other code in this process"))
        })
        .as_ref()
        .map_err(String::as_str)
}

/// What loads a model on the CPU. llama.cpp is kept from the GPUs: it would take some of their memory even for no layer.
pub(crate) fn on_cpu() -> LlamaModelParams {
    restricted(0, &[])
}

/// What loads a model with so many layers on these devices and no other GPU.
fn restricted(gpu_layers: u32, devices: &[usize]) -> LlamaModelParams {
    let params = || LlamaModelParams::default().with_n_gpu_layers(gpu_layers);
    // Only more devices than llama.cpp counts up to are refused.
    params().with_devices(devices).unwrap_or_else(|_| params())
}

/// Where a model's layers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// GPUs that take part, as `CUDA0 NVIDIA H200`; empty on the CPU.
    gpus: Vec<String>,
    /// Their places in llama.cpp's list of devices, where they were chosen by name.
    chosen: Option<Vec<usize>>,
    /// Layers to offload, the output layer counted in; more than the model has means all.
    pub(crate) gpu_layers: u32,
    /// Bytes that the GPUs have free together; `None` where they do not tell.
    free: Option<u64>,
    /// Why it is not on the GPUs as a whole, where there is no room.
    short: Option<String>,
}

impl Placement {
    /// Decides where the layers of a model go on a machine with `devices`.
    pub(crate) fn choose(config: &LlamaConfig, devices: &[Device]) -> Result<Self, LoadError> {
        let (wanted, path) = (config.gpu_layers, &config.path);
        let chosen = match config.gpus.is_empty() {
            true => None,
            false => {
                let refused = |cause| LoadError::Config { path: path.clone(), cause };
                Some(named(&config.gpus, devices).map_err(refused)?)
            }
        };
        // As llama.cpp does: integrated units count only where there is no card.
        let of_kind = |kind| devices.iter().filter(move |device| device.kind == kind).collect::<Vec<_>>();
        let mut found = match &chosen {
            Some(chosen) => chosen.iter().map(|at| &devices[*at]).collect(),
            None => of_kind(DeviceKind::Gpu),
        };
        if found.is_empty() {
            found = of_kind(DeviceKind::IntegratedGpu);
        }
        let mut gpus: Vec<String> = found.iter().map(|device| label(device)).collect();
        let tell = found.iter().all(|device| device.memory_total > 0);
        let free = tell.then(|| found.iter().map(|device| device.memory_free).sum());
        let gpu_layers = match wanted {
            GpuLayers::Auto if gpus.is_empty() => 0,
            GpuLayers::Auto | GpuLayers::All => u32::MAX,
            GpuLayers::Count(layers) => layers,
        };
        if gpu_layers > 0 && gpus.is_empty() || wanted == GpuLayers::All && gpus.is_empty() {
            return Err(LoadError::NoGpu { path: path.clone() });
        }
        if gpu_layers == 0 {
            gpus.clear();
        }
        Ok(Placement { gpus, chosen, gpu_layers, free, short: None })
    }

    /// What loads the model so.
    pub(crate) fn params(&self, split: GpuSplit) -> LlamaModelParams {
        let params = match &self.chosen {
            _ if !self.on_gpu() => on_cpu(),
            Some(chosen) => restricted(self.gpu_layers, chosen),
            None => LlamaModelParams::default().with_n_gpu_layers(self.gpu_layers),
        };
        params.with_split_mode(match split {
            GpuSplit::Layers => LlamaSplitMode::Layer,
            GpuSplit::Rows => LlamaSplitMode::Row,
        })
    }

    /// Holds what the model at `path` needs against what the GPUs have free. [`GpuLayers::Auto`] takes as many layers as fit; of
    /// other numbers only what cannot be is refused, since a need is an estimate.
    pub(crate) fn fit(&mut self, wanted: GpuLayers, need: &Need, path: &Path) -> Result<(), LoadError> {
        let Some(free) = self.free.filter(|_| self.on_gpu()) else { return Ok(()) };
        let (held, gpus) = (need.of_layers(self.gpu_layers), self.gpus.join(" + "));
        let (needed_mib, free_mib) = ((held + need.work) >> 20, free >> 20);
        tracing::info!(gpus, needed_mib, free_mib, "memory that the model needs, by estimate");
        if held + need.work > free && wanted == GpuLayers::Auto {
            self.gpu_layers = need.layers_in(free);
            self.short = Some(format!("{needed_mib} MiB needed for all, {free_mib} MiB free"));
            let layers = self.gpu_layers;
            tracing::warn!(gpus, needed_mib, free_mib, layers, "only so many layers fit on the GPU");
        } else if held > free {
            return Err(LoadError::NoMemory { path: path.to_owned(), gpus, needed_mib, free_mib });
        }
        Ok(())
    }

    /// Whether anything runs on a GPU.
    pub(crate) fn on_gpu(&self) -> bool {
        !self.gpus.is_empty() && self.gpu_layers > 0
    }

    /// The cores that a batch of a model with so many layers takes, the output layer counted in.
    pub(crate) fn cores(&self, layers: u32, threads: usize) -> Cores {
        if self.on_gpu() && self.gpu_layers >= layers { Cores::NONE } else { Cores::of(threads) }
    }

    /// For people: `cpu, 2 threads` or `CUDA0 NVIDIA H200 (31/31 layers)`. `layers` counts the output layer in.
    pub(crate) fn describe(&self, layers: u32, threads: usize) -> String {
        let gpus = self.gpus.join(" + ");
        let short = self.short.as_ref();
        if self.on_gpu() {
            let short = short.map_or(String::new(), |short| format!("; {short}"));
            return format!("{gpus} ({}/{layers} layers{short})", self.gpu_layers.min(layers));
        }
        let short = short.map_or(String::new(), |short| format!(" (no room on {gpus}: {short})"));
        format!("cpu, {threads} {}{short}", if threads == 1 { "thread" } else { "threads" })
    }
}

/// GPUs that can be named for a model: llama.cpp's list of them ends with an empty place, and this wrapper's has 16.
const NAMED: usize = 15;

/// Where the GPUs of these names stand among `devices`, each once.
fn named(names: &[String], devices: &[Device]) -> Result<Vec<usize>, String> {
    let gpu = |device: &Device| matches!(device.kind, DeviceKind::Gpu | DeviceKind::IntegratedGpu);
    let mut places = Vec::new();
    for name in names {
        let place = devices.iter().position(|device| gpu(device) && device.name.eq_ignore_ascii_case(name));
        let Some(place) = place else {
            let known: Vec<&str> = devices.iter().filter(|device| gpu(device)).map(|device| &*device.name).collect();
            return Err(match known.is_empty() {
                true => format!(
                    "`gpus` names `{name}`, but this build of Parkway sees no GPU; leave `gpus` out, or take a build with the feature `cuda`, `vulkan`, `metal` or `rocm`"
                ),
                false => format!("`gpus` names `{name}`, which is no GPU here; there are {}", known.join(", ")),
            });
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if places.len() > NAMED {
        return Err(format!("`gpus` names {} GPUs; at most {NAMED} can share a model", places.len()));
    }
    Ok(places)
}

fn label(device: &Device) -> String {
    format!("{} {}", device.name, device.description).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(wanted: GpuLayers, devices: &[Device]) -> Result<Placement, LoadError> {
        Placement::choose(&LlamaConfig::new("m.gguf".into()).gpu_layers(wanted), devices)
    }

    fn device(name: &str, kind: DeviceKind) -> Device {
        Device {
            name: name.into(),
            description: "NVIDIA H200".into(),
            backend: "CUDA".into(),
            kind,
            memory_total: 1,
            memory_free: 1,
        }
    }

    #[test]
    fn all_layers_without_a_gpu_is_an_error_and_auto_is_not() {
        let path = Path::new("m.gguf");
        let cpu = [device("CPU", DeviceKind::Cpu), device("BLAS", DeviceKind::Accelerator)];
        assert_eq!(choose(GpuLayers::All, &cpu), Err(LoadError::NoGpu { path: path.to_owned() }));
        assert!(choose(GpuLayers::Count(3), &cpu).is_err());
        let placement = choose(GpuLayers::Auto, &cpu).unwrap();
        assert_eq!((placement.gpu_layers, placement.on_gpu()), (0, false));
        assert_eq!(placement.describe(31, 2), "cpu, 2 threads");
        assert_eq!(placement.describe(31, 1), "cpu, 1 thread");
    }

    #[test]
    fn the_layers_shown_are_those_that_were_offloaded() {
        let gpu = [device("CPU", DeviceKind::Cpu), device("CUDA0", DeviceKind::Gpu)];
        let describe = |wanted| choose(wanted, &gpu).unwrap().describe(31, 2);
        assert_eq!(describe(GpuLayers::Auto), "CUDA0 NVIDIA H200 (31/31 layers)");
        assert_eq!(describe(GpuLayers::All), "CUDA0 NVIDIA H200 (31/31 layers)");
        assert_eq!(describe(GpuLayers::Count(7)), "CUDA0 NVIDIA H200 (7/31 layers)");
        assert_eq!(describe(GpuLayers::Count(0)), "cpu, 2 threads");
    }

    #[test]
    fn a_model_that_does_not_fit_is_loaded_anyway() {
        const GIB: u64 = 1 << 30;
        let path = Path::new("m.gguf");
        let card = |free| Device { memory_total: 8 * GIB, memory_free: free, ..device("CUDA0", DeviceKind::Gpu) };
        let need = Need { layers: 30, layer: GIB / 4, output: GIB / 2, cache: 0, work: GIB / 2 };
        let fit = |wanted, cards: &[Device]| {
            let mut placement = choose(wanted, cards).unwrap();
            placement.fit(wanted, &need, path).map(|()| placement)
        };
        let describe = |placement: Result<Placement, _>| placement.unwrap().describe(31, 2);
        let some = describe(fit(GpuLayers::Auto, &[card(2 * GIB)]));
        assert_eq!(some, "CUDA0 NVIDIA H200 (5/31 layers; 8704 MiB needed for all, 2048 MiB free)");
        let none = fit(GpuLayers::Auto, &[card(GIB / 2)]).unwrap();
        assert!(!none.on_gpu());
        let told = "cpu, 2 threads (no room on CUDA0 NVIDIA H200: 8704 MiB needed for all, 512 MiB free)";
        assert_eq!(none.describe(31, 2), told);

        let error = fit(GpuLayers::All, &[card(2 * GIB)]).unwrap_err();
        let told = LoadError::NoMemory {
            path: path.to_owned(),
            gpus: "CUDA0 NVIDIA H200".into(),
            needed_mib: 8_704,
            free_mib: 2_048,
        };
        assert_eq!(error, told);
        // It would fit but for what is computed with: llama.cpp may try.
        assert!(
            fit(GpuLayers::Count(7), &[card(2 * GIB)]).is_ok() && fit(GpuLayers::Count(8), &[card(2 * GIB)]).is_err()
        );
        // Two cards hold it together, and one that does not tell its memory is believed to.
        assert_eq!(describe(fit(GpuLayers::All, &[card(4 * GIB), card(5 * GIB)])).matches("31/31").count(), 1);
        assert!(fit(GpuLayers::All, &[Device { memory_total: 0, ..card(0) }]).is_ok());
    }

    #[test]
    fn only_the_gpus_that_are_named_take_part() {
        const GIB: u64 = 1 << 30;
        let card = |name, kind, free| Device { memory_total: 8 * GIB, memory_free: free, ..device(name, kind) };
        let machine = [
            card("CPU", DeviceKind::Cpu, GIB),
            card("CUDA0", DeviceKind::Gpu, GIB),
            card("CUDA1", DeviceKind::Gpu, 2 * GIB),
            card("Vulkan0", DeviceKind::IntegratedGpu, 4 * GIB),
        ];
        let choose = |names: &[&str], machine: &[Device]| {
            let config = LlamaConfig::new("m.gguf".into()).gpus(names.iter().copied());
            Placement::choose(&config, machine)
        };
        let placed = |names: &[&str]| {
            let placement = choose(names, &machine).unwrap();
            (placement.chosen, placement.free.unwrap() / GIB)
        };
        assert_eq!(placed(&[]), (None, 3));
        assert_eq!(placed(&["CUDA1"]), (Some(vec![2]), 2));
        assert_eq!(placed(&["cuda1", "CUDA0", "CUDA1"]), (Some(vec![2, 1]), 3));
        assert_eq!(placed(&["Vulkan0"]), (Some(vec![3]), 4));
        assert_eq!(choose(&["CUDA1"], &machine).unwrap().describe(31, 2), "CUDA1 NVIDIA H200 (31/31 layers)");

        let refused = |names: &[&str], machine: &[Device]| choose(names, machine).unwrap_err().to_string();
        let told = "`gpus` names `CPU`, which is no GPU here; there are CUDA0, CUDA1, Vulkan0";
        assert!(refused(&["CUDA1", "CPU"], &machine).ends_with(told));
        assert!(refused(&["CUDA0"], &machine[..1]).contains("sees no GPU; leave `gpus` out"));
        let names: Vec<String> = (0..16).map(|n| format!("CUDA{n}")).collect();
        let many: Vec<Device> = names.iter().map(|name| card(name, DeviceKind::Gpu, GIB)).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        assert!(refused(&names, &many).ends_with("names 16 GPUs; at most 15 can share a model"));
        assert!(choose(&names[1..], &many).is_ok());
    }

    #[test]
    fn a_model_on_a_gpu_alone_waits_for_those_on_the_cpu() {
        let gpu = [device("CPU", DeviceKind::Cpu), device("CUDA0", DeviceKind::Gpu)];
        let cores = |wanted| choose(wanted, &gpu).unwrap().cores(31, 1);
        assert_eq!([GpuLayers::Auto, GpuLayers::All, GpuLayers::Count(31)].map(cores), [Cores::NONE; 3]);
        assert_eq!([GpuLayers::Count(30), GpuLayers::Count(0)].map(cores), [Cores::of(1); 2]);
    }
}
