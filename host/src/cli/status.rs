//! `hookyard status`: what stands still, and why.

use clap::Args;
use hookyard_domain::{Scope, Timestamp};
use serde_json::{Value, json};

use super::{Common, Failure, Format, manage, refused, table};
use crate::{
    app,
    manage::{Standing, StandingEvents},
    store::COUNT_MAX,
};

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Only this tenant, by name
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Status {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let manage = manage(common.existing_store_with_key().await?);
        let scope = match &self.tenant {
            None => Scope::Operator,
            Some(name) => {
                let tenants = manage.tenants(Scope::Operator).await.map_err(refused)?;
                let tenant = tenants.iter().find(|tenant| tenant.name == *name);
                Scope::Tenant(tenant.ok_or_else(|| Failure::NotFound(format!("there is no tenant {name}")))?.id)
            }
        };
        let standing = manage.standing(scope).await.map_err(refused)?;
        match self.format {
            Format::Json => say!("{}", serde_json::to_string_pretty(&document(&standing))?),
            Format::Table => print(&standing, app::now()),
        }
        Ok(())
    }
}

fn print(standing: &Standing, now: Timestamp) {
    let mut rows = Vec::new();
    for events in &standing.events {
        rows.push(vec![
            format!("events {}", events.state),
            counted(events.count),
            format!("sender {}", named(events.name.as_deref(), events.sender)),
            reason(events).unwrap_or_else(|| format!("see hookyard events {}", events.first)),
        ]);
    }
    for deliveries in &standing.deliveries {
        rows.push(vec![
            format!("deliveries {}", deliveries.state),
            counted(deliveries.count),
            format!("endpoint {}", named(deliveries.name.as_deref(), deliveries.endpoint)),
            String::new(),
        ]);
    }
    for blocked in &standing.blocked {
        let until = if blocked.until > now {
            format!("left alone until {}", blocked.until)
        } else {
            "about to be tried again".to_owned()
        };
        rows.push(vec![
            "blocked".to_owned(),
            "1".to_owned(),
            format!("endpoint {}", named(blocked.name.as_deref(), blocked.endpoint)),
            format!("its receiver fails since {}; {until}", blocked.opened_at),
        ]);
    }
    for row in &standing.set_aside {
        let name = if row.name.is_empty() {
            row.id.to_string()
        } else {
            row.name.clone()
        };
        rows.push(vec![
            "set aside".to_owned(),
            "1".to_owned(),
            format!("{} {name}", row.table),
            row.why.to_string(),
        ]);
    }
    if rows.is_empty() {
        say!("nothing stands still");
    } else {
        table::print(&["WHAT", "COUNT", "WHERE", "WHY"], &rows);
    }
}

fn counted(count: u64) -> String {
    if or_more(count) {
        format!("{count} or more")
    } else {
        count.to_string()
    }
}

fn or_more(count: u64) -> bool {
    count >= COUNT_MAX
}

fn named(name: Option<&str>, id: impl ToString) -> String {
    name.map_or_else(|| id.to_string(), str::to_owned)
}

/// What went wrong, from the first event's decision.
fn reason(events: &StandingEvents) -> Option<String> {
    let detail: Value = serde_json::from_str(events.detail.as_deref()?).ok()?;
    let text = |pointer| detail.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (class, message) = (text("/failure/class")?, text("/failure/message"));
    Some(message.map_or_else(|| class.to_owned(), |message| format!("{class}: {message}")))
}

fn document(standing: &Standing) -> Value {
    let events = standing.events.iter().map(|events| {
        json!({
            "sender": events.sender.to_string(),
            "name": events.name,
            "state": events.state.as_str(),
            "count": events.count,
            "or_more": or_more(events.count),
            "first": events.first.to_string(),
            "reason": reason(events),
        })
    });
    let deliveries = standing.deliveries.iter().map(|deliveries| {
        json!({
            "endpoint": deliveries.endpoint.to_string(),
            "name": deliveries.name,
            "state": deliveries.state.as_str(),
            "count": deliveries.count,
            "or_more": or_more(deliveries.count),
        })
    });
    let blocked = standing.blocked.iter().map(|blocked| {
        json!({
            "endpoint": blocked.endpoint.to_string(),
            "name": blocked.name,
            "opened_at": blocked.opened_at.to_string(),
            "until": blocked.until.to_string(),
        })
    });
    let set_aside = standing.set_aside.iter().map(|row| {
        json!({
            "table": row.table,
            "id": row.id.to_string(),
            "name": row.name,
            "reason": row.why.to_string(),
        })
    });
    json!({
        "events": events.collect::<Vec<_>>(),
        "deliveries": deliveries.collect::<Vec<_>>(),
        "blocked": blocked.collect::<Vec<_>>(),
        "set_aside": set_aside.collect::<Vec<_>>(),
    })
}
