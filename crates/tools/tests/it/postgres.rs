//! The `sql` tools on a server of PostgreSQL, which is started for the tests where one is installed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use parkway_core::id::{EffectKey, StepKey, Time};
use parkway_core::tool::{SharedTool, ToolContext, ToolError};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where Debian has the programs of a server.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// A server that listens on this machine only. The user `locked` needs the password `opensesame`.
struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// The server that tests share, as long as one of them lives.
    fn shared() -> Option<Arc<Cluster>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        let mut versions: Vec<_> =
            fs::read_dir(PROGRAMS).ok()?.map(|entry| entry.unwrap().path().join("bin")).collect();
        versions.sort();
        let cluster = Arc::new(Cluster::start(versions.pop()?));
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    fn start(programs: PathBuf) -> Cluster {
        let folder = crate::kept::folder().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Cluster { folder, programs, port };
        if is_root() {
            Command::new("chown").arg("postgres").arg(cluster.folder.path()).status().unwrap();
        }
        cluster.run("initdb", &["-A", "trust", "-U", "owner", "-E", "UTF8", "--no-sync"]);
        let rules = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
        fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off");
        let log = cluster.folder.path().join("log");
        cluster.run("pg_ctl", &["-w", "-o", &options, "-l", log.to_str().unwrap(), "start"]);
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A server does not run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if is_root() { Command::new("runuser") } else { Command::new(&program) };
        if is_root() {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        let output = command.arg("-D").arg(self.data()).args(arguments).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "stop"]);
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A database of its own, as `shop`, which may be written, and as `seen`, which may not.
struct Shop {
    cluster: Arc<Cluster>,
    name: String,
    grants: Value,
}

impl Shop {
    /// None, and a word of it, where no server is installed.
    #[expect(clippy::print_stdout, reason = "a test that is not run says so")]
    fn new() -> Option<Shop> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(cluster) = Cluster::shared() else {
            println!("skipped: there is no server of PostgreSQL in {PROGRAMS}");
            return None;
        };
        let name = format!("shop{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let server = format!("postgres://owner@127.0.0.1:{}", cluster.port);
        let grants = json!({"databases": {
            "shop": {"postgres": format!("{server}/{name}"), "write": true}, "seen": {"postgres": format!("{server}/{name}")}
        }});
        let shop = Shop { cluster, name, grants };
        shop.raw("postgres", &format!("CREATE DATABASE {}", shop.name));
        let tables = "CREATE TABLE part (id int PRIMARY KEY, name text UNIQUE, pieces int CHECK (pieces >= 0));
             INSERT INTO part VALUES (1, 'bolt', 12), (2, 'nut', 40), (3, 'washer', 7)";
        shop.raw(&shop.name, tables);
        Some(shop)
    }

    /// Statements as the owner runs them.
    fn raw(&self, database: &str, sql: &str) {
        block_on(async {
            let mut config = tokio_postgres::Config::new();
            config.host("127.0.0.1").port(self.cluster.port).user("owner").dbname(database);
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
        });
    }

    fn context(&self, step: &str) -> ToolContext {
        let mut context = ToolContext::detached(self.grants.clone(), Time::from_micros(1_795_000_000_123_456));
        context.key = EffectKey::new(context.run, &StepKey::root(step), 0);
        context
    }

    fn tool(name: &str) -> SharedTool {
        parkway_tools::sql(Path::new("/")).into_iter().find(|tool| tool.spec().name == name).unwrap()
    }

    async fn call(&self, name: &str, input: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let tool = Shop::tool(name);
        let output = tool.call(input, context).await?;
        jsonschema::validate(&tool.spec().output_schema, &output.value).unwrap();
        Ok(output.value)
    }

    fn query(&self, sql: &str, params: Value) -> Result<Value, ToolError> {
        let input = json!({"database": "seen", "sql": sql, "params": params});
        block_on(self.call("sql.query", input, &self.context("query")))
    }

    fn execute(&self, step: &str, sql: &str, params: Value) -> Result<Value, ToolError> {
        let input = json!({"database": "shop", "sql": sql, "params": params});
        block_on(self.call("sql.execute", input, &self.context(step)))
    }

    #[track_caller]
    fn rows(&self, sql: &str, params: Value) -> Value {
        self.query(sql, params).unwrap()["rows"].take()
    }

    /// An error after which the parts are those that they were.
    #[track_caller]
    fn told(&self, outcome: Result<Value, ToolError>) -> String {
        let error = outcome.unwrap_err();
        assert_eq!(self.rows("SELECT sum(pieces) AS n FROM part", json!([])), json!([{"n": 59}]), "{error}");
        format!("{}: {}", error.code, error.message)
            .replace(&self.cluster.port.to_string(), "PORT")
            .replace(&format!("`{}`", self.name), "`NAME`")
    }

