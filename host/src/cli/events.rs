//! `hookyard events`: what was accepted, and what was decided about it.

use clap::Args;
use hookyard_domain::{EventId, EventState, Scope};
use serde_json::{Value, json};

use super::{
    Common, Failure, Format,
    deliveries::{delivery_json, print_deliveries, with_attempts},
    list::{List, not_found, print_json},
    table,
};
use crate::{
    explanation::Explanation,
    store::{DeliveryView, EventView, Store},
};

#[derive(Debug, Args)]
pub(super) struct Events {
    /// Shows this event with its decision and deliveries
    id: Option<EventId>,
    /// Writes the event's payload to standard output, byte for byte
    #[arg(long, requires = "id")]
    payload: bool,
    #[command(flatten)]
    list: List,
}

impl Events {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let store = common.existing_store().await?;
        match self.id {
            Some(id) if self.payload => {
                use std::io::Write as _;
                let payload = store.payload(Scope::Operator, id).await?.ok_or_else(|| not_found("event", id))?;
                std::io::stdout().write_all(&payload)?;
                Ok(())
            }
            Some(id) => one_event(&store, id, self.list.format).await,
            None => {
                let page = self.list.page(EventState::ALL, EventState::as_str)?;
                let events = store.list_events(self.list.scope(&store).await?, &page).await?;
                match self.list.format {
                    Format::Json => print_json(&Value::Array(events.iter().map(|event| event_json(event, &[])).collect()))?,
                    Format::Table => {
                        let rows: Vec<_> = events.iter().map(event_cells).collect();
                        table::print(&["ID", "ACCEPTED", "TENANT", "FROM", "TYPE", "STATE", "BYTES", "DECISION"], &rows);
                    }
                }
                Ok(())
            }
        }
    }
}

async fn one_event(store: &Store, id: EventId, format: Format) -> Result<(), Failure> {
    let event = store.event(Scope::Operator, id).await?.ok_or_else(|| not_found("event", id))?;
    let deliveries = store.deliveries_of_event(Scope::Operator, id).await?;
    match format {
        Format::Json => {
            let mut document = event_json(&event, &deliveries);
            let mut listed = Vec::new();
            for delivery in &deliveries {
                let attempts = store.attempts(Scope::Operator, delivery.id).await?;
                listed.push(with_attempts(delivery_json(delivery), &attempts));
            }
            document["deliveries"] = Value::Array(listed);
            print_json(&document)?;
        }
        Format::Table => {
            say!("event      {}", event.id);
            say!("tenant     {}", event.tenant);
            say!("from       {}", from(&event));
            say!("type       {}", if event.event_type.is_empty() { "-" } else { &event.event_type });
            say!("accepted   {}", event.accepted_at);
            say!("payload    {} bytes, {}", event.payload_bytes, event.content_type);
            if let Some(key) = &event.idempotency_key {
                say!("key        {key}");
            }
            say!("state      {}", event.state.as_str());
            if let Some(decision) = &event.decision {
                print_explanation(&Explanation::of(decision, &deliveries));
            }
            say!();
            print_deliveries(&deliveries);
        }
    }
    Ok(())
}

fn from(event: &EventView) -> String {
    let name = event.source_name.clone().unwrap_or_else(|| event.source_id.to_string());
    format!("{} {name}", event.source_kind)
}

/// One line on what was decided.
fn decision(event: &EventView) -> String {
    let Some(decision) = &event.decision else {
        return match event.source_kind.as_str() {
            "endpoint" => format!("direct to {}", event.source_name.as_deref().unwrap_or_default()),
            _ => String::new(),
        };
    };
    let Explanation { outcome, detail, .. } = Explanation::of(decision, &[]);
    match (detail.failure, detail.drop) {
        (Some(failure), _) => format!("{}: {} ({})", failure.policy, failure.message, failure.class),
        (None, Some(drop)) => format!("drop {}: {}", drop.code, drop.message),
        (None, None) => outcome,
    }
}

fn event_cells(event: &EventView) -> Vec<String> {
    vec![
        event.id.to_string(),
        event.accepted_at.to_string(),
        event.tenant.clone(),
        from(event),
        event.event_type.clone(),
        event.state.as_str().to_owned(),
        event.payload_bytes.to_string(),
        decision(event).chars().take(100).collect(),
    ]
}

fn print_explanation(explanation: &Explanation) {
    if let Some(run) = &explanation.plugin {
        let version = run.version.get(..12).unwrap_or(&run.version);
        say!(
            "plugin     {} {version}, generation {}: {} µs CPU, {} KiB",
            run.name,
            run.generation,
            run.cpu_us,
            run.memory_bytes / 1_024
        );
    }
    say!("outcome    {}", explanation.outcome);
    if let Some(pass) = &explanation.detail.pass {
        say!("passed     {}: {}", pass.code, pass.message);
    }
    if let Some(failure) = &explanation.detail.failure {
        say!(
            "failure    {} {}: {} (policy {})",
            failure.class,
            failure.code,
            failure.message,
            failure.policy
        );
    }
    if let Some(drop) = &explanation.detail.drop {
        say!("dropped    {}: {}", drop.code, drop.message);
    }
    for chosen in &explanation.chosen {
        let delay = if chosen.delay_ms > 0 {
            format!(", after {} ms", chosen.delay_ms)
        } else {
            String::new()
        };
        say!("chosen     {} ({} payload{delay})", chosen.endpoint, chosen.payload);
    }
    for skipped in &explanation.detail.skipped {
        let others = usize::try_from(skipped.count)
            .unwrap_or(usize::MAX)
            .saturating_sub(skipped.examples.len());
        let more = if others > 0 { format!(" and {others} more") } else { String::new() };
        say!("skipped    {}{more}: {}", skipped.examples.join(", "), skipped.reason);
    }
    for (name, value) in &explanation.detail.annotations {
        say!("note       {name}: {value}");
    }
    for line in &explanation.detail.log {
        say!("log        {} {}", line.level, line.text);
    }
    if explanation.detail.log_dropped > 0 {
        say!("log        {} more lines were dropped", explanation.detail.log_dropped);
    }
}

/// With no deliveries, as in a list, nobody is shown as chosen.
fn event_json(event: &EventView, deliveries: &[DeliveryView]) -> Value {
    let decision = event.decision.as_ref().map(|decision| Explanation::of(decision, deliveries));
    json!({
        "id": event.id.to_string(),
        "tenant": event.tenant,
        "sender": (event.source_kind == "sender").then_some(&event.source_name),
        "endpoint": (event.source_kind == "endpoint").then_some(&event.source_name),
        "event_type": event.event_type,
        "content_type": event.content_type,
        "accepted_at": event.accepted_at.to_string(),
        "state": event.state.as_str(),
        "idempotency_key": event.idempotency_key,
        "payload_bytes": event.payload_bytes,
        "decision": decision,
    })
}
