//! On whose behalf something is read or changed.
//!
//! Every question and every change off an event's path takes a [`Scope`], so that asking without one does not compile.
//! What is outside it looks absent.

use crate::ids::TenantId;

/// Whose things may be seen and changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything: the person who runs the server.
    Operator,
    /// One tenant's things and nothing else.
    Tenant(TenantId),
}

impl Scope {
    /// Whether a tenant's things may be seen.
    pub fn holds(self, tenant: TenantId) -> bool {
        match self {
            Self::Operator => true,
            Self::Tenant(own) => own == tenant,
        }
    }

    /// The tenant it is limited to.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Operator => None,
            Self::Tenant(own) => Some(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_tenant_sees_its_own_things_and_the_operator_all() {
        let [own, other] = [1, 2].map(|n| TenantId::from_uuid(Uuid::from_u128(n)));
        assert!(Scope::Tenant(own).holds(own) && !Scope::Tenant(own).holds(other));
        assert!(Scope::Operator.holds(other));
        assert_eq!((Scope::Operator.tenant(), Scope::Tenant(own).tenant()), (None, Some(own)));
    }
}
