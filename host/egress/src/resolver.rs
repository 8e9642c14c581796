//! Name resolution that answers with checked addresses only.

use std::{net::SocketAddr, sync::Arc};

use hookyard_domain::address::{AddressPolicy, Forbidden};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The name has an address no delivery may go to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) Forbidden);

/// The name has no address, or the resolver did not say.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {name}: {problem}")]
pub(super) struct Unresolved {
    name: String,
    problem: String,
}

impl Unresolved {
    /// Whether no answer came, rather than the answer that there is no such name. The system's resolver tells the two
    /// apart by its text only (EAI_AGAIN in glibc and musl).
    pub(super) fn is_our_resolvers_fault(&self) -> bool {
        ["Temporary failure in name resolution", "Try again"]
            .iter()
            .any(|text| self.problem.contains(text))
    }
}

pub(super) struct CheckedResolver {
    policy: Arc<AddressPolicy>,
}

impl CheckedResolver {
    pub(super) fn new(policy: Arc<AddressPolicy>) -> Self {
        Self { policy }
    }
}

impl Resolve for CheckedResolver {
    /// One forbidden address among several refuses the name: a name that mixes public and private addresses is either
    /// a mistake or an attack, and which address a client would pick is chance.
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let unresolved = |problem: String| Unresolved {
                name: name.as_str().to_owned(),
                problem,
            };
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|error| unresolved(error.to_string()))?
                .collect();
            if found.is_empty() {
                return Err(unresolved("it has no address".to_owned()).into());
            }
            for address in &found {
                policy.check(address.ip()).map_err(Refused)?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
