//! Reading the configuration: what changed since a revision, or one row to be changed.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use hookyard_domain::{
    ApplicationId, ContentHash, CredentialId, EndpointId, EnvironmentId, EventTypeId, Scope, SenderId, SubscriptionId, TenantId, Timestamp,
};
use uuid::Uuid;

use super::{
    any::AnyRow,
    belongs_to,
    rows::{
        Changed, CredentialRow, EndpointRow, EnvironmentRow, PreviousSecret, Rows, SenderRow, SetAside, SubscriptionRow, TenantRow,
        Unreadable, VerificationRow,
    },
};
use crate::{
    Db, Store,
    error::Error,
    in_time, in_transaction, on, plugin,
    seal::{SealKey, SecretText},
    statements as sql,
};

/// The tables of the configuration, in the order in which they are read: subscriptions before the endpoints they are part of.
#[derive(Debug, Clone, Copy)]
enum Table {
    Subscriptions,
    Tenants,
    Environments,
    Endpoints,
    Senders,
    Credentials,
    Plugins,
}

const TABLES: [(Table, &str); 7] = [
    (Table::Subscriptions, sql::SELECT_SUBSCRIPTIONS_SINCE),
    (Table::Tenants, sql::SELECT_TENANTS_SINCE),
    (Table::Environments, sql::SELECT_ENVIRONMENTS_SINCE),
    (Table::Endpoints, sql::SELECT_ENDPOINTS_SINCE),
    (Table::Senders, sql::SELECT_SENDERS_SINCE),
    (Table::Credentials, sql::SELECT_CREDENTIALS_SINCE),
    (Table::Plugins, sql::SELECT_PLUGINS_SINCE),
];

/// Reads what changed since `$since` in an open transaction of either database. Each row is decoded as it comes: all at
/// once, undecoded, 10,000 endpoints take tens of megabytes.
macro_rules! read_all {
    ($transaction:ident, $since:ident, $seal:expr) => {{
        let (revision,): (i64,) = sqlx::query_as(sql::SELECT_REVISION).fetch_one(&mut *$transaction).await?;
        let mut reading = Reading::of(revision, $seal);
        for (table, statement) in TABLES {
            let mut rows = sqlx::query(statement).bind($since).fetch(&mut *$transaction);
            while let Some(row) = rows.try_next().await? {
                reading.add(table, &AnyRow::from(row));
            }
        }
        $transaction.rollback().await?;
        Ok::<_, Error>(reading.finish())
    }};
}

impl Store {
    pub async fn revision(&self) -> Result<i64, Error> {
        let (revision,): (i64,) = on!(self, |pool| sqlx::query_as(sql::SELECT_REVISION).fetch_one(pool).await)?;
        Ok(revision)
    }

    /// Reads what changed after `revision`, as of one moment. 0 reads everything there is.
    ///
    /// A row that cannot be read is in [`Rows::set_aside`] and takes nothing else with it.
    pub async fn configuration_since(&self, revision: i64) -> Result<Rows, Error> {
        // In boxes: with a decoder for each table they are large, and callers keep them in futures of their own.
        match &self.db {
            Db::Sqlite(pool) => {
                in_time(Box::pin(async {
                    // SQLite fixes the moment at a transaction's first read.
                    let mut transaction = pool.begin().await?;
                    read_all!(transaction, revision, &self.seal)
                }))
                .await
            }
            Db::Postgres(pool) => {
                in_time(Box::pin(async {
                    let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
                    read_all!(transaction, revision, &self.seal)
                }))
                .await
            }
        }
    }

