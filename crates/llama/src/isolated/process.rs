//! The process of a model as its parent sees it: started with nothing of the program's secrets, spoken to in lines, and gone
//! when this is dropped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::isolated::ending::Ending;
use crate::isolated::wire::{self, LINE, Say, Tell};
use crate::isolated::{lines, log};

/// Is set in the process of a model, to the number of the protocol.
pub(crate) const ENV: &str = "PARKWAY_LLAMA_CHILD";
/// Its first argument, which says to people what it is.
const ARGUMENT: &str = "model-process";
/// How long a process that is to end has to do so by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Lines that may wait to be read by the process. Twice as many as there are requests at most, and some that can be left out.
const TO: usize = 2 * super::IN_FLIGHT + 64;
/// Lines that may wait to be looked at: few, since each may be long.
const FROM: usize = 16;
/// Lines of stderr that are kept as last words, how much of each, and for how long.
const WORDS: usize = 3;
const WORD: usize = 400;
const FRESH: Duration = Duration::from_secs(5);

/// What is passed on of the environment: where programs, libraries and temporary files are, and what concerns llama.cpp, OpenMP and
/// the drivers of GPUs.
const PASSED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "TEMP",
    "TMP",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "SYSTEMROOT",
    "LOCALAPPDATA",
    "USERPROFILE",
    "RUST_BACKTRACE",
];
const PASSED_PREFIXES: [&str; 16] = [
    "GGML_", "OMP_", "GOMP_", "KMP_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "ROCM_", "HSA_", "GPU_", "AMD_", "VK_",
    "MESA_", "MTL_", "XDG_",
];

/// What the process told.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A line about the request of this id, of so many bytes.
    Told(u64, Result<Tell, String>, usize),
    /// Something else than lines.
    Nonsense(String),
    /// It tells no more.
    Closed,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    to: Option<mpsc::Sender<String>>,
    from: mpsc::Receiver<Heard>,
    words: Arc<Mutex<Words>>,
}

impl Process {
    /// Starts a program as the process of a model.
    pub(crate) fn start(program: &Program, model: &str) -> Result<Self, String> {
        let mut child = program
            .command(model)
            .spawn()
            .map_err(|error| format!("`{}` cannot be started ({error})", program.path.display()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ((to, said), (told, from)) = (mpsc::channel(TO), mpsc::channel(FROM));
        let words = Arc::new(Mutex::new(Words::default()));
        // From here on dropping it ends the child.
        let process = Process { child, to: Some(to), from, words: Arc::clone(&words) };
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err("it has no pipes".into());
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(work).map_err(|error| error.to_string())
        };
        let (name, own) = (model.to_owned(), model.to_owned());
        spawn("parkway-model-in", Box::new(move || write(stdin, said)))?;
        spawn("parkway-model-out", Box::new(move || read(stdout, &told, &name)))?;
        spawn("parkway-model-err", Box::new(move || listen(stderr, &words, &own)))?;
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says something about a request; an error, with the cause, where it cannot be said in a line. Where nobody reads any more, or too
    /// slowly, it is `false`.
    pub(crate) fn say(&self, id: u64, said: &Say) -> Result<bool, String> {
        let line = wire::line(id, said)?;
        Ok(self.to.as_ref().is_some_and(|to| to.try_send(line).is_ok()))
    }

    /// What it tells next.
    pub(crate) async fn hear(&mut self) -> Heard {
        self.from.recv().await.unwrap_or(Heard::Closed)
    }

    /// How it ended, or is made to end.
    pub(crate) async fn end(&mut self) -> Ending {
        self.to = None;
        let deadline = Instant::now() + GRACE;
        let mut status = None;
        while status.is_none() && Instant::now() < deadline {
            status = self.child.try_wait().ok().flatten();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = status.or_else(|| self.kill());
        // What it wrote last may still be on its way.
        let deadline = Instant::now() + Duration::from_millis(300);
        while !self.words().ended && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ending { status, last_words: self.words().last() }
    }

    fn kill(&mut self) -> Option<std::process::ExitStatus> {
        // With what it may have started, such as a debugger. Ended already: then there is nothing to kill, and it is only waited for.
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    fn words(&self) -> std::sync::MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends when its stdin does.
        self.to = None;
        self.from.close();
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }
}

/// Which program is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    /// What it is called, where that is not its path.
    called: Option<OsString>,
}

impl Program {
    pub(crate) fn at(path: PathBuf) -> Self {
        Program { path, called: None }
    }

    /// This program, also where its file was replaced since.
    pub(crate) fn own() -> Result<Self, String> {
        let path = std::env::current_exe().map_err(|error| format!("this program does not know its file ({error})"))?;
        if cfg!(target_os = "linux") {
            return Ok(Program { called: Some(path.into_os_string()), path: "/proc/self/exe".into() });
        }
        Ok(Program::at(path))
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        self.called.as_ref().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    fn command(&self, model: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args([ARGUMENT, model]).env_clear();
        // Which asks a debugger, for as long as that takes; whoever wants it sets it to nothing.
        command.env("GGML_NO_BACKTRACE", "1");
        // Threads that wait for each other give way to other programs; see the command line's `spin.rs`.
        if ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"].into_iter().all(|name| std::env::var_os(name).is_none()) {
            command.env("GOMP_SPINCOUNT", "2000");
        }
        command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed)));
        command.env(ENV, wire::PROTOCOL.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            if let Some(called) = &self.called {
                command.arg0(called);
            }
            // A Ctrl-C is for the program, which ends its runs before it ends its models.
            command.process_group(0);
        }
        command
    }
}

