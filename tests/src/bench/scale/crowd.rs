//! Who there is at scale: many tenants with many endpoints and senders.
//!
//! `hookyard apply` makes one of each kind per tenant; the others are copies of those rows with ids, names and
//! credentials of their own, so that they are exactly what the server itself writes.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use hookyard_domain::{CredentialId, EndpointId, SenderId, SubscriptionId, Timestamp};
use uuid::Uuid;

use super::bulk::{Bulk, Cell, Table};
use crate::bench::setup::SetUp;

const TENANTS: usize = 20;
const ENDPOINTS: usize = 10_000;
const SENDERS: usize = 1_000;
/// Attempts at once to the endpoint that the held events go to, once they are released.
const SINK_CONCURRENCY: u32 = 256;
const CONCURRENCY: u32 = 16;

/// The endpoint, and the sender, that the others of a tenant are copies of.
const TEMPLATE: &str = "template";
/// Of the tenant [`LARGEST`]: the sender whose events are held, and where they go at last.
const ROUTED: &str = "routed";
const SINK: &str = "sink";
/// Of the tenant [`BLOCKED`]: the endpoint whose receiver never answers.
const HANGING: &str = "hanging";

const LARGEST: usize = 0;
const BLOCKED: usize = 1;

/// A tenant of the crowd.
#[derive(Debug)]
pub struct Tenant {
    pub name: String,
    pub id: Uuid,
    pub environment: Uuid,
    pub endpoints: Vec<Uuid>,
    pub senders: Vec<Uuid>,
}

/// All of them, and the few that have a part of their own.
#[derive(Debug)]
pub struct Crowd {
    pub tenants: Vec<Tenant>,
    /// Of the largest tenant.
    pub held_sender: Uuid,
    /// The revision its events are held under.
    pub held_under: i64,
    /// Of the tenant [`Crowd::blocked`].
    pub hanging_endpoint: Uuid,
}

impl Crowd {
    /// The tenant with half of all events, among them the held ones.
    pub fn largest(&self) -> &Tenant {
        &self.tenants[LARGEST]
    }

    /// The tenant of the hanging endpoint.
    pub fn blocked(&self) -> &Tenant {
        &self.tenants[BLOCKED]
    }

    /// A tenant all of whose events went well.
    pub fn quiet(&self) -> &Tenant {
        self.tenants.last().expect("there are tenants")
    }
}

/// Adds the tenants of the crowd to a set-up.
pub fn set_up(set_up: &mut SetUp, receiver: SocketAddr, hanging: SocketAddr) {
    for index in 0..TENANTS {
        let name = tenant_name(index);
        set_up.tenant(&name);
        let token = format!("dst_{name}-0123456789abcdef");
        set_up.endpoint(TEMPLATE, receiver, CONCURRENCY, Some(&token), "events = [\"type-0\"]");
        if index == LARGEST {
            set_up.endpoint(SINK, receiver, SINK_CONCURRENCY, None, "");
            set_up.plugin_for(&name);
        }
        if index == BLOCKED {
            set_up.endpoint(HANGING, hanging, CONCURRENCY, None, "events = [\"type-0\"]");
        }
        set_up.sender(TEMPLATE, &format!("sndr_{name}-0123456789abcdef"), "");
        if index == LARGEST {
            set_up.sender(
                ROUTED,
                "sndr_routed-0123456789abcdef",
                "plugin = \"router\"\nendpoints = [\"sink\"]\non_failure = \"hold\"",
            );
        }
    }
}

fn tenant_name(index: usize) -> String {
    format!("crowd-{index:02}")
}

static COPIES: Table = Table {
    name: "bench_copy",
    columns: &["template_id", "id", "name", "pattern", "subscription_id", "credential_id", "hash"],
};
const CREATE_COPIES: &str = "CREATE TEMPORARY TABLE bench_copy (template_id UUID, id UUID, name TEXT, pattern TEXT, \
    subscription_id UUID, credential_id UUID, hash BYTEA)";
const COPY_ENDPOINTS: &str = "INSERT INTO endpoint (id, tenant_id, environment_id, name, url, status, profile, metadata, \
    concurrency_max, attempts_max, revision, created_at, updated_at) \
    SELECT c.id, e.tenant_id, e.environment_id, c.name, e.url, e.status, e.profile, e.metadata, \
    e.concurrency_max, e.attempts_max, e.revision, e.created_at, e.updated_at \
    FROM bench_copy c JOIN endpoint e ON e.id = c.template_id";
const COPY_SUBSCRIPTIONS: &str = "INSERT INTO subscription (id, endpoint_id, pattern, created_at) \
    SELECT c.subscription_id, c.id, c.pattern, e.created_at FROM bench_copy c JOIN endpoint e ON e.id = c.template_id";
const COPY_SENDERS: &str = "INSERT INTO sender (id, tenant_id, environment_id, name, status, plugin, config, failure_policy, \
    event_type_header, exposed_headers, endpoints, revision, created_at, updated_at) \
    SELECT c.id, s.tenant_id, s.environment_id, c.name, s.status, s.plugin, s.config, s.failure_policy, \
    s.event_type_header, s.exposed_headers, s.endpoints, s.revision, s.created_at, s.updated_at \
    FROM bench_copy c JOIN sender s ON s.id = c.template_id";
const COPY_CREDENTIALS: &str = "INSERT INTO credential (id, tenant_id, kind, subject_id, environment_id, name, rights, hash, \
    revision, created_at, updated_at) \
    SELECT c.credential_id, k.tenant_id, k.kind, c.id, k.environment_id, CASE WHEN k.name IS NULL THEN NULL ELSE c.name END, \
    k.rights, c.hash, k.revision, k.created_at, k.updated_at \
    FROM bench_copy c JOIN credential k ON k.subject_id = c.template_id";

