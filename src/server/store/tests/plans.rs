//! How databases find rows: by an index, whatever they knew when they made their plan.

use sqlx::{Connection as _, SqlSafeStr as _};

use super::*;

/// SQLite says how it would find them; PostgreSQL what it has read, by a plan that it made when there were none.
pub(super) async fn jobs_that_are_done_are_not_looked_at(database: Database) {
    let store = store(&database).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let claim = |what| sqlx::query(what).bind("index").bind(1i64).bind(2i64).bind(3i64).bind("one");
    if database.is_sqlite() {
        let plan = format!("EXPLAIN QUERY PLAN {}", jobs::CLAIM);
        let plan = claim(AssertSqlSafe(plan).into_sql_str()).fetch_all(&mut *connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains("jobs_open (kind=?")), "{plan:?}");
        return;
    }
    for _until_a_plan_is_kept in 0..9 {
        claim(jobs::CLAIM.into_sql_str()).execute(&mut *connection).await.unwrap();
    }
    let done = "INSERT INTO jobs (kind, target, state, lease_until, attempts, place)
        SELECT 'index', CAST(n AS TEXT), CASE WHEN n < 5000 THEN 'done' ELSE 'waiting' END, 0, 1, n
        FROM generate_series(1, 5000) AS all_of (n)";
    sqlx::query(done).execute(&mut *connection).await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    let claimed = claim(jobs::CLAIM.into_sql_str()).fetch_all(&mut *tx).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let read =
        "SELECT CAST(seq_tup_read + idx_tup_fetch AS BIGINT) FROM pg_stat_xact_user_tables WHERE relname = 'jobs'";
    let read: i64 = sqlx::query_scalar(read).fetch_one(&mut *tx).await.unwrap();
    assert!(read < 9, "{read} rows were read");
}

/// PostgreSQL keeps the plan that it made while a table was small.
pub(super) async fn a_row_of_a_small_table_is_found_by_its_index(database: Database) {
    let store = store(&database).await;
    if database.is_sqlite() {
        return;
    }
    Ask::new(9, false).file(&store).await;
    store.pool.execute("ANALYZE commissions").await.unwrap();
    let plan = "EXPLAIN SELECT state FROM commissions WHERE commission = $1";
    let plan: Vec<String> = sqlx::query_scalar(plan).bind("one").fetch_all(&store.pool).await.unwrap();
    assert!(plan[0].starts_with("Index Scan"), "{plan:?}");
}
