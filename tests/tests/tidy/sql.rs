//! Every statement is prepared on the database it is for, and the plans that matter are looked at.

use std::{fs, path::PathBuf};

use hookyard::store::statements::{On, all};
use hookyard_tests::database::{Kind, TestDatabase};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::workspace;

#[test]
fn every_statement_prepares_on_sqlite() {
    let connection = sqlite_with_the_schema();
    for (name, on, statement) in all() {
        if on != On::Postgres {
            let prepared = connection.prepare(statement);
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }
}

#[tokio::test]
async fn every_statement_prepares_on_postgres() {
    let database = TestDatabase::fresh(Kind::Postgres).await;
    drop(database.open(hookyard_domain::Timestamp::EPOCH).await);
    let mut connection = PgConnection::connect(database.url()).await.expect("it opens");
    for (name, on, statement) in all() {
        if on != On::Sqlite {
            let prepared = sqlx::raw_sql(AssertSqlSafe(format!("PREPARE {name} AS {statement}")))
                .execute(&mut connection)
                .await;
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }
}

/// A batch looks its own rows up in a hash table. As a join it compared each delivery with each event of the batch: 36 ms
/// of 512 of them.
#[tokio::test]
async fn no_batch_on_postgres_is_joined_with_itself() {
    let database = TestDatabase::fresh(Kind::Postgres).await;
    drop(database.open(hookyard_domain::Timestamp::EPOCH).await);
    let mut connection = PgConnection::connect(database.url()).await.expect("it opens");
    let text = |name| {
        let (.., text) = all().find(|(of, ..)| *of == name).expect("there is such a statement");
        text
    };
    sqlx::raw_sql(text("PLAN_BY_KEY"))
        .execute(&mut connection)
        .await
        .expect("it is set");
    for (name, parameters, lookups) in [("INSERT_EVENTS", 43, 6), ("DECIDE_EVENTS", 39, 5), ("SETTLE_DELIVERIES", 16, 1)] {
        let nulls = vec!["NULL"; parameters].join(", ");
        let explain = format!("PREPARE {name} AS {}; EXPLAIN EXECUTE {name} ({nulls})", text(name));
        let plan: Vec<String> = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut connection)
            .await
            .expect("it is planned")
            .iter()
            .map(|row| row.get(0))
            .collect();
        let plan = plan.join("\n");
        assert_eq!(plan.matches("hashed SubPlan").count(), lookups, "{name}:\n{plan}");
    }
}

fn sqlite_with_the_schema() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().expect("a database in memory opens");
    let mut migrations: Vec<PathBuf> = fs::read_dir(workspace().join("migrations"))
        .expect("the migrations can be listed")
        .map(|entry| entry.expect("the migrations can be listed").path())
        .filter(|path| !path.to_string_lossy().ends_with(".postgres.sql"))
        .collect();
    migrations.sort();
    for path in migrations {
        let schema = fs::read_to_string(path).expect("a migration can be read");
        connection
            .execute_batch(&hookyard::store::migrate::for_sqlite(&schema))
            .expect("the schema is written");
    }
    connection
}

/// One column of what SQLite explains about a statement.
fn explained(connection: &rusqlite::Connection, explain: &str, statement: &str, column: usize) -> Vec<String> {
    let mut prepared = connection.prepare(&format!("{explain} {statement}")).expect("it is explained");
    let nulls = vec![rusqlite::types::Null; prepared.parameter_count()];
    prepared
        .query_map(rusqlite::params_from_iter(nulls), |row| row.get(column))
        .expect("it is explained")
        .collect::<Result<_, _>>()
        .expect("it is text")
}

