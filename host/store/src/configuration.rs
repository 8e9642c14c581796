//! What tenants configure: tenants, environments, endpoints, senders, credentials and plugins, as rows.
//!
//! Every change is one transaction that raises the configuration's revision first and writes that number into each row it
//! touches. So a node reads only what is newer than what it has ([`Store::configuration_since`]), two changes conflict only
//! where they change the same row ([`Store::configure`]), and all such transactions take their first lock in the same place,
//! so no two of them can wait for each other. What a row's words mean is not known here; the host's `configuration` parses
//! them.
//!
//! [`Store::configuration_since`]: crate::Store::configuration_since
//! [`Store::configure`]: crate::Store::configure

mod any;
mod change;
mod read;
mod rows;

pub(crate) use any::AnyRow;
pub(crate) use read::hash;

pub use change::{Change, Expected, LAST_OWNER, Row, Rule, Thing};
pub use rows::{
    Changed, CredentialRow, EndpointRow, EnvironmentRow, PreviousSecret, Rows, SenderRow, SetAside, SubscriptionRow, TenantRow, Unreadable,
    VerificationRow,
};

/// What a secret is bound to when it is sealed, so that a sealed text copied into another row or column does not open.
pub(crate) mod belongs_to {
    use hookyard_domain::{CredentialId, EndpointId, InviteId, SenderId, TenantId};

    pub fn tenant_secret(id: TenantId) -> String {
        format!("tenant:{id}:webhook_secret")
    }

    pub fn endpoint_secret(id: EndpointId) -> String {
        format!("endpoint:{id}:secret")
    }

    pub fn endpoint_previous_secret(id: EndpointId) -> String {
        format!("endpoint:{id}:previous_secret")
    }

    pub fn endpoint_auth(id: EndpointId) -> String {
        format!("endpoint:{id}:auth")
    }

    pub fn sender_verification(id: SenderId) -> String {
        format!("sender:{id}:verification_secrets")
    }

    pub fn invite(id: InviteId) -> String {
        format!("invite:{id}")
    }

    pub fn credential(id: CredentialId) -> String {
        format!("credential:{id}")
    }
}