    #[track_caller]
    fn refused(&self, sql: &str) -> String {
        self.told(self.query(sql, json!([])))
    }

    #[track_caller]
    fn not_done(&self, sql: &str, params: Value) -> String {
        self.told(self.execute("not_done", sql, params))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn every_type_comes_back_as_it_was_given() {
    let Some(shop) = Shop::new() else { return };
    shop.raw(&shop.name, "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN pieces AS int");
    for (kind, value) in [
        ("bool", json!(true)),
        ("int2", json!(-7)),
        ("int8", json!(9_007_199_254_740_993_i64)),
        ("float8", json!(0.1)),
        ("float4", json!(0.1)),
        ("numeric", json!("123456789012345678901234567890.000100")),
        ("numeric(10, 2)", json!("-0.50")),
        ("text", json!("Ä'; DROP TABLE part; --")),
        ("text", json!("")),
        ("bytea", json!({"base64": "AP8="})),
        ("json", json!({"a": [1, null, "x"]})),
        ("jsonb", json!("text")),
        ("uuid", json!("0196a0de-6d3c-7a50-8736-8480bb500244")),
        ("date", json!("1969-12-31")),
        ("time", json!("11:06:40.123456")),
        ("timestamp", json!("2026-11-18T11:06:40.123456")),
        ("timestamptz", json!("2026-11-18T11:06:40.123456Z")),
        ("mood", json!("sad")),
        ("pieces", json!(3)),
        ("int4", json!(null)),
    ] {
        let found = shop.query(&format!("SELECT $1::{kind} AS v"), json!([value])).unwrap();
        assert_eq!(found["rows"], json!([{"v": value}]), "{kind}");
    }
    let found = shop.query("SELECT id, name FROM part WHERE pieces > $1 ORDER BY id", json!([10])).unwrap();
    let columns = json!([{"name": "id", "type": "int4"}, {"name": "name", "type": "text"}]);
    assert_eq!((&found["columns"], &found["rows"][1]), (&columns, &json!({"id": 2, "name": "nut"})));
    assert_eq!(
        shop.rows("SELECT '2026-11-18 12:00+02'::timestamptz AS t", json!([]))[0]["t"],
        "2026-11-18T10:00:00.000000Z"
    );
    insta::assert_snapshot!(shop.refused("SELECT ARRAY[1] AS list"), @"value: the column `list` of the type _int4 holds what JSON has no form for; ask for `CAST(list AS text)`, or for `to_json(list)`, in its place");
    insta::assert_snapshot!(shop.refused("SELECT 'infinity'::timestamptz AS at"), @"value: the column `at` of the type timestamptz holds what JSON has no form for; ask for `CAST(at AS text)`, or for `to_json(at)`, in its place");
    insta::assert_snapshot!(shop.refused("SELECT 'NaN'::float8 AS n"), @"value: the column `n` of the type float8 holds what JSON has no form for; ask for `CAST(n AS text)`, or for `to_json(n)`, in its place");
    insta::assert_snapshot!(shop.refused("SELECT 1 AS a, 2 AS a"), @"same_name: two columns have the name `a`, so that one would hide the other; name one of them with `AS`");
    insta::assert_snapshot!(shop.told(shop.query("SELECT $a", json!({"a": 1}))), @r#"sql: the statement cannot be read: syntax error at or near "$", at line 1, column 8: `$a`"#);
    insta::assert_snapshot!(shop.told(shop.query("SELECT $1 || 'x'", json!([{"base64": "AA=="}]))), @"params: the value for `$1` is bytes, and the parameter is of the type text");
}

#[test]
fn nothing_is_cut_silently() {
    let Some(shop) = Shop::new() else { return };
    for (limit, rows, more) in [(199, 199, true), (200, 200, false), (201, 200, false)] {
        let input = json!({"database": "seen", "sql": "SELECT n FROM generate_series(1, 200) n", "limit": limit});
        let found = block_on(shop.call("sql.query", input, &shop.context("query"))).unwrap();
        assert_eq!((found["rows"].as_array().unwrap().len(), &found["more"]), (rows, &json!(more)));
    }
    insta::assert_snapshot!(shop.refused("SELECT repeat('x', 9000000) AS t"), @"too_large: row 1 has 9000008 bytes as JSON and at most 8388608 (8 MiB) are read; ask for fewer columns, or for a part: `substr(…)`");
}

#[test]
fn a_query_changes_nothing() {
    let Some(shop) = Shop::new() else { return };
    insta::assert_snapshot!(shop.refused("DELETE FROM part RETURNING id"), @"denied: the statement changes something, and `sql.query` only looks; use `sql.execute`");
    insta::assert_snapshot!(shop.refused("WITH gone AS (DELETE FROM part RETURNING id) SELECT * FROM gone"), @"denied: the statement changes something, and `sql.query` only looks; use `sql.execute`");
    insta::assert_snapshot!(shop.refused("EXPLAIN ANALYZE DELETE FROM part"), @"denied: the statement changes something, and `sql.query` only looks; use `sql.execute`");
    insta::assert_snapshot!(shop.refused("SELECT 1 AS a; DELETE FROM part"), @"sql: the statement cannot be read: cannot insert multiple commands into a prepared statement");
    insta::assert_snapshot!(shop.refused("COMMIT"), @"denied: the statement returns no rows; `sql.query` only looks, `sql.execute` changes");
    insta::assert_snapshot!(shop.refused("COPY part TO '/tmp/parts'"), @"denied: the statement returns no rows; `sql.query` only looks, `sql.execute` changes");
    insta::assert_snapshot!(shop.refused("SET TRANSACTION READ WRITE"), @"denied: the statement returns no rows; `sql.query` only looks, `sql.execute` changes");
    insta::assert_snapshot!(shop.refused("SELECT set_config('transaction_read_only', 'off', true) AS a"), @"sql: the statement failed in the database `seen` (127.0.0.1:PORT) with the state 25001; check its values");
    shop.raw(
        &shop.name,
        "CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM part; RETURN 1; END'",
    );
    insta::assert_snapshot!(shop.refused("SELECT sly() AS a"), @"denied: the statement changes something, and `sql.query` only looks; use `sql.execute`");
    insta::assert_snapshot!(shop.refused("SELECT nam FROM part"), @r#"sql: the statement cannot be read: column "nam" does not exist, at line 1, column 8: `nam FROM part`"#);
    insta::assert_snapshot!(shop.refused("SELECT id\nFROM parts"), @r#"sql: the statement cannot be read: relation "parts" does not exist, at line 2, column 6: `parts`"#);
}

#[test]
fn an_endless_query_is_stopped() {
    let Some(shop) = Shop::new() else { return };
    let endless = json!({"database": "seen", "sql": "SELECT pg_sleep(600)::text AS a"});
    let started = Instant::now();
    let mut context = shop.context("query");
    context.deadline = Some(context.now.after(Duration::from_millis(200)));
    insta::assert_snapshot!(shop.told(block_on(shop.call("sql.query", endless.clone(), &context))), @"timeout: the statement was stopped; narrow it, or raise the step's `timeout`");
    let context = shop.context("query");
    block_on(async {
        let call = shop.call("sql.query", endless, &context);
        assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
        // The server is told, which takes a moment.
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    let asleep = "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    assert_eq!(shop.rows(asleep, json!([])), json!([{"n": 0}]));
    assert!(started.elapsed() < Duration::from_secs(120));
}

#[test]
fn the_same_key_is_carried_out_once() {
    let Some(shop) = Shop::new() else { return };
    let take = "UPDATE part SET pieces = pieces - $1 WHERE id = 1";
    assert_eq!(shop.execute("take", take, json!([2])).unwrap(), json!({"rows": 1}));
    assert_eq!(shop.execute("take", take, json!([2])).unwrap(), json!({"rows": 1}));
    assert_eq!(shop.rows("SELECT pieces FROM part WHERE id = 1", json!([])), json!([{"pieces": 10}]));
    insta::assert_snapshot!(shop.execute("take", take, json!([3])).unwrap_err(), @"another statement was carried out under the key of this call; give the step another id");
    assert_eq!(shop.execute("table", "CREATE TABLE more (a int)", json!([])).unwrap(), json!({"rows": 0}));
    assert_eq!(shop.execute("table", "CREATE TABLE more (a int)", json!([])).unwrap(), json!({"rows": 0}));
}

#[test]
fn calls_at_once_do_not_lose_a_change() {
    let Some(shop) = Shop::new() else { return };
    let take = "UPDATE part SET pieces = pieces - 1 WHERE id = 2";
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let shop = &shop;
            // Each key is used twice.
            scope.spawn(move || shop.execute(&(thread / 2).to_string(), take, json!([])).unwrap());
        }
    });
    assert_eq!(shop.rows("SELECT pieces FROM part WHERE id = 2", json!([])), json!([{"pieces": 32}]));
}

#[test]
fn a_statement_that_fails_leaves_nothing() {
    let Some(shop) = Shop::new() else { return };
    shop.raw(
        &shop.name,
        "CREATE FUNCTION hush(t text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no %'', t; END'",
    );
    insta::assert_snapshot!(shop.not_done("INSERT INTO part VALUES ($1, $2, 1)", json!([4, "nut"])), @r#"constraint: the database `shop` (127.0.0.1:PORT) does not allow the change: duplicate key value violates unique constraint "part_name_key""#);
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = $1", json!([-1])), @r#"constraint: the database `shop` (127.0.0.1:PORT) does not allow the change: new row for relation "part" violates check constraint "part_pieces_check""#);
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = $1", json!(["hidden"])), @"sql: the statement failed in the database `shop` (127.0.0.1:PORT) with the state 22P02; check its values");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = hush($1)", json!(["hidden"])), @"constraint: the database `shop` (127.0.0.1:PORT) does not allow the change: a function refuses it");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = 0 RETURNING id", json!([])), @"returns_rows: the statement returns rows, which nobody would see; leave RETURNING out, or ask with `sql.query`");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = 0; DELETE FROM part", json!([])), @"sql: the statement cannot be read: cannot insert multiple commands into a prepared statement");
    insta::assert_snapshot!(shop.not_done("ROLLBACK", json!([])), @"denied: the statement ended its transaction or changed `parkway_effect`, and neither is allowed; leave that out");
    insta::assert_snapshot!(shop.not_done("DELETE FROM parkway_effect", json!([])), @"denied: the statement ended its transaction or changed `parkway_effect`, and neither is allowed; leave that out");
    let input = json!({"database": "shop", "sql": "UPDATE part SET pieces = 0", "expect_rows": 1});
    insta::assert_snapshot!(shop.told(block_on(shop.call("sql.execute", input, &shop.context("rows")))), @"rows: the statement changed 3 rows and `expect_rows` is 1, so nothing was changed; look at which rows it meets with `sql.query`");
}

#[test]
fn a_password_comes_with_the_call() {
    let Some(mut shop) = Shop::new() else { return };
    shop.raw(&shop.name, "CREATE USER locked PASSWORD 'opensesame'; GRANT SELECT ON part TO locked");
    let (port, name) = (shop.cluster.port, shop.name.clone());
    let mut ask = |user: &str, place: &str, password: Value| {
        let mut grants = shop.grants.clone();
        grants["databases"]["books"] = json!({"postgres": format!("postgres://{user}@{place}")});
        std::mem::swap(&mut shop.grants, &mut grants);
        let input = json!({"database": "books", "sql": "SELECT count(*) AS n FROM part", "password": password});
        let outcome = block_on(shop.call("sql.query", input, &shop.context("query")));
        shop.told(outcome.map_err(|error| {
            assert!(!error.message.contains("sesame"), "{error}");
            error
        }))
    };
    let place = format!("127.0.0.1:{port}/{name}");
    insta::assert_snapshot!(ask("locked", &place, json!("wrong")), @"denied: the server of `books` (127.0.0.1:PORT) lets this user not in; check `password` and the user");
    insta::assert_snapshot!(ask("locked", &place, json!(null)), @"network: the server of `books` (127.0.0.1:PORT) cannot be used: invalid configuration: password missing; check its address, and that it runs");
    insta::assert_snapshot!(ask("locked:opensesame", &place, json!(null)), @r#"invalid_grants: `tools.sql` grants `books` with an address that cannot be used: it holds a password, which does not belong into a file; give it to each call: `password: "${{ secrets.NAME }}"`; write it like `postgres://reader@db.example.com/books`"#);
    insta::assert_snapshot!(ask("owner", &format!("127.0.0.1:{port}/nowhere"), json!(null)), @"not_found: there is no such database on the server of `books` (127.0.0.1:PORT); correct `tools.sql`");
    insta::assert_snapshot!(ask("owner", "127.0.0.1:1/shop", json!(null)), @"network: the server of `books` (127.0.0.1:1) cannot be used: error connecting to server: Connection refused (os error 111); check its address, and that it runs");
    insta::assert_snapshot!(ask("owner", &format!("{place}?options=-c"), json!(null)), @"invalid_grants: `tools.sql` grants `books` with an address that cannot be used: it has something else behind its `?` than `sslmode=require` or `sslmode=disable`; write it like `postgres://reader@db.example.com/books`");
    insta::assert_snapshot!(ask("owner", &format!("{place}?sslmode=require"), json!(null)), @"network: the server of `books` (127.0.0.1:PORT) cannot be used: error performing TLS handshake: server does not support TLS; check its address, and that it runs");
    shop.grants = json!({"databases": {"books": {"postgres": format!("postgres://locked@{place}")}}});
    let input = json!({"database": "books", "sql": "SELECT count(*) AS n FROM part", "password": "opensesame"});
    let found = block_on(shop.call("sql.query", input, &shop.context("query"))).unwrap();
    assert_eq!(found["rows"], json!([{"n": 3}]));
}
