//! What the store promises about configuration, held on both databases: changes are all or nothing and conflict only over
//! the same row, what cannot be read takes nothing else with it, and what a node reads is what changed.

use std::collections::BTreeSet;

use hookyard::{
    configuration::{Configuration, Snapshot},
    store::{
        Change, EndpointRow, Error, Expected, PreviousSecret, Row, Rows, SecretText, Store, SubscriptionRow, TenantRow, Thing, Unreadable,
    },
};
use hookyard_domain::{ContentHash, EndpointId, EnvironmentId, PluginId, Scope, SubscriptionId, TenantId, Timestamp};
use hookyard_tests::{
    database::{Kind, TestDatabase},
    on_both_databases,
    setup::{Endpoint, Sender, SetupFile, Tenant, api_key, endpoint_token, sender_token, webhook_secret},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

on_both_databases!(
    a_change_of_configuration_is_all_or_nothing,
    two_changes_of_one_row_made_from_the_same_state_conflict,
    changes_of_two_tenants_made_from_the_same_state_both_land,
    a_taken_name_and_a_taken_credential_are_told_apart,
    a_secret_that_does_not_open_leaves_the_rest_serving,
    a_row_of_another_shape_leaves_the_rest_serving,
    applying_the_set_up_again_mends_a_row_that_cannot_be_read,
    activating_and_configuring_at_once_never_wait_for_each_other,
    a_node_that_follows_step_by_step_has_what_a_new_node_reads,
    only_what_changed_is_read,
    what_is_deleted_is_forgotten_and_its_credentials_open_nothing,
    an_endpoint_keeps_all_that_was_set,
    endpoints_need_no_name,
    a_plugin_keeps_its_version_when_another_is_refused,
    no_credential_can_be_read_in_the_database,
    a_key_that_opens_no_secret_does_not_become_the_databases,
);

/// A moment of no importance, the same for every run.
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn setup() -> SetupFile {
    let tenant = |name| {
        Tenant::named(name)
            .endpoint(Endpoint::new("one", "https://example.com/one"))
            .endpoint(Endpoint::new("two", "https://example.com/two").events(&["order.*", "ping"]))
            .sender(Sender::new("github").plugin("router"))
            .sender(Sender::new("picky").endpoints(&["two"]))
    };
    SetupFile::new().tenant(tenant("acme")).tenant(tenant("beta"))
}

/// A store on a fresh database with two tenants.
struct Yard {
    store: Store,
    database: TestDatabase,
    acme: TenantId,
    beta: TenantId,
}

impl Yard {
    async fn on(kind: Kind) -> Self {
        let database = TestDatabase::fresh(kind).await;
        let store = database.open(NOW).await;
        let tenants = setup().apply_in_process(&store, NOW).await;
        Self {
            acme: tenants["acme"],
            beta: tenants["beta"],
            store,
            database,
        }
    }

    async fn rows(&self) -> Rows {
        self.store.configuration_since(0).await.expect("the configuration is read")
    }

    async fn tenant(&self, id: TenantId) -> TenantRow {
        let row = self.store.tenant_row(Scope::Operator, id).await.expect("read");
        row.expect("it is there")
    }

    async fn endpoint(&self, tenant: TenantId, name: &str) -> EndpointRow {
        let rows = self.rows().await.endpoints.rows;
        rows.into_iter()
            .find(|row| row.tenant == tenant && row.name.as_deref() == Some(name))
            .expect("it is there")
    }

    /// Runs a statement past the store, as a damaged file or another program would.
    async fn spoil(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        match self.database.kind() {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(self.database.url()).await.expect("it opens");
                sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
            }
            Kind::Postgres => {
                let mut connection = PgConnection::connect(self.database.url()).await.expect("it opens");
                sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
            }
        }
        .expect("the statement runs");
    }

    async fn snapshot(&self) -> Snapshot {
        Snapshot::default().with(self.rows().await)
    }
}

