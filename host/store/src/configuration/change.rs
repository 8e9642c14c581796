//! Changing the configuration: any number of rows in one transaction, each planned on a revision of that row.
//!
//! A change is first turned into statements with their values (no database), then they are run in order.

use hookyard_domain::{CredentialId, EndpointId, EnvironmentId, SenderId, TenantId, Timestamp, UserId};
use uuid::Uuid;

use super::{
    belongs_to,
    rows::{CredentialRow, EndpointRow, EnvironmentRow, SenderRow, TenantRow},
};
use crate::{
    Store,
    error::Error,
    in_transaction,
    people::{InviteRow, UserRow},
    seal::{SealKey, SecretText},
    statements as sql,
};

/// What the row was when the change was decided. Of two changes decided from the same state of a row one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There was none.
    New,
    /// It had this revision.
    Revision(i64),
}

/// One row as it shall be. Its own `revision`, `created_at` and `updated_at` are not read: the transaction gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Tenant(TenantRow),
    Environment(EnvironmentRow),
    Endpoint(Box<EndpointRow>),
    Sender(SenderRow),
    Credential(CredentialRow),
    User(UserRow),
    Invite(InviteRow),
}

/// What can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    Environment(EnvironmentId),
    Endpoint(EndpointId),
    Sender(SenderId),
    /// It is revoked: its row stays, its text opens nothing any more.
    Credential(CredentialId),
    /// Its row goes, and its sessions with it.
    User(UserId),
}

/// One change.
#[expect(clippy::large_enum_variant, reason = "nearly every change writes a row")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put {
        row: Row,
        expected: Expected,
    },
    /// The row stays, marked, for as long as facts name it; its credentials are revoked with it.
    Delete {
        thing: Thing,
        /// The revision it had when this was decided.
        revision: i64,
    },
    /// Writes nothing, and refuses all that was to be written with it unless this holds then.
    Require(Rule),
}

/// What [`Error::InUse`] names where a change would leave a tenant without an owner.
pub const LAST_OWNER: &str = "the last owner";

/// What must hold once the changes before it are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// An active owner is among the users of the tenant.
    AnOwnerIsLeft(TenantId),
}

impl Change {
    pub fn new(row: Row) -> Self {
        Self::Put {
            row,
            expected: Expected::New,
        }
    }

    /// What it changes, for an error.
    fn name(&self) -> String {
        let named =
            |kind: &str, name: Option<&str>, id: Uuid| name.map_or_else(|| format!("{kind} {id}"), |name| format!("{kind} \"{name}\""));
        match self {
            Self::Put { row, .. } => match row {
                Row::Tenant(row) => named("tenant", Some(&row.name), row.id.as_uuid()),
                Row::Environment(row) => named("environment", Some(&row.slug), row.id.as_uuid()),
                Row::Endpoint(row) => named("endpoint", row.name.as_deref(), row.id.as_uuid()),
                Row::Sender(row) => named("sender", row.name.as_deref(), row.id.as_uuid()),
                Row::Credential(row) => named(&row.kind, row.name.as_deref(), row.id.as_uuid()),
                Row::User(row) => named("user", Some(&row.email), row.id.as_uuid()),
                Row::Invite(row) => named("invite", None, row.id.as_uuid()),
            },
            Self::Delete { thing, .. } => {
                let (kind, _, id) = thing.deletion();
                named(kind, None, id)
            }
            Self::Require(Rule::AnOwnerIsLeft(_)) => LAST_OWNER.to_owned(),
        }
    }
}

impl Thing {
    fn deletion(self) -> (&'static str, &'static str, Uuid) {
        match self {
            Self::Environment(id) => ("environment", sql::DELETE_ENVIRONMENT, id.as_uuid()),
            Self::Endpoint(id) => ("endpoint", sql::DELETE_ENDPOINT, id.as_uuid()),
            Self::Sender(id) => ("sender", sql::DELETE_SENDER, id.as_uuid()),
            Self::Credential(id) => ("credential", sql::REVOKE_CREDENTIAL, id.as_uuid()),
            Self::User(id) => ("user", sql::DELETE_USER, id.as_uuid()),
        }
    }
}

