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
            let keys = tenant.api_keys.iter().map(|key| (format!("api_key \"{}\"", key.name), &key.text));
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
        for key in &self.api_keys {
            let mut of_key = Problems::default();
            of_key.check("name", check::name(&key.name));
            of_key.check("key", check::credential(CredentialKind::ApiKey, &key.text));
            problems.within(&format!("api_key \"{}\"", key.name), of_key);
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
        for (sender, endpoint) in
            (self.senders.iter()).flat_map(|sender| sender.fields.endpoints.iter().flatten().map(move |name| (sender, name)))
        {
            if self.removed.endpoints.contains(&(sender.environment.clone(), endpoint.clone())) {
                problems.add(
                    format!("sender \"{}\", endpoints", sender.name),
                    format!("names \"{endpoint}\", which is to be removed"),
                );
            }
        }
        let full = |environment: &str, name: &str| format!("{environment}/{name}");
        let endpoints = self.endpoints.iter().map(|one| full(&one.environment, &one.name));
        let endpoints: Vec<_> = endpoints
            .chain(self.removed.endpoints.iter().map(|(environment, name)| full(environment, name)))
            .collect();
        let senders = self.senders.iter().map(|one| full(&one.environment, &one.name));
        let senders: Vec<_> = senders
            .chain(self.removed.senders.iter().map(|(environment, name)| full(environment, name)))
            .collect();
        let api_keys = self.api_keys.iter().map(|key| key.name.as_str());
        let api_keys = api_keys.chain(self.removed.api_keys.iter().map(String::as_str));
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
