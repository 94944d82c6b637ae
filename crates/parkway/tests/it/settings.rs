//! Settings of the site: layers, places, bounds, and what is wrong with them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parkway::embedder::{Embedder, EmbedderInfo, Embeddings};
use parkway::log::{Channel, Verdict};
use parkway::memory::{Author, Content};
use parkway::model::ModelError;
use parkway::settings::{SecretSource, Settings, Sources};
use parkway::{Error, Parkway, Reopening, RunOptions, Workflow, inputs};
use tempfile::TempDir;

/// A machine with a project on it.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(project: &str) -> Site {
        let site = Site { folder: crate::kept::folder().unwrap() };
        fs::create_dir(site.path("project")).unwrap();
        fs::write(site.path("project/parkway.toml"), project).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn write(self, name: &str, text: &str) -> Site {
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn sources(&self) -> Sources {
        let mut sources = Sources::none(self.path("project")).project(self.path("project"));
        if self.path("user.toml").is_file() {
            sources = sources.user(self.path("user.toml"));
        }
        if self.path("system.toml").is_file() {
            sources = sources.system(self.path("system.toml"));
        }
        sources
    }

    fn load(&self) -> Settings {
        self.loaded(self.sources())
    }

    fn loaded(&self, sources: Sources) -> Settings {
        Settings::load(sources).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every setting, with its place and what it overrides.
    fn list(&self, settings: &Settings) -> String {
        let mut text = String::new();
        for setting in settings.list() {
            write!(text, "{} = {}  ({})", setting.key, setting.value, setting.origin).unwrap();
            for (value, origin) in &setting.over {
                write!(text, "  over {value} ({origin})").unwrap();
            }
            text.push('\n');
        }
        self.redacted(&text)
    }

    fn redacted(&self, text: &str) -> String {
        text.replace(&self.path("").display().to_string(), "/")
    }

    fn wrong(&self, sources: Sources) -> String {
        let error = Settings::load(sources).unwrap_err();
        assert_eq!(error.code(), "settings");
        self.redacted(&error.to_string())
    }

    async fn parkway(&self) -> Parkway {
        Parkway::builder().settings(self.load()).store("sqlite::memory:").build().await.unwrap()
    }
}

const LAYERED: &str = r#"
store = "sqlite:here.db"
roots = ["data", "out"]

[models.main]
gguf = { name = "small" }
context = 4096

[secrets]
TOKEN = { env = "PROJECT_TOKEN" }

[[policy]]
match = { tool = "files.*" }
verdict = "ask"

[profile.prod.models.main]
gguf = { path = "models/large.gguf" }

[profile.prod]
roots = ["data"]
"#;

const USER: &str = r#"
store = "sqlite:user.db"
egress = ["api.example.com"]
[models.main]
context = 2048
gpu_layers = "all"
[models.other]
gguf = { path = "my.gguf" }
[profile.prod]
env = ["HOME"]
"#;

const SYSTEM: &str = r#"
roots = ["/srv"]
[secrets]
TOKEN = { file = "token" }
[[policy]]
match = { effect = "at_most_once" }
verdict = "deny"
"#;

#[test]
fn the_nearest_layer_goes_before_the_others_and_bounds_add_up() {
    let site = Site::new(LAYERED).write("user.toml", USER).write("system.toml", SYSTEM);
    let plain = site.list(&site.load());
    let prod = site.list(&site.loaded(site.sources().profile("prod")));
    let said = site.sources().variable("PARKWAY_MODEL_MAIN", "env-model").variable("PARKWAY_STORE", "sqlite:env.db");
    let said = site.list(&site.loaded(said.model("other", "/abs/o.gguf").store("sqlite:flag.db")));
    insta::assert_snapshot!(format!("no profile\n{plain}\nprofile prod\n{prod}\nvariables and flags\n{said}"));
}

#[test]
fn everything_wrong_with_a_file_is_told_at_once_and_where_it_stands() {
    let site = Site::new(
        r#"stroe = "sqlite:a.db"
store = "postgres://x"
roots = "data"
env = ["HOME", 3]
[models.main]
gguf = { nmae = "x" }
contxt = 3
context = "many"
[models]
other = 3
[secrets]
A = { env = "A", file = "b" }
B = 5
[[policy]]
match = { tol = "x" }
verdict = "ask"
[[policy]]
match = { tool = "x" }
verdict = "alow"
[[policy]]
match = { tool = "x", args = { path = "(" } }
verdict = "deny"
[[policy]]
match = { tool = "files.*" }
verdict = "deny"
examples = [{ tool = "text.find" }]
[profile.prod]
profile = {}
roots = [""]
egress = ["example.com/path"]
"#,
    );
    let site = site.write("user.toml", "egres = []\n");
    insta::assert_snapshot!(site.wrong(site.sources()));
}

#[test]
fn a_file_that_is_no_toml_is_told_where() {
    let site = Site::new("store = \"sqlite:a.db\nroots = [\n\u{1b}[31m = 3\n");
    insta::assert_snapshot!(site.wrong(site.sources()));
    let site = Site::new("a = 1\na = 2\n");
    insta::assert_snapshot!(site.wrong(site.sources()));
}

#[test]
fn a_secret_that_stands_in_a_file_is_refused_and_not_quoted() {
    let site = Site::new("[secrets]\nTOKEN = \"hunter2\"\n");
    let wrong = site.wrong(site.sources());
    assert!(wrong.contains("error[inline-secret]: the secret `TOKEN` stands in line 2"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn a_mistyped_profile_is_not_taken_for_none() {
    let site = Site::new(LAYERED);
    let wrong = site.wrong(site.sources().profile("prd"));
    assert!(wrong.contains("no profile is called `prd`") && wrong.contains("did you mean `prod`?"), "{wrong}");
    let wrong = site.wrong(site.sources().variable("PARKWAY_PROFILE", "dev"));
    assert!(wrong.contains("$PARKWAY_PROFILE"), "{wrong}");
    let wrong = Site::new("").wrong(site.sources().profile("x").project(site.path("")));
    assert!(wrong.contains("[profile.x]"), "{wrong}");
}

#[test]
fn a_binding_that_names_nothing_is_refused() {
    let site = Site::new("");
    for (name, source) in [("main", ""), ("", "x"), ("ma in", "x")] {
        let wrong = site.wrong(site.sources().model(name, source));
        assert!(wrong.contains("binds no model"), "{wrong}");
    }
}

#[test]
fn a_secret_is_read_from_its_source_and_only_from_there() {
    let site =
        Site::new("[secrets]\nTOKEN = { file = \"token\" }\nPATHS = { env = \"PATH\" }\nNONE = { file = \"none\" }\n");
    let site = site.write("project/token", "hunter2\n");
    let settings = site.load();
    assert_eq!(settings.secret("TOKEN").unwrap(), "hunter2");
    assert_eq!(settings.secret("PATHS").unwrap(), std::env::var("PATH").unwrap());
    assert_eq!(settings.secret_source("TOKEN"), Some(SecretSource::File("token".into())));
    for (name, says) in [("NONE", "cannot be read"), ("OTHER", "no source is named for the secret `OTHER`")] {
        let error = settings.secret(name).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_embedder_that_cannot_be_is_told() {
    let site = Site::new("embedder = \"vectors\"\n[models.vectors]\ngguf = { path = \"vectors.gguf\" }\n");
    let warnings = site.load().warnings();
    assert!(warnings[0].contains("`vectors`") && warnings[0].contains("no file is called"), "{warnings:?}");
    fs::write(site.path("project/vectors.gguf"), "").unwrap();
    assert_eq!(site.load().warnings(), Vec::<String>::new());
    let settings = Site::new("embedder = \"vectors\"\n").load();
    let error = Parkway::builder().settings(settings).store("sqlite::memory:").build().await.unwrap_err();
    assert!(error.to_string().contains("parkway.toml:1) has no source"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let site = Site::new("[secrets]\nTOKEN = { file = \"token\" }\n").write("project/token", "x");
    let mode = |mode| fs::set_permissions(site.path("project/token"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let warnings = site.load().warnings();
    assert!(warnings[0].contains("`TOKEN`") && warnings[0].contains("chmod 600"), "{warnings:?}");
    mode(0o600);
    assert!(site.load().warnings().is_empty());
}

#[test]
fn a_layer_further_away_is_not_widened_by_a_nearer_one() {
    let site = Site::new("env = [\"HOME\", \"TOKEN\"]\n").write("system.toml", "env = [\"HOME\", \"LANG\"]\n");
    let settings = site.load();
    assert!(settings.may_read_env("HOME"));
    assert!(!settings.may_read_env("TOKEN") && !settings.may_read_env("LANG"));
    assert!(Site::new("").load().may_read_env("ANY"));
}

const FILES: &str = "parkway: 1\ntools:\n  files: { read: [data], write: [out/deep] }\nsteps:\n  list: { tool: files.list, with: { folder: data } }\n";

#[tokio::test]
async fn a_workflow_cannot_grant_itself_what_lies_out_of_bounds() {
    let workflow = Workflow::from_source("flow.yaml", FILES).unwrap();
    assert!(Site::new("roots = [\"data\", \"out\"]\n").parkway().await.check(&workflow).is_ok());
    let site = Site::new("roots = [\"data\"]\n");
    let error = site.parkway().await.check(&workflow).unwrap_err().to_string();
    assert!(error.contains("error[out-of-bounds]") && error.contains("flow.yaml:3:3"), "{error}");
    assert!(error.contains("`out/deep`") && error.contains("`data`"), "{error}");
}

#[tokio::test]
async fn the_bounds_hold_for_every_family_of_tools() {
    let refused = async |bounds: &str, grants: &str| {
        let yaml = format!("parkway: 1\ntools:\n  {grants}\nsteps: {{ a: {{ set: {{ x: 1 }} }} }}\n");
        let workflow = Workflow::from_source("flow.yaml", &yaml).unwrap();
        let checked = Site::new(bounds).parkway().await.check(&workflow);
        checked.err().map(|error| error.to_string())
    };
    let roots = "roots = [\"data\"]\n";
    for (grants, wrong) in [
        ("git: { read: [data/repo] }", None),
        ("git: { read: [.] }", Some("`.`")),
        ("sql: { databases: { shop: { sqlite: data/shop.db } } }", None),
        ("sql: { databases: { shop: { sqlite: private/shop.db, write: true } } }", Some("`private/shop.db`")),
        ("files: { write: [out] }", Some("`out`")),
    ] {
        let told = refused(roots, grants).await;
        assert_eq!(told.is_some(), wrong.is_some(), "{grants}: {told:?}");
        let (told, wrong) = (told.unwrap_or_default(), wrong.unwrap_or_default());
        assert!(told.contains(wrong) && (wrong.is_empty() || told.contains("error[out-of-bounds]")), "{told}");
    }
    let egress = "egress = [\"*.example.com\", \"http://10.0.0.1:8080\"]\n";
    for (grants, inside) in [
        ("http: { get: [api.example.com] }", true),
        ("http: { get: [\"http://10.0.0.1:8080\"], private: [10.0.0.0/8] }", true),
        ("http: { get: [api.example.com], send: [example.org] }", false),
        ("http: { get: [\"*\"] }", false),
        ("notify: { send: [hooks.example.com] }", true),
        ("notify: { send: [hooks.example.com], status: \"https://elsewhere.org/{key}\" }", false),
        ("notify: {}", true),
        ("http: { get: [\"http://10.0.0.1:8081\"], private: [10.0.0.0/8] }", false),
    ] {
        let told = refused(egress, grants).await;
        assert_eq!(told.is_none(), inside, "{grants}: {told:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_called_workflow_does_not_leave_the_bounds_by_a_link() {
    let site = Site::new("roots = [\"data\"]\n");
    fs::create_dir_all(site.path("project/data")).unwrap();
    fs::create_dir(site.path("private")).unwrap();
    std::os::unix::fs::symlink("../../private", site.path("project/data/link")).unwrap();
    let child = "parkway: 1\ntools: { files: { read: [data/link] } }\nsteps: { list: { tool: files.list, with: { folder: data/link } } }\n";
    let parkway = site.parkway().await;
    for own_run in ["", ", own_run: true"] {
        let yaml = format!(
            "parkway: 1\ntools: {{ files: {{ read: [data] }} }}\nsteps: {{ call: {{ workflow: child.yaml{own_run} }} }}\n"
        );
        fs::write(site.path("project/child.yaml"), child).unwrap();
        fs::write(site.path("project/flow.yaml"), yaml).unwrap();
        let workflow = Workflow::from_path(site.path("project/flow.yaml")).unwrap();
        let told = parkway.check(&workflow).unwrap_err().to_string();
        assert!(told.contains("error[out-of-bounds]: `data/link` is granted"), "{told}");
        fs::write(site.path("project/child.yaml"), child.replace("data/link", "data/deep")).unwrap();
        let workflow = Workflow::from_path(site.path("project/flow.yaml")).unwrap();
        parkway.check(&workflow).unwrap_or_else(|told| panic!("{told}"));
    }
}

#[tokio::test]
async fn a_run_goes_on_only_where_the_site_still_allows_what_it_is_granted() {
    let (wide, narrow) = (Site::new(""), Site::new("roots = [\"data\"]\n"));
    let store = format!("sqlite:{}", wide.path("runs.db").display());
    let engine = async |site: &Site| Parkway::builder().settings(site.load()).store(&store).build().await.unwrap();
    let first = engine(&wide).await;
    let yaml = "parkway: 1\ntools: { files: { write: [out] } }\nsteps:\n  one: { set: { n: 1 } }\n  ask: { needs: [one], approve: { prompt: Go? } }\n";
    let workflow = Workflow::from_source("flow.yaml", yaml).unwrap();
    let leave = || {
        let mut options = RunOptions::default();
        options.stay = false;
        options
    };
    let run = first.start_with(workflow, inputs! {}, leave()).await.unwrap();
    run.wait().await.unwrap();
    let second = engine(&narrow).await;
    let refused = |error: Error| {
        assert_eq!(error.code(), "out_of_place");
        assert!(error.to_string().contains("`out` is granted, and lies outside"), "{error}");
    };
    refused(second.resume(run.id(), leave()).await.unwrap_err());
    let fork = second.fork(run.id(), "ask").await.unwrap();
    refused(second.start_fork(fork, "ada", Channel::Program, leave()).await.unwrap_err());
    let no = (Verdict::Rejected, None, "ada".to_owned(), Channel::Program);
    first.answer(run.id(), "ask".parse().unwrap(), no.0, no.1, no.2, no.3).await.unwrap();
    first.resume(run.id(), leave()).await.unwrap().wait().await.unwrap();
    refused(second.retry(run.id(), Reopening::new("ada", Channel::Program), leave()).await.unwrap_err());
}

#[tokio::test]
async fn a_plan_records_what_applied_and_a_change_shows() {
    let workflow = Workflow::from_source("flow.yaml", FILES).unwrap();
    let hash = async |site: &Site| site.parkway().await.check(&workflow).unwrap().settings.unwrap();
    let (none, asks) = (Site::new(""), Site::new("[[policy]]\nmatch = {}\nverdict = \"ask\"\n"));
    assert_eq!(hash(&none).await, hash(&Site::new("store = \"sqlite:other.db\"\n")).await);
    assert_ne!(hash(&none).await, hash(&asks).await);
    let plain = Parkway::builder().store("sqlite::memory:").build().await.unwrap();
    assert_eq!(plain.check(&workflow).unwrap().settings, None);
}

#[tokio::test]
async fn a_site_binds_models_before_a_workflow_does() {
    let yaml = "parkway: 1\nmodels: { main: { gguf: { name: small }, context: 1024 } }\nsteps:\n  ask: { chat: { model: main, prompt: hi } }\n";
    let workflow = Workflow::from_source("flow.yaml", yaml).unwrap();
    let site = Site::new("[models.main]\ngguf = { path = \"models/large.gguf\" }\n");
    let main = &site.parkway().await.check(&workflow).unwrap().models["main"];
    let gguf = main.gguf.as_ref().unwrap();
    assert_eq!((gguf.name.as_deref(), gguf.path.as_deref()), (None, Some("models/large.gguf")));
    assert_eq!(main.context, Some(1024));
}

#[tokio::test]
async fn adapters_and_timeouts_are_of_the_site_too() {
    let site = Site::new(
        "[models.main]\ngguf = { path = \"a.gguf\" }\nadapters = { brief = { path = \"far.gguf\", scale = 0.25 }, near = \"near.gguf\" }\n\n[models.far]\nopenai = { url = \"http://localhost/v1\", model = \"m\", timeouts = { first_byte = \"15m\" } }\n",
    );
    let yaml = "parkway: 1\nmodels: { main: {}, far: {} }\nsteps:\n  ask: { chat: { model: main, prompt: hi } }\n  then: { chat: { model: far, prompt: hi } }\n";
    let workflow = Workflow::from_source("flow.yaml", yaml).unwrap();
    let models = site.parkway().await.check(&workflow).unwrap().models;
    let adapters = &models["main"].adapters;
    assert_eq!((adapters["brief"].path.as_str(), adapters["brief"].scale_milli), ("far.gguf", 250));
    assert_eq!((adapters["near"].path.as_str(), adapters["near"].scale_milli), ("near.gguf", 1_000));
    assert_eq!(models["far"].openai.as_ref().unwrap().timeouts.first_byte, Some(Duration::from_secs(900)));
    for (wrong, says) in [
        ("adapters = { brief = { path = \"a\", scale = 1e9 } }", "that scale makes no sense"),
        (
            "adapters = { brief = { path = \"a\", strength = 1.0 } }",
            "an adapter is the path of a file, or `{ path, scale }`",
        ),
        ("openai = { url = \"http://x/v1\", model = \"m\", timeouts = { connect = \"15\" } }", "`15` is no duration"),
    ] {
        let site = Site::new(&format!("[models.main]\n{wrong}\n"));
        let error = Settings::load(site.sources()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn the_sites_rules_are_heard_before_a_run() {
    let site = Site::new("[[policy]]\nmatch = { tool = \"files.list\" }\nverdict = \"deny\"\n");
    let workflow = Workflow::from_source("flow.yaml", FILES).unwrap();
    let refused = site.parkway().await.start(workflow, parkway::inputs! {}).await.unwrap_err();
    let Error::Invalid(problems) = refused else { panic!("{refused}") };
    assert_eq!(problems.list[0].code, "denied");
    assert!(problems.list[0].message.contains("project[0]"), "{problems}");
}

#[test]
fn nothing_is_read_that_was_not_asked_for() {
    let site = Site::new("store = \"sqlite:a.db\"\n");
    let settings = site.loaded(Sources::none(site.path("project")));
    assert_eq!(settings.store().0, format!("sqlite:{}", site.path("project/.parkway/runs.db").display()));
    assert_eq!(settings.root(), Path::new(&site.path("project")));
}

#[tokio::test]
async fn a_workflow_cannot_read_variables_out_of_bounds() {
    let yaml = "parkway: 1\nenv: [HOME, AWS_KEY]\nsteps: { a: { set: { x: \"${{ env.HOME }}\" } } }\n";
    let workflow = Workflow::from_source("flow.yaml", yaml).unwrap();
    let site = Site::new("env = [\"HOME\"]\n");
    let error = site.parkway().await.check(&workflow).unwrap_err().to_string();
    assert!(error.contains("does not let workflows read `AWS_KEY`") && error.contains("flow.yaml:2:13"), "{error}");
    assert!(!error.contains("`HOME`"), "{error}");
    assert!(Site::new("").parkway().await.check(&workflow).is_ok());
}

#[tokio::test]
async fn a_tool_is_given_the_secret_that_the_site_names() {
    let yaml = "parkway: 1\nsecrets: [TOKEN]\ntools: { mail: {} }\nsteps:\n  send: { tool: mail.send, with: { token: \"${{ secrets.TOKEN }}\" } }\noutputs: { length: \"${{ steps.send.output.length }}\" }\n";
    let workflow = Workflow::from_source("flow.yaml", yaml).unwrap();
    let site = Site::new("[secrets]\nTOKEN = { file = \"token\" }\n").write("project/token", "hunter2\n");
    let send = parkway::tool_fn("mail.send", parkway::Effect::Idempotent, |args: serde_json::Value| async move {
        let length = args["token"].as_str().map(str::len);
        Ok(serde_json::json!({ "length": length }))
    });
    let builder = Parkway::builder().settings(site.load()).store("sqlite::memory:").tool(send);
    let run = builder.build().await.unwrap().start(workflow, parkway::inputs! {}).await.unwrap();
    assert_eq!(run.output::<serde_json::Value>().await.unwrap()["length"], 7);
}

#[tokio::test]
async fn a_project_that_was_handed_over_cannot_allow_itself_what_is_asked_about() {
    let yaml = "parkway: 1\ntools: { mail: {} }\nsteps:\n  send: { tool: mail.send, with: { to: \"${{ run.id and 'ada' }}\" } }\n";
    let allow = "[[policy]]\nmatch = { tool = \"mail.*\" }\nverdict = \"allow\"\n";
    let status = async |site: Site| {
        let send = parkway::tool_fn("mail.send", parkway::Effect::AtMostOnce, |_: serde_json::Value| async move {
            Ok(serde_json::json!({}))
        });
        let builder = Parkway::builder().settings(site.load()).store("sqlite::memory:").tool(send);
        let mut options = parkway::RunOptions::default();
        options.stay = false;
        let workflow = Workflow::from_source("flow.yaml", yaml).unwrap();
        let run = builder.build().await.unwrap().start_with(workflow, parkway::inputs! {}, options).await.unwrap();
        run.wait().await.unwrap().status
    };
    assert_eq!(status(Site::new(allow)).await, parkway::log::RunStatus::Waiting);
    assert_eq!(status(Site::new("").write("user.toml", allow)).await, parkway::log::RunStatus::Completed);
    // Whether this call is meant is not known before its arguments are.
    let deny = "[[policy]]\nmatch = { tool = \"mail.*\", args = { to = \"ada\" } }\nverdict = \"deny\"\n";
    assert_eq!(status(Site::new(deny).write("user.toml", allow)).await, parkway::log::RunStatus::Failed);

    let warnings = Site::new(allow).load().warnings();
    assert!(warnings[0].contains("project[0]") && warnings[0].contains("only tightens"), "{warnings:?}");
    assert!(Site::new("").write("user.toml", allow).load().warnings().is_empty());
}

#[test]
fn a_project_that_was_handed_over_cannot_reach_for_files_of_its_user() {
    for path in ["/etc/passwd", "../outside", "a/../../outside"] {
        let secrets = format!("[secrets]\nTOKEN = {{ file = \"{path}\" }}\n");
        for project in [secrets.clone(), format!("[profile.x.secrets]\nTOKEN = {{ file = \"{path}\" }}\n")] {
            let site = Site::new(&project);
            let wrong = site.wrong(site.sources());
            assert!(wrong.contains("error[outside-project]") && wrong.contains("lies outside the project"), "{wrong}");
        }
        // The same is the user's own business.
        Site::new("").write("user.toml", &secrets).load();
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_a_project_does_not_lead_to_files_of_its_user() {
    let site = Site::new("[secrets]\nTOKEN = { file = \"token\" }\n").write("private", "hunter2");
    std::os::unix::fs::symlink(site.path("private"), site.path("project/token")).unwrap();
    let error = site.load().secret("TOKEN").unwrap_err().to_string();
    assert!(error.contains("leads out of the project") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_price_that_means_nothing_is_taken() {
    let site = Site::new(
        "[cost]\nwatts = 65\nkwh = 0.31\ncurrency = \"EUR\"\n[cost.models.\"gpt-4.1\"]\ninput = 2\noutput = 8.5\nas_of = 2026-11-01\n",
    )
    .write("user.toml", "[cost]\nhour = 0.5\nwatts = 200\n[profile.idle.cost]\nwatts = 0\n");
    let settings = site.load();
    let rates = parkway::cost::Rates::of(&settings);
    assert_eq!(
        (rates.watts, rates.kwh, rates.hour, rates.currency.as_str()),
        (Some(65.0), Some(0.31), Some(0.5), "EUR")
    );
    let price = &rates.models["gpt-4.1"];
    assert_eq!((price.input, price.output, price.cached, price.as_of.as_str()), (2.0, 8.5, None, "2026-11-01"));
    // Prices change nothing of what a run does.
    assert_eq!(settings.digest(), Site::new("").load().digest());
    let wrong = Site::new(
        "[cost]\nwatt = 65\nkwh = -1\nhour = \"much\"\ncurrency = \"euro\"\n[cost.models.one]\ninput = 1\nas_of = \"soon\"\n\
         [cost.models.two]\ninput = 1\noutputs = 2\n[cost.models.three]\ninput = 1\noutput = 2\n",
    );
    insta::assert_snapshot!(wrong.wrong(wrong.sources()));
}

/// Finds near what is about pots, and what asks for tea.
struct Pots(EmbedderInfo);

#[async_trait::async_trait]
impl Embedder for Pots {
    fn info(&self) -> &EmbedderInfo {
        &self.0
    }

    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError> {
        let near = |text: &String| if text.contains("pot") || text == "tea" { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        Ok(Embeddings::normalized(texts.iter().map(near).collect(), 1))
    }
}

#[tokio::test]
async fn how_much_meaning_counts_is_not_what_the_settings_say() {
    for (project, first) in [("", "tea is hot"), ("meaning = 20", "pot 9"), ("meaning = 0", "tea is hot")] {
        let info = EmbedderInfo { name: "pots".into(), dimensions: Some(2), max_tokens: None, model_hash: None };
        let builder = Parkway::builder().settings(Site::new(project).load()).store("sqlite::memory:");
        let parkway = builder.tool_search(Pots(info)).build().await.unwrap();
        let memories = parkway.memories();
        let texts = (0..10).map(|n| format!("pot {n}")).chain(["tea is hot".into()]);
        let new = texts.map(|text| memories.new_memory(Content::new("house", text))).collect();
        memories.remember(&Author::new("ada", Channel::Program), new).await.unwrap();
        let found = memories.recall(memories.question(vec!["house".into()], "tea")).await.unwrap();
        assert_eq!(found[0].memory.content.as_ref().unwrap().text, first, "{project}");
        let source = "parkway: 1\ntools: { memory: { read: [house] } }\nsteps:\n  a: { tool: memory.recall, with: { query: tea } }\noutputs: { first: \"${{ steps.a.output.memories[0].text }}\" }\n";
        let run = parkway.start(Workflow::from_source("a.yaml", source).unwrap(), inputs! {}).await.unwrap();
        assert_eq!(run.output::<serde_json::Value>().await.unwrap()["first"], first, "{project}");
    }
    let site = Site::new("meaning = -1");
    assert!(site.wrong(site.sources()).contains("`meaning` takes a number from 0 upwards, not -1"));
}
