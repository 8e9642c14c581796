//! What is wrong with a set-up in itself, whatever there is already: each field by the rules of [`crate::manage::check`], and
//! what several parts of it may not have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::{Setup, TenantSetup};
use crate::{
    configuration::CredentialKind,
    manage::{Problems, check},
};

impl Setup {
    /// What is wrong with it, whatever there is already.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        let names = self.tenants.iter().map(|tenant| tenant.fields.name.as_str());
        for twin in twins(names) {
            problems.add(format!("tenant \"{twin}\""), "appears twice");
        }
        for tenant in &self.tenants {
            problems.within(&format!("tenant \"{}\"", tenant.fields.name), tenant.check());
        }
        self.check_credentials_differ(&mut problems);
        problems
    }

    /// A credential names one thing: looked up by its hash, a shared one would reach only one of its owners.
    fn check_credentials_differ(&self, problems: &mut Problems) {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        for tenant in &self.tenants {
            let keys = tenant.api_keys.iter().map(|(name, key)| (format!("api_key \"{name}\""), key));
            let endpoints = tenant.endpoints.iter().filter_map(|endpoint| {
                let token = endpoint.token.as_ref()?;
                Some((format!("endpoint \"{}\"", endpoint.name), token))
            });
            let senders = tenant
                .senders
                .iter()
                .map(|sender| (format!("sender \"{}\"", sender.name), &sender.token));
            for (owner, secret) in keys.chain(endpoints).chain(senders) {
                let owner = format!("tenant \"{}\", {owner}", tenant.fields.name);
                // An empty one could not be read; that is told where it was.
                if secret.expose().is_empty() {
                    continue;
                }
                if let Some(other) = seen.insert(secret.expose(), owner.clone()) {
                    problems.add(owner, format!("has the same credential as {other}"));
                }
            }
        }
    }
}

impl TenantSetup {
    fn check(&self) -> Problems {
        let mut problems = self.fields.check();
        for (name, key) in &self.api_keys {
            let mut of_key = Problems::default();
            of_key.check("name", check::name(name));
            of_key.check("key", check::credential(CredentialKind::ApiKey, key));
            problems.within(&format!("api_key \"{name}\""), of_key);
        }
        for endpoint in &self.endpoints {
            let mut of_endpoint = endpoint.fields.check();
            of_endpoint.check("environment", check::name(&endpoint.environment));
            let token = |token| check::credential(CredentialKind::EndpointToken, token);
            of_endpoint.check("token", endpoint.token.as_ref().map_or(Ok(()), token));
            if endpoint.fields.events.is_empty() {
                of_endpoint.add(
                    "events",
                    "is empty: such an endpoint would never get anything; set inactive = true instead",
                );
            }
            problems.within(&format!("endpoint \"{}\"", endpoint.name), of_endpoint);
        }
        for sender in &self.senders {
            let mut of_sender = sender.fields.check();
            of_sender.check("environment", check::name(&sender.environment));
            of_sender.check("token", check::credential(CredentialKind::SenderToken, &sender.token));
            problems.within(&format!("sender \"{}\"", sender.name), of_sender);
        }
        let endpoints: Vec<_> = self
            .endpoints
            .iter()
            .map(|one| format!("{}/{}", one.environment, one.name))
            .collect();
        let senders: Vec<_> = self.senders.iter().map(|one| format!("{}/{}", one.environment, one.name)).collect();
        let api_keys = self.api_keys.iter().map(|(name, _)| name.as_str());
        for (kind, twins) in [
            ("api_key", twins(api_keys)),
            ("endpoint", twins(endpoints.iter().map(String::as_str))),
            ("sender", twins(senders.iter().map(String::as_str))),
        ] {
            for twin in twins {
                problems.add(format!("{kind} \"{twin}\""), "appears twice");
            }
        }
        problems
    }
}

fn twins<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}
