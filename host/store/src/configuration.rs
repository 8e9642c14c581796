//! What tenants configure: tenants, keys, endpoints, senders and plugins, as rows.
//!
//! Any number of rows change in one transaction that also raises the configuration's revision, which every node
//! watches. A change names the revision it was planned against: two plans made from the same state cannot both win.

use hookyard_domain::{ContentHash, CredentialId, EndpointId, EnvironmentId, SenderId, TenantId, Timestamp};
use uuid::Uuid;

use super::{
    Db, Store,
    error::Error,
    in_time, in_transaction, on,
    plugin::{PluginColumns, plugin_row},
    rows::{corrupt, hash},
    seal::SecretText,
    statements as sql,
};

#[derive(Debug, Clone)]
pub struct TenantRow {
    pub id: TenantId,
    pub name: String,
    pub attempts_max: u16,
    pub breaker_block_s: u32,
    pub webhook_secret: SecretText,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRow {
    pub id: EnvironmentId,
    pub tenant: TenantId,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    pub id: CredentialId,
    pub tenant: TenantId,
    pub name: String,
    pub key_hash: ContentHash,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    pub id: EndpointId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub name: String,
    pub url: String,
    pub status: String,
    pub profile: String,
    /// JSON list of patterns.
    pub event_patterns: String,
    /// JSON object of strings.
    pub metadata: String,
    pub concurrency_max: u32,
    pub token_hash: Option<ContentHash>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRow {
    pub id: SenderId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub name: String,
    pub token_hash: ContentHash,
    pub status: String,
    pub plugin: Option<String>,
    /// JSON document.
    pub config: String,
    pub failure_policy: String,
    pub event_type_header: Option<String>,
    /// JSON list of header names in lower case.
    pub exposed_headers: String,
    /// JSON list of endpoint names; none is all of the environment.
    pub endpoints: Option<String>,
}

/// One row to write.
#[derive(Debug, Clone)]
pub enum Change {
    Tenant(TenantRow),
    Environment(EnvironmentRow),
    ApiKey(ApiKeyRow),
    Endpoint(EndpointRow),
    Sender(SenderRow),
}

/// Everything configured, as of one revision.
#[derive(Debug, Clone)]
pub struct Rows {
    pub revision: i64,
    pub tenants: Vec<TenantRow>,
    pub environments: Vec<EnvironmentRow>,
    pub api_keys: Vec<ApiKeyRow>,
    pub endpoints: Vec<EndpointRow>,
    pub senders: Vec<SenderRow>,
    /// Tenant and name of each plugin of which a version is active.
    pub active_plugins: Vec<(TenantId, String)>,
}

fn belongs_to(tenant: TenantId) -> String {
    format!("tenant:{tenant}:webhook_secret")
}

type EndpointColumns = (
    Uuid,
    Uuid,
    Uuid,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<Vec<u8>>,
);
type SenderColumns = (
    Uuid,
    Uuid,
    Uuid,
    String,
    Vec<u8>,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    String,
    Option<String>,
);

type Columns = (
    (i64,),
    Vec<(Uuid, String, i64, i64, Vec<u8>)>,
    Vec<(Uuid, Uuid, String)>,
    Vec<(Uuid, Uuid, String, Vec<u8>)>,
    Vec<EndpointColumns>,
    Vec<SenderColumns>,
    Vec<PluginColumns>,
);

/// Reads every table of the configuration in an open transaction of either database.
macro_rules! read_all {
    ($transaction:ident) => {{
        let columns: Columns = (
            sqlx::query_as(sql::SELECT_REVISION).fetch_one(&mut *$transaction).await?,
            sqlx::query_as(sql::SELECT_TENANTS).fetch_all(&mut *$transaction).await?,
            sqlx::query_as(sql::SELECT_ENVIRONMENTS).fetch_all(&mut *$transaction).await?,
            sqlx::query_as(sql::SELECT_API_KEYS).fetch_all(&mut *$transaction).await?,
            sqlx::query_as(sql::SELECT_ENDPOINTS).fetch_all(&mut *$transaction).await?,
            sqlx::query_as(sql::SELECT_SENDERS).fetch_all(&mut *$transaction).await?,
            sqlx::query_as(sql::SELECT_PLUGINS).fetch_all(&mut *$transaction).await?,
        );
        $transaction.rollback().await?;
        Ok::<_, Error>(columns)
    }};
}

impl Store {
    pub async fn revision(&self) -> Result<i64, Error> {
        let (revision,): (i64,) = on!(self, |pool| sqlx::query_as(sql::SELECT_REVISION).fetch_one(pool).await)?;
        Ok(revision)
    }

    /// Reads all that is configured, as of one moment.
    pub async fn configuration(&self) -> Result<Rows, Error> {
        let columns = match &self.db {
            Db::Sqlite(pool) => {
                in_time(async {
                    // SQLite fixes the moment at a transaction's first read.
                    let mut transaction = pool.begin().await?;
                    read_all!(transaction)
                })
                .await?
            }
            Db::Postgres(pool) => {
                in_time(async {
                    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
                    read_all!(transaction)
                })
                .await?
            }
        };
        let ((revision,), tenants, environments, api_keys, endpoints, senders, plugins) = columns;
        Ok(Rows {
            revision,
            tenants: tenants
                .into_iter()
                .map(|columns| self.tenant_row(columns))
                .collect::<Result<_, _>>()?,
            environments: environments
                .into_iter()
                .map(|(id, tenant, name)| EnvironmentRow {
                    id: EnvironmentId::from_uuid(id),
                    tenant: TenantId::from_uuid(tenant),
                    name,
                })
                .collect(),
            api_keys: api_keys
                .into_iter()
                .map(|(id, tenant, name, key)| {
                    Ok(ApiKeyRow {
                        id: CredentialId::from_uuid(id),
                        tenant: TenantId::from_uuid(tenant),
                        name,
                        key_hash: hash("api_key", "key_hash", &key)?,
                    })
                })
                .collect::<Result<_, Error>>()?,
            endpoints: endpoints.into_iter().map(endpoint_row).collect::<Result<_, _>>()?,
            senders: senders.into_iter().map(sender_row).collect::<Result<_, _>>()?,
            active_plugins: plugins
                .into_iter()
                .map(plugin_row)
                .filter_map(|row| row.map(|row| row.active.map(|_| (row.tenant, row.name))).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    fn tenant_row(&self, (id, name, attempts_max, breaker_block_s, sealed): (Uuid, String, i64, i64, Vec<u8>)) -> Result<TenantRow, Error> {
        let id = TenantId::from_uuid(id);
        let webhook_secret = self
            .seal
            .open(&sealed, &belongs_to(id))
            .map_err(|error| corrupt("tenant", "webhook_secret_sealed", &name, &error.to_string()))?;
        Ok(TenantRow {
            id,
            name,
            attempts_max: attempts_max as u16,
            breaker_block_s: breaker_block_s as u32,
            webhook_secret,
        })
    }

    /// Writes all changes or none. `planned_on` is the revision they were decided from.
    ///
    /// # Errors
    /// [`Error::Taken`] when the configuration has changed since, or a unique name is taken.
    pub async fn configure(&self, changes: &[Change], planned_on: i64, now: Timestamp) -> Result<(), Error> {
        let at = now.as_micros();
        in_transaction!(self, |transaction| {
            let (revision,): (i64,) = sqlx::query_as(sql::RAISE_REVISION).fetch_one(&mut *transaction).await?;
            if revision != planned_on + 1 {
                return Err(Error::Taken("the configuration has been changed by somebody else meanwhile".into()));
            }
            for change in changes {
                match change {
                    Change::Tenant(tenant) => {
                        let nonce = rand::random();
                        sqlx::query(sql::UPSERT_TENANT)
                            .bind(tenant.id.as_uuid())
                            .bind(&tenant.name)
                            .bind(i64::from(tenant.attempts_max))
                            .bind(i64::from(tenant.breaker_block_s))
                            .bind(self.seal.seal(&tenant.webhook_secret, &belongs_to(tenant.id), nonce))
                            .bind(at)
                            .execute(&mut *transaction)
                            .await?;
                    }
                    Change::Environment(environment) => {
                        sqlx::query(sql::INSERT_ENVIRONMENT)
                            .bind(environment.id.as_uuid())
                            .bind(environment.tenant.as_uuid())
                            .bind(&environment.name)
                            .bind(at)
                            .execute(&mut *transaction)
                            .await?;
                    }
                    Change::ApiKey(key) => {
                        sqlx::query(sql::UPSERT_API_KEY)
                            .bind(key.id.as_uuid())
                            .bind(key.tenant.as_uuid())
                            .bind(&key.name)
                            .bind(&key.key_hash.as_bytes()[..])
                            .bind(at)
                            .execute(&mut *transaction)
                            .await?;
                    }
                    Change::Endpoint(endpoint) => {
                        sqlx::query(sql::UPSERT_ENDPOINT)
                            .bind(endpoint.id.as_uuid())
                            .bind(endpoint.tenant.as_uuid())
                            .bind(endpoint.environment.as_uuid())
                            .bind(&endpoint.name)
                            .bind(&endpoint.url)
                            .bind(&endpoint.status)
                            .bind(&endpoint.profile)
                            .bind(&endpoint.event_patterns)
                            .bind(&endpoint.metadata)
                            .bind(i64::from(endpoint.concurrency_max))
                            .bind(endpoint.token_hash.as_ref().map(|hash| hash.as_bytes().to_vec()))
                            .bind(at)
                            .execute(&mut *transaction)
                            .await?;
                    }
                    Change::Sender(sender) => {
                        sqlx::query(sql::UPSERT_SENDER)
                            .bind(sender.id.as_uuid())
                            .bind(sender.tenant.as_uuid())
                            .bind(sender.environment.as_uuid())
                            .bind(&sender.name)
                            .bind(&sender.token_hash.as_bytes()[..])
                            .bind(&sender.status)
                            .bind(&sender.plugin)
                            .bind(&sender.config)
                            .bind(&sender.failure_policy)
                            .bind(&sender.event_type_header)
                            .bind(&sender.exposed_headers)
                            .bind(&sender.endpoints)
                            .bind(at)
                            .execute(&mut *transaction)
                            .await?;
                        sqlx::query(sql::RELEASE_HELD_EVENTS_OF_SENDER)
                            .bind(sender.id.as_uuid())
                            .bind(at)
                            .execute(&mut *transaction)
                            .await?;
                    }
                }
            }
        });
        self.announce_configuration().await;
        Ok(())
    }
}

fn endpoint_row(columns: EndpointColumns) -> Result<EndpointRow, Error> {
    let (id, tenant, environment, name, url, status, profile, event_patterns, metadata, concurrency_max, token) = columns;
    Ok(EndpointRow {
        id: EndpointId::from_uuid(id),
        tenant: TenantId::from_uuid(tenant),
        environment: EnvironmentId::from_uuid(environment),
        name,
        url,
        status,
        profile,
        event_patterns,
        metadata,
        concurrency_max: concurrency_max as u32,
        token_hash: token.map(|token| hash("endpoint", "token_hash", &token)).transpose()?,
    })
}

fn sender_row(columns: SenderColumns) -> Result<SenderRow, Error> {
    let (id, tenant, environment, name, token, status, plugin, config, failure_policy, event_type_header, exposed_headers, endpoints) =
        columns;
    Ok(SenderRow {
        id: SenderId::from_uuid(id),
        tenant: TenantId::from_uuid(tenant),
        environment: EnvironmentId::from_uuid(environment),
        name,
        token_hash: hash("sender", "token_hash", &token)?,
        status,
        plugin,
        config,
        failure_policy,
        event_type_header,
        exposed_headers,
        endpoints,
    })
}
