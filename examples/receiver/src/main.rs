//! A receiver that trusts nothing: it verifies each delivery, answers at once, and handles each event once.
//!
//! `WEBHOOK_SECRET=whsec_… cargo run -p receiver-example [ADDRESS]`. The secret is the tenant's `webhook_secret`.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use axum::{Router, extract::State, http::StatusCode, routing::post};
use bytes::Bytes;
use http::HeaderMap;
use standardwebhooks::Webhook;

/// Ids remembered. Hookyard repeats a delivery within its retry schedule, so this should outlast a day of events; a
/// real receiver keeps them in its database, in the transaction that does the work.
const SEEN_MAX: usize = 100_000;

#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether this id is new.
    fn first_time(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

struct Receiver {
    webhook: Webhook,
    seen: Mutex<Seen>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let secret = std::env::var("WEBHOOK_SECRET").context("set WEBHOOK_SECRET to the tenant's webhook secret")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let receiver = Receiver {
        webhook: Webhook::new(&secret).context("the secret must begin with whsec_")?,
        seen: Mutex::default(),
    };
    let router = Router::new().fallback(post(receive)).with_state(Arc::new(receiver));
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

/// Verifies the bytes as received: parsing and printing them again would break the signature. The library also refuses
/// a timestamp more than five minutes old, so a recorded delivery cannot be sent again later.
async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if let Err(error) = receiver.webhook.verify(&body, &headers) {
        eprintln!("refused: {error}");
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let first_time = receiver.seen.lock().unwrap_or_else(PoisonError::into_inner).first_time(id);
    if first_time {
        println!("{id}: {}", String::from_utf8_lossy(&body));
    } else {
        println!("{id}: seen before");
    }
    StatusCode::NO_CONTENT
}