fn update(row: Row, revision: i64) -> Change {
    Change::Put {
        row,
        expected: Expected::Revision(revision),
    }
}

fn some_endpoint() -> EndpointId {
    EndpointId::new_v7(NOW, rand::random())
}

/// All that a snapshot answers, as lines in a fixed order.
fn told(snapshot: &Snapshot) -> BTreeSet<String> {
    let mut lines = BTreeSet::from([format!("revision {}", snapshot.revision)]);
    for tenant in snapshot.tenants.values() {
        lines.insert(format!("tenant {} {} {:?}", tenant.id, tenant.name, tenant.attempts_max));
    }
    for environment in snapshot.environments.values() {
        lines.insert(format!("environment {} {}", environment.id, environment.slug));
        for event_type in ["", "order.paid", "ping", "other"] {
            let found = snapshot.subscribers(environment.id).map(|reach| reach.candidates(event_type));
            let found = found.map(|found| (names(&found.endpoints), found.passed_over));
            lines.insert(format!("subscribers {} {event_type} {found:?}", environment.id));
        }
    }
    for endpoint in snapshot.endpoints.values() {
        let (url, tenant) = (&endpoint.url, &endpoint.tenant);
        lines.insert(format!(
            "endpoint {} {} {url} {} {:?} {}",
            endpoint.id,
            endpoint.label(),
            tenant.name,
            tenant.attempts_max,
            endpoint.revision
        ));
    }
    for sender in snapshot.senders.values() {
        let route = snapshot.route_revision(sender);
        let (tenant, reach) = (sender.tenant.attempts_max, names(sender.reach.all()));
        lines.insert(format!("sender {} {} {tenant:?} {reach:?} {route}", sender.id, sender.label()));
    }
    for credential in snapshot.credentials.values() {
        lines.insert(format!("credential {credential:?}"));
    }
    for tenant in ["acme", "beta"] {
        for text in [api_key(tenant), endpoint_token(tenant, "one"), sender_token(tenant, "github")] {
            let found = snapshot.credential(&text, NOW).map(|credential| credential.id);
            lines.insert(format!("{text} opens {found:?}"));
        }
    }
    for row in snapshot.set_aside() {
        lines.insert(format!("set aside {row:?}"));
    }
    lines
}

fn names(endpoints: &[std::sync::Arc<hookyard::configuration::Endpoint>]) -> Vec<String> {
    endpoints
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.label(), endpoint.url))
        .collect()
}

// -- changes ----------------------------------------------------------------------------------------------------------

async fn a_change_of_configuration_is_all_or_nothing(kind: Kind) {
    let yard = Yard::on(kind).await;
    let before = yard.rows().await;
    let mut tenant = yard.tenant(yard.acme).await;
    let planned_on = tenant.revision;
    tenant.attempts_max = 7;
    let mut orphan = yard.endpoint(yard.acme, "one").await;
    orphan.id = some_endpoint();
    orphan.name = Some("orphan".to_owned());
    orphan.subscriptions.clear();
    orphan.environment = EnvironmentId::new_v7(NOW, rand::random());
    let changes = [
        update(Row::Tenant(tenant), planned_on),
        Change::new(Row::Endpoint(Box::new(orphan))),
    ];
    assert!(yard.store.configure(&changes, NOW).await.is_err());
    let after = yard.rows().await;
    assert_eq!(after.revision, before.revision);
    assert_eq!(after.tenants.rows, before.tenants.rows);
    assert_eq!(after.endpoints.rows, before.endpoints.rows);
}

