//! Seeding against the schema as it is, so that a changed table is noticed before somebody waits for a large run.

use hookyard::store::migrate;
use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, PluginId, SenderId, SubscriptionId, TenantId, Timestamp};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use super::{
    bulk::{Bulk, Cell, Table},
    crowd,
    history::{self, Counts},
};
use crate::{
    bench::place::{self, Place},
    database::Kind,
    on_both_databases,
};

const EVENTS: u32 = 20_000;
const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
/// The revision of the plugin's activation, newer than its sender's.
const ACTIVATED_AT_REVISION: i64 = 7;

static TENANT: Table = Table {
    name: "tenant",
    columns: &[
        "id",
        "name",
        "attempts_max",
        "breaker_block_s",
        "webhook_secret_sealed",
        "revision",
        "created_at",
        "updated_at",
    ],
};
static ENVIRONMENT: Table = Table {
    name: "environment",
    columns: &[
        "id",
        "tenant_id",
        "slug",
        "name",
        "is_default",
        "revision",
        "created_at",
        "updated_at",
    ],
};
static ENDPOINT: Table = Table {
    name: "endpoint",
    columns: &[
        "id",
        "tenant_id",
        "environment_id",
        "name",
        "url",
        "status",
        "profile",
        "metadata",
        "concurrency_max",
        "revision",
        "created_at",
        "updated_at",
    ],
};
static SUBSCRIPTION: Table = Table {
    name: "subscription",
    columns: &["id", "endpoint_id", "pattern", "created_at"],
};
static SENDER: Table = Table {
    name: "sender",
    columns: &[
        "id",
        "tenant_id",
        "environment_id",
        "name",
        "status",
        "config",
        "failure_policy",
        "exposed_headers",
        "revision",
        "created_at",
        "updated_at",
    ],
};
static CREDENTIAL: Table = Table {
    name: "credential",
    columns: &[
        "id",
        "tenant_id",
        "kind",
        "subject_id",
        "rights",
        "hash",
        "revision",
        "created_at",
        "updated_at",
    ],
};
static PLUGIN: Table = Table {
    name: "plugin",
    columns: &["id", "tenant_id", "name", "generation", "revision", "created_at", "updated_at"],
};

on_both_databases!(a_history_fits_the_schema_and_has_the_rows_it_says);

async fn a_history_fits_the_schema_and_has_the_rows_it_says(kind: Kind) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let cluster = std::env::var("HOOKYARD_TEST_POSTGRES").ok();
    let kind = match kind {
        Kind::Sqlite => place::Kind::Sqlite,
        Kind::Postgres => place::Kind::Postgres,
    };
    let place = Place::fresh(kind, folder.path(), cluster.as_deref()).await.unwrap();
    migrated(&place).await.unwrap();

    let mut bulk = Bulk::open(&place).await.unwrap();
    templates(&mut bulk).await.unwrap();
    let crowd = crowd::make(&mut bulk, NOW).await.unwrap();
    assert_eq!(crowd.held_under, ACTIVATED_AT_REVISION);
    history::write(&mut bulk, &crowd, EVENTS, NOW).await.unwrap();
    bulk.finish().await.unwrap();

    let counts = Counts::of(EVENTS);
    for (sql, expected) in [
        ("SELECT COUNT(*) FROM event", counts.events),
        ("SELECT COUNT(*) FROM decision", counts.events),
        ("SELECT COUNT(*) FROM delivery", counts.deliveries),
        ("SELECT COUNT(*) FROM delivery_work WHERE state = 'waiting'", counts.waiting),
        (
            "SELECT COUNT(*) FROM route_work WHERE state = 'held' AND held_under = 7",
            counts.held,
        ),
        ("SELECT COUNT(*) FROM endpoint", 10_000 + 2),
        ("SELECT COUNT(*) FROM subscription", 10_000),
        ("SELECT COUNT(*) FROM sender", 1_000 + 1),
        ("SELECT COUNT(*) FROM credential", 11_000),
        // Every delivery without work has been answered.
        (
            "SELECT COUNT(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM delivery_work w WHERE w.delivery_id = d.id) \
             AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.delivery_id = d.id AND a.status = 200)",
            0,
        ),
    ] {
        assert_eq!(place.count(sql).await.unwrap(), expected, "{sql}");
    }
    place.remove().await.unwrap();
}

