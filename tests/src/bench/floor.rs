//! The two floors a server is measured against, each a child process of its own.
//!
//! *HTTP*: a bare axum handler that takes the same post, parses the same JSON and answers 202. It keeps nothing, so no
//! server that keeps something can be as quick. *Commit*: the same group commit of the same rows by the same store,
//! without HTTP, JSON or authentication before it.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, body::Bytes as Body, http::StatusCode, routing::post};
use bytes::Bytes;
use hookyard::{
    clock::Clock,
    store::{Accepted, Decided, Event, Location, Placement, SealKey, Source, Store},
};
use hookyard_domain::{DecidedBy, EnvironmentId, EventId, EventState, SenderId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

use super::{payload, process};

/// What the HTTP floor does with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Parsing {
    /// Reads it into a `serde_json::Value`, as a handler with a JSON extractor does
    Value,
    /// Checks that it is UTF-8 and JSON without keeping anything, as Hookyard does
    Check,
}

/// Serves the HTTP floor until the process is ended.
///
/// # Errors
/// No port can be listened on.
pub async fn http(parsing: Parsing) -> anyhow::Result<()> {
    let router = Router::new().route(
        "/api/v1/ingest/{tenant}/{token}",
        match parsing {
            Parsing::Value => post(async |body: Body| answer(serde_json::from_slice::<serde_json::Value>(&body).is_ok())),
            Parsing::Check => post(async |body: Body| {
                answer(std::str::from_utf8(&body).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()))
            }),
        },
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))),
        router,
    )
    .await
    .context("cannot serve")
}

fn answer(good: bool) -> StatusCode {
    if good { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST }
}

/// What the commit floor reached, as the child prints it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Committed {
    pub elapsed_us: Vec<u64>,
    pub cpu_us: Vec<u64>,
}

/// Commits `count` events from `writers` tasks, `runs` times after a warm-up, and prints a [`Committed`].
///
/// # Errors
/// The database cannot be opened or refuses a write.
pub async fn commit(database: &str, writers: usize, count: usize, runs: usize) -> anyhow::Result<()> {
    let location: Location = database.parse().map_err(anyhow::Error::msg)?;
    let clock = Clock::default();
    let now = clock.now();
    let store = Store::open(&location, Store::new_node_id(now), SealKey::from_bytes(&[7; 32]), now).await?;
    let (store, lanes) = store.start_lanes(&location)?;
    let mut committed = Committed {
        elapsed_us: Vec::new(),
        cpu_us: Vec::new(),
    };
    commit_all(&store, &clock, writers, (count / 4).max(writers)).await?;
    for _ in 0..runs {
        let (begun, cpu) = (Instant::now(), process::cpu(std::process::id()));
        commit_all(&store, &clock, writers, count).await?;
        committed.elapsed_us.push(micros(begun.elapsed()));
        committed.cpu_us.push(micros(process::cpu(std::process::id()).saturating_sub(cpu)));
    }
    drop(store);
    lanes.finished(Duration::from_secs(30)).await;
    println!("{}", serde_json::to_string(&committed)?);
    Ok(())
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

async fn commit_all(store: &Store, clock: &Clock, writers: usize, count: usize) -> anyhow::Result<()> {
    let left = Arc::new(AtomicUsize::new(count));
    let body = payload::small();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        tasks.spawn(write_until_done(store.clone(), clock.clone(), body.clone(), Arc::clone(&left)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a writer panicked")??;
    }
    Ok(())
}

async fn write_until_done(store: Store, clock: Clock, body: Bytes, left: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let now = clock.now();
    let (tenant, environment, sender) = (
        TenantId::new_v7(now, rand::random()),
        EnvironmentId::new_v7(now, rand::random()),
        SenderId::new_v7(now, rand::random()),
    );
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        let now = clock.now();
        let event = Event {
            id: EventId::new_v7(now, rand::random()),
            tenant,
            environment,
            source: Source::Sender(sender),
            idempotency_key: None,
            event_type: "push".to_owned(),
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            payload: body.clone(),
            accepted_at: now,
        };
        // The row of a sender none of whose endpoints takes the event, explanation and all.
        let decided = Decided {
            outcome: EventState::Dropped,
            decided_by: Some(DecidedBy::Sender),
            cost: None,
            detail: Some(r#"{"drop":{"code":"no-endpoint","message":"none of the sender's endpoints takes this event"}}"#.to_owned()),
            held_under: 0,
            decided_at: now,
            contents: Vec::new(),
            deliveries: Vec::new(),
        };
        let (answer, answered) = oneshot::channel();
        let done = Box::new(move |outcome| drop(answer.send(outcome)));
        store.accept(Arc::new(event), None, Placement::Decided(decided), done);
        let accepted = answered.await.context("the store closed")??;
        anyhow::ensure!(accepted == Accepted::New, "an event was there before it was written");
    }
    Ok(())
}
