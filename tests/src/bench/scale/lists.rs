//! How long people wait for the lists they look at.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hookyard::{
    clock::Clock,
    store::{Become, Error, EventSearch, Location, Page, SealKey, Store},
};
use hookyard_domain::{DeliveryState, EndpointId, EventId, EventState, Scope, TenantId};
use uuid::Uuid;

use super::crowd::{Crowd, Tenant};
use crate::bench::{
    pace,
    place::Place,
    report::{Bar, Line},
};

/// Rows of a page.
const PAGE_ROWS: u32 = 100;
/// Each list is asked for once to warm up, and then so often.
const TIMES: usize = 7;
const LIST_MS_MAX: f64 = 50.0;

/// Rows of a page by number, unless more are asked for.
const NUMBERED_ROWS: u32 = 10;

const BECOME: [(&str, Become); 6] = [
    ("pending", Become::Pending),
    ("retrying", Become::Retrying),
    ("delivered", Become::Delivered),
    ("exhausted", Become::Exhausted),
    ("rejected", Become::Rejected),
    ("cancelled", Become::Cancelled),
];

/// Asks for every list and returns a line for each, and the bar for the slowest.
///
/// # Errors
/// The store cannot be read.
pub async fn measure(place: &Place, crowd: &Crowd, shown: Uuid) -> anyhow::Result<(Vec<Line>, Bar)> {
    let location: Location = place.url.parse().map_err(anyhow::Error::msg)?;
    let now = Clock::default().now();
    // Nothing that is listed is sealed, so any key will do.
    let store = Store::open(&location, Store::new_node_id(now), SealKey::from_bytes(&[7; 32]), now).await?;
    let asked = Asked {
        store: &store,
        database: place.kind.as_str(),
    };
    let operator = Scope::Operator;
    let (largest, quiet) = (scope(crowd.largest()), scope(crowd.quiet()));
    let event = EventId::from_uuid(shown);
    let mut lines = Vec::new();

    for (whose, scope) in [("", operator), (" of a tenant", largest)] {
        lines.push(asked.events(&format!("events{whose}"), scope, None, None).await?);
        lines.push(asked.events(&format!("events{whose}, older"), scope, None, Some(shown)).await?);
        lines.push(asked.deliveries(&format!("deliveries{whose}"), scope, None).await?);
    }
    for (whose, scope) in [("", operator), (" of a tenant", largest), (" of a quiet tenant", quiet)] {
        for state in EventState::ALL.iter().copied() {
            let name = format!("events{whose}, {}", state.as_str());
            lines.push(asked.events(&name, scope, Some(state), None).await?);
        }
        for state in DeliveryState::ALL.iter().copied() {
            let name = format!("deliveries{whose}, {}", state.as_str());
            lines.push(asked.deliveries(&name, scope, Some(state)).await?);
        }
        let ask = async || Ok(store.standing_events(scope).await?.len());
        lines.push(asked.list(&format!("standing events{whose}, counted"), ask).await?);
        let ask = async || Ok(store.standing_deliveries(scope).await?.len());
        lines.push(asked.list(&format!("standing deliveries{whose}, counted"), ask).await?);
    }
    for (what, endpoint) in [
        ("an endpoint", crowd.largest().endpoints[0]),
        ("an endpoint that hangs", crowd.hanging_endpoint),
    ] {
        let endpoint = EndpointId::from_uuid(endpoint);
        let ask = async || Ok(store.deliveries_of_endpoint(endpoint, None, PAGE_ROWS).await?.len());
        lines.push(asked.list(&format!("deliveries of {what}"), ask).await?);
    }
    for (whose, tenant) in [(" of a tenant", crowd.largest()), (" of a quiet tenant", crowd.quiet())] {
        lines.push(asked.search(&format!("events{whose}, page by number"), tenant, None, 0).await?);
        lines.push(asked.search(&format!("events{whose}, page 500"), tenant, None, 499).await?);
        for (word, state) in BECOME {
            lines.push(
                asked
                    .search(&format!("events{whose}, become {word}"), tenant, Some(state), 0)
                    .await?,
            );
        }
    }
    let ask = async || Ok(usize::from(store.event(largest, event).await?.is_some()));
    lines.push(asked.list("an event", ask).await?);
    let ask = async || Ok(store.deliveries_of_event(largest, event).await?.len());
    lines.push(asked.list("deliveries of an event", ask).await?);
    let slowest = lines.iter().filter_map(|line| line.p100_us.map(|us| (us, &*line.name))).max();
    let (us, name) = slowest.context("there are no lists")?;
    let bar = Bar::at_most(
        format!("slowest list ({name}), {}", place.kind.as_str()),
        f64::from(us) / 1e3,
        LIST_MS_MAX,
        "ms",
    );
    Ok((lines, bar))
}

fn scope(tenant: &Tenant) -> Scope {
    Scope::Tenant(TenantId::from_uuid(tenant.id))
}

struct Asked<'a> {
    store: &'a Store,
    database: &'static str,
}

impl Asked<'_> {
    async fn events(&self, name: &str, scope: Scope, state: Option<EventState>, before: Option<Uuid>) -> anyhow::Result<Line> {
        let page = Page {
            state,
            before,
            limit: PAGE_ROWS,
        };
        self.list(name, async || Ok(self.store.list_events(scope, &page).await?.len()))
            .await
    }

    async fn deliveries(&self, name: &str, scope: Scope, state: Option<DeliveryState>) -> anyhow::Result<Line> {
        let page = Page {
            state,
            before: None,
            limit: PAGE_ROWS,
        };
        self.list(name, async || Ok(self.store.list_deliveries(scope, &page).await?.len()))
            .await
    }

    /// A page by number with its total and all that is shown of its events.
    async fn search(&self, name: &str, tenant: &Tenant, state: Option<Become>, page: u64) -> anyhow::Result<Line> {
        let search = EventSearch {
            tenant: TenantId::from_uuid(tenant.id),
            state,
            endpoint: None,
            from: None,
            to: None,
            newest_first: true,
            limit: NUMBERED_ROWS,
            offset: page * u64::from(NUMBERED_ROWS),
        };
        let scope = scope(tenant);
        let ask = async || {
            let found = self.store.search_events(&search).await?;
            for event in &found.events {
                self.store.event(scope, *event).await?;
                self.store.deliveries_of_event(scope, *event).await?;
                self.store.payload(scope, *event).await?;
            }
            Ok(found.events.len())
        };
        self.list(name, ask).await
    }

    /// Times a list.
    async fn list(&self, name: &str, ask: impl AsyncFn() -> Result<usize, Error>) -> anyhow::Result<Line> {
        let mut took = Vec::new();
        let rows = ask().await.with_context(|| format!("cannot list: {name}"))?;
        for _ in 0..TIMES {
            let begun = Instant::now();
            ask().await.with_context(|| format!("cannot list: {name}"))?;
            took.push(begun.elapsed());
        }
        let us = |span: Duration| Some(u32::try_from(span.as_micros()).unwrap_or(u32::MAX));
        Ok(Line {
            name: format!("{name} ({rows})"),
            database: Some(self.database),
            p50_us: us(pace::percentile(&mut took, 50)),
            p100_us: us(pace::percentile(&mut took, 100)),
            ..Line::default()
        })
    }
}