    /// The tenant with this name. Takes no secret, so it needs no key.
    pub async fn tenant_named(&self, name: &str) -> Result<Option<TenantId>, Error> {
        let row: Option<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_TENANT_NAMED)
            .bind(name)
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(|(id,)| TenantId::from_uuid(id)))
    }

    /// One tenant to be changed. What the scope does not hold is absent.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it cannot be read.
    pub async fn tenant_row(&self, scope: Scope, id: TenantId) -> Result<Option<TenantRow>, Error> {
        let row = self.one(sql::SELECT_TENANT, id.as_uuid()).await?;
        let row = row
            .map(|row| read_one("tenant", id.as_uuid(), tenant(&row, &self.seal)))
            .transpose()?;
        Ok(row.filter(|row| scope.holds(row.id)))
    }

    /// One endpoint to be changed, with its subscriptions. As [`Store::tenant_row`].
    pub async fn endpoint_row(&self, scope: Scope, id: EndpointId) -> Result<Option<EndpointRow>, Error> {
        let Some(row) = self.one(sql::SELECT_ENDPOINT, id.as_uuid()).await? else {
            return Ok(None);
        };
        let mut endpoint = read_one("endpoint", id.as_uuid(), endpoint(&row, &self.seal))?;
        if !scope.holds(endpoint.tenant) {
            return Ok(None);
        }
        let subscriptions: Vec<(Uuid, String, Option<Uuid>, i64)> = on!(self, |pool| sqlx::query_as(sql::SELECT_SUBSCRIPTIONS)
            .bind(id.as_uuid())
            .fetch_all(pool)
            .await)?;
        endpoint.subscriptions = subscriptions
            .into_iter()
            .map(|(id, pattern, event_type, created_at)| SubscriptionRow {
                id: SubscriptionId::from_uuid(id),
                pattern,
                event_type: event_type.map(EventTypeId::from_uuid),
                created_at: Timestamp::from_micros(created_at),
            })
            .collect();
        Ok(Some(endpoint))
    }

    /// One sender to be changed. As [`Store::tenant_row`].
    pub async fn sender_row(&self, scope: Scope, id: SenderId) -> Result<Option<SenderRow>, Error> {
        let row = self.one(sql::SELECT_SENDER, id.as_uuid()).await?;
        let row = row
            .map(|row| read_one("sender", id.as_uuid(), sender(&row, &self.seal)))
            .transpose()?;
        Ok(row.filter(|row| scope.holds(row.tenant)))
    }

    /// One environment to be changed. As [`Store::tenant_row`].
    pub async fn environment_row(&self, scope: Scope, id: EnvironmentId) -> Result<Option<EnvironmentRow>, Error> {
        let row = self.one(sql::SELECT_ENVIRONMENT, id.as_uuid()).await?;
        let row = row
            .map(|row| read_one("environment", id.as_uuid(), environment(&row)))
            .transpose()?;
        Ok(row.filter(|row| scope.holds(row.tenant)))
    }

    /// One credential to be changed. As [`Store::tenant_row`]; the operator's own are seen by the operator alone.
    pub async fn credential_row(&self, scope: Scope, id: CredentialId) -> Result<Option<CredentialRow>, Error> {
        let row = self.one(sql::SELECT_CREDENTIAL, id.as_uuid()).await?;
        let row = row.map(|row| read_one("credential", id.as_uuid(), credential(&row))).transpose()?;
        Ok(row.filter(|row| row.tenant.map_or(scope == Scope::Operator, |tenant| scope.holds(tenant))))
    }

    /// The credentials of the scope of one kind, the revoked ones too, newest first. The operator's own are among those of the
    /// operator's scope. One that cannot be read is its id alone.
    pub async fn list_credentials(
        &self,
        scope: Scope,
        kind: &str,
        before: Option<CredentialId>,
        rows_max: u32,
    ) -> Result<Vec<(CredentialId, Option<CredentialRow>)>, Error> {
        let before = before.map_or(Uuid::max(), CredentialId::as_uuid);
        let limit = i64::from(rows_max);
        let rows: Vec<AnyRow> = match scope {
            Scope::Operator => on!(self, |pool| sqlx::query(sql::LIST_CREDENTIALS)
                .bind(kind)
                .bind(before)
                .bind(limit)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(AnyRow::from).collect()))?,
            Scope::Tenant(tenant) => on!(self, |pool| sqlx::query(sql::LIST_CREDENTIALS_OF_TENANT)
                .bind(tenant.as_uuid())
                .bind(kind)
                .bind(before)
                .bind(limit)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(AnyRow::from).collect()))?,
        };
        rows.iter()
            .map(|row| Ok((CredentialId::from_uuid(row.get(ID)?), credential(row).ok())))
            .collect()
    }

    /// Whether there is a tenant with this id.
    pub async fn knows_tenant(&self, id: TenantId) -> Result<bool, Error> {
        let row: Option<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_TENANT_KNOWN)
            .bind(id.as_uuid())
            .fetch_optional(pool)
            .await)?;
        Ok(row.is_some())
    }

    /// Writes down when credentials were last used. Nodes are not told: it changes nothing they do.
    pub async fn note_credential_uses(&self, uses: &[(CredentialId, Timestamp)]) -> Result<(), Error> {
        in_transaction!(self, |transaction| {
            for (id, at) in uses {
                sqlx::query(sql::NOTE_CREDENTIAL_USE)
                    .bind(id.as_uuid())
                    .bind(at.as_micros())
                    .execute(&mut *transaction)
                    .await?;
            }
        });
        Ok(())
    }

    /// Whether this store's key opens every secret there is.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the first that does not open.
    pub(crate) async fn check_secrets_open(&self) -> Result<(), Error> {
        let rows = self.configuration_since(0).await?;
        let sealed = |row: &&SetAside| matches!(row.why, Unreadable::Sealed { .. });
        if let Some(row) = rows.set_aside.iter().find(sealed) {
            return Err(corrupt(row.table, row.id, &row.why));
        }
        rows.credentials.rows.iter().try_for_each(|row| self.open_credential(row).map(drop))
    }

    /// Seals a credential's text, to be shown again later.
    pub fn seal_credential(&self, id: CredentialId, text: &SecretText) -> Vec<u8> {
        self.seal.seal(text, &belongs_to::credential(id), rand::random())
    }

    /// Opens the sealed text of a credential that keeps one.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it does not open.
    pub fn open_credential(&self, row: &CredentialRow) -> Result<Option<SecretText>, Error> {
        let Some(sealed) = &row.sealed else { return Ok(None) };
        open(&self.seal, "sealed text", sealed, &belongs_to::credential(row.id))
            .map(Some)
            .map_err(|why| corrupt("credential", row.id.as_uuid(), &why))
    }

    async fn one(&self, statement: &'static str, id: Uuid) -> Result<Option<AnyRow>, Error> {
        on!(self, |pool| sqlx::query(statement)
            .bind(id)
            .fetch_optional(pool)
            .await
            .map(|row| row.map(AnyRow::from)))
    }
}

