//! `hookyard events`: what was accepted, and what was decided about it.

use clap::Args;
use hookyard_domain::{EventId, EventState};
use serde_json::Value;

use super::{
    Common, Failure, Format, Needs,
    api::Api,
    deliveries::{deliveries_of, print_deliveries, with_attempts},
    list::{List, pairs, print_json},
    table,
};
use crate::{
    documents::{self, EventDocument},
    explanation::Explanation,
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
        let query = self.list.query(EventState::ALL, EventState::as_str)?;
        let api = common.api(Needs::Database).await?;
        match self.id {
            Some(id) if self.payload => {
                use std::io::Write as _;
                let payload = api.bytes(&format!("/api/v1/events/{id}/payload")).await;
                std::io::stdout().write_all(&payload.map_err(|failure| absent(failure, id))?)?;
                Ok(())
            }
            Some(id) => one_event(&api, id, self.list.format).await,
            None => {
                let listed = api.get("/api/v1/events", &pairs(&query)).await;
                let events: documents::List<EventDocument> = listed.map_err(|failure| self.list.absent(failure))?;
                match self.list.format {
                    Format::Json => print_json(&events.items)?,
                    Format::Table => {
                        let rows: Vec<_> = events.items.iter().map(event_cells).collect();
                        table::print(&["ID", "ACCEPTED", "TENANT", "FROM", "TYPE", "STATE", "BYTES", "DECISION"], &rows);
                    }
                }
                Ok(())
            }
        }
    }
}

fn absent(failure: Failure, id: EventId) -> Failure {
    match failure {
        Failure::NotFound(_) => Failure::NotFound(format!("there is no event {id}")),
        failure => failure,
    }
}

async fn one_event(api: &Api, id: EventId, format: Format) -> Result<(), Failure> {
    let event: Result<EventDocument, _> = api.get(&format!("/api/v1/events/{id}"), &[]).await;
    let event = event.map_err(|failure| absent(failure, id))?;
    let deliveries = deliveries_of(api, &id.to_string()).await?;
    match format {
        Format::Json => {
            let mut document = serde_json::to_value(&event)?;
            let mut listed = Vec::new();
            for delivery in &deliveries {
                listed.push(serde_json::to_value(with_attempts(api, &delivery.id).await?)?);
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
            say!("state      {}", event.state);
            if let Some(decision) = &event.decision {
                print_explanation(decision);
            }
            say!();
            print_deliveries(&deliveries);
        }
    }
    Ok(())
}

fn from(event: &EventDocument) -> String {
    let name = event.sender.as_ref().or(event.endpoint.as_ref()).unwrap_or(&event.source_id);
    format!("{} {name}", event.source_kind)
}

/// One line on what was decided.
fn decision(event: &EventDocument) -> String {
    let Some(Explanation { outcome, detail, .. }) = &event.decision else {
        return match event.source_kind.as_str() {
            "endpoint" => format!("direct to {}", event.endpoint.as_deref().unwrap_or_default()),
            _ => String::new(),
        };
    };
    match (&detail.failure, &detail.drop) {
        (Some(failure), _) => format!("{}: {} ({})", failure.policy, failure.message, failure.class),
        (None, Some(drop)) => format!("drop {}: {}", drop.code, drop.message),
        (None, None) => outcome.clone(),
    }
}

fn event_cells(event: &EventDocument) -> Vec<String> {
    vec![
        event.id.clone(),
        event.accepted_at.clone(),
        event.tenant.clone(),
        from(event),
        event.event_type.clone(),
        event.state.clone(),
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
