//! Statements on the embedder's own tables. Stores without SQL, or without a way to look beside them, pass by saying so.

use serde_json::{Value, json};

use super::room::{LEASE, Room, assert_malformed, assert_refused, at_once, conflict, fenced, sending};
use crate::id::Seq;
use crate::log::RunStatus;
use crate::store::{MessageId, Write};
use crate::write::{OutboxEntry, SqlWrite};

fn sql(statement: &str) -> SqlWrite {
    SqlWrite::new(statement)
}

fn add(id: u32) -> Write {
    Write::Sql(sql("INSERT INTO suite_part (id, pieces) VALUES ($1, $2)").bind(id).bind(10))
}

/// Makes the table that the cases write to; `false` where the store has no place for one.
async fn has_table(room: &Room) -> bool {
    let text = "CREATE TABLE suite_part (id BIGINT PRIMARY KEY, words TEXT, pieces BIGINT, share DOUBLE PRECISION)";
    room.sql(text).await.is_some()
}

async fn rows(room: &Room, query: &str) -> Vec<Vec<Value>> {
    room.sql(query).await.unwrap()
}

async fn parts(room: &Room) -> Vec<Value> {
    rows(room, "SELECT id FROM suite_part ORDER BY id").await.into_iter().flatten().collect()
}

pub(super) async fn a_statement_on_a_table_that_does_not_exist_is_passed_over(room: Room) {
    let hold = room.create("a").await;
    let draft = room.draft(&hold.lease, hold.head, 1).status(RunStatus::Failed);
    let draft = draft.write(Write::Outbox(OutboxEntry::new("mail", 1.into())));
    let statement = sql("INSERT INTO no_such_table (id) VALUES ($1)").bind(1);
    assert_refused(room.commit(&draft.write(Write::Sql(statement))).await, 1);
    assert_eq!(room.seqs(hold.lease.run).await, [1]);
    assert_eq!(room.summary(hold.lease.run).await.status, RunStatus::Running);
    assert_eq!(room.store().outbox(9).await, Ok(vec![]));
}

pub(super) async fn a_statement_is_not_carried_out(room: Room) {
    if has_table(&room).await {
        let mut hold = room.create("a").await;
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(add(1)).write(add(2)).write(add(3))).await.unwrap();
        hold.head = hold.head.next();
        let draft = room.draft(&hold.lease, hold.head, 0);
        let draft = draft.write(Write::Sql(sql("UPDATE suite_part SET words = $1 WHERE id = $2").bind("two").bind(2)));
        let with = "WITH gone AS (SELECT id FROM suite_part WHERE id > $1) DELETE FROM suite_part WHERE id IN (SELECT id FROM gone)";
        room.commit(&draft.write(Write::Sql(sql(with).bind(2)))).await.unwrap();
        let found = rows(&room, "SELECT id, words, pieces FROM suite_part ORDER BY id").await;
        assert_eq!(found, [[json!(1), Value::Null, json!(10)], [json!(2), json!("two"), json!(10)]]);
    }
}

pub(super) async fn a_value_of_a_statement_changes_on_its_way(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let words = "naïve '\"\\; -- $1\u{2028}\u{1F41F}";
        let nested = json!({"b": [1, null, "x"], "a": true});
        let insert = |id: u32, column: &str, value: Value| {
            let text = format!("INSERT INTO suite_part (id, {column}) VALUES ($1, $2)");
            Write::Sql(sql(&text).bind(id).bind(value))
        };
        let draft = room.draft(&hold.lease, hold.head, 1).write(insert(1, "words", json!(words)));
        let draft = draft.write(insert(2, "words", nested.clone())).write(insert(3, "words", json!(["x", 1])));
        let draft = draft.write(insert(4, "words", Value::Null)).write(insert(5, "words", json!("")));
        let draft = draft.write(insert(6, "pieces", json!(i64::MAX))).write(insert(7, "pieces", json!(i64::MIN)));
        let draft = draft.write(insert(8, "pieces", json!(true))).write(insert(9, "pieces", json!(false)));
        let draft = draft.write(insert(10, "share", json!(0.1))).write(insert(11, "share", json!(-1.5e300)));
        room.commit(&draft).await.unwrap();
        let column = async |name: &str, ids: &str| {
            let query = format!("SELECT {name} FROM suite_part WHERE id IN ({ids}) ORDER BY id");
            rows(&room, &query).await.into_iter().flatten().collect::<Vec<_>>()
        };
        assert_eq!(column("words", "1, 4, 5").await, [json!(words), Value::Null, json!("")]);
        let lists: Vec<Value> = column("words", "2, 3").await;
        let parsed: Vec<Value> =
            lists.iter().map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect();
        assert_eq!(parsed, [nested, json!(["x", 1])]);
        assert_eq!(column("pieces", "6, 7, 8, 9").await, [json!(i64::MAX), json!(i64::MIN), json!(1), json!(0)]);
        assert_eq!(column("share", "10, 11").await, [json!(0.1), json!(-1.5e300)]);
    }
}

