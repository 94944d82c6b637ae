//! The `sql` tools on databases of SQLite in a project folder.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parkway_core::id::{EffectKey, StepKey, Time};
use parkway_core::tool::{ToolContext, ToolError};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::project::Project;

/// A project with a database `shop` that may be written, and the same one as `seen` that may not.
struct Shop {
    project: Project,
}

impl Shop {
    fn new() -> Self {
        let mut project = Project::new();
        project.grants = json!({"databases": {
            "shop": {"sqlite": "data/shop.db", "write": true}, "seen": {"sqlite": "data/shop.db"}
        }});
        let shop = Shop { project };
        let tables = "CREATE TABLE part (id INTEGER PRIMARY KEY, name TEXT UNIQUE, pieces INTEGER CHECK (pieces >= 0));
             INSERT INTO part VALUES (1, 'bolt', 12), (2, 'nut', 40), (3, 'washer', 7);
             CREATE TABLE note (part INTEGER REFERENCES part(id), text TEXT)";
        shop.raw().execute_batch(tables).unwrap();
        shop
    }

    /// The database as anybody may open it.
    fn raw(&self) -> Connection {
        Connection::open(self.project.path("data/shop.db")).unwrap()
    }

    fn count(&self, sql: &str) -> i64 {
        self.raw().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn context(&self, step: &str) -> ToolContext {
        let now = Time::from_micros(1_795_000_000_123_456);
        let mut context = ToolContext::detached(self.project.grants.clone(), now);
        context.key = EffectKey::new(context.run, &StepKey::root(step), 0);
        context
    }

    async fn call(&self, name: &str, input: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let tool = self.project.tool(name);
        jsonschema::validate(&tool.spec().input_schema, &input).unwrap();
        let output = tool.call(input, context).await?;
        jsonschema::validate(&tool.spec().output_schema, &output.value).unwrap();
        Ok(output.value)
    }

    fn query(&self, sql: &str, params: Value) -> Result<Value, ToolError> {
        let input = json!({"database": "seen", "sql": sql, "params": params});
        block_on(self.call("sql.query", input, &self.context("query")))
    }

    /// Carries a statement out in the step of this name.
    fn execute(&self, step: &str, sql: &str, params: Value) -> Result<Value, ToolError> {
        let input = json!({"database": "shop", "sql": sql, "params": params});
        block_on(self.call("sql.execute", input, &self.context(step)))
    }

    #[track_caller]
    fn rows(&self, sql: &str, params: Value) -> Value {
        self.query(sql, params).unwrap()["rows"].take()
    }

    /// The error of a query, which changes nothing.
    #[track_caller]
    fn refused(&self, sql: &str) -> String {
        self.unchanged(|shop| shop.query(sql, json!([])))
    }

    /// The error of a statement, which changes nothing.
    #[track_caller]
    fn not_done(&self, sql: &str, params: Value) -> String {
        self.unchanged(|shop| shop.execute("not_done", sql, params))
    }

    #[track_caller]
    fn unchanged(&self, act: impl FnOnce(&Shop) -> Result<Value, ToolError>) -> String {
        let before = fs::read(self.project.path("data/shop.db")).unwrap();
        let error = act(self).unwrap_err();
        assert!(error.not_done, "{error}");
        assert_eq!(before, fs::read(self.project.path("data/shop.db")).unwrap(), "{error}");
        format!("{}: {}", error.code, error.message)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn rows_come_with_columns_and_types() {
    let shop = Shop::new();
    let found =
        shop.query("SELECT name, pieces, pieces * 2 AS twice FROM part WHERE pieces > $1 ORDER BY id", json!([10]));
    assert_eq!(
        found.unwrap(),
        json!({
            "columns": [{"name": "name", "type": "TEXT"}, {"name": "pieces", "type": "INTEGER"}, {"name": "twice", "type": null}],
            "rows": [{"name": "bolt", "pieces": 12, "twice": 24}, {"name": "nut", "pieces": 40, "twice": 80}],
            "more": false
        })
    );
    let by_name = shop.rows("SELECT id FROM part WHERE name = $name AND pieces = $n", json!({"name": "nut", "n": 40}));
    assert_eq!(by_name, json!([{"id": 2}]));
    assert_eq!(shop.query("SELECT id FROM part WHERE false", json!([])).unwrap()["columns"][0]["name"], "id");
    assert_eq!(
        shop.rows("WITH t(n) AS (VALUES (1), (2)) SELECT sum(n) AS n FROM t;  -- done", json!([])),
        json!([{"n": 3}])
    );
    let columns = shop.rows("SELECT name FROM pragma_table_info('note')", json!([]));
    assert_eq!(columns, json!([{"name": "part"}, {"name": "text"}]));
}

#[test]
fn every_type_comes_back_as_it_was_given() {
    let shop = Shop::new();
    shop.raw().execute_batch("CREATE TABLE kind (n, b BOOLEAN, j JSON, at TIMESTAMP, d DECIMAL(10, 2))").unwrap();
    for (step, value) in [
        json!(null),
        json!(9_007_199_254_740_993_i64),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(0.1),
        json!(1e300),
        json!(""),
        json!("Ä'; DROP TABLE part; --"),
        json!({"base64": "AP8="}),
        json!({"base64": ""}),
    ]
    .into_iter()
    .enumerate()
    {
        shop.execute(&step.to_string(), "INSERT INTO kind (n) VALUES ($1)", json!([value])).unwrap();
        assert_eq!(shop.rows("SELECT n FROM kind ORDER BY rowid DESC LIMIT 1", json!([])), json!([{"n": value}]));
    }
    let row = json!({"b": true, "j": {"a": [1, null]}, "at": "2026-11-18T11:06:40Z", "d": 12.5});
    shop.execute("row", "INSERT INTO kind (b, j, at, d) VALUES ($b, $j, $at, $d)", row.clone()).unwrap();
    assert_eq!(shop.rows("SELECT b, j, at, d FROM kind WHERE b", json!([])), json!([row]));
    assert_eq!(shop.rows("SELECT $1 AS list", json!([[1, "x"]])), json!([{"list": "[1,\"x\"]"}]));
}

#[test]
fn what_json_cannot_hold_is_named() {
    let shop = Shop::new();
    let tables = "CREATE TABLE odd (j JSON, r REAL, t TEXT); INSERT INTO odd VALUES ('{', 9e999, CAST(x'ff' AS TEXT))";
    shop.raw().execute_batch(tables).unwrap();
    insta::assert_snapshot!(shop.refused("SELECT j FROM odd"), @"value: the column `j` holds a text that is no JSON; ask for `CAST(j AS TEXT)` in its place");
    insta::assert_snapshot!(shop.refused("SELECT r FROM odd"), @"value: the column `r` holds a number without end; ask for `CAST(r AS TEXT)` in its place");
    insta::assert_snapshot!(shop.refused("SELECT t FROM odd"), @"value: the column `t` holds a text that is not UTF-8; ask for `CAST(t AS BLOB)` in its place");
    insta::assert_snapshot!(shop.refused("SELECT part.id, note.part AS id FROM part, note"), @"same_name: two columns have the name `id`, so that one would hide the other; name one of them with `AS`");
}

#[test]
fn nothing_is_cut_silently() {
    let shop = Shop::new();
    let ask = |sql: &str, limit: usize| {
        let input = json!({"database": "seen", "sql": sql, "limit": limit});
        block_on(shop.call("sql.query", input, &shop.context("query")))
    };
    for (limit, rows, more) in [(2, 2, true), (3, 3, false), (4, 3, false)] {
        let found = ask("SELECT id FROM part", limit).unwrap();
        assert_eq!((found["rows"].as_array().unwrap().len(), &found["more"]), (rows, &json!(more)));
    }
    let many = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000) SELECT n FROM c";
    let found = ask(many, 10_000).unwrap();
    assert_eq!((found["rows"].as_array().unwrap().len(), &found["more"]), (10_000, &json!(true)));
    let wide = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20) SELECT hex(zeroblob(1000000)) AS t FROM c";
    let found = ask(wide, 20).unwrap();
    assert_eq!((found["rows"].as_array().unwrap().len(), &found["more"]), (4, &json!(true)));
    insta::assert_snapshot!(shop.refused("SELECT hex(zeroblob(5000000)) AS t"), @"too_large: row 1 has 10000008 bytes as JSON and at most 8388608 (8 MiB) are read; ask for fewer columns, or for a part: `substr(…)`");
    insta::assert_snapshot!(ask("SELECT 1", 0).unwrap_err(), @"`limit` is 0, and must be from 1 to 10000; ask for the rows in parts");
    insta::assert_snapshot!(ask("SELECT 1", 10_001).unwrap_err(), @"`limit` is 10001, and must be from 1 to 10000; ask for the rows in parts");
}

#[test]
fn what_a_writer_has_not_moved_yet_is_seen() {
    let shop = Shop::new();
    let writer = shop.raw();
    writer
        .execute_batch("PRAGMA journal_mode = WAL; INSERT INTO part VALUES (4, 'pin', 1); BEGIN; DELETE FROM part")
        .unwrap();
    assert_eq!(shop.rows("SELECT count(*) AS n FROM part", json!([])), json!([{"n": 4}]));
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(shop.rows("SELECT count(*) AS n FROM part", json!([])), json!([{"n": 0}]));
    drop(writer);
    assert_eq!(shop.rows("SELECT count(*) AS n FROM part", json!([])), json!([{"n": 0}]));
    assert_eq!(shop.execute("one", "INSERT INTO part VALUES (1, 'bolt', 1)", json!([])).unwrap(), json!({"rows": 1}));
    assert_eq!(shop.count("SELECT count(*) FROM part"), 1);
}

#[test]
fn values_fit_the_parameters() {
    let shop = Shop::new();
    let refused = |sql: &str, params: Value| shop.query(sql, params).unwrap_err().message;
    insta::assert_snapshot!(refused("SELECT $1 + $2", json!([1])), @"the statement has `$2`, and `params` has no value for it; add one");
    insta::assert_snapshot!(refused("SELECT $1", json!([1, 2])), @"`params` has a value for `$2`, which the statement does not have; leave it out");
    insta::assert_snapshot!(refused("SELECT ?", json!([1])), @"the statement has the parameter `?`; write `$1`, `$2` for a list of values, `$name` for a map");
    insta::assert_snapshot!(refused("SELECT :a", json!({"a": 1})), @"the statement has the parameter `:a`; write `$1`, `$2` for a list of values, `$name` for a map");
    insta::assert_snapshot!(refused("SELECT $a", json!({"b": 1})), @"the statement has `$a`, and `params` has no value for it; add one");
    insta::assert_snapshot!(refused("SELECT $a", json!({"a": 1, "b": 1})), @"`params` has a value for `$b`, which the statement does not have; leave it out");
    insta::assert_snapshot!(refused("SELECT $0", json!([1])), @"the statement has `$0`, and `params` has no value for it; add one");
    insta::assert_snapshot!(refused("SELECT $1", json!([u64::MAX])), @"the value for `$1` is larger than any integer of SQLite; give it as a text");
    insta::assert_snapshot!(refused("SELECT $1", json!([{"base64": "?"}])), @r#"the value for `$1` is no base64; write bytes like `{"base64": "AAEC"}`"#);
}

#[test]
fn a_query_changes_nothing() {
    let shop = Shop::new();
    let tables = "CREATE TABLE log (t); CREATE VIEW v AS SELECT * FROM part;
         CREATE TRIGGER w INSTEAD OF DELETE ON v BEGIN INSERT INTO log VALUES (1); END";
    shop.raw().execute_batch(tables).unwrap();
    insta::assert_snapshot!(shop.refused("DELETE FROM part"), @"denied: the statement has a change of `part`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("INSERT INTO part (name) VALUES ('x') RETURNING id"), @"denied: the statement has a change of `part`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("WITH x AS (SELECT 1) UPDATE part SET pieces = 0"), @"denied: the statement has a change of `part`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("/* SELECT */ DROP TABLE part"), @"denied: the statement has a change of the schema, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("DELETE FROM v RETURNING 1"), @"denied: the statement has a change of `v`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("CREATE TEMP TABLE x (a)"), @"denied: the statement has a change of the schema, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("PRAGMA query_only = OFF"), @"denied: the statement has PRAGMA query_only, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("PRAGMA journal_mode = WAL"), @"denied: the statement has PRAGMA journal_mode, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("BEGIN IMMEDIATE"), @"denied: the statement has a transaction of its own, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("EXPLAIN DELETE FROM part"), @"denied: the statement has a change of `part`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("VACUUM INTO 'copy.db'"), @"denied: the statement returns no rows; `sql.query` only looks, `sql.execute` changes");
    insta::assert_snapshot!(shop.refused(&format!("VACUUM INTO '{}'", shop.project.path("data/copy.db").display())), @"denied: the statement returns no rows; `sql.query` only looks, `sql.execute` changes");
    insta::assert_snapshot!(shop.refused(""), @"denied: the statement returns no rows; `sql.query` only looks, `sql.execute` changes");
    assert!(!shop.project.path("data/copy.db").exists());
}

#[test]
fn a_statement_stays_in_its_database() {
    let shop = Shop::new();
    let other = shop.project.outside().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE secret (word)").unwrap();
    let attach = format!("ATTACH '{}' AS other", other.display());
    insta::assert_snapshot!(shop.refused(&attach).replace(other.to_str().unwrap(), "OTHER"), @"denied: the statement has ATTACH, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.not_done(&attach, json!([])), @"denied: the statement has ATTACH, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("DETACH main", json!([])), @"denied: the statement has DETACH, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("VACUUM", json!([])), @"sql: the statement failed in the database `shop` (data/shop.db): Error code 1: SQL logic error; it cannot run in a transaction, or a function cannot take what it is given");
    insta::assert_snapshot!(shop.not_done("COMMIT", json!([])), @"denied: the statement has a transaction of its own, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("PRAGMA writable_schema = ON", json!([])), @"denied: the statement has PRAGMA writable_schema, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.refused("SELECT load_extension('x.so')"), @"denied: the statement has the function `load_extension`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET name = load_extension('x.so')", json!([])), @"denied: the statement has the function `load_extension`, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("UPDATE sqlite_schema SET sql = ''", json!([])), @"sql: the statement cannot be read: table sqlite_master may not be modified");
}

#[test]
fn one_statement_is_one() {
    let shop = Shop::new();
    insta::assert_snapshot!(shop.refused("SELECT 1; SELECT 2"), @"many_statements: several statements are given, and one is taken; give each a step of its own");
    insta::assert_snapshot!(shop.refused("SELECT 1; DELETE FROM part"), @"denied: the statement has a change of `part`, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("SELECT 1;;; /* ; */ ATTACH ':memory:' AS x"), @"denied: the statement has ATTACH, which is refused: `sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`");
    insta::assert_snapshot!(shop.refused("SELECT 1\0; DELETE FROM part"), @"sql: the statement holds a zero byte; leave it out");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = 1; DROP TABLE part", json!([])), @"many_statements: several statements are given, and one is taken; give each a step of its own");
    assert_eq!(shop.rows("SELECT ';' AS a; -- ; SELECT 2", json!([])), json!([{"a": ";"}]));
}

#[test]
fn a_mistake_is_shown_with_its_place() {
    let shop = Shop::new();
    insta::assert_snapshot!(shop.refused("SELECT name\nFROM part\n  WHEER id = 1"), @r#"sql: the statement cannot be read: near "id": syntax error, at line 3, column 9: `id = 1`"#);
    insta::assert_snapshot!(shop.refused("SELECT nam FROM part"), @"sql: the statement cannot be read: no such column: nam, at line 1, column 8: `nam FROM part`; what there is tells `SELECT sql FROM sqlite_schema`");
    insta::assert_snapshot!(shop.refused("SELECT * FROM parts"), @"sql: the statement cannot be read: no such table: parts; what there is tells `SELECT sql FROM sqlite_schema`");
    insta::assert_snapshot!(shop.refused("SELECT \"bolt\""), @r#"sql: the statement cannot be read: no such column: "bolt" - should this be a string literal in single-quotes?, at line 1, column 8: `"bolt"`; what there is tells `SELECT sql FROM sqlite_schema`"#);
}

#[test]
fn no_value_stands_in_an_error() {
    let shop = Shop::new();
    let tables = "CREATE TABLE strict (n INTEGER) STRICT; CREATE VIRTUAL TABLE words USING fts5(t);
         CREATE TRIGGER told BEFORE INSERT ON note BEGIN SELECT RAISE(ABORT, 'no ' || NEW.text); END";
    shop.raw().execute_batch(tables).unwrap();
    insta::assert_snapshot!(shop.not_done("INSERT INTO part (name) VALUES ($1)", json!(["bolt"])), @"constraint: the database `shop` (data/shop.db) does not allow the change: UNIQUE constraint failed: part.name");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET pieces = $1", json!([-5])), @"constraint: the database `shop` (data/shop.db) does not allow the change: CHECK constraint failed: pieces >= 0");
    insta::assert_snapshot!(shop.not_done("INSERT INTO strict VALUES ($1)", json!(["hidden"])), @"constraint: the database `shop` (data/shop.db) does not allow the change: cannot store TEXT value in INTEGER column strict.n");
    for (sql, value) in [
        ("SELECT json_extract('{}', $1)", "hidden"),
        ("SELECT json($1)", "{hidden"),
        ("SELECT * FROM words WHERE words MATCH $1", "\"hidden"),
        ("SELECT abs(-9223372036854775807 - length($1))", "h"),
    ] {
        let message = shop.query(sql, json!([value])).unwrap_err().message;
        assert!(!message.contains("hidden"), "{message}");
    }
    let told = shop.execute("told", "INSERT INTO note VALUES (1, $1)", json!(["hidden"])).unwrap_err();
    insta::assert_snapshot!(told, @"the database `shop` (data/shop.db) does not allow the change: a trigger refuses it");
}

#[test]
fn an_endless_query_is_stopped() {
    let shop = Shop::new();
    let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) AS n FROM c";
    let mut context = shop.context("query");
    context.deadline = Some(context.now.after(Duration::from_millis(200)));
    let started = Instant::now();
    let input = json!({"database": "seen", "sql": endless});
    let error = block_on(shop.call("sql.query", input.clone(), &context)).unwrap_err();
    insta::assert_snapshot!(format!("{}: {error}", error.code), @"timeout: the call was stopped after 200ms, and has no effect; narrow it, or raise the step's `timeout`");
    // The runtime waits for its threads, so that one which went on would be noticed here.
    let context = shop.context("query");
    let cancel = context.cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel();
    });
    let error = block_on(shop.call("sql.query", input.clone(), &context)).unwrap_err();
    insta::assert_snapshot!(format!("{}: {error}", error.code), @"cancelled: the call was stopped, and has no effect");
    block_on(async {
        let context = shop.context("query");
        let call = shop.call("sql.query", input, &context);
        assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    });
    assert!(started.elapsed() < Duration::from_secs(120));
}

#[test]
fn no_value_fills_the_memory() {
    let shop = Shop::new();
    insta::assert_snapshot!(shop.refused("SELECT zeroblob(1000000000) AS b"), @"too_large: a value or a row has more than 16 MiB, which is the most here; ask for a part: `substr(…)`");
    insta::assert_snapshot!(shop.refused("SELECT length(replace(hex(zeroblob(1000000)), '0', 'xxxxxxxxxx')) AS n"), @"too_large: a value or a row has more than 16 MiB, which is the most here; ask for a part: `substr(…)`");
    insta::assert_snapshot!(shop.not_done("UPDATE part SET name = hex(zeroblob(100000000))", json!([])), @"too_large: a value or a row has more than 16 MiB, which is the most here; ask for a part: `substr(…)`");
}

#[test]
fn only_a_database_in_the_project_is_opened() {
    let mut shop = Shop::new();
    shop.project.put("data/text.db", "this is a text, and no database at all, however long it goes on");
    shop.project.put("data/empty.db", "");
    Connection::open(shop.project.outside().join("o.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    shop.project.link("data/link.db", shop.project.outside().join("o.db"));
    shop.project.link("folder", shop.project.outside());
    let databases = [
        ("absent", "data/absent.db"),
        ("absolute", "/etc/passwd"),
        ("directory", "data"),
        ("empty", "data/empty.db"),
        ("link", "data/link.db"),
        ("memory", ":memory:"),
        ("text", "data/text.db"),
        ("through", "folder/o.db"),
        ("up", "../outside/o.db"),
        ("uri", "file:data/new.db?mode=rwc"),
    ];
    shop.project.grants = json!({"databases": databases.iter().map(|(name, path)| {
        ((*name).to_owned(), json!({"sqlite": path, "write": true}))
    }).collect::<serde_json::Map<_, _>>()});
    let mut told = String::new();
    for (name, _) in databases {
        let context = shop.context(name);
        let input = json!({"database": name, "sql": "SELECT 1 AS n FROM sqlite_schema"});
        let outcome = match block_on(shop.call("sql.query", input, &context)) {
            Ok(found) => found["rows"].to_string(),
            Err(error) => format!("{}: {error}", error.code),
        };
        told.push_str(&format!("{name}: {outcome}\n"));
        if !matches!(name, "empty") {
            let input = json!({"database": name, "sql": "CREATE TABLE t (a)"});
            assert!(block_on(shop.call("sql.execute", input, &context)).is_err(), "{name}");
        }
    }
    insta::assert_snapshot!(told, @r#"
    absent: not_found: `data/absent.db`, the file of the database `absent`, does not exist; create it, or correct `tools.sql`
    absolute: invalid_grants: `tools.sql` grants `/etc/passwd` as `absolute`, which is absolute; name a file from the project root, as in `data/absolute.db`
    directory: not_a_file: `data`, the file of the database `directory`, is a folder or a device; name a file
    empty: []
    link: denied: `data/link.db`, the file of the database `link`, is reached by a link; grant the file that the link leads to
    memory: not_found: `:memory:`, the file of the database `memory`, does not exist; create it, or correct `tools.sql`
    text: not_a_database: the file of `text` (data/text.db) is no database of SQLite; correct `tools.sql`
    through: denied: `folder/o.db`, the file of the database `through`, is reached by a link; grant the file that the link leads to
    up: invalid_grants: `tools.sql` grants `../outside/o.db` as `up`, which goes up with `..`; name a file from the project root, as in `data/up.db`
    uri: not_found: `file:data/new.db?mode=rwc`, the file of the database `uri`, does not exist; create it, or correct `tools.sql`
    "#);
    assert!(!shop.project.path("data/absent.db").exists() && !shop.project.path(":memory:").exists());
}

#[test]
fn what_is_not_granted_is_refused() {
    let mut shop = Shop::new();
    let ask = |shop: &Shop, tool: &str, database: &str| {
        let input = json!({"database": database, "sql": "DELETE FROM part"});
        let error = block_on(shop.call(tool, input, &shop.context("ask"))).unwrap_err();
        format!("{}: {error}", error.code)
    };
    insta::assert_snapshot!(ask(&shop, "sql.execute", "seen"), @"denied: the database `seen` is granted for reading only; to allow `sql.execute` to change it, write under `tools`: `sql: { databases: { seen: { sqlite: data/shop.db, write: true } } }`");
    insta::assert_snapshot!(ask(&shop, "sql.query", "books"), @"denied: `books` is no database that is granted (granted: `seen`, `shop`); to allow it, write under `tools`: `sql: { databases: { books: { sqlite: data/books.db } } }`");
    shop.project.grants = Value::Null;
    insta::assert_snapshot!(ask(&shop, "sql.query", "shop"), @"denied: `shop` is no database that is granted (none is); to allow it, write under `tools`: `sql: { databases: { shop: { sqlite: data/shop.db } } }`");
    shop.project.grants = json!({"databases": {"shop": {"sqlit": "a"}}});
    insta::assert_snapshot!(ask(&shop, "sql.query", "shop"), @"invalid_grants: `tools.sql` is malformed: unknown field `sqlit`, expected one of `sqlite`, `postgres`, `write`; write it like `sql: { databases: { shop: { sqlite: data/shop.db } } }`");
    shop.project.grants = json!({"databases": {"shop": {"sqlite": "data/shop.db", "postgres": "postgres://a@b/c"}}});
    insta::assert_snapshot!(ask(&shop, "sql.query", "shop"), @"invalid_grants: `tools.sql` grants `shop`, which needs either `sqlite` or `postgres`; keep one of them");
    #[cfg(not(feature = "postgres"))]
    {
        shop.project.grants = json!({"databases": {"shop": {"postgres": "postgres://a@b/c"}}});
        insta::assert_snapshot!(ask(&shop, "sql.query", "shop"), @"invalid_grants: `tools.sql` grants `shop` with `postgres`, which this program was built without; build `parkway-tools` with its feature `postgres`");
    }
    assert_eq!(shop.count("SELECT count(*) FROM part"), 3);
}

#[test]
fn the_same_key_is_carried_out_once() {
    let shop = Shop::new();
    let take = "UPDATE part SET pieces = pieces - $1 WHERE id = 1";
    assert_eq!(shop.execute("take", take, json!([2])).unwrap(), json!({"rows": 1}));
    assert_eq!(shop.execute("take", take, json!([2])).unwrap(), json!({"rows": 1}));
    assert_eq!(shop.count("SELECT pieces FROM part WHERE id = 1"), 10);
    assert_eq!(shop.execute("again", take, json!([2])).unwrap(), json!({"rows": 1}));
    assert_eq!(shop.count("SELECT pieces FROM part WHERE id = 1"), 8);
    insta::assert_snapshot!(shop.execute("take", take, json!([3])).unwrap_err(), @"another statement was carried out under the key of this call; give the step another id");
    assert_eq!(shop.execute("none", "DELETE FROM part WHERE id = 77", json!([])).unwrap(), json!({"rows": 0}));
    assert_eq!(shop.execute("table", "CREATE TABLE more (a)", json!([])).unwrap(), json!({"rows": 0}));
    assert_eq!(shop.execute("table", "CREATE TABLE more (a)", json!([])).unwrap(), json!({"rows": 0}));
    assert_eq!(shop.count("SELECT count(*) FROM parkway_effect WHERE at = '2026-11-18T11:06:40.123456Z'"), 4);
}

#[test]
fn the_keys_are_ours() {
    let shop = Shop::new();
    shop.execute("one", "DELETE FROM note", json!([])).unwrap();
    insta::assert_snapshot!(shop.not_done("DELETE FROM parkway_effect", json!([])), @"denied: the statement has a change of `parkway_effect`, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("DROP TABLE Parkway_Effect", json!([])), @"denied: the statement has a change of the schema, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("CREATE TRIGGER t AFTER INSERT ON parkway_effect BEGIN SELECT 1; END", json!([])), @"denied: the statement has a change of the schema, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("CREATE INDEX i ON parkway_effect (at)", json!([])), @"denied: the statement has a change of the schema, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    insta::assert_snapshot!(shop.not_done("ALTER TABLE parkway_effect RENAME TO x", json!([])), @"denied: the statement has a change of the schema, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    let trigger = "CREATE TRIGGER sly AFTER DELETE ON part BEGIN DELETE FROM parkway_effect; END";
    shop.raw().execute_batch(trigger).unwrap();
    insta::assert_snapshot!(shop.not_done("DELETE FROM part", json!([])), @"denied: the statement has a change of `parkway_effect`, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
    assert_eq!(shop.rows("SELECT rows FROM parkway_effect", json!([])), json!([{"rows": 0}]));
}

#[test]
fn another_number_of_rows_changes_nothing() {
    let shop = Shop::new();
    let expect = |rows: u64| {
        let input = json!({"database": "shop", "sql": "UPDATE part SET pieces = 0", "expect_rows": rows});
        block_on(shop.call("sql.execute", input, &shop.context("clear")))
    };
    insta::assert_snapshot!(shop.unchanged(|_| expect(1)), @"rows: the statement changed 3 rows and `expect_rows` is 1, so nothing was changed; look at which rows it meets with `sql.query`");
    assert_eq!(expect(3).unwrap(), json!({"rows": 3}));
}

#[test]
fn a_statement_that_fails_leaves_nothing() {
    let shop = Shop::new();
    insta::assert_snapshot!(shop.not_done("INSERT INTO note VALUES (99, 'x')", json!([])), @"constraint: the database `shop` (data/shop.db) does not allow the change: FOREIGN KEY constraint failed");
    insta::assert_snapshot!(shop.not_done("INSERT OR FAIL INTO part (name) VALUES ('new'), ('nut')", json!([])), @"constraint: the database `shop` (data/shop.db) does not allow the change: UNIQUE constraint failed: part.name");
    insta::assert_snapshot!(shop.not_done("INSERT OR ROLLBACK INTO part (name) VALUES ('new'), ('nut')", json!([])), @"constraint: the database `shop` (data/shop.db) does not allow the change: UNIQUE constraint failed: part.name");
    insta::assert_snapshot!(shop.not_done("INSERT INTO part (name) VALUES ('new') RETURNING id", json!([])), @"returns_rows: the statement returns rows, which nobody would see; leave RETURNING out, or ask with `sql.query`");
    insta::assert_snapshot!(shop.not_done("SELECT 1", json!([])), @"returns_rows: the statement returns rows, which nobody would see; leave RETURNING out, or ask with `sql.query`");
    insta::assert_snapshot!(shop.not_done("CREATE TEMP TABLE x (a)", json!([])), @"denied: the statement has a change of the schema, which is refused: `sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out");
}

#[test]
fn calls_at_once_do_not_lose_a_change() {
    let shop = Shop::new();
    let take = "UPDATE part SET pieces = pieces - 1 WHERE id = 2";
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let shop = &shop;
            // Each key is used twice.
            scope.spawn(move || shop.execute(&(thread / 2).to_string(), take, json!([])).unwrap());
        }
    });
    assert_eq!(shop.count("SELECT pieces FROM part WHERE id = 2"), 32);
    assert_eq!(shop.count("SELECT count(*) FROM parkway_effect"), 8);
}

#[test]
fn a_lock_of_others_is_worth_another_attempt() {
    let shop = Shop::new();
    let other = shop.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut context = shop.context("busy");
    context.deadline = Some(context.now.after(Duration::from_millis(300)));
    let input = json!({"database": "shop", "sql": "DELETE FROM note"});
    let error = block_on(shop.call("sql.execute", input.clone(), &context)).unwrap_err();
    insta::assert_snapshot!(format!("{}: {error} {} {}", error.code, error.retryable, error.not_done), @"busy: the database `shop` (data/shop.db) is being used by others; try again true true");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(block_on(shop.call("sql.execute", input, &context)).unwrap(), json!({"rows": 0}));
}

/// How the process that is killed finds the project.
const VICTIM: &str = "PARKWAY_TEST_SQL_VICTIM";
const MANY: &str = "INSERT INTO note SELECT 1, hex(randomblob(1000)) FROM generate";

/// Runs only as a process of the test below.
#[test]
fn a_statement_that_will_be_killed() {
    let Ok(root) = std::env::var(VICTIM) else { return };
    let now = Time::from_micros(1_795_000_000_123_456);
    let grants = json!({"databases": {"shop": {"sqlite": "data/shop.db", "write": true}}});
    let mut context = ToolContext::detached(grants, now);
    context.key = EffectKey::new(context.run, &StepKey::root("killed"), 0);
    let tool = parkway_tools::sql(root).remove(1);
    let input = json!({"database": "shop", "sql": MANY});
    drop(block_on(tool.call(input, &context)));
}

#[test]
fn a_kill_in_the_middle_leaves_nothing_and_a_repetition_does_it() {
    let shop = Shop::new();
    let endless =
        "CREATE VIEW generate AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c";
    shop.raw().execute_batch(endless).unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sql::a_statement_that_will_be_killed", "--nocapture"])
        .env(VICTIM, shop.project.root())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // Pages that do not fit the cache go to the file before the transaction ends.
    while fs::metadata(shop.project.path("data/shop.db")).unwrap().len() < 10 << 20 {
        assert!(started.elapsed() < Duration::from_secs(60) && victim.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(shop.project.path("data/shop.db-journal").exists());
    // The half of it has to be taken back first, and who only reads must not.
    insta::assert_snapshot!(shop.query("SELECT 1 AS n FROM note", json!([])).unwrap_err(), @"a process was killed in the middle of a change of `seen` (data/shop.db), and who only reads cannot take the half of it back; open the file once with a program that may write, such as `sqlite3`");
    shop.raw().execute_batch("DROP VIEW generate; CREATE VIEW generate AS SELECT 1 UNION ALL SELECT 2").unwrap();
    assert_eq!(shop.rows("SELECT count(*) AS n FROM note", json!([])), json!([{"n": 0}]));
    assert_eq!(shop.execute("killed", MANY, json!([])).unwrap(), json!({"rows": 2}));
    assert_eq!(shop.execute("killed", MANY, json!([])).unwrap(), json!({"rows": 2}));
    assert_eq!(shop.rows("SELECT count(*) AS n FROM note", json!([])), json!([{"n": 2}]));
}
