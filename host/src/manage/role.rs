//! What a person may do, by role.

/// What a user is in its tenant. Its word is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Changes what events need: endpoints, senders, keys.
    Developer,
    /// Changes the tenant and its people besides, but for owners.
    Admin,
    Owner,
}

/// What a person wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Read,
    /// Endpoints, senders, API keys, the signing secret, replays.
    Work,
    /// The tenant's settings, its people, and what cannot be undone.
    Govern,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Admin, Self::Owner];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub fn may(self, deed: Deed) -> bool {
        match deed {
            Deed::Read => true,
            Deed::Work => self.rank() >= Self::Developer.rank(),
            Deed::Govern => self.rank() >= Self::Admin.rank(),
        }
    }

    /// Whether somebody of this role may make another's role this one, take it away, or change who has it: an owner any,
    /// an admin what is below.
    pub fn may_give(self, role: Self) -> bool {
        self == Self::Owner || (self.may(Deed::Govern) && role.rank() < self.rank())
    }

    fn rank(self) -> u8 {
        match self {
            Self::Viewer => 0,
            Self::Developer => 1,
            Self::Admin => 2,
            Self::Owner => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_those_below_may_and_gives_nothing_above_itself() {
        use Role::{Admin, Developer, Owner, Viewer};
        for (role, read, work, govern) in [
            (Viewer, true, false, false),
            (Developer, true, true, false),
            (Admin, true, true, true),
            (Owner, true, true, true),
        ] {
            assert_eq!(
                (role.may(Deed::Read), role.may(Deed::Work), role.may(Deed::Govern)),
                (read, work, govern),
                "{role:?}"
            );
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        for role in Role::ALL {
            assert!(
                !Viewer.may_give(role) && !Developer.may_give(role) && Owner.may_give(role),
                "{role:?}"
            );
        }
        assert!(Admin.may_give(Developer) && !Admin.may_give(Admin) && !Admin.may_give(Owner));
    }
}
