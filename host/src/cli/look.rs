//! `hookyard events` and `hookyard deliveries`: what happened, and why.

use clap::Args;
use hookyard_domain::{DeliveryId, DeliveryState, EventId, EventState, Scope};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Common, Failure, Format, table};
use crate::{
    explanation::Explanation,
    store::{AttemptView, DeliveryView, EventView, Page, Store},
};

#[derive(Debug, Args)]
struct List {
    /// Only this tenant, by name
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only this state
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only what is older than this id: the last one of the page before
    #[arg(long, value_name = "ID")]
    before: Option<Uuid>,
    /// How many, newest first (1 to 1000)
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl List {
    fn page<State: Copy>(&self, states: &[State], word: fn(State) -> &'static str) -> Result<Page<State>, Failure> {
        let state = match &self.state {
            None => None,
            Some(text) => Some(*states.iter().find(|state| word(**state) == text).ok_or_else(|| {
                let words: Vec<_> = states.iter().map(|state| word(*state)).collect();
                Failure::Usage(format!("there is no state {text}; there are {}", words.join(", ")))
            })?),
        };
        Ok(Page {
            state,
            before: self.before,
            limit: self.limit,
        })
    }

    /// On whose behalf the list is asked for.
    async fn scope(&self, store: &Store) -> Result<Scope, Failure> {
        let Some(name) = &self.tenant else { return Ok(Scope::Operator) };
        let tenant = store.tenant_named(name).await?;
        tenant
            .map(Scope::Tenant)
            .ok_or_else(|| Failure::NotFound(format!("there is no tenant {name}")))
    }
}

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

#[derive(Debug, Args)]
pub(super) struct Deliveries {
    /// Shows the attempts of this delivery, or the deliveries of this event
    id: Option<Uuid>,
    #[command(flatten)]
    list: List,
}

impl Deliveries {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let store = common.existing_store().await?;
        let deliveries = match self.id {
            None => {
                let page = self.list.page(DeliveryState::ALL, DeliveryState::as_str)?;
                store.list_deliveries(self.list.scope(&store).await?, &page).await?
            }
            Some(id) => {
                let of_event = store.deliveries_of_event(Scope::Operator, EventId::from_uuid(id)).await?;
                if of_event.is_empty() && store.event(Scope::Operator, EventId::from_uuid(id)).await?.is_none() {
                    return one_delivery(&store, DeliveryId::from_uuid(id), self.list.format).await;
                }
                of_event
            }
        };
        match self.list.format {
            Format::Json => print_json(&Value::Array(deliveries.iter().map(delivery_json).collect()))?,
            Format::Table => print_deliveries(&deliveries),
        }
        Ok(())
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
                let mut listed_delivery = delivery_json(delivery);
                let attempts = store.attempts(Scope::Operator, delivery.id).await?;
                listed_delivery["attempts_made"] = Value::Array(attempts.iter().map(attempt_json).collect());
                listed.push(listed_delivery);
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

async fn one_delivery(store: &Store, id: DeliveryId, format: Format) -> Result<(), Failure> {
    let attempts = store.attempts(Scope::Operator, id).await?;
    let delivery = store
        .delivery(Scope::Operator, id)
        .await?
        .ok_or_else(|| not_found("event or delivery", id))?;
    match format {
        Format::Json => {
            let mut document = delivery_json(&delivery);
            document["attempts_made"] = Value::Array(attempts.iter().map(attempt_json).collect());
            print_json(&document)?;
        }
        Format::Table => {
            print_deliveries(std::slice::from_ref(&delivery));
            say!();
            let rows: Vec<_> = attempts
                .iter()
                .map(|attempt| {
                    vec![
                        attempt.number.to_string(),
                        attempt.started_at.to_string(),
                        format!("{:.1} ms", attempt.duration_us as f64 / 1_000.0),
                        attempt
                            .status
                            .map_or_else(|| attempt.error.clone().unwrap_or_default(), |status| status.to_string()),
                        attempt.error_detail.clone().unwrap_or_else(|| answer_text(attempt)),
                    ]
                })
                .collect();
            table::print(&["ATTEMPT", "STARTED", "TOOK", "OUTCOME", "DETAIL"], &rows);
        }
    }
    Ok(())
}

fn not_found(what: &str, id: impl std::fmt::Display) -> Failure {
    Failure::NotFound(format!("there is no {what} {id}"))
}

fn print_json(value: &Value) -> Result<(), Failure> {
    say!("{}", serde_json::to_string_pretty(value)?);
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

fn print_deliveries(deliveries: &[DeliveryView]) {
    let rows: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            vec![
                delivery.id.to_string(),
                delivery.event.to_string(),
                delivery.tenant.clone(),
                delivery.endpoint.clone(),
                delivery.state.as_str().to_owned(),
                match delivery.attempts_max {
                    Some(max) => format!("{}/{max}", delivery.attempts),
                    None => delivery.attempts.to_string(),
                },
                match (delivery.completed_at, delivery.due_at) {
                    (Some(at), _) => format!("ended {at}"),
                    (None, Some(at)) => format!("due {at}"),
                    (None, None) => String::new(),
                },
            ]
        })
        .collect();
    table::print(&["ID", "EVENT", "TENANT", "ENDPOINT", "STATE", "ATTEMPTS", "WHEN"], &rows);
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

fn delivery_json(delivery: &DeliveryView) -> Value {
    json!({
        "id": delivery.id.to_string(),
        "event": delivery.event.to_string(),
        "tenant": delivery.tenant,
        "endpoint": delivery.endpoint,
        "state": delivery.state.as_str(),
        "attempts": delivery.attempts,
        "attempts_max": delivery.attempts_max,
        "due_at": delivery.due_at.map(|at| at.to_string()),
        "completed_at": delivery.completed_at.map(|at| at.to_string()),
    })
}

fn attempt_json(attempt: &AttemptView) -> Value {
    json!({
        "number": attempt.number,
        "started_at": attempt.started_at.to_string(),
        "duration_us": attempt.duration_us,
        "status": attempt.status,
        "error": attempt.error,
        "error_detail": attempt.error_detail,
        "response": attempt.response.as_ref().map(|_| answer_text(attempt)),
    })
}

/// The kept part of an answer, as text on one line.
fn answer_text(attempt: &AttemptView) -> String {
    let bytes = attempt.response.as_deref().unwrap_or_default();
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}