/// What has been read so far.
struct Reading<'a> {
    seal: &'a SealKey,
    rows: Rows,
    subscriptions: HashMap<EndpointId, Vec<SubscriptionRow>>,
    plugins: Changed<plugin::PluginRow, Uuid>,
}

impl<'a> Reading<'a> {
    fn of(revision: i64, seal: &'a SealKey) -> Self {
        Self {
            seal,
            rows: Rows {
                revision,
                ..Rows::default()
            },
            subscriptions: HashMap::new(),
            plugins: Changed::default(),
        }
    }

    fn add(&mut self, table: Table, row: &AnyRow) {
        let (seal, rows) = (self.seal, &mut self.rows);
        let aside = &mut rows.set_aside;
        match table {
            Table::Subscriptions => match subscription(row) {
                Ok((endpoint, subscription)) => self.subscriptions.entry(endpoint).or_default().push(subscription),
                Err(error) => aside.push(SetAside {
                    table: "subscription",
                    id: row.get(0).unwrap_or_default(),
                    within: row.get(1).ok(),
                    name: String::new(),
                    revision: row.get(5).unwrap_or_default(),
                    why: error.into(),
                }),
            },
            Table::Tenants => add("tenant", row, &mut rows.tenants, aside, TenantId::from_uuid, |row| {
                tenant(row, seal)
            }),
            Table::Environments => add(
                "environment",
                row,
                &mut rows.environments,
                aside,
                EnvironmentId::from_uuid,
                environment,
            ),
            Table::Endpoints => add("endpoint", row, &mut rows.endpoints, aside, EndpointId::from_uuid, |row| {
                let mut endpoint = endpoint(row, seal)?;
                endpoint.subscriptions = self.subscriptions.remove(&endpoint.id).unwrap_or_default();
                Ok(endpoint)
            }),
            Table::Senders => add("sender", row, &mut rows.senders, aside, SenderId::from_uuid, |row| {
                sender(row, seal)
            }),
            Table::Credentials => add("credential", row, &mut rows.credentials, aside, CredentialId::from_uuid, credential),
            Table::Plugins => add("plugin", row, &mut self.plugins, aside, |id| id, plugin::plugin_row),
        }
    }

    fn finish(self) -> Rows {
        Rows {
            plugins: self.plugins.rows,
            ..self.rows
        }
    }
}