async fn two_changes_of_one_row_made_from_the_same_state_conflict(kind: Kind) {
    let yard = Yard::on(kind).await;
    let tenant = yard.tenant(yard.acme).await;
    let with = |attempts_max| {
        let row = TenantRow {
            attempts_max,
            ..tenant.clone()
        };
        [update(Row::Tenant(row), tenant.revision)]
    };
    let revision = yard.store.configure(&with(7), NOW).await.expect("the first lands");
    let outcome = yard.store.configure(&with(9), NOW).await;
    assert!(
        matches!(&outcome, Err(Error::Changed(thing)) if thing.contains("\"acme\"")),
        "{outcome:?}"
    );
    let after = yard.tenant(yard.acme).await;
    assert_eq!((after.attempts_max, after.revision), (7, revision));
}

/// Every change used to name the revision of the whole configuration, so that of two people who changed two tenants at the
/// same time one was told to start over.
async fn changes_of_two_tenants_made_from_the_same_state_both_land(kind: Kind) {
    let yard = Yard::on(kind).await;
    let (one, other) = (yard.tenant(yard.acme).await, yard.tenant(yard.beta).await);
    let change = |row: &TenantRow| {
        let changed = TenantRow {
            attempts_max: 7,
            ..row.clone()
        };
        [update(Row::Tenant(changed), row.revision)]
    };
    let (changes_of_one, changes_of_other) = (change(&one), change(&other));
    let (first, second) = tokio::join!(
        yard.store.configure(&changes_of_one, NOW),
        yard.store.configure(&changes_of_other, NOW)
    );
    let (first, second) = (first.expect("one lands"), second.expect("and so does the other"));
    assert_ne!(first, second);
    assert_eq!(
        [yard.tenant(yard.acme).await, yard.tenant(yard.beta).await].map(|row| row.attempts_max),
        [7, 7]
    );
}

async fn a_taken_name_and_a_taken_credential_are_told_apart(kind: Kind) {
    let yard = Yard::on(kind).await;
    let mut twin = yard.endpoint(yard.acme, "one").await;
    twin.id = some_endpoint();
    twin.subscriptions.clear();
    let outcome = yard.store.configure(&[Change::new(Row::Endpoint(Box::new(twin)))], NOW).await;
    let told = |outcome: Result<i64, Error>| match outcome {
        Err(Error::Taken(text)) => text.to_string(),
        other => panic!("it must be refused as taken: {other:?}"),
    };
    assert_eq!(told(outcome), "endpoint \"one\": there is one already");
    let rows = yard.rows().await;
    let mut copy = rows
        .credentials
        .rows
        .into_iter()
        .find(|row| row.kind == "api-key")
        .expect("there is one");
    copy.id = hookyard_domain::CredentialId::new_v7(NOW, rand::random());
    copy.name = Some("copy".to_owned());
    let outcome = yard.store.configure(&[Change::new(Row::Credential(copy))], NOW).await;
    assert!(told(outcome).contains("already belongs to something else"));
}

/// `activate_plugin` took the plugin's row first and the revision last, `configure` the other way round: PostgreSQL ended
/// one of the two as a deadlock.
async fn activating_and_configuring_at_once_never_wait_for_each_other(kind: Kind) {
    let yard = Yard::on(kind).await;
    for round in 0..20_u8 {
        let row = yard.tenant(yard.acme).await;
        let changed = TenantRow {
            attempts_max: 1 + u16::from(round),
            ..row.clone()
        };
        let changes = [update(Row::Tenant(changed), row.revision)];
        let plugin = PluginId::new_v7(NOW, rand::random());
        // Bytes of its own for each activation: one of what is active already makes no new generation.
        let (one, other) = ([round, 1], [round, 2]);
        let (configured, first, second) = tokio::join!(
            yard.store.configure(&changes, NOW),
            yard.store
                .activate_plugin(plugin, yard.acme, "router", ContentHash::of(&one), &one, NOW),
            yard.store
                .activate_plugin(plugin, yard.acme, "router", ContentHash::of(&other), &other, NOW),
        );
        let revisions = [
            configured.expect("the change lands"),
            first.expect("so does the activation").revision,
            second.expect("and the other").revision,
        ];
        assert_eq!(BTreeSet::from(revisions).len(), 3, "each made a revision of its own");
        let generation = yard.store.plugins().await.expect("read")[0].generation;
        assert_eq!(generation, 2 * (u32::from(round) + 1));
    }
}

