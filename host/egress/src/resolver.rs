//! Name resolution that answers with checked addresses only.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hookyard_domain::address::{AddressPolicy, Forbidden};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::lookup::LookUps;

/// The name has an address no delivery may go to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) Forbidden);

/// The name has no address, or the resolver did not say.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {name}: {problem}")]
pub(super) struct Unresolved {
    name: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it has no address")]
    NoAddress,
    #[error("the resolver did not answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    #[error("{0}")]
    Failed(String),
}

impl Unresolved {
    /// Whether no answer came, rather than the answer that there is no such name. The system's resolver tells the two
    /// apart by its text only (EAI_AGAIN in glibc and musl).
    pub(super) fn is_our_resolvers_fault(&self) -> bool {
        match &self.problem {
            Problem::NoAddress => false,
            Problem::NoAnswer(_) => true,
            Problem::Failed(text) => ["Temporary failure in name resolution", "Try again"]
                .iter()
                .any(|sign| text.contains(sign)),
        }
    }
}

pub(super) struct CheckedResolver {
    policy: Arc<AddressPolicy>,
    deadline: Duration,
    look_ups: LookUps,
}

impl CheckedResolver {
    /// `deadline` ends a look-up before whatever waits for it gives up, which could no longer tell that it was our
    /// resolver and not the receiver that was silent (D3).
    pub(super) fn new(policy: Arc<AddressPolicy>, deadline: Duration) -> Self {
        Self {
            policy,
            deadline,
            look_ups: LookUps::default(),
        }
    }
}

impl Resolve for CheckedResolver {
    /// One forbidden address among several refuses the name: a name that mixes public and private addresses is either
    /// a mistake or an attack, and which address a client would pick is chance.
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, deadline, look_ups) = (Arc::clone(&self.policy), self.deadline, self.look_ups.clone());
        Box::pin(async move {
            let unresolved = |problem| Unresolved {
                name: name.as_str().to_owned(),
                problem,
            };
            let found = tokio::time::timeout(deadline, look_ups.of(name.as_str()))
                .await
                .map_err(|_| unresolved(Problem::NoAnswer(deadline)))?
                .map_err(|text| unresolved(Problem::Failed(text)))?;
            if found.is_empty() {
                return Err(unresolved(Problem::NoAddress).into());
            }
            for address in &found {
                policy.check(*address).map_err(Refused)?;
            }
            // The connector puts the URL's port in.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