/// With an index that began with the state SQLite took that, and sorted 200,000 waiting deliveries at each of 10,000 steps
/// from endpoint to endpoint: for minutes after a start nothing was delivered.
#[test]
fn whose_work_waits_is_found_on_sqlite_without_sorting_the_backlog() {
    let connection = sqlite_with_the_schema();
    for name in [
        "SELECT_NEXT_DELIVERY_DUE",
        "SELECT_FIRST_DUE",
        "SELECT_WAITING_ENDPOINTS",
        "SELECT_SENDERS_WITH_PENDING",
        "SELECT_SENDERS_WITH_HELD",
        "CANCEL_WAITING",
        "CLAIM_DELIVERIES",
        "COUNT_STANDING_EVENTS_OF_TENANT",
        "COUNT_STANDING_DELIVERIES_OF_TENANT",
        "LIST_STANDING_EVENTS",
        "LIST_ENDED_DELIVERIES",
        "COUNT_STANDING_EVENTS",
        "COUNT_STANDING_DELIVERIES",
        "COUNT_BACKLOG",
    ] {
        let (.., statement) = all().find(|(of, ..)| *of == name).expect("there is such a statement");
        // What is counted or listed is sorted at its end: a row for each sender or endpoint, or a page.
        let sorts_its_answer = match name {
            _ if ["SELECT_", "CLAIM_", "CANCEL_", "COUNT_BACKLOG"]
                .iter()
                .any(|kind| name.starts_with(kind)) =>
            {
                0
            }
            // Two lists put together.
            _ if name.starts_with("COUNT_STANDING_EVENTS") => 2,
            _ => 1,
        };
        let plan = explained(&connection, "EXPLAIN QUERY PLAN", statement, 3);
        let sorts = plan.iter().filter(|step| step.ends_with("TEMP B-TREE FOR ORDER BY")).count();
        let reads_all = plan.iter().any(|step| step.starts_with("SCAN") && step.ends_with("_work"));
        assert!(sorts <= sorts_its_answer && !reads_all, "{name}:\n{}", plan.join("\n"));
    }
}

/// A filter by destination walked over all deliveries of the tenant, and over all of the destination's for each event of a page.
#[test]
fn a_search_reads_no_table_as_a_whole_on_sqlite_and_each_event_by_its_own_deliveries() {
    let connection = sqlite_with_the_schema();
    let searches: Vec<_> = all().filter(|(name, ..)| name.starts_with("SEARCH_")).collect();
    assert!(!searches.is_empty());
    for (name, _, statement) in searches {
        let plan = explained(&connection, "EXPLAIN QUERY PLAN", statement, 3);
        let told = plan.join("\n");
        // The names of tables in these statements; those of what was found before are others.
        for table in ["d", "e", "w", "x", "y", "z", "v", "route_work", "decision", "delivery_work"] {
            assert!(!plan.iter().any(|step| step == &format!("SCAN {table}")), "{name}:\n{told}");
        }
        for (alias, index) in [
            ("x", "delivery_of_endpoint"),
            ("y", "delivery_of_event"),
            ("z", "delivery_of_event"),
            ("e", "event_of_tenant"),
        ] {
            let by = plan.iter().filter(|step| step.starts_with(&format!("SEARCH {alias} ")));
            assert!(by.into_iter().all(|step| step.contains(index)), "{name}:\n{told}");
        }
    }
}

/// A total is a few rows, found by their tenant, however many events there are.
#[test]
fn a_kept_total_is_found_by_its_tenant_on_sqlite() {
    let connection = sqlite_with_the_schema();
    let (.., statement) = all()
        .find(|(of, ..)| *of == "SELECT_EVENT_COUNT")
        .expect("there is such a statement");
    let plan = explained(&connection, "EXPLAIN QUERY PLAN", statement, 3);
    assert_eq!(plan, ["SEARCH event_count USING PRIMARY KEY (tenant_id=?)"]);
}

/// A CHECK with a list of more than two words cost 2 us at every insert.
#[test]
fn what_is_written_for_each_event_opens_no_temporary_table_on_sqlite() {
    let connection = sqlite_with_the_schema();
    for name in [
        "CLAIM_IDEMPOTENCY_KEY",
        "INSERT_EVENT",
        "INSERT_ROUTE_WORK",
        "FINISH_ROUTE_WORK",
        "KEEP_ROUTE_WORK",
        "INSERT_DECISION",
        "INSERT_CONTENT",
        "INSERT_DELIVERY",
        "INSERT_DELIVERY_WORK",
        "FINISH_DELIVERY_WORK",
        "KEEP_DELIVERY_WORK",
        "INSERT_ATTEMPT",
    ] {
        let (.., statement) = all().find(|(of, ..)| *of == name).expect("there is such a statement");
        let steps = explained(&connection, "EXPLAIN", statement, 1);
        assert!(!steps.iter().any(|step| step == "OpenEphemeral"), "{name}: {steps:?}");
    }
}

/// Two connections fold the log: before 3.51.3 that could corrupt the database. The rest is what `.cargo/config.toml` asks for.
#[test]
fn sqlite_is_the_one_that_is_meant() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    let connection = rusqlite::Connection::open_in_memory().expect("a database in memory opens");
    let options = connection
        .prepare("PRAGMA compile_options")
        .expect("it is asked")
        .query_map([], |row| row.get(0))
        .expect("it is asked")
        .collect::<Result<Vec<String>, _>>()
        .expect("they are text");
    assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}
