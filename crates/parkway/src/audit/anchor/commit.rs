//! The working tree of a git repository, whose history keeps heads, and the place that it is pushed to.

use std::env;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use super::super::Head;
use super::append;

/// The most characters of what git says that are told.
const MOST: usize = 400;

/// Variables by which git would work on another repository than that of the folder: a hook of git may have started this program.
const ELSEWHERE: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Writes a head to a file of the folder, commits this file alone, and pushes the branch if it has an upstream. What was done before by
/// one who was killed is not done twice.
pub(super) async fn keep(folder: &Path, name: &str, head: &Head, note: &str, until: Instant) -> Result<String, String> {
    let git = Git { folder, until };
    let (within, path) = git.repository().await?;
    if !within {
        return Err("it is in no working tree of git: a folder of a repository that is not bare is needed".into());
    }
    for ident in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
        git.done(&["var", ident]).await.map_err(|why| {
            let set = format!("git -C {} config", folder.display());
            match why.contains("tell me who you are") {
                true => format!("git knows no author: `{set} user.name NAME`, `{set} user.email ADDRESS`"),
                false => why,
            }
        })?;
    }
    // Two that commit at once are in each other's way: git does not wait.
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("parkway.lock"));
    let file = file.map_err(|e| format!("nothing can be written to its repository: {e}"))?;
    let _turn = append::lock(file, until).await?;
    append::keep(&folder.join(name), note, until).await?;
    let uncommitted = |why| format!("the head is written to {name} there, and not committed: {why}");
    git.done(&["add", "--force", "--", name]).await.map_err(uncommitted)?;
    let changed = git.done(&["status", "--porcelain", "--", name]).await.map_err(uncommitted)?;
    if !changed.is_empty() {
        let message = format!("Head of {}: {} events", head.origin, head.size);
        // A signature of the commit might have to be asked for; the head has its own.
        let commit = ["commit", "--quiet", "--no-gpg-sign", "-m", &message, "--only", "--", name];
        git.done(&commit).await.map_err(uncommitted)?;
    }
    git.push().await
}

struct Git<'a> {
    folder: &'a Path,
    until: Instant,
}

impl Git<'_> {
    /// Whether the folder is in a working tree, and where its repository lies.
    async fn repository(&self) -> Result<(bool, std::path::PathBuf), String> {
        if !self.folder.is_dir() {
            return Err("there is no such folder".into());
        }
        let asked = ["rev-parse", "--is-inside-work-tree", "--absolute-git-dir"];
        let told = self.done(&asked).await.map_err(|why| match why.contains("not a git repository") {
            true => format!("it is in no git repository; make one: `git init {}`", self.folder.display()),
            false => why,
        })?;
        let (within, path) = told.split_once('\n').unwrap_or_default();
        Ok((within == "true", path.into()))
    }

    async fn push(&self) -> Result<String, String> {
        let committed = format!("committed in {}", self.folder.display());
        // Without a branch, or an upstream of it, there is nowhere to push to.
        let Ok(branch) = self.done(&["symbolic-ref", "--quiet", "HEAD"]).await else { return Ok(committed) };
        let format = "--format=%(upstream:remotename) %(upstream:remoteref)";
        let upstream = self.done(&["for-each-ref", format, &branch]).await?;
        let Some((remote, there)) =
            upstream.split_once(' ').filter(|(remote, there)| !remote.is_empty() && !there.is_empty())
        else {
            return Ok(committed);
        };
        let way = self.done(&["push", "--quiet", remote, &format!("{branch}:{there}")]).await;
        way.map(|_| format!("{committed}, and pushed to {remote}")).map_err(|why| {
            let pull = format!("git -C {} pull --rebase", self.folder.display());
            format!(
                "the head is committed there, and not pushed to {remote}: {why}; it goes with the next one, or by hand; where others have \
                 pushed before, `{pull}` is needed first"
            )
        })
    }

    /// What git says, if it does this.
    async fn done(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new("git");
        // The objects of a commit are on disk when it has ended.
        command.arg("-C").arg(self.folder).args(["-c", "core.fsync=committed"]).args(args);
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        // It asks nobody anything, neither here nor in a window.
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "").env("GCM_INTERACTIVE", "never");
        command.env("SSH_ASKPASS_REQUIRE", "never").env("LC_ALL", "C").stdin(Stdio::null());
        if args.first() == Some(&"push")
            && let Some(ssh) = self.ssh().await
        {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| match error.kind() {
                ErrorKind::NotFound => "git is not there: install it, or keep heads in a file (`--append`)".to_owned(),
                _ => format!("git cannot be started: {error}"),
            })?;
        let process = child.id();
        let output = timeout_at(self.until, child.wait_with_output()).await.map_err(|_| {
            process.into_iter().for_each(stop);
            format!("`git {}` did not end in time; it may have waited for an answer that nobody gives", args[0])
        })?;
        let Output { status, stdout, stderr } = output.map_err(|error| format!("git cannot be heard: {error}"))?;
        match status.success() {
            true => Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned()),
            false => Err(words(&String::from_utf8_lossy(&stderr))),
        }
    }

    /// How ssh is called so that it asks nothing; `None` where another program is in its place.
    async fn ssh(&self) -> Option<String> {
        let said = match env::var("GIT_SSH_COMMAND") {
            Ok(said) => Some(said),
            Err(_) => Box::pin(self.done(&["config", "--get", "core.sshCommand"])).await.ok(),
        };
        let said =
            said.filter(|said| !said.is_empty()).or_else(|| env::var_os("GIT_SSH").is_none().then(|| "ssh".into()))?;
        let program = Path::new(said.split_whitespace().next()?).file_stem()?;
        (program == "ssh").then(|| format!("{said} -o BatchMode=yes"))
    }
}

/// Has git end. It is asked to, so that it takes its locks away; it is killed neither here nor with this program.
fn stop(process: u32) {
    #[cfg(unix)]
    if let Some(process) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = process;
}

/// What git says, on one line: without its advice, and of addresses without what may be secret in them.
fn words(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    let line = lines.collect::<Vec<_>>().join("; ");
    let words: String = line.split(' ').map(plain).collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().filter(|c| !c.is_control()).take(MOST).collect();
    match shown.is_empty() {
        true => "git does not say why".into(),
        false if words.chars().count() > MOST => format!("git says: {shown}…"),
        false => format!("git says: {shown}"),
    }
}

fn plain(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    // A password may have slashes in it.
    let rest = rest.rsplit('@').next().unwrap_or_default();
    match rest.split_once(['?', '#']) {
        Some((place, _)) => format!("{scheme}://{place}?…"),
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_of_a_remote_is_told() {
        let said = "remote: no\nhint: pull first\nfatal: Authentication failed for 'https://ada:s3cret@git.example/heads.git/?k=s3cret'\n";
        let told = words(said);
        assert_eq!(told, "git says: remote: no; fatal: Authentication failed for 'https://git.example/heads.git/?…");
        // A slash in a password ends no host.
        assert!(!words("fatal: https://ada:s3/cret@git.example/x").contains("cret"));
    }
}