const SELECT_TENANT: &str = "SELECT id FROM tenant WHERE name = $1";
const SELECT_ENVIRONMENT: &str =
    "SELECT v.id FROM environment v JOIN tenant t ON t.id = v.tenant_id WHERE t.name = $1 AND v.is_default = 1 AND v.deleted_at IS NULL";
const SELECT_TEMPLATE_ENDPOINT: &str =
    "SELECT e.id FROM endpoint e JOIN tenant t ON t.id = e.tenant_id WHERE t.name = $1 AND e.name = 'template'";
const SELECT_TEMPLATE_SENDER: &str =
    "SELECT s.id FROM sender s JOIN tenant t ON t.id = s.tenant_id WHERE t.name = $1 AND s.name = 'template'";
const SELECT_ENDPOINTS: &str =
    "SELECT e.id FROM endpoint e JOIN tenant t ON t.id = e.tenant_id WHERE t.name = $1 AND e.name NOT IN ('sink', 'hanging') ORDER BY e.id";
const SELECT_SENDERS: &str =
    "SELECT s.id FROM sender s JOIN tenant t ON t.id = s.tenant_id WHERE t.name = $1 AND s.name <> 'routed' ORDER BY s.id";
const SELECT_ROUTED: &str = "SELECT s.id FROM sender s JOIN tenant t ON t.id = s.tenant_id WHERE t.name = $1 AND s.name = 'routed'";
const SELECT_HANGING: &str = "SELECT e.id FROM endpoint e JOIN tenant t ON t.id = e.tenant_id WHERE t.name = $1 AND e.name = 'hanging'";
/// What would be in force when an event is decided now: the newer of the sender's revision and its plugin's.
const SELECT_HELD_UNDER: &str = "SELECT MAX(revision) FROM (\
    SELECT s.revision FROM sender s JOIN tenant t ON t.id = s.tenant_id WHERE t.name = $1 AND s.name = 'routed' \
    UNION ALL \
    SELECT p.revision FROM plugin p JOIN tenant t ON t.id = p.tenant_id WHERE t.name = $1) AS in_force";

/// Copies the endpoints and senders of each tenant of the crowd. The plugin must be active.
///
/// # Errors
/// The database refuses, or was not set up by [`set_up`].
pub async fn make(bulk: &mut Bulk, now: Timestamp) -> anyhow::Result<Crowd> {
    bulk.run(CREATE_COPIES).await?;
    let names: Vec<String> = (0..TENANTS).map(tenant_name).collect();
    for name in &names {
        let template = one(bulk.ids(SELECT_TEMPLATE_ENDPOINT, name).await?, "template endpoint")?;
        for index in 1..ENDPOINTS / TENANTS {
            let id = EndpointId::new_v7(now, rand::random()).as_uuid();
            copy(bulk, now, template, id, &format!("endpoint-{index}"), &format!("type-{index}")).await?;
        }
    }
    for statement in [COPY_ENDPOINTS, COPY_SUBSCRIPTIONS, COPY_CREDENTIALS, "DELETE FROM bench_copy"] {
        bulk.run(statement).await?;
    }
    for name in &names {
        let template = one(bulk.ids(SELECT_TEMPLATE_SENDER, name).await?, "template sender")?;
        for index in 1..SENDERS / TENANTS {
            let id = SenderId::new_v7(now, rand::random()).as_uuid();
            copy(bulk, now, template, id, &format!("sender-{index}"), "").await?;
        }
    }
    for statement in [COPY_SENDERS, COPY_CREDENTIALS, "DROP TABLE bench_copy"] {
        bulk.run(statement).await?;
    }

    let mut tenants = Vec::new();
    for name in names {
        let tenant = Tenant {
            id: one(bulk.ids(SELECT_TENANT, &name).await?, "tenant")?,
            environment: one(bulk.ids(SELECT_ENVIRONMENT, &name).await?, "default environment")?,
            endpoints: bulk.ids(SELECT_ENDPOINTS, &name).await?,
            senders: bulk.ids(SELECT_SENDERS, &name).await?,
            name,
        };
        ensure!(
            tenant.endpoints.len() == ENDPOINTS / TENANTS && tenant.senders.len() == SENDERS / TENANTS,
            "tenant {} has {} endpoints and {} senders",
            tenant.name,
            tenant.endpoints.len(),
            tenant.senders.len()
        );
        tenants.push(tenant);
    }
    Ok(Crowd {
        held_sender: one(bulk.ids(SELECT_ROUTED, &tenants[LARGEST].name).await?, "routed sender")?,
        held_under: bulk.number(SELECT_HELD_UNDER, &tenants[LARGEST].name).await?,
        hanging_endpoint: one(bulk.ids(SELECT_HANGING, &tenants[BLOCKED].name).await?, "hanging endpoint")?,
        tenants,
    })
}

async fn copy(bulk: &mut Bulk, now: Timestamp, template: Uuid, id: Uuid, name: &str, pattern: &str) -> anyhow::Result<()> {
    let hash: [u8; 32] = rand::random();
    let row = [
        Cell::Id(template),
        Cell::Id(id),
        Cell::Text(name),
        Cell::Text(pattern),
        Cell::Id(SubscriptionId::new_v7(now, rand::random()).as_uuid()),
        Cell::Id(CredentialId::new_v7(now, rand::random()).as_uuid()),
        Cell::Bytes(&hash),
    ];
    bulk.add(&COPIES, &row).await
}

fn one(ids: Vec<Uuid>, what: &str) -> anyhow::Result<Uuid> {
    ensure!(ids.len() < 2, "there are {} rows of the {what}", ids.len());
    ids.first().copied().with_context(|| format!("there is no {what}"))
}