/// Makes the tables, and closes the connection: SQLite is seeded by one alone.
async fn migrated(place: &Place) -> anyhow::Result<()> {
    match place.kind {
        place::Kind::Sqlite => {
            let options = SqliteConnectOptions::new().filename(place.file()).create_if_missing(true);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            migrate::sqlite(&mut connection, NOW).await?;
            connection.close().await?;
        }
        place::Kind::Postgres => {
            let mut connection = PgConnection::connect(&place.url).await?;
            migrate::postgres(&mut connection, NOW).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

/// One endpoint and one sender per tenant, and the special ones, as a set-up file would make them.
async fn templates(bulk: &mut Bulk) -> anyhow::Result<()> {
    let at = Cell::Int(NOW.as_micros());
    for index in 0..20 {
        let name = format!("crowd-{index:02}");
        let tenant = TenantId::new_v7(NOW, rand::random()).as_uuid();
        let environment = EnvironmentId::new_v7(NOW, rand::random()).as_uuid();
        let row = [
            Cell::Id(tenant),
            Cell::Text(&name),
            Cell::Int(5),
            Cell::Int(300),
            Cell::Bytes(b"sealed"),
            Cell::Int(1),
            at,
            at,
        ];
        bulk.add(&TENANT, &row).await?;
        let row = [
            Cell::Id(environment),
            Cell::Id(tenant),
            Cell::Text("default"),
            Cell::Text("Default"),
            Cell::Int(1),
            Cell::Int(1),
            at,
            at,
        ];
        bulk.add(&ENVIRONMENT, &row).await?;
        let (endpoint, sender) = (
            EndpointId::new_v7(NOW, rand::random()).as_uuid(),
            SenderId::new_v7(NOW, rand::random()).as_uuid(),
        );
        add_endpoint(bulk, tenant, environment, endpoint, "template").await?;
        let row = [
            Cell::Id(SubscriptionId::new_v7(NOW, rand::random()).as_uuid()),
            Cell::Id(endpoint),
            Cell::Text("type-0"),
            at,
        ];
        bulk.add(&SUBSCRIPTION, &row).await?;
        add_sender(bulk, tenant, environment, sender, "template").await?;
        for (subject, kind) in [(endpoint, "endpoint"), (sender, "sender")] {
            let id = CredentialId::new_v7(NOW, rand::random()).as_uuid();
            let hash = ContentHash::of(subject.as_bytes());
            let row = [
                Cell::Id(id),
                Cell::Id(tenant),
                Cell::Text(kind),
                Cell::Id(subject),
                Cell::Text("[]"),
                Cell::Bytes(hash.as_bytes()),
                Cell::Int(1),
                at,
                at,
            ];
            bulk.add(&CREDENTIAL, &row).await?;
        }
        if index == 0 {
            add_endpoint(bulk, tenant, environment, EndpointId::new_v7(NOW, rand::random()).as_uuid(), "sink").await?;
            add_sender(bulk, tenant, environment, SenderId::new_v7(NOW, rand::random()).as_uuid(), "routed").await?;
            let row = [
                Cell::Id(PluginId::new_v7(NOW, rand::random()).as_uuid()),
                Cell::Id(tenant),
                Cell::Text("router"),
                Cell::Int(1),
                Cell::Int(ACTIVATED_AT_REVISION),
                at,
                at,
            ];
            bulk.add(&PLUGIN, &row).await?;
        }
        if index == 1 {
            let id = EndpointId::new_v7(NOW, rand::random()).as_uuid();
            add_endpoint(bulk, tenant, environment, id, "hanging").await?;
        }
    }
    Ok(())
}

async fn add_endpoint(bulk: &mut Bulk, tenant: Uuid, environment: Uuid, id: Uuid, name: &str) -> anyhow::Result<()> {
    let at = Cell::Int(NOW.as_micros());
    let row = [
        Cell::Id(id),
        Cell::Id(tenant),
        Cell::Id(environment),
        Cell::Text(name),
        Cell::Text("http://127.0.0.1:1/"),
        Cell::Text("active"),
        Cell::Text("hookyard"),
        Cell::Text("{}"),
        Cell::Int(16),
        Cell::Int(1),
        at,
        at,
    ];
    bulk.add(&ENDPOINT, &row).await
}

async fn add_sender(bulk: &mut Bulk, tenant: Uuid, environment: Uuid, id: Uuid, name: &str) -> anyhow::Result<()> {
    let at = Cell::Int(NOW.as_micros());
    let row = [
        Cell::Id(id),
        Cell::Id(tenant),
        Cell::Id(environment),
        Cell::Text(name),
        Cell::Text("active"),
        Cell::Text("{}"),
        Cell::Text("hold"),
        Cell::Text("[]"),
        Cell::Int(1),
        at,
        at,
    ];
    bulk.add(&SENDER, &row).await
}
