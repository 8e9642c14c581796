//! Senders of the misbehaving guest, in as many versions as a suite needs, and what became of their events.

use crate::{
    guests,
    host::TestHost,
    receiver::Receiver,
    setup::{Endpoint, Sender, SetupFile, Tenant, sender_token},
    wait,
};
use hookyard::explanation::Explanation;
use hookyard::store::PluginRow;
use hookyard_domain::{ContentHash, DeliveryState, EventId, EventState, Scope};
use toml::Table;

pub const TENANT: &str = "acme";
/// What the plugin is called in the set-ups here.
pub const PLUGIN: &str = "guest";

/// A version of the misbehaving guest: the same code with a number in a custom section, which changes its hash only.
pub fn version(number: u8) -> Vec<u8> {
    let mut wasm = guests::bytes("misbehaving");
    let name = b"version";
    // WebAssembly core specification, section 5.5.3: id 0, size, name, then anything.
    wasm.extend([0, 2 + name.len() as u8, name.len() as u8]);
    wasm.extend(name);
    wasm.push(number);
    wasm
}

pub fn hash(wasm: &[u8]) -> String {
    ContentHash::of(wasm).to_string()
}

/// The guest's configuration for a mode.
pub fn mode(mode: &str) -> Table {
    let mut config = Table::new();
    config.insert("mode".to_owned(), mode.into());
    config
}

/// A sender of the guest in a mode; its name is the mode's.
pub fn sender_in(mode_name: &str) -> Sender {
    Sender::new(mode_name).plugin(PLUGIN).config(mode(mode_name))
}

/// One tenant with one endpoint at the receiver and these senders.
pub fn setup(receiver: &Receiver, senders: impl IntoIterator<Item = Sender>) -> SetupFile {
    let tenant = Tenant::named(TENANT).endpoint(Endpoint::new("hook", &receiver.url("/hook")));
    SetupFile::new().tenant(senders.into_iter().fold(tenant, Tenant::sender))
}

/// Configures a host and restarts it, so that the next event is routed under the new configuration.
pub async fn restart_with(host: &mut TestHost, setup: &SetupFile) {
    host.stop().await;
    host.apply(setup).await;
    host.start().await;
}

/// Posts an event for a sender, which must be accepted.
pub async fn post(host: &TestHost, sender: &str, body: &str) -> EventId {
    let answer = host.client().post(&sender_token(TENANT, sender), body.to_owned()).send().await;
    assert_eq!(answer.status, 202, "{sender}: {}", answer.text());
    answer.event_id().parse().expect("an event's id is an id")
}

pub async fn state(host: &TestHost, event: EventId) -> EventState {
    let view = host.store().event(Scope::Operator, event).await.expect("the store reads");
    view.expect("an accepted event is there").state
}

/// Waits until an event is no longer pending, and returns its state and explanation.
pub async fn decided(host: &TestHost, event: EventId) -> (EventState, Explanation) {
    let view = wait::until("the event is decided", async || {
        let view = host
            .store()
            .event(Scope::Operator, event)
            .await
            .expect("the store reads")
            .expect("it is there");
        (view.state != EventState::Pending).then_some(view)
    })
    .await;
    let decision = view.decision.expect("a decided event has a decision");
    let deliveries = host
        .store()
        .deliveries_of_event(Scope::Operator, event)
        .await
        .expect("the store reads");
    (view.state, Explanation::of(&decision, &deliveries))
}

/// Waits until an event has been routed and all its deliveries arrived.
pub async fn delivered(host: &TestHost, event: EventId) -> Explanation {
    wait::until("the event is delivered", async || {
        let deliveries = host
            .store()
            .deliveries_of_event(Scope::Operator, event)
            .await
            .expect("the store reads");
        let arrived = deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered);
        (!deliveries.is_empty() && arrived).then_some(())
    })
    .await;
    let (state, explanation) = decided(host, event).await;
    assert_eq!(state, EventState::Routed);
    explanation
}

/// The version and generation a run's explanation names.
pub fn ran(explanation: &Explanation) -> (String, u32) {
    let run = explanation
        .plugin
        .as_ref()
        .unwrap_or_else(|| panic!("no plugin ran: {explanation:?}"));
    (run.version.clone(), run.generation)
}

pub async fn plugin_row(host: &TestHost, name: &str) -> Option<PluginRow> {
    let rows = host.store().plugins().await.expect("the store reads");
    rows.into_iter().find(|row| row.name == name)
}

/// Waits until a version is the active one.
pub async fn active(host: &TestHost, name: &str, wasm: &[u8]) -> PluginRow {
    let version = ContentHash::of(wasm);
    wait::until("the version is active", async || {
        plugin_row(host, name).await.filter(|row| row.active == Some(version))
    })
    .await
}

/// Waits until a version was refused, and returns why.
pub async fn refused(host: &TestHost, name: &str, wasm: &[u8]) -> String {
    let version = ContentHash::of(wasm);
    wait::until("the version is refused", async || {
        let (refused, reason, _) = plugin_row(host, name).await?.refused?;
        (refused == version).then_some(reason)
    })
    .await
}
