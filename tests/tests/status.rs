//! `hookyard status` names whatever stands still, with its reason (O1).

use hookyard::store::Store;
use hookyard_domain::{DeliveryState, EventState, Scope};
use hookyard_tests::{
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    server,
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token, sender_token},
    wait,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

on_both_databases!(whatever_stands_still_is_told_with_its_reason, nothing_is_told_where_all_is_well);

async fn whatever_stands_still_is_told_with_its_reason(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::Status(404)]);
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("gone", &receiver.url("/gone")))
        .endpoint(Endpoint::new("broken", &receiver.url("/broken")))
        .sender(Sender::new("github").plugin("missing"));
    let mut host = TestHost::builder(kind).setup(SetupFile::new().tenant(tenant)).start().await;
    for _ in 0..2 {
        let answer = host.client().post(&sender_token("acme", "github"), "{}".to_owned()).send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let answer = host.client().post(&endpoint_token("acme", "gone"), "{}".to_owned()).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let store = host.store();
    wait::until("two events are held and a delivery is rejected", async || {
        let events = store.standing_events(Scope::Operator).await.expect("the store reads");
        let deliveries = store.standing_deliveries(Scope::Operator).await.expect("the store reads");
        let held = events.iter().any(|row| row.state == EventState::Held && row.count == 2);
        let rejected = deliveries.iter().any(|row| row.state == DeliveryState::Rejected && row.count == 1);
        (held && rejected).then_some(())
    })
    .await;
    spoil(host.database(), "UPDATE endpoint SET metadata = 'no JSON' WHERE name = 'broken'").await;

    let document: Value = serde_json::from_slice(&status(host.database(), &["--format", "json"]).await).expect("JSON");
    let held = &document["events"][0];
    assert_eq!((&held["name"], &held["count"]), (&"acme/github".into(), &2.into()), "{document:#}");
    assert!(
        held["reason"].as_str().is_some_and(|reason| reason.contains("missing")),
        "{document:#}"
    );
    let rejected = &document["deliveries"][0];
    assert_eq!(
        (&rejected["name"], &rejected["state"]),
        (&"acme/gone".into(), &"rejected".into()),
        "{document:#}"
    );
    let aside = &document["set_aside"][0];
    assert_eq!(
        (&aside["table"], &aside["name"]),
        (&"endpoint".into(), &"broken".into()),
        "{document:#}"
    );
    assert!(
        aside["reason"].as_str().is_some_and(|reason| reason.contains("metadata")),
        "{document:#}"
    );

    let table = String::from_utf8(status(host.database(), &[]).await).expect("text");
    for part in [
        "events held",
        "acme/github",
        "deliveries rejected",
        "acme/gone",
        "set aside",
        "endpoint broken",
    ] {
        assert!(table.contains(part), "{part} is not told:\n{table}");
    }
    let of_tenant = String::from_utf8(status(host.database(), &["--tenant", "acme"]).await).expect("text");
    assert!(of_tenant.contains("events held") && !of_tenant.contains("set aside"), "{of_tenant}");
    let unknown = server::run(host.database(), &["status", "--tenant", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(3));
    host.stop().await;
}

async fn nothing_is_told_where_all_is_well(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    drop::<Store>(database.open(hookyard::app::now()).await);
    let table = String::from_utf8(status(&database, &[]).await).expect("text");
    assert_eq!(table.trim(), "nothing stands still");
}

/// What the command writes to standard output; it must succeed.
async fn status(database: &TestDatabase, args: &[&str]) -> Vec<u8> {
    let args: Vec<&str> = ["status"].into_iter().chain(args.iter().copied()).collect();
    let output = server::run(database, &args).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a statement past the server, as a damaged file or another program would.
async fn spoil(database: &TestDatabase, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    match database.kind() {
        Kind::Sqlite => {
            let mut connection = SqliteConnection::connect(database.url()).await.expect("it opens");
            sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(database.url()).await.expect("it opens");
            sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
        }
    }
    .expect("the statement runs");
}
