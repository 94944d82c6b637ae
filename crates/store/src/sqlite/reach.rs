//! What a statement of a tool may reach: the tables of the program that shares the database, never Parkway's or SQLite's.
//! SQLite is asked, by `EXPLAIN`, which tables the compiled statement opens: that counts in triggers, views and foreign keys.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parkway_core::store::StoreError;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite};

use super::error::{code, from_sqlx, words};
use super::statement::{Bound, Statement};
use super::tx::Tx;

/// How long a statement may take, since every other run waits meanwhile.
const LONGEST: Duration = Duration::from_secs(5);
/// How many of SQLite's steps lie between two looks at the time.
const STEPS: i32 = 10_000;
/// How many statements are remembered as good.
const GOOD: usize = 256;

/// What is known of the database's tables, and of statements.
#[derive(Default)]
pub(super) struct Reach {
    /// The schema that this is true of.
    schema: Option<i64>,
    /// The tables and indexes by the page that they begin at, and whether a tool may reach them.
    pages: HashMap<i64, (String, bool)>,
    good: HashSet<String>,
}

impl Reach {
    /// Executes the statements of one commit. If one is refused, nothing of them was done.
    ///
    /// The outer error fails the transaction.
    pub(super) async fn execute(
        &mut self,
        tx: &mut Tx,
        statements: &[Statement],
    ) -> Result<Result<(), StoreError>, StoreError> {
        self.learn(tx).await?;
        sqlx::query("SAVEPOINT parkway_sql").execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        let mut outcome = Ok(());
        for statement in statements {
            if let Err(refusal) = self.one(tx, statement).await? {
                // It fails where the statement has ended the transaction of all: each commit is then tried alone.
                let back = sqlx::query("ROLLBACK TO parkway_sql").execute(tx.statement().await?).await;
                if back.is_err() {
                    return Err(refusal);
                }
                outcome = Err(refusal);
                break;
            }
        }
        sqlx::query("RELEASE parkway_sql").execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        Ok(outcome)
    }