// -- what cannot be read ----------------------------------------------------------------------------------------------

/// One secret that did not open made every read of the configuration fail, so that no node followed any change any more.
async fn a_secret_that_does_not_open_leaves_the_rest_serving(kind: Kind) {
    let yard = Yard::on(kind).await;
    let following = Configuration::default();
    following.refresh(&yard.store).await.expect("read");
    yard.spoil(
        "UPDATE tenant SET webhook_secret_sealed = (SELECT webhook_secret_sealed FROM tenant WHERE name = 'beta') WHERE name = 'acme'; \
         UPDATE configuration SET revision = revision + 1; UPDATE tenant SET revision = (SELECT revision FROM configuration) WHERE name = 'acme'",
    )
    .await;
    following.refresh(&yard.store).await.expect("a row is not a reason to fail");
    for snapshot in [&**following.current(), &yard.snapshot().await] {
        let aside: Vec<_> = snapshot.set_aside().collect();
        assert_eq!((aside.len(), aside[0].table, aside[0].name.as_str()), (1, "tenant", "acme"));
        assert!(matches!(aside[0].why, Unreadable::Sealed { .. }), "{:?}", aside[0].why);
        assert!(snapshot.tenant_by_name("acme").is_none() && snapshot.tenant_by_name("beta").is_some());
        assert!(snapshot.endpoints.values().all(|endpoint| endpoint.tenant.id == yard.beta));
        assert_eq!((snapshot.endpoints.len(), snapshot.senders.len()), (2, 2));
    }
    let refused = yard.store.tenant_row(Scope::Operator, yard.acme).await;
    assert!(matches!(refused, Err(Error::Corrupt { table: "tenant", .. })), "{refused:?}");
}

async fn a_row_of_another_shape_leaves_the_rest_serving(kind: Kind) {
    let yard = Yard::on(kind).await;
    yard.spoil(
        "UPDATE endpoint SET metadata = 'no JSON' WHERE url LIKE '%/one'; UPDATE sender SET failure_policy = 'shrug' WHERE name = 'picky'",
    )
    .await;
    if kind == Kind::Sqlite {
        // SQLite keeps what it is given: a text where a number belongs.
        yard.spoil("UPDATE credential SET created_at = 'yesterday' WHERE kind = 'api-key'")
            .await;
    }
    let snapshot = yard.snapshot().await;
    let mut aside: Vec<_> = snapshot.set_aside().map(|row| format!("{} {}", row.table, row.name)).collect();
    aside.sort();
    aside.dedup();
    let mut expected = vec!["endpoint one", "sender picky"];
    if kind == Kind::Sqlite {
        expected.insert(0, "credential test");
    }
    assert_eq!(aside, expected);
    assert_eq!((snapshot.endpoints.len(), snapshot.senders.len()), (2, 2));
    assert!(snapshot.credential(&sender_token("acme", "github"), NOW).is_some());
}

async fn applying_the_set_up_again_mends_a_row_that_cannot_be_read(kind: Kind) {
    let yard = Yard::on(kind).await;
    yard.spoil("UPDATE endpoint SET metadata = 'no JSON' WHERE name = 'one'; UPDATE tenant SET webhook_secret_sealed = key_check FROM (SELECT CAST('x' AS BYTEA) AS key_check) c WHERE name = 'acme'")
        .await;
    assert_eq!(yard.snapshot().await.set_aside().count(), 3);
    let tenants = setup().apply_in_process(&yard.store, NOW).await;
    assert_eq!(tenants["acme"], yard.acme, "it is the same tenant");
    let snapshot = yard.snapshot().await;
    assert_eq!(snapshot.set_aside().count(), 0);
    assert_eq!((snapshot.endpoints.len(), snapshot.senders.len()), (4, 4));
}