/// Decodes one row of a table. It begins with its id, what its name is unique in, its name, its revision and when it was
/// deleted, so that a row that cannot be decoded can still be named.
fn add<Row, Id>(
    table: &'static str,
    row: &AnyRow,
    changed: &mut Changed<Row, Id>,
    aside: &mut Vec<SetAside>,
    id: impl Fn(Uuid) -> Id,
    decode: impl FnOnce(&AnyRow) -> Result<Row, Unreadable>,
) {
    if let (Ok(uuid), Ok(Some(_))) = (row.get(ID), row.get::<Option<i64>>(GONE_AT)) {
        changed.gone.push(id(uuid));
        return;
    }
    match decode(row) {
        Ok(decoded) => changed.rows.push(decoded),
        Err(why) => aside.push(SetAside {
            table,
            id: row.get(ID).unwrap_or_default(),
            within: row.get(WITHIN).unwrap_or_default(),
            name: row.get::<Option<String>>(NAME).ok().flatten().unwrap_or_default(),
            revision: row.get(REVISION).unwrap_or_default(),
            why,
        }),
    }
}

const ID: usize = 0;
const WITHIN: usize = 1;
const NAME: usize = 2;
const REVISION: usize = 3;
const GONE_AT: usize = 4;
/// The first column that is a table's own.
const OWN: usize = 5;

fn subscription(row: &AnyRow) -> Result<(EndpointId, SubscriptionRow), Error> {
    Ok((
        EndpointId::from_uuid(row.get(1)?),
        SubscriptionRow {
            id: SubscriptionId::from_uuid(row.get(0)?),
            pattern: row.get(2)?,
            event_type: row.get::<Option<Uuid>>(3)?.map(EventTypeId::from_uuid),
            created_at: Timestamp::from_micros(row.get(4)?),
        },
    ))
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Self::Malformed {
            problem: error.to_string(),
        }
    }
}

fn corrupt(table: &'static str, id: Uuid, why: &Unreadable) -> Error {
    let column = match why {
        Unreadable::Sealed { column } => *column,
        Unreadable::Malformed { .. } => "row",
    };
    crate::rows::corrupt(table, column, &id.to_string(), &why.to_string())
}

fn read_one<Row>(table: &'static str, id: Uuid, row: Result<Row, Unreadable>) -> Result<Row, Error> {
    row.map_err(|why| corrupt(table, id, &why))
}

fn open(seal: &SealKey, column: &'static str, sealed: &[u8], belongs_to: &str) -> Result<SecretText, Unreadable> {
    seal.open(sealed, belongs_to).map_err(|_| Unreadable::Sealed { column })
}

/// A number that its column's CHECK keeps in range; a row written past the CHECK is set aside, not cut down to fit.
fn number<N: TryFrom<i64>>(row: &AnyRow, column: usize, name: &str) -> Result<N, Unreadable> {
    let value: i64 = row.get(column)?;
    N::try_from(value).map_err(|_| Unreadable::Malformed {
        problem: format!("its {name} is out of range: {value}"),
    })
}

fn time(row: &AnyRow, column: usize) -> Result<Option<Timestamp>, Unreadable> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
}

pub(crate) fn hash(bytes: &[u8]) -> Result<ContentHash, Unreadable> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Unreadable::Malformed {
        problem: format!("a hash has 32 bytes, this one {}", bytes.len()),
    })?;
    Ok(ContentHash::from_bytes(bytes))
}

fn tenant(row: &AnyRow, seal: &SealKey) -> Result<TenantRow, Unreadable> {
    let id = TenantId::from_uuid(row.get(ID)?);
    Ok(TenantRow {
        id,
        name: row.get(NAME)?,
        revision: row.get(REVISION)?,
        attempts_max: number(row, OWN, "attempts_max")?,
        breaker_block_s: number(row, OWN + 1, "breaker_block_s")?,
        webhook_secret: open(
            seal,
            "webhook secret",
            &row.get::<Vec<u8>>(OWN + 2)?,
            &belongs_to::tenant_secret(id),
        )?,
        created_at: Timestamp::from_micros(row.get(OWN + 3)?),
        updated_at: Timestamp::from_micros(row.get(OWN + 4)?),
        registered: row.get::<i64>(OWN + 5)? != 0,
    })
}

fn environment(row: &AnyRow) -> Result<EnvironmentRow, Unreadable> {
    Ok(EnvironmentRow {
        id: EnvironmentId::from_uuid(row.get(ID)?),
        tenant: TenantId::from_uuid(row.get(WITHIN)?),
        slug: row.get(NAME)?,
        revision: row.get(REVISION)?,
        name: row.get(OWN)?,
        is_default: row.get::<i64>(OWN + 1)? != 0,
    })
}