pub(super) async fn a_value_too_large_for_the_database_is_cut(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let insert = sql("INSERT INTO suite_part (id, pieces) VALUES (1, $1)").bind(u64::MAX);
        assert_refused(room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Sql(insert))).await, 0);
        assert_eq!(parts(&room).await, Vec::<Value>::new());
        let long = "0123456789abcdef".repeat(100_000);
        let insert = sql("INSERT INTO suite_part (id, words) VALUES (1, $1)").bind(long.as_str());
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Sql(insert))).await.unwrap();
        assert!(rows(&room, "SELECT words FROM suite_part").await == [[json!(long)]], "1.6 MB changed on their way");
    }
}

pub(super) async fn a_value_is_read_as_a_part_of_its_statement(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let hostile = "x'); DELETE FROM suite_part; --";
        let insert = sql("INSERT INTO suite_part (id, words) VALUES ($1, $2)").bind(2).bind(hostile);
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(add(1)).write(Write::Sql(insert))).await.unwrap();
        let found = rows(&room, "SELECT words FROM suite_part ORDER BY id").await;
        assert_eq!(found, [[Value::Null], [json!(hostile)]]);
    }
}

pub(super) async fn the_values_of_a_statement_are_taken_by_their_place_in_the_text(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let insert =
            sql("INSERT INTO suite_part (words, id, pieces) VALUES ($2, $1, $3 + $1)").bind(1).bind("b").bind(5);
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Sql(insert))).await.unwrap();
        assert_eq!(rows(&room, "SELECT id, words, pieces FROM suite_part").await, [[json!(1), json!("b"), json!(6)]]);
    }
}

pub(super) async fn a_value_that_is_not_given_counts_as_null(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let insert = sql("INSERT INTO suite_part (id, words) VALUES ($1, $2)").bind(1);
        assert_refused(room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Sql(insert))).await, 0);
        let insert = sql("INSERT INTO suite_part (id) VALUES ($1)").bind(1).bind("nobody asks for it");
        assert_refused(room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Sql(insert))).await, 0);
        assert_eq!(parts(&room).await, Vec::<Value>::new());
    }
}

pub(super) async fn another_number_of_rows_than_expected_is_accepted(room: Room) {
    if has_table(&room).await {
        let mut hold = room.create("a").await;
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(add(1)).write(add(2))).await.unwrap();
        hold.head = hold.head.next();
        let take = |most: u32, rows: u64| {
            let text = "UPDATE suite_part SET pieces = pieces - 1 WHERE id <= $1";
            Write::Sql(sql(text).bind(most).expect_rows(rows))
        };
        for (most, rows) in [(2, 1), (2, 3), (0, 1), (1, 0)] {
            let draft = room.draft(&hold.lease, hold.head, 1).write(take(2, 2)).write(take(most, rows)).write(add(9));
            assert_refused(room.commit(&draft).await, 1);
        }
        assert_eq!(
            rows(&room, "SELECT id, pieces FROM suite_part").await,
            [[1, 10], [2, 10]].map(|row| row.map(Value::from))
        );
        let draft = room.draft(&hold.lease, hold.head, 1).write(take(2, 2)).write(take(1, 1)).write(take(0, 0));
        room.commit(&draft).await.unwrap();
        assert_eq!(
            rows(&room, "SELECT id, pieces FROM suite_part ORDER BY id").await,
            [[1, 8], [2, 9]].map(|row| row.map(Value::from))
        );
    }
}