    /// Reads the tables anew if the schema has changed.
    async fn learn(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let query = sqlx::query_scalar("PRAGMA schema_version");
        let schema: i64 = query.fetch_one(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        if self.schema == Some(schema) {
            return Ok(());
        }
        // An insert into a table with AUTOINCREMENT opens `sqlite_sequence`. No trigger or view may do that by itself.
        let sql = r"SELECT rootpage, tbl_name, tbl_name NOT LIKE 'parkway\_%' ESCAPE '\' AND CASE
                WHEN tbl_name = 'sqlite_sequence' THEN NOT EXISTS (SELECT 1 FROM sqlite_schema
                    WHERE type IN ('trigger', 'view') AND sql LIKE '%sqlite\_sequence%' ESCAPE '\')
                ELSE tbl_name NOT LIKE 'sqlite\_%' ESCAPE '\'
            END FROM sqlite_schema WHERE rootpage > 0";
        let query = sqlx::query_as(sql);
        let found: Vec<(i64, String, bool)> =
            query.fetch_all(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        self.pages = found.into_iter().map(|(page, name, free)| (page, (name, free))).collect();
        self.pages.insert(1, ("sqlite_schema".into(), false));
        self.good.clear();
        self.schema = Some(schema);
        Ok(())
    }

    async fn one(&mut self, tx: &mut Tx, statement: &Statement) -> Result<Result<(), StoreError>, StoreError> {
        let refused = |message: String| StoreError::Refused { write: statement.write, message };
        if !self.good.contains(&statement.text) {
            let explain = format!("EXPLAIN {}", statement.text);
            let rows = match bind(explain, &statement.values).fetch_all(tx.statement().await?).await {
                Ok(rows) => rows,
                Err(e) => return said(&e, refused),
            };
            if let Err(message) = self.check(&rows) {
                return Ok(Err(refused(message)));
            }
            if self.good.len() >= GOOD {
                self.good.clear();
            }
            self.good.insert(statement.text.clone());
        }
        let until = Instant::now() + LONGEST;
        let mut handle = tx.connection().lock_handle().await.map_err(|e| from_sqlx(&e))?;
        handle.set_progress_handler(STEPS, move || Instant::now() < until);
        drop(handle);
        let done = bind(statement.text.clone(), &statement.values).execute(tx.statement().await?).await;
        let mut handle = tx.connection().lock_handle().await.map_err(|e| from_sqlx(&e))?;
        handle.remove_progress_handler();
        drop(handle);
        let changed = match done {
            Ok(done) => done.rows_affected(),
            Err(e) => return said(&e, refused),
        };
        match statement.expect_rows {
            Some(expected) if expected != changed => Ok(Err(refused(format!(
                "the statement changed {changed} rows, and {expected} were expected; nothing of it was kept"
            )))),
            _ => Ok(Ok(())),
        }
    }

    /// Whether a compiled statement stays where it may.
    fn check(&self, program: &[SqliteRow]) -> Result<(), String> {
        let unreadable = |e: sqlx::Error| format!("SQLite's explanation of the statement cannot be read: {e}");
        // The columns: address, operation, p1 to p5.
        for row in program {
            let operation: &str = row.try_get(1).map_err(unreadable)?;
            let number = |column: usize| row.try_get::<i64, _>(column).map_err(unreadable);
            match operation {
                // Page, database, and whether the page stands in a register.
                "OpenRead" | "OpenWrite" | "ReopenIdx" => {
                    let (page, database, flags) = (number(3)?, number(4)?, number(6)?);
                    self.may(page, database, flags & 0x10 == 0)?;
                }
                "Clear" => self.may(number(2)?, number(3)?, true)?,
                "VOpen" | "VUpdate" | "VBegin" | "VCreate" | "VDestroy" | "VRename" | "VCheck" => {
                    return Err(
                        "the statement reaches a virtual table, or a function such as json_each that is read like \
                                a table; only ordinary tables can be reached"
                            .into(),
                    );
                }
                "AutoCommit" | "Savepoint" | "Checkpoint" | "JournalMode" | "Vacuum" | "IncrVacuum" | "MaxPgcnt"
                | "ParseSchema" | "CreateBtree" | "Destroy" | "DropTable" | "DropIndex" | "DropTrigger"
                | "SetCookie" | "SqlExec" | "LoadAnalysis" => {
                    return Err(format!("the statement does more than change rows ({operation})"));
                }
                "Function" | "PureFunc" => {
                    let function: Option<&str> = row.try_get(5).map_err(unreadable)?;
                    if function.is_some_and(|name| name.starts_with("load_extension(")) {
                        return Err("the statement loads an extension".into());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn may(&self, page: i64, database: i64, known: bool) -> Result<(), String> {
        if database != 0 || !known {
            return Err("the statement reaches a table outside of the database's own file".into());
        }
        match self.pages.get(&page) {
            Some((_, true)) => Ok(()),
            Some((name, false)) => Err(format!(
                "the statement reaches `{name}`, by itself or by a trigger, a view or a foreign key; it may reach the \
                 program's own tables only, never those that begin with parkway_ or sqlite_"
            )),
            None => Err(format!("the statement reaches page {page}, where no table begins")),
        }
    }
}

fn bind(sql: String, values: &[Bound]) -> Query<'static, Sqlite, SqliteArguments> {
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    values.iter().cloned().fold(query, |query, value| match value {
        Bound::Null => query.bind(None::<i64>),
        Bound::Integer(value) => query.bind(value),
        Bound::Real(value) => query.bind(value),
        Bound::Text(value) => query.bind(value),
    })
}

/// What SQLite says of a statement: that it cannot be done, or that the transaction cannot go on.
fn said(error: &sqlx::Error, refused: impl Fn(String) -> StoreError) -> Result<Result<(), StoreError>, StoreError> {
    match code(error) {
        // The statement itself, what it may do, its size, its constraints, its types, its values.
        Some(1 | 3 | 18 | 19 | 20 | 23 | 25) => Ok(Err(refused(words(error)))),
        // SQLite has rolled the transaction back.
        Some(9) => Err(refused(format!(
            "the statement took longer than {} s, while every other run waited; change fewer rows at a time",
            LONGEST.as_secs()
        ))),
        _ => Err(from_sqlx(error)),
    }
}