fn endpoint(row: &AnyRow, seal: &SealKey) -> Result<EndpointRow, Unreadable> {
    let id = EndpointId::from_uuid(row.get(ID)?);
    let secret = |column: usize, name: &'static str, belongs_to: String| {
        let sealed: Option<Vec<u8>> = row.get(column)?;
        sealed.map(|sealed| open(seal, name, &sealed, &belongs_to)).transpose()
    };
    let attempts_max: Option<i64> = row.get(OWN + 8)?;
    let previous = secret(OWN + 10, "previous secret", belongs_to::endpoint_previous_secret(id))?;
    Ok(EndpointRow {
        id,
        environment: EnvironmentId::from_uuid(row.get(WITHIN)?),
        name: row.get(NAME)?,
        revision: row.get(REVISION)?,
        tenant: TenantId::from_uuid(row.get(OWN)?),
        application: row.get::<Option<Uuid>>(OWN + 1)?.map(ApplicationId::from_uuid),
        description: row.get(OWN + 2)?,
        url: row.get(OWN + 3)?,
        status: row.get(OWN + 4)?,
        profile: row.get(OWN + 5)?,
        metadata: row.get(OWN + 6)?,
        concurrency_max: number(row, OWN + 7, "concurrency_max")?,
        attempts_max: attempts_max.map(|_| number(row, OWN + 8, "attempts_max")).transpose()?,
        secret: secret(OWN + 9, "secret", belongs_to::endpoint_secret(id))?,
        previous_secret: previous
            .zip(time(row, OWN + 11)?)
            .map(|(secret, until)| PreviousSecret { secret, until }),
        auth: secret(OWN + 12, "outbound authentication", belongs_to::endpoint_auth(id))?,
        subscriptions: Vec::new(),
        created_at: Timestamp::from_micros(row.get(OWN + 13)?),
        updated_at: Timestamp::from_micros(row.get(OWN + 14)?),
    })
}

fn sender(row: &AnyRow, seal: &SealKey) -> Result<SenderRow, Unreadable> {
    let id = SenderId::from_uuid(row.get(ID)?);
    let secrets: Option<Vec<u8>> = row.get(OWN + 13)?;
    let secrets = secrets.map(|sealed| open(seal, "verification secrets", &sealed, &belongs_to::sender_verification(id)));
    Ok(SenderRow {
        id,
        environment: EnvironmentId::from_uuid(row.get(WITHIN)?),
        name: row.get(NAME)?,
        revision: row.get(REVISION)?,
        tenant: TenantId::from_uuid(row.get(OWN)?),
        endpoint: row.get::<Option<Uuid>>(OWN + 1)?.map(EndpointId::from_uuid),
        status: row.get(OWN + 2)?,
        plugin: row.get(OWN + 3)?,
        config: row.get(OWN + 4)?,
        failure_policy: row.get(OWN + 5)?,
        event_type_header: row.get(OWN + 6)?,
        exposed_headers: row.get(OWN + 7)?,
        endpoints: row.get(OWN + 8)?,
        label: row.get(OWN + 9)?,
        mapping: row.get(OWN + 10)?,
        mapping_failure: row.get(OWN + 11)?,
        verification: row
            .get::<Option<String>>(OWN + 12)?
            .zip(secrets.transpose()?)
            .map(|(settings, secrets)| VerificationRow { settings, secrets }),
        created_at: Timestamp::from_micros(row.get(OWN + 14)?),
        updated_at: Timestamp::from_micros(row.get(OWN + 15)?),
    })
}

fn credential(row: &AnyRow) -> Result<CredentialRow, Unreadable> {
    Ok(CredentialRow {
        id: CredentialId::from_uuid(row.get(ID)?),
        tenant: row.get::<Option<Uuid>>(WITHIN)?.map(TenantId::from_uuid),
        name: row.get(NAME)?,
        revision: row.get(REVISION)?,
        kind: row.get(OWN)?,
        subject: row.get(OWN + 1)?,
        environment: row.get::<Option<Uuid>>(OWN + 2)?.map(EnvironmentId::from_uuid),
        rights: row.get(OWN + 3)?,
        hash: hash(&row.get::<Vec<u8>>(OWN + 4)?)?,
        sealed: row.get(OWN + 5)?,
        expires_at: time(row, OWN + 6)?,
        disabled_at: time(row, OWN + 7)?,
        created_at: Timestamp::from_micros(row.get(OWN + 8)?),
        updated_at: Timestamp::from_micros(row.get(OWN + 9)?),
        label: row.get(OWN + 10)?,
        last_used_at: time(row, OWN + 11)?,
        revoked_at: time(row, GONE_AT)?,
    })
}