pub(super) async fn a_statement_that_fails_leaves_the_rest_of_its_commit(room: Room) {
    if has_table(&room).await {
        let mut hold = room.create("a").await;
        let (to, child) = (room.create("b").await.lease.run, room.new_run());
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(add(1))).await.unwrap();
        hold.head = hold.head.next();
        let (payload, message) = (room.payload("secret"), room.signal(hold.lease.run, "unread").await);
        let before = room.summary(hold.lease.run).await;
        let draft = room.draft(&hold.lease, hold.head, 2).payload(&payload).status(RunStatus::Completed);
        let draft =
            draft.write(Write::Enqueue(child.clone())).send(to, "x").write(Write::Consume(message)).write(add(2));
        let draft = draft.write(Write::Outbox(OutboxEntry::new("mail", 1.into()))).write(add(1)).write(add(3));
        assert_refused(room.commit(&draft).await, 5);
        assert_eq!(parts(&room).await, [1]);
        assert_eq!(room.summary(hold.lease.run).await, before);
        assert_eq!((room.inbox(to).await.len(), room.inbox(hold.lease.run).await.len()), (0, 1));
        assert_eq!(room.read(payload.commitment).await, None);
        assert_eq!(room.store().outbox(9).await, Ok(vec![]));
        assert_eq!(room.leaves().await.len(), 3);
        assert_eq!(room.claim_any("c").await, None);
        room.extend(&mut hold, 1).await;
    }
}

pub(super) async fn a_refused_statement_refuses_its_neighbours(room: Room) {
    if has_table(&room).await {
        let mut drafts = Vec::new();
        for n in 0..12 {
            let hold = room.create("a").await;
            let draft = room.draft(&hold.lease, hold.head, 1).write(add(n));
            drafts.push(if n % 3 == 1 { draft.write(add(n)) } else { draft });
        }
        let store = room.store();
        let results = at_once(drafts.iter().map(|draft| sending(&store, draft)).collect::<Vec<_>>()).await;
        for (n, result) in results.into_iter().enumerate() {
            let run = drafts[n].lease.run;
            if n % 3 == 1 {
                assert_refused(result, 1);
                assert_eq!(room.seqs(run).await, [1]);
            } else {
                assert_eq!(result, Ok(()));
                assert_eq!(room.seqs(run).await, [1, 2]);
            }
        }
        assert_eq!(parts(&room).await, [0, 2, 3, 5, 6, 8, 9, 11]);
    }
}

pub(super) async fn a_refused_commit_carries_out_its_statement(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let stale = room.draft(&hold.lease, Seq(7), 1).write(add(1));
        assert_eq!(room.commit(&stale).await, conflict(hold.lease.run, 7, 1));
        let malformed = room.draft(&hold.lease, hold.head, 1).write(add(2)).write(Write::Consume(MessageId(99)));
        assert_malformed(room.commit(&malformed).await);
        let refused = room.draft(&hold.lease, hold.head, 1).write(add(3)).send(room.new_run().run, "hello?");
        assert_refused(room.commit(&refused).await, 1);
        room.advance(LEASE).await;
        room.claim("b", hold.lease.run).await.unwrap();
        let zombie = room.draft(&hold.lease, hold.head, 1).write(add(4));
        assert_eq!(room.commit(&zombie).await, fenced(hold.lease.run));
        assert_eq!(parts(&room).await, Vec::<Value>::new());
    }
}

pub(super) async fn a_commit_sent_twice_repeats_its_statement(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let text = "UPDATE suite_part SET pieces = pieces + 1";
        let draft = room.draft(&hold.lease, hold.head, 1).write(add(1)).write(Write::Sql(sql(text)));
        let store = room.store();
        let results = at_once((0..8).map(|_| sending(&store, &draft)).collect::<Vec<_>>()).await;
        assert_eq!(results, vec![Ok(()); 8]);
        assert_eq!(rows(&room, "SELECT pieces FROM suite_part").await, [[json!(11)]]);
    }
}

