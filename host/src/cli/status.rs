//! `hookyard status`: what stands still, and why.

use clap::Args;

use super::{
    Common, Failure, Format, Needs,
    list::{pairs, print_json},
    table,
};
use crate::{app, documents::StandingDocument};

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
        let api = common.api(Needs::DatabaseAndKey).await?;
        let query: Vec<_> = self.tenant.iter().map(|tenant| ("tenant", tenant.clone())).collect();
        let standing: StandingDocument = match (api.get("/api/v1/status", &pairs(&query)).await, &self.tenant) {
            (Err(Failure::NotFound(_)), Some(tenant)) => return Err(Failure::NotFound(format!("there is no tenant {tenant}"))),
            (standing, _) => standing?,
        };
        match self.format {
            Format::Json => print_json(&standing)?,
            Format::Table => print(&standing, &app::now().to_string()),
        }
        Ok(())
    }
}

/// Times are texts that sort as their moments do.
fn print(standing: &StandingDocument, now: &str) {
    let mut rows = Vec::new();
    for events in &standing.events {
        rows.push(vec![
            format!("events {}", events.state),
            counted(events.count, events.or_more),
            format!("sender {}", events.name.as_ref().unwrap_or(&events.sender)),
            events
                .reason
                .clone()
                .unwrap_or_else(|| format!("see hookyard events {}", events.first)),
        ]);
    }
    for deliveries in &standing.deliveries {
        rows.push(vec![
            format!("deliveries {}", deliveries.state),
            counted(deliveries.count, deliveries.or_more),
            format!("endpoint {}", deliveries.name.as_ref().unwrap_or(&deliveries.endpoint)),
            String::new(),
        ]);
    }
    for blocked in &standing.blocked {
        let until = if blocked.until.as_str() > now {
            format!("left alone until {}", blocked.until)
        } else {
            "about to be tried again".to_owned()
        };
        rows.push(vec![
            "blocked".to_owned(),
            "1".to_owned(),
            format!("endpoint {}", blocked.name.as_ref().unwrap_or(&blocked.endpoint)),
            format!("its receiver fails since {}; {until}", blocked.opened_at),
        ]);
    }
    for row in &standing.set_aside {
        let name = if row.name.is_empty() { &row.id } else { &row.name };
        rows.push(vec![
            "set aside".to_owned(),
            "1".to_owned(),
            format!("{} {name}", row.table),
            row.reason.clone(),
        ]);
    }
    if rows.is_empty() {
        say!("nothing stands still");
    } else {
        table::print(&["WHAT", "COUNT", "WHERE", "WHY"], &rows);
    }
}

fn counted(count: u64, or_more: bool) -> String {
    if or_more { format!("{count} or more") } else { count.to_string() }
}
