//! Small configurations for tests of what is decided: one tenant, one environment, one sender, endpoints by pattern.

use std::sync::Arc;

use hookyard_domain::{
    ContentHash, EndpointId, EnvironmentId, PluginId, SenderId, SubscriptionId, TenantId, Timestamp, failure::FailurePolicy,
};
use uuid::Uuid;

use crate::{
    configuration::{Candidates, Sender, Snapshot},
    store::{EndpointRow, EnvironmentRow, PluginRow, Rows, SecretText, SenderRow, SubscriptionRow, TenantRow},
};

pub const PLUGIN: &str = "guest";

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A configuration under construction.
#[derive(Default)]
pub struct Sample {
    revision: i64,
    sender_revision: i64,
    plugin: Option<(u32, i64)>,
    no_plugin: bool,
    policy: FailurePolicy,
    /// Name and event pattern of each endpoint.
    endpoints: Vec<(String, String)>,
}

impl Sample {
    /// As of this revision.
    pub fn at(revision: i64) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    pub fn sender_at(self, revision: i64) -> Self {
        Self {
            sender_revision: revision,
            ..self
        }
    }

    pub fn plugin_at(self, generation: u32, revision: i64) -> Self {
        Self {
            plugin: Some((generation, revision)),
            ..self
        }
    }

    pub fn without_plugin(self) -> Self {
        Self { no_plugin: true, ..self }
    }

    pub fn policy(self, policy: FailurePolicy) -> Self {
        Self { policy, ..self }
    }

    pub fn endpoint(mut self, name: &str, pattern: &str) -> Self {
        self.endpoints.push((name.to_owned(), pattern.to_owned()));
        self
    }

    pub fn snapshot(&self) -> Snapshot {
        let (tenant, environment) = (TenantId::from_uuid(id(1)), EnvironmentId::from_uuid(id(2)));
        let mut rows = Rows {
            revision: self.revision,
            ..Rows::default()
        };
        rows.tenants.rows.push(TenantRow {
            id: tenant,
            name: "acme".to_owned(),
            attempts_max: 10,
            breaker_block_s: 300,
            webhook_secret: SecretText::new("0123456789abcdef0123456789abcdef".to_owned()),
            registered: false,
            revision: 1,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        });
        rows.environments.rows.push(EnvironmentRow {
            id: environment,
            tenant,
            slug: "production".to_owned(),
            name: "Production".to_owned(),
            is_default: true,
            revision: 1,
        });
        for (n, (name, pattern)) in self.endpoints.iter().enumerate() {
            rows.endpoints
                .rows
                .push(endpoint(tenant, environment, 1_000 + n as u128, name, pattern));
        }
        rows.senders.rows.push(SenderRow {
            id: SenderId::from_uuid(id(3)),
            tenant,
            environment,
            endpoint: None,
            name: Some("sender".to_owned()),
            label: None,
            status: "active".to_owned(),
            mapping: None,
            mapping_failure: "hold".to_owned(),
            verification: None,
            plugin: (!self.no_plugin).then(|| PLUGIN.to_owned()),
            config: "{}".to_owned(),
            failure_policy: self.policy.as_str().to_owned(),
            event_type_header: None,
            exposed_headers: "[]".to_owned(),
            endpoints: None,
            revision: self.sender_revision,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        });
        rows.plugins.extend(self.plugin.map(|(generation, revision)| PluginRow {
            id: PluginId::from_uuid(id(4)),
            tenant,
            name: PLUGIN.to_owned(),
            active: Some(ContentHash::of(&generation.to_le_bytes())),
            generation,
            refused: None,
            revision,
            updated_at: Timestamp::EPOCH,
        }));
        Snapshot::default().with(rows)
    }

    pub fn sender(&self) -> Arc<Sender> {
        let snapshot = self.snapshot();
        Arc::clone(&snapshot.senders[&SenderId::from_uuid(id(3))])
    }

    pub fn candidates(&self, event_type: &str) -> Candidates {
        self.sender().reach.candidates(event_type)
    }
}

fn endpoint(tenant: TenantId, environment: EnvironmentId, n: u128, name: &str, pattern: &str) -> EndpointRow {
    EndpointRow {
        id: EndpointId::from_uuid(id(n)),
        tenant,
        environment,
        application: None,
        name: Some(name.to_owned()),
        description: None,
        url: "https://receiver.example/hook".to_owned(),
        status: "active".to_owned(),
        profile: hookyard_domain::profile::DEFAULT.name().to_owned(),
        metadata: "{}".to_owned(),
        concurrency_max: 16,
        attempts_max: None,
        secret: None,
        previous_secret: None,
        auth: None,
        subscriptions: vec![SubscriptionRow {
            id: SubscriptionId::from_uuid(id(1_000_000 + n)),
            pattern: pattern.to_owned(),
            event_type: None,
            created_at: Timestamp::EPOCH,
        }],
        revision: 1,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    }
}