pub(super) async fn a_statement_reaches_a_table_of_the_store(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        for table in room.own_tables() {
            for statement in [
                format!("DELETE FROM {table}"),
                format!("DELETE FROM \"{table}\" WHERE 1 = 0"),
                format!("INSERT INTO suite_part (id) SELECT COUNT(*) FROM {table}"),
                format!("WITH x AS (SELECT COUNT(*) AS n FROM {table}) INSERT INTO suite_part (id) SELECT n FROM x"),
                format!("DELETE FROM suite_part WHERE EXISTS (SELECT 1 FROM {table})"),
            ] {
                let draft = room.draft(&hold.lease, hold.head, 1).write(Write::Sql(sql(&statement)));
                let result = room.commit(&draft).await;
                assert!(
                    matches!(result, Err(crate::store::StoreError::Refused { write: 0, .. })),
                    "{statement}: {result:?}"
                );
            }
        }
        assert_eq!(room.seqs(hold.lease.run).await, [1]);
        assert_eq!(parts(&room).await, Vec::<Value>::new());
    }
}

pub(super) async fn two_statements_pass_for_one(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        for text in [
            "INSERT INTO suite_part (id) VALUES (1); INSERT INTO suite_part (id) VALUES (2)",
            "INSERT INTO suite_part (id) VALUES (1); DROP TABLE suite_part",
            "INSERT INTO suite_part (id) VALUES (1) /* ; */ ; COMMIT",
        ] {
            let draft = room.draft(&hold.lease, hold.head, 1).write(Write::Sql(sql(text)));
            assert_refused(room.commit(&draft).await, 0);
        }
        assert_eq!(parts(&room).await, Vec::<Value>::new());
        let one = "INSERT INTO suite_part (id, words) VALUES (1, ';') -- ; one\n;";
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(Write::Sql(sql(one)))).await.unwrap();
        assert_eq!(parts(&room).await, [1]);
    }
}

pub(super) async fn a_statement_of_another_kind_is_carried_out(room: Room) {
    if has_table(&room).await {
        let mut hold = room.create("a").await;
        for text in [
            "",
            "-- nothing",
            "SELECT 1",
            "SELECT * FROM suite_part",
            "VALUES (1)",
            "CREATE TABLE suite_other (id BIGINT)",
            "DROP TABLE suite_part",
            "ALTER TABLE suite_part ADD COLUMN more TEXT",
            "CREATE INDEX suite_index ON suite_part (words)",
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "END",
            "SAVEPOINT mine",
            "VACUUM",
            "ANALYZE",
            "EXPLAIN DELETE FROM suite_part",
            "PRAGMA synchronous = OFF",
            "ATTACH 'other.db' AS other",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "nonsense",
        ] {
            let draft = room.draft(&hold.lease, hold.head, 1).write(add(1)).write(Write::Sql(sql(text)));
            let result = room.commit(&draft).await;
            let refused = matches!(result, Err(crate::store::StoreError::Refused { write: 1, .. }));
            assert!(refused, "{text:?}: {result:?}");
        }
        assert_eq!(parts(&room).await, Vec::<Value>::new());
        room.extend(&mut hold, 1).await;
    }
}

pub(super) async fn many_statements_are_too_many_for_one_commit(room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        let draft = (0..300).fold(room.draft(&hold.lease, hold.head, 1), |draft, id| draft.write(add(id)));
        room.commit(&draft).await.unwrap();
        assert_eq!(rows(&room, "SELECT COUNT(*), SUM(pieces) FROM suite_part").await, [[json!(300), json!(3_000)]]);
    }
}

pub(super) async fn a_statement_is_undone_by_reopening(mut room: Room) {
    if has_table(&room).await {
        let hold = room.create("a").await;
        room.commit(&room.draft(&hold.lease, hold.head, 1).write(add(1))).await.unwrap();
        if room.reopen().await {
            assert_eq!(parts(&room).await, [1]);
            assert_eq!(room.seqs(hold.lease.run).await, [1, 2]);
        }
    }
}