async fn a_key_that_opens_no_secret_does_not_become_the_databases(kind: Kind) {
    let yard = Yard::on(kind).await;
    let key = hookyard::store::SealKey::from_bytes(&[9; 32]);
    let store = Box::pin(Store::open(&yard.database.location(), Store::new_node_id(NOW), key, NOW))
        .await
        .expect("the database opens");
    let rows = store.configuration_since(0).await.expect("what is not secret is read");
    assert_eq!((rows.tenants.rows.len(), rows.set_aside.len()), (0, 2));
    assert!(rows.set_aside[0].why.to_string().contains("sealed with another key"));
    assert!(
        store.claim_key().await.is_err(),
        "a key that opens nothing does not become the database's"
    );
    assert!(!yard.store.check_key().await.expect("read"), "none has been claimed");
    yard.store
        .claim_key()
        .await
        .expect("the key that opens the secrets becomes the database's");
    yard.store.claim_key().await.expect("and stays so");
    let problem = store.claim_key().await.expect_err("another is told").to_string();
    assert!(problem.contains("sealed with another key"), "{problem}");
}

// -- following --------------------------------------------------------------------------------------------------------

/// A node applies what changed to what it has. Whatever the changes, it must end where a node that reads everything begins.
async fn a_node_that_follows_step_by_step_has_what_a_new_node_reads(kind: Kind) {
    let yard = Yard::on(kind).await;
    let following = Configuration::default();
    following.refresh(&yard.store).await.expect("read");
    let wasm = b"\0asm".to_vec();
    for step in 0..24_u16 {
        let rows = yard.rows().await;
        let tenant = [yard.acme, yard.beta][usize::from(rand::random_range(0..2_u8))];
        let endpoints: Vec<_> = rows.endpoints.rows.iter().filter(|row| row.tenant == tenant).collect();
        let senders: Vec<_> = rows.senders.rows.iter().filter(|row| row.tenant == tenant).collect();
        let kind_of_change = rand::random_range(0..8_u8);
        let changes = match kind_of_change {
            0 => {
                // Also mends a tenant that an earlier step broke.
                let readable = rows.tenants.rows.iter().find(|row| row.id == tenant).map(|row| row.revision);
                let aside = || rows.set_aside.iter().find(|row| row.id == tenant.as_uuid()).map(|row| row.revision);
                let revision = readable.or_else(aside).expect("it is there");
                let name = if tenant == yard.acme { "acme" } else { "beta" };
                vec![update(
                    Row::Tenant(TenantRow {
                        id: tenant,
                        name: name.to_owned(),
                        attempts_max: 1 + step,
                        breaker_block_s: 300,
                        webhook_secret: SecretText::new(webhook_secret(name)),
                        registered: false,
                        revision: 0,
                        created_at: NOW,
                        updated_at: NOW,
                    }),
                    revision,
                )]
            }
            1 | 2 => endpoints
                .first()
                .map(|row| {
                    let mut row = (*row).clone();
                    row.url = format!("https://example.com/{step}");
                    row.status = ["active", "inactive"][usize::from(step % 2)].to_owned();
                    row.subscriptions = vec![subscription(["ping", "*", "order.*"][usize::from(step % 3)])];
                    let revision = row.revision;
                    update(Row::Endpoint(Box::new(row)), revision)
                })
                .into_iter()
                .collect(),
            3 => {
                let environment = rows
                    .environments
                    .rows
                    .iter()
                    .find(|row| row.tenant == tenant)
                    .expect("it is there")
                    .id;
                vec![Change::new(Row::Endpoint(Box::new(endpoint(tenant, environment, step))))]
            }
            4 if endpoints.len() > 1 => vec![Change::Delete {
                thing: Thing::Endpoint(endpoints[1].id),
                revision: endpoints[1].revision,
            }],
            5 => senders
                .iter()
                .take(1)
                .map(|row| {
                    let mut row = (*row).clone();
                    row.endpoints = (step % 2 == 0).then(|| "[\"one\", \"two\", \"new-3\"]".to_owned());
                    let revision = row.revision;
                    update(Row::Sender(row), revision)
                })
                .collect(),
            6 => {
                yard.spoil(
                    "UPDATE configuration SET revision = revision + 1; \
                     UPDATE tenant SET webhook_secret_sealed = CAST('x' AS BYTEA), revision = (SELECT revision FROM configuration) \
                     WHERE name = 'beta'",
                )
                .await;
                Vec::new()
            }
            _ => {
                let plugin = PluginId::new_v7(NOW, rand::random());
                let activated = yard
                    .store
                    .activate_plugin(plugin, tenant, "router", ContentHash::of(&wasm), &wasm, NOW)
                    .await;
                activated.expect("activated");
                Vec::new()
            }
        };
        if !changes.is_empty() {
            yard.store.configure(&changes, NOW).await.expect("configured");
        }
        following.refresh(&yard.store).await.expect("read");
        let (has, should) = (told(&following.current()), told(&yard.snapshot().await));
        assert_eq!(has, should, "after step {step}, a change of kind {kind_of_change}");
    }
}