impl Store {
    /// Writes all changes or none, and returns the revision they made.
    ///
    /// # Errors
    /// [`Error::Changed`] when a row is no longer what a change was planned on, [`Error::Taken`] when a name or a
    /// credential is another's. Both say which thing it is about.
    pub async fn configure(&self, changes: &[Change], now: Timestamp) -> Result<i64, Error> {
        let revision = in_transaction!(self, |transaction| {
            // First, so that every such transaction waits in the same place and never for another's rows.
            let (revision,): (i64,) = sqlx::query_as(sql::RAISE_REVISION).fetch_one(&mut *transaction).await?;
            let stamp = Stamp {
                revision,
                at: now.as_micros(),
            };
            for change in changes {
                for step in steps(change, &self.seal, stamp) {
                    let mut query = sqlx::query(step.statement);
                    for value in step.values {
                        query = match value {
                            Value::Id(id) => query.bind(id),
                            Value::Number(number) => query.bind(number),
                            Value::Text(text) => query.bind(text),
                            Value::Bytes(bytes) => query.bind(bytes),
                        };
                    }
                    let done = query
                        .execute(&mut *transaction)
                        .await
                        .map_err(|error| taken(error.into(), change))?;
                    if step.changes_one_row && done.rows_affected() != 1 {
                        return Err(match change {
                            Change::Require(_) => Error::InUse(change.name().into()),
                            _ => Error::Changed(change.name().into()),
                        });
                    }
                }
            }
            revision
        });
        self.announce_configuration().await;
        Ok(revision)
    }
}

/// Says what a refused name or credential was meant for, instead of the database's name of its index.
fn taken(error: Error, change: &Change) -> Error {
    match error {
        Error::Taken(text) if text.contains("hash") => Error::Taken(
            format!(
                "{}: this credential already belongs to something else, or was revoked: give it another text",
                change.name()
            )
            .into(),
        ),
        Error::Taken(_) => Error::Taken(format!("{}: there is one already", change.name()).into()),
        other => other,
    }
}

/// What every row written by a transaction gets.
#[derive(Clone, Copy)]
struct Stamp {
    revision: i64,
    at: i64,
}

/// One statement with its values.
struct Step {
    statement: &'static str,
    values: Vec<Value>,
    /// Anything else means that the row was changed by somebody else.
    changes_one_row: bool,
}