fn is_passed(name: &str) -> bool {
    PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The last that was written to stderr.
#[derive(Debug, Default)]
struct Words {
    lines: VecDeque<(Instant, String)>,
    ended: bool,
}

impl Words {
    fn take(&mut self, line: &str) {
        if self.lines.len() == WORDS {
            self.lines.pop_front();
        }
        self.lines.push_back((Instant::now(), line[..line.floor_char_boundary(WORD)].to_owned()));
    }

    /// What is not so old that it has nothing to do with the end.
    fn last(&self) -> Option<String> {
        let fresh = self.lines.iter().filter(|(at, line)| at.elapsed() < FRESH && !line.is_empty());
        let lines: Vec<&str> = fresh.map(|(_, line)| line.as_str()).collect();
        (!lines.is_empty()).then(|| format!("`{}`", lines.join(" / ")))
    }
}

fn write(mut to: impl Write, mut said: mpsc::Receiver<String>) {
    while let Some(line) = said.blocking_recv() {
        // Nobody reads: then its end is heard.
        if to.write_all(line.as_bytes()).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

fn read(from: impl Read, told: &mpsc::Sender<Heard>, model: &str) {
    let mut from = BufReader::with_capacity(64 << 10, from);
    loop {
        let heard = match lines::read(&mut from, LINE) {
            Ok(None) => Heard::Closed,
            Ok(Some(line)) => match wire::parse(&line) {
                Ok((_, Ok(Tell::Log(line)))) => {
                    line.log(model);
                    continue;
                }
                Ok((id, tell)) => Heard::Told(id, tell, line.len()),
                Err(cause) => Heard::Nonsense(cause),
            },
            Err(error) => Heard::Nonsense(error.to_string()),
        };
        let is_last = !matches!(heard, Heard::Told(..));
        if told.blocking_send(heard).is_err() || is_last {
            return;
        }
    }
}

fn listen(from: impl Read, words: &Mutex<Words>, model: &str) {
    let words = || words.lock().unwrap_or_else(PoisonError::into_inner);
    let mut from = BufReader::new(from);
    while let Ok(Some(line)) = lines::read_text(&mut from, 4 << 10) {
        log::raw(model, &line);
        words().take(&line);
    }
    words().ended = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_the_environment_is_passed_on() {
        for name in
            ["OPENAI_KEY", "AWS_SECRET_ACCESS_KEY", "PARKWAY_MODEL_MAIN", "LLAMA_API_KEY", "HF_TOKEN", "LD_PRELOAD"]
        {
            assert!(!is_passed(name), "{name}");
        }
        for name in ["PATH", "CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "OMP_NUM_THREADS"] {
            assert!(is_passed(name), "{name}");
        }
    }

    #[test]
    fn words_of_long_ago_or_without_end_are_told_at_the_end() {
        let mut words = Words::default();
        assert_eq!(words.last(), None);
        for line in ["one", "two", "", "ggml.c:1: GGML_ASSERT(x) failed", &"é".repeat(WORD)] {
            words.take(line);
        }
        let last = words.last().unwrap();
        assert!(last.starts_with("`ggml.c:1: GGML_ASSERT(x) failed / éé") && last.len() < 500, "{last}");
        words.lines.iter_mut().for_each(|(at, _)| *at = at.checked_sub(FRESH).unwrap_or(*at));
        assert_eq!(words.last(), None);
    }
}
