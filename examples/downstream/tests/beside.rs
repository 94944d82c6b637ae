//! The program's own database beside the store of its runs.

use parkway::testing::ScriptedModel;
use parkway::{ModelBinding, Parkway};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use stockroom::{Shelf, answer, tools};

#[tokio::test]
async fn a_pool_of_ones_own_works_beside_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stock.db");
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&file).create_if_missing(true)).await.unwrap();
    sqlx::query("CREATE TABLE answered (part TEXT NOT NULL, pieces INTEGER NOT NULL)").execute(&pool).await.unwrap();

    let shelf = Shelf::new([("A-12", 40)]);
    let reads = ScriptedModel::new().otherwise(r#"{"part": "A-12", "pieces": 3}"#);
    let store = format!("sqlite:{}", folder.path().join("runs.db").display());
    let builder = Parkway::builder().store(store).model("main", ModelBinding::new(reads));
    let parkway = tools(builder, &shelf).build().await.unwrap();
    let answers = answered(&parkway).await;
    for part in answers {
        sqlx::query("INSERT INTO answered VALUES ($1, 3)").bind(part).execute(&pool).await.unwrap();
    }
    let pieces: i64 = sqlx::query_scalar("SELECT sum(pieces) FROM answered").fetch_one(&pool).await.unwrap();
    assert_eq!((pieces, shelf.pieces("A-12")), (6, Some(34)));
}

/// The parts of two letters that are answered at once.
async fn answered(parkway: &Parkway) -> [String; 2] {
    let (one, two) = tokio::join!(answer(parkway, "Three A-12, please."), answer(parkway, "And three more A-12."));
    [one.unwrap().part, two.unwrap().part]
}