enum Value {
    Id(Option<Uuid>),
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

fn id(id: Uuid) -> Value {
    Value::Id(Some(id))
}

fn number(number: impl Into<i64>) -> Value {
    Value::Number(Some(number.into()))
}

fn text(text: &str) -> Value {
    Value::Text(Some(text.to_owned()))
}

fn optional_text(text: Option<&str>) -> Value {
    Value::Text(text.map(str::to_owned))
}

fn time(at: Option<Timestamp>) -> Value {
    Value::Number(at.map(Timestamp::as_micros))
}

/// An insert takes `values` and the stamp; an update takes the revision the row must have besides. Both texts number their
/// parameters alike, so that one list of values serves them.
fn put(insert: &'static str, update: &'static str, mut values: Vec<Value>, expected: Expected, stamp: Stamp) -> Step {
    values.extend([number(stamp.revision), number(stamp.at)]);
    let statement = match expected {
        Expected::New => insert,
        Expected::Revision(revision) => {
            values.push(number(revision));
            update
        }
    };
    Step {
        statement,
        values,
        changes_one_row: true,
    }
}

fn steps(change: &Change, seal: &SealKey, stamp: Stamp) -> Vec<Step> {
    match change {
        Change::Put { row, expected } => match row {
            Row::Tenant(row) => vec![tenant(row, seal, *expected, stamp)],
            Row::Environment(row) => vec![environment(row, *expected, stamp)],
            Row::Endpoint(row) => endpoint(row, seal, *expected, stamp),
            Row::Sender(row) => vec![sender(row, seal, *expected, stamp)],
            Row::Credential(row) => vec![credential(row, *expected, stamp)],
            Row::User(row) => user(row, *expected, stamp),
            Row::Invite(row) => vec![invite(row, seal, *expected, stamp)],
        },
        Change::Require(Rule::AnOwnerIsLeft(tenant)) => vec![Step {
            statement: sql::REQUIRE_OWNER,
            values: vec![id(tenant.as_uuid())],
            changes_one_row: true,
        }],
        // Nothing names a user but its sessions, so there is no mark to leave.
        Change::Delete {
            thing: Thing::User(user),
            revision,
        } => vec![Step {
            statement: sql::DELETE_USER,
            values: vec![id(user.as_uuid()), number(*revision)],
            changes_one_row: true,
        }],
        Change::Delete { thing, revision } => {
            let (_, statement, thing_id) = thing.deletion();
            vec![
                Step {
                    statement,
                    values: vec![id(thing_id), number(stamp.revision), number(stamp.at), number(*revision)],
                    changes_one_row: true,
                },
                Step {
                    statement: sql::REVOKE_CREDENTIALS_OF,
                    values: vec![id(thing_id), number(stamp.revision), number(stamp.at)],
                    changes_one_row: false,
                },
            ]
        }
    }
}

fn sealed(seal: &SealKey, secret: &SecretText, belongs_to: &str) -> Vec<u8> {
    seal.seal(secret, belongs_to, rand::random())
}

fn tenant(row: &TenantRow, seal: &SealKey, expected: Expected, stamp: Stamp) -> Step {
    let secret = sealed(seal, &row.webhook_secret, &belongs_to::tenant_secret(row.id));
    let values = vec![
        id(row.id.as_uuid()),
        text(&row.name),
        number(row.attempts_max),
        number(row.breaker_block_s),
        Value::Bytes(Some(secret)),
        number(row.registered),
    ];
    put(sql::INSERT_TENANT, sql::UPDATE_TENANT, values, expected, stamp)
}

fn environment(row: &EnvironmentRow, expected: Expected, stamp: Stamp) -> Step {
    let values = vec![
        id(row.id.as_uuid()),
        id(row.tenant.as_uuid()),
        text(&row.slug),
        text(&row.name),
        number(row.is_default),
    ];
    put(sql::INSERT_ENVIRONMENT, sql::UPDATE_ENVIRONMENT, values, expected, stamp)
}

fn endpoint(row: &EndpointRow, seal: &SealKey, expected: Expected, stamp: Stamp) -> Vec<Step> {
    let secret = |secret: Option<&SecretText>, belongs_to: &str| Value::Bytes(secret.map(|secret| sealed(seal, secret, belongs_to)));
    let previous = row.previous_secret.as_ref();
    let values = vec![
        id(row.id.as_uuid()),
        id(row.tenant.as_uuid()),
        id(row.environment.as_uuid()),
        Value::Id(row.application.map(|application| application.as_uuid())),
        optional_text(row.name.as_deref()),
        optional_text(row.description.as_deref()),
        text(&row.url),
        text(&row.status),
        text(&row.profile),
        text(&row.metadata),
        number(row.concurrency_max),
        Value::Number(row.attempts_max.map(i64::from)),
        secret(row.secret.as_ref(), &belongs_to::endpoint_secret(row.id)),
        secret(
            previous.map(|previous| &previous.secret),
            &belongs_to::endpoint_previous_secret(row.id),
        ),
        time(previous.map(|previous| previous.until)),
        secret(row.auth.as_ref(), &belongs_to::endpoint_auth(row.id)),
    ];
    let mut steps = vec![put(sql::INSERT_ENDPOINT, sql::UPDATE_ENDPOINT, values, expected, stamp)];
    if expected != Expected::New {
        steps.push(Step {
            statement: sql::DELETE_SUBSCRIPTIONS,
            values: vec![id(row.id.as_uuid())],
            changes_one_row: false,
        });
    }
    steps.extend(row.subscriptions.iter().map(|subscription| Step {
        statement: sql::INSERT_SUBSCRIPTION,
        values: vec![
            id(subscription.id.as_uuid()),
            id(row.id.as_uuid()),
            text(&subscription.pattern),
            Value::Id(subscription.event_type.map(|event_type| event_type.as_uuid())),
            number(subscription.created_at.as_micros()),
        ],
        changes_one_row: true,
    }));
    steps
}

fn sender(row: &SenderRow, seal: &SealKey, expected: Expected, stamp: Stamp) -> Step {
    let belongs_to = belongs_to::sender_verification(row.id);
    let secrets = row
        .verification
        .as_ref()
        .map(|verification| sealed(seal, &verification.secrets, &belongs_to));
    let values = vec![
        id(row.id.as_uuid()),
        id(row.tenant.as_uuid()),
        id(row.environment.as_uuid()),
        Value::Id(row.endpoint.map(|endpoint| endpoint.as_uuid())),
        optional_text(row.name.as_deref()),
        text(&row.status),
        optional_text(row.plugin.as_deref()),
        text(&row.config),
        text(&row.failure_policy),
        optional_text(row.event_type_header.as_deref()),
        text(&row.exposed_headers),
        optional_text(row.endpoints.as_deref()),
        optional_text(row.label.as_deref()),
        optional_text(row.mapping.as_deref()),
        text(&row.mapping_failure),
        optional_text(row.verification.as_ref().map(|verification| verification.settings.as_str())),
        Value::Bytes(secrets),
    ];
    put(sql::INSERT_SENDER, sql::UPDATE_SENDER, values, expected, stamp)
}

fn credential(row: &CredentialRow, expected: Expected, stamp: Stamp) -> Step {
    let values = vec![
        id(row.id.as_uuid()),
        Value::Id(row.tenant.map(|tenant| tenant.as_uuid())),
        text(&row.kind),
        Value::Id(row.subject),
        Value::Id(row.environment.map(|environment| environment.as_uuid())),
        optional_text(row.name.as_deref()),
        text(&row.rights),
        Value::Bytes(Some(row.hash.as_bytes().to_vec())),
        Value::Bytes(row.sealed.clone()),
        time(row.expires_at),
        time(row.disabled_at),
        optional_text(row.label.as_deref()),
    ];
    put(sql::INSERT_CREDENTIAL, sql::UPDATE_CREDENTIAL, values, expected, stamp)
}

/// A user whose password or right to log in changed is logged out everywhere.
fn user(row: &UserRow, expected: Expected, stamp: Stamp) -> Vec<Step> {
    let values = vec![
        id(row.id.as_uuid()),
        id(row.tenant.as_uuid()),
        text(&row.email),
        text(&row.password_hash),
        text(&row.role),
        text(&row.status),
    ];
    let mut steps = vec![put(sql::INSERT_USER, sql::UPDATE_USER, values, expected, stamp)];
    if row.log_out {
        steps.push(Step {
            statement: sql::DELETE_SESSIONS_OF_USER,
            values: vec![id(row.id.as_uuid())],
            changes_one_row: false,
        });
    }
    steps
}

fn invite(row: &InviteRow, seal: &SealKey, expected: Expected, stamp: Stamp) -> Step {
    let values = vec![
        id(row.id.as_uuid()),
        id(row.tenant.as_uuid()),
        Value::Bytes(Some(row.hash.as_bytes().to_vec())),
        Value::Bytes(Some(sealed(seal, &row.token, &belongs_to::invite(row.id)))),
        text(&row.role),
        time(Some(row.expires_at)),
        time(row.used_at),
    ];
    put(sql::INSERT_INVITE, sql::UPDATE_INVITE, values, expected, stamp)
}