fn subscription(pattern: &str) -> SubscriptionRow {
    SubscriptionRow {
        id: SubscriptionId::new_v7(NOW, rand::random()),
        pattern: pattern.to_owned(),
        event_type: None,
        created_at: NOW,
    }
}

fn endpoint(tenant: TenantId, environment: EnvironmentId, number: u16) -> EndpointRow {
    EndpointRow {
        id: some_endpoint(),
        tenant,
        environment,
        application: None,
        name: Some(format!("new-{number}")),
        description: None,
        url: format!("https://example.com/new/{number}"),
        status: "active".to_owned(),
        profile: hookyard_domain::profile::DEFAULT.name().to_owned(),
        metadata: "{}".to_owned(),
        concurrency_max: 5,
        attempts_max: None,
        secret: None,
        previous_secret: None,
        auth: None,
        subscriptions: vec![subscription("*")],
        revision: 0,
        created_at: NOW,
        updated_at: NOW,
    }
}

async fn only_what_changed_is_read(kind: Kind) {
    let yard = Yard::on(kind).await;
    let before = yard.rows().await.revision;
    let row = yard.endpoint(yard.acme, "two").await;
    let (id, revision) = (row.id, row.revision);
    let changed = yard
        .store
        .configure(&[update(Row::Endpoint(Box::new(row.clone())), revision)], NOW)
        .await
        .expect("configured");
    let rows = yard.store.configuration_since(before).await.expect("read");
    assert_eq!(rows.revision, changed);
    assert_eq!(rows.endpoints.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    assert_eq!(
        rows.endpoints.rows[0].subscriptions, row.subscriptions,
        "its subscriptions are the same rows"
    );
    let others = [
        rows.tenants.rows.len(),
        rows.environments.rows.len(),
        rows.senders.rows.len(),
        rows.credentials.rows.len(),
        rows.plugins.len(),
        rows.set_aside.len(),
    ];
    assert_eq!(others, [0; 6]);
    let rows = yard.store.configuration_since(changed).await.expect("read");
    assert!(rows.endpoints.rows.is_empty());
}

async fn what_is_deleted_is_forgotten_and_its_credentials_open_nothing(kind: Kind) {
    let yard = Yard::on(kind).await;
    let following = Configuration::default();
    following.refresh(&yard.store).await.expect("read");
    let row = yard.endpoint(yard.acme, "one").await;
    let token = endpoint_token("acme", "one");
    assert!(following.current().credential(&token, NOW).is_some());
    let delete = [Change::Delete {
        thing: Thing::Endpoint(row.id),
        revision: row.revision,
    }];
    yard.store.configure(&delete, NOW).await.expect("deleted");
    following.refresh(&yard.store).await.expect("read");
    let snapshot = following.current();
    assert!(!snapshot.endpoints.contains_key(&row.id));
    assert!(snapshot.credential(&token, NOW).is_none());
    assert!(
        snapshot
            .senders
            .values()
            .all(|sender| sender.reach.all().iter().all(|endpoint| endpoint.id != row.id))
    );
    assert_eq!(yard.store.endpoint_row(Scope::Operator, row.id).await.expect("read"), None);
    assert!(
        matches!(yard.store.configure(&delete, NOW).await, Err(Error::Changed(_))),
        "it is deleted once"
    );
    // Its name is free again; what it was stays for the events that name it.
    let again = EndpointRow {
        id: some_endpoint(),
        subscriptions: Vec::new(),
        ..row
    };
    yard.store
        .configure(&[Change::new(Row::Endpoint(Box::new(again)))], NOW)
        .await
        .expect("the name is free");
}

async fn an_endpoint_keeps_all_that_was_set(kind: Kind) {
    let yard = Yard::on(kind).await;
    let environment = yard.endpoint(yard.acme, "one").await.environment;
    let secret = |text: &str| SecretText::new(text.to_owned());
    let mut row = EndpointRow {
        description: Some("for the warehouse".to_owned()),
        metadata: r#"{"list":[1,2],"repo":"acme/*"}"#.to_owned(),
        attempts_max: Some(3),
        secret: Some(secret("0123456789abcdef0123456789abcdef")),
        previous_secret: Some(PreviousSecret {
            secret: secret("fedcba9876543210fedcba9876543210"),
            until: NOW.plus(std::time::Duration::from_secs(60)),
        }),
        auth: Some(secret(r#"{"kind":"bearer-token","token":"t"}"#)),
        ..endpoint(yard.acme, environment, 1)
    };
    row.revision = yard
        .store
        .configure(&[Change::new(Row::Endpoint(Box::new(row.clone())))], NOW)
        .await
        .expect("made");
    let read = yard.store.endpoint_row(Scope::Tenant(yard.acme), row.id).await.expect("read");
    assert_eq!(read.as_ref(), Some(&row));
    assert_eq!(
        yard.store.endpoint_row(Scope::Tenant(yard.beta), row.id).await.expect("read"),
        None,
        "to another tenant it looks absent"
    );
    let snapshot = yard.snapshot().await;
    let endpoint = &snapshot.endpoints[&row.id];
    let metadata: Vec<_> = endpoint
        .metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(metadata, [("list", "[1,2]"), ("repo", "acme/*")]);
    assert_eq!(endpoint.attempts_max().get(), 3);
}

async fn endpoints_need_no_name(kind: Kind) {
    let yard = Yard::on(kind).await;
    let environment = yard.endpoint(yard.acme, "one").await.environment;
    let nameless = |number| EndpointRow {
        name: None,
        ..endpoint(yard.acme, environment, number)
    };
    let (first, second) = (nameless(1), nameless(2));
    let changes = [first.clone(), second].map(|row| Change::new(Row::Endpoint(Box::new(row))));
    yard.store.configure(&changes, NOW).await.expect("any number may have no name");
    let snapshot = yard.snapshot().await;
    assert_eq!(snapshot.endpoints[&first.id].label(), first.id.to_string());
}

async fn a_plugin_keeps_its_version_when_another_is_refused(kind: Kind) {
    let yard = Yard::on(kind).await;
    let id = || PluginId::new_v7(NOW, rand::random());
    let (good, bad) = (b"good".to_vec(), ContentHash::of(b"bad"));
    let version = ContentHash::of(&good);
    let store = &yard.store;
    let before = store.revision().await.expect("read");
    store
        .refuse_plugin(id(), yard.acme, "router", bad, "no contract", NOW)
        .await
        .expect("refused");
    let rows = store.plugins().await.expect("read");
    assert_eq!((rows.len(), rows[0].active, rows[0].generation, rows[0].revision), (1, None, 0, 0));
    assert_eq!(rows[0].refused, Some((bad, "no contract".to_owned(), NOW)));
    assert_eq!(
        store.revision().await.expect("read"),
        before,
        "a refusal changes nothing about where events go"
    );
    let activation = store
        .activate_plugin(id(), yard.acme, "router", version, &good, NOW)
        .await
        .expect("activated");
    assert_eq!(
        (activation.generation, activation.revision),
        (1, store.revision().await.expect("read"))
    );
    store
        .refuse_plugin(id(), yard.acme, "router", bad, "traps", NOW)
        .await
        .expect("refused");
    let rows = store.plugins().await.expect("read");
    assert_eq!((rows[0].active, rows[0].generation), (Some(version), 1));
    assert_eq!(rows[0].revision, activation.revision, "nor does it touch the activation's revision");
    assert_eq!(store.module(version).await.expect("read"), Some(good));
    assert_eq!(store.module(bad).await.expect("read"), None);
    let snapshot = yard.snapshot().await;
    let sender = |tenant, name: &str| {
        let mut senders = snapshot.senders.values();
        senders
            .find(|sender| sender.tenant_id == tenant && sender.label() == name)
            .expect("it is there")
    };
    assert_eq!(snapshot.route_revision(sender(yard.acme, "github")), activation.revision);
    assert!(
        snapshot.route_revision(sender(yard.acme, "picky")) < activation.revision,
        "it has no plugin"
    );
    assert!(
        snapshot.route_revision(sender(yard.beta, "github")) < activation.revision,
        "it has another tenant's plugin"
    );
}

// -- secrets ----------------------------------------------------------------------------------------------------------

async fn no_credential_can_be_read_in_the_database(kind: Kind) {
    let yard = Yard::on(kind).await;
    let environment = yard.endpoint(yard.acme, "one").await.environment;
    let own = "an-endpoints-own-secret-0123456789";
    let row = EndpointRow {
        secret: Some(SecretText::new(own.to_owned())),
        ..endpoint(yard.acme, environment, 1)
    };
    yard.store
        .configure(&[Change::new(Row::Endpoint(Box::new(row)))], NOW)
        .await
        .expect("made");
    let secrets = [
        webhook_secret("acme"),
        api_key("acme"),
        sender_token("acme", "github"),
        own.to_owned(),
    ];
    let there = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    match kind {
        Kind::Sqlite => {
            let mut bytes = Vec::new();
            for entry in std::fs::read_dir(yard.database.folder()).expect("listed") {
                let path = entry.expect("listed").path();
                if path.is_file() {
                    bytes.extend(std::fs::read(path).expect("read"));
                }
            }
            assert!(there(&bytes, b"https://example.com/one"), "the files hold the configuration");
            for secret in &secrets {
                assert!(!there(&bytes, secret.as_bytes()), "{secret} can be read");
            }
        }
        Kind::Postgres => {
            let mut connection = PgConnection::connect(yard.database.url()).await.expect("it opens");
            let mut rows = String::new();
            for table in ["tenant", "credential", "endpoint", "sender"] {
                let statement = format!("SELECT string_agg(t::text, ' ') FROM {table} t");
                let (text,): (Option<String>,) = sqlx::query_as(AssertSqlSafe(statement))
                    .fetch_one(&mut connection)
                    .await
                    .expect("read");
                rows.push_str(&text.expect("the table has rows"));
            }
            assert!(rows.contains("https://example.com/one"), "the rows hold the configuration");
            for secret in &secrets {
                let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!rows.contains(secret) && !rows.contains(&hex), "{secret} can be read");
            }
        }
    }
    assert_eq!(yard.tenant(yard.acme).await.webhook_secret.expose(), webhook_secret("acme"));
}
