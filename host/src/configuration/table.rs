//! What the rows of the tables have in common when a change is applied: an id, a name to be told by, and a noun to become.

use hookyard_domain::{CredentialId, EndpointId, EnvironmentId, SenderId, TenantId};
use uuid::Uuid;

use super::{Credential, EndpointSettings, Environment, SenderSettings, Tenant};
use crate::store::{CredentialRow, EndpointRow, EnvironmentRow, SenderRow, SetAside, TenantRow, Unreadable};

pub(super) trait TableRow: Sized {
    const TABLE: &'static str;
    type Id: Copy + Eq + std::hash::Hash;
    type Noun;

    fn id(&self) -> Self::Id;
    fn id_of(uuid: Uuid) -> Self::Id;
    fn uuid_of(id: Self::Id) -> Uuid;
    /// As it is listed when it does not parse; the reason is still to be filled in.
    fn about(&self) -> SetAside;
    fn parse(self) -> Result<Self::Noun, String>;
}

/// Implements [`TableRow`]: table, what its name is unique in, and its name.
macro_rules! table_row {
    ($Row:ident, $Id:ident, $Noun:ident, $table:literal, |$row:ident| $within:expr, $name:expr) => {
        impl TableRow for $Row {
            const TABLE: &'static str = $table;
            type Id = $Id;
            type Noun = $Noun;

            fn id(&self) -> $Id {
                self.id
            }

            fn id_of(uuid: Uuid) -> $Id {
                $Id::from_uuid(uuid)
            }

            fn uuid_of(id: $Id) -> Uuid {
                id.as_uuid()
            }

            fn about(&self) -> SetAside {
                let $row = self;
                SetAside {
                    table: $table,
                    id: self.id.as_uuid(),
                    within: $within,
                    name: $name,
                    revision: self.revision,
                    why: Unreadable::Malformed { problem: String::new() },
                }
            }

            fn parse(self) -> Result<$Noun, String> {
                $Noun::try_from(self).map_err(|problem| problem.to_string())
            }
        }
    };
}

table_row!(TenantRow, TenantId, Tenant, "tenant", |row| None, row.name.clone());
table_row!(
    EnvironmentRow,
    EnvironmentId,
    Environment,
    "environment",
    |row| Some(row.tenant.as_uuid()),
    row.slug.clone()
);
table_row!(
    EndpointRow,
    EndpointId,
    EndpointSettings,
    "endpoint",
    |row| Some(row.environment.as_uuid()),
    row.name.clone().unwrap_or_default()
);
table_row!(
    SenderRow,
    SenderId,
    SenderSettings,
    "sender",
    |row| Some(row.environment.as_uuid()),
    row.name.clone().unwrap_or_default()
);
table_row!(
    CredentialRow,
    CredentialId,
    Credential,
    "credential",
    |row| row.tenant.map(|tenant| tenant.as_uuid()),
    row.name.clone().unwrap_or_default()
);
