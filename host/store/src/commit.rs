//! Group commit: many writes, one transaction, one flush.
//!
//! Writes wait in a bounded channel. The lane that reads it takes all that is there, up to a bound, commits it in
//! one transaction, then answers each write. While one transaction flushes, the next batch gathers: a batch is one
//! write when the server idles and hundreds under load; accepting knows no timer and no added delay (A1).
//!
//! SQLite has one lane on a thread of its own, for it has one writer. PostgreSQL has a lane per kind of write, each
//! with its own connection, so that settling never waits behind accepting. There a lane rests a few milliseconds after
//! decisions or settlements: most of a small batch's cost does not depend on its rows.
//!
//! When a commit fails its outcome may be unknown. Accepts, decisions and claims are answered with the error at
//! once; settlements, which must not be forgotten (a forgotten one repeats a delivery), stay and are tried again.
//! Either way the lane raises [`Doubts`]: rows may now be leased to this node that it does not hold in memory, and
//! the claimer must look for them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hookyard_domain::{DeliveryId, EndpointId, EventId, Timestamp};
use tokio::sync::mpsc;

use super::{
    error::Error,
    postgres,
    record::{Accepted, Decided, Event, HeldDelivery, HeldEvent, Leased, Settle},
    sqlite,
};

/// Writes that may wait for a lane; beyond it an accept is refused as [`Error::Busy`]. Sixteen full batches.
const WAITING_WRITES_MAX: usize = 8_192;
/// Writes in one transaction: past this a larger batch no longer lowers the cost per row and only delays its first.
const BATCH_WRITES_MAX: usize = 512;
/// Payload bytes in one transaction, so that a few large bodies do not make hundreds of small ones wait.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pause before settlements are tried again after a failed commit.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often the last settlements are tried again once the store is closing, two seconds in all.
const CLOSING_RETRIES_MAX: u32 = 20;

/// Called with the outcome once the transaction is on disk, on the lane's own thread: it must not block.
pub type Done<T> = Box<dyn FnOnce(Result<T, Error>) + Send + Sync>;

/// One write of a batch.
pub enum Write {
    Accept {
        event: Arc<Event>,
        decided: Option<Decided>,
        leased: Leased,
        done: Done<Accepted>,
    },
    /// `false` when the event no longer waits for a decision of ours.
    Decide {
        event: EventId,
        decided: Decided,
        done: Done<bool>,
    },
    Postpone {
        event: EventId,
        route_due_at: Timestamp,
        failures: u32,
        done: Done<()>,
    },
    /// `false` when the lease was lost and the result changes nothing (D2).
    Settle {
        settle: Settle,
        done: Done<bool>,
    },
    ClaimDeliveries {
        endpoint: EndpointId,
        due_by: Timestamp,
        limit: u32,
        done: Done<Vec<HeldDelivery>>,
    },
    ClaimEvents {
        due_by: Timestamp,
        limit: u32,
        done: Done<Vec<HeldEvent>>,
    },
    ReleaseDelivery {
        delivery: DeliveryId,
        done: Done<()>,
    },
    ReleaseEvent {
        event: EventId,
        done: Done<()>,
    },
}

/// What a committed write did, in the order of the batch.
pub(super) enum Outcome {
    Accepted(Accepted),
    Changed(bool),
    Deliveries(Vec<HeldDelivery>),
    Events(Vec<HeldEvent>),
}

impl Write {
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Accept { event, .. } => event.payload.len(),
            Self::Decide { decided, .. } => decided.contents.iter().map(|content| content.body.len()).sum(),
            _ => 0,
        }
    }

    /// Whether there is one for each event or delivery, and a batch of them is one statement. Claims and releases are
    /// asked for one after the other by tasks that wait for each.
    fn comes_in_crowds(&self) -> bool {
        matches!(self, Self::Decide { .. } | Self::Settle { .. })
    }

    fn finish(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Accept { done, .. }, Outcome::Accepted(accepted)) => done(Ok(accepted)),
            (Self::Decide { done, .. } | Self::Settle { done, .. }, Outcome::Changed(changed)) => done(Ok(changed)),
            (Self::Postpone { done, .. } | Self::ReleaseDelivery { done, .. } | Self::ReleaseEvent { done, .. }, Outcome::Changed(_)) => {
                done(Ok(()));
            }
            (Self::ClaimDeliveries { done, .. }, Outcome::Deliveries(claimed)) => done(Ok(claimed)),
            (Self::ClaimEvents { done, .. }, Outcome::Events(claimed)) => done(Ok(claimed)),
            (write, _) => write.fail(Error::Statement("a write was answered with another's outcome".into())),
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Accept { done, .. } => done(Err(error)),
            Self::Decide { done, .. } | Self::Settle { done, .. } => done(Err(error)),
            Self::Postpone { done, .. } | Self::ReleaseDelivery { done, .. } | Self::ReleaseEvent { done, .. } => done(Err(error)),
            Self::ClaimDeliveries { done, .. } => done(Err(error)),
            Self::ClaimEvents { done, .. } => done(Err(error)),
        }
    }
}

/// Raised by a failed commit: the table may lease rows to this node that memory does not hold.
///
/// One flag each for deliveries and events, for two stages look for strays, each among its own.
#[derive(Debug, Clone, Default)]
pub struct Doubts {
    pub deliveries: Doubt,
    pub events: Doubt,
}

impl Doubts {
    pub fn raise(&self) {
        self.deliveries.raise();
        self.events.raise();
    }
}

/// How long after a failed commit rows are still looked for: a commit that was given up here may yet finish there.
const DOUBT_LASTS: Duration = Duration::from_secs(30);
/// How often, while it lasts.
const DOUBT_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often without any: a slow answer may hide a failure nobody was told of.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// See [`Doubts`].
#[derive(Debug, Clone, Default)]
pub struct Doubt(Arc<Mutex<Doubted>>);

#[derive(Debug, Default)]
struct Doubted {
    raised: Option<Instant>,
    looked: Option<Instant>,
}

impl Doubt {
    /// Raised only after the failed writes have been answered: whoever looks must no longer find their places taken.
    pub fn raise(&self) {
        *self.lock() = Doubted {
            raised: Some(Instant::now()),
            looked: None,
        };
    }

    /// Whether to look for strays now.
    pub fn look_now(&self) -> bool {
        let mut doubted = self.lock();
        let every = if doubted.raised.is_some() { DOUBT_LOOK_EVERY } else { SWEEP_EVERY };
        if doubted.looked.is_some_and(|looked| looked.elapsed() < every) {
            return false;
        }
        doubted.looked = Some(Instant::now());
        if doubted.raised.is_some_and(|raised| raised.elapsed() > DOUBT_LASTS) {
            doubted.raised = None;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Doubted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection a lane commits through.
pub(super) enum Writer {
    Sqlite(sqlite::Writer),
    Postgres(Box<postgres::Writer>),
}

impl Writer {
    async fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
        match self {
            Self::Sqlite(writer) => writer.commit(batch),
            Self::Postgres(writer) => writer.commit(batch).await,
        }
    }
}

pub(super) fn channel() -> (mpsc::Sender<Write>, mpsc::Receiver<Write>) {
    mpsc::channel(WAITING_WRITES_MAX)
}

/// Serves one lane until every sender is gone and nothing waits. Having written decisions or settlements it rests for
/// so long while more gather, unless a full batch of them waits already.
pub(super) async fn run(mut writer: Writer, mut writes: mpsc::Receiver<Write>, rest: Duration, doubts: Doubts) {
    // Settlements of failed commits. Apart from the new writes, which go on being answered meanwhile.
    let mut again: Vec<Write> = Vec::new();
    let mut closing_retries = 0;
    loop {
        let mut batch = Vec::with_capacity(BATCH_WRITES_MAX);
        if again.is_empty() {
            if writes.recv_many(&mut batch, BATCH_WRITES_MAX).await == 0 {
                return;
            }
        } else {
            let received = tokio::time::timeout(RETRY_PAUSE, writes.recv_many(&mut batch, BATCH_WRITES_MAX)).await;
            if received == Ok(0) {
                closing_retries += 1;
                if closing_retries > CLOSING_RETRIES_MAX {
                    tracing::error!(
                        deliveries = again.len(),
                        "cannot settle before closing; these deliveries will be repeated"
                    );
                    again.into_iter().for_each(|write| write.fail(Error::Closed));
                    return;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        let mut uncommitted = std::mem::take(&mut again);
        uncommitted.append(&mut batch);
        let more_may_gather = uncommitted.iter().any(Write::comes_in_crowds);
        while !uncommitted.is_empty() {
            let later = uncommitted.split_off(fitting(&uncommitted));
            again.extend(commit(&mut writer, uncommitted, &doubts).await);
            uncommitted = later;
        }
        if more_may_gather && !rest.is_zero() && writes.len() < BATCH_WRITES_MAX {
            tokio::time::sleep(rest).await;
        }
    }
}

/// How many of `writes` go into one transaction: at least one, whatever its size.
fn fitting(writes: &[Write]) -> usize {
    let mut bytes = 0;
    writes
        .iter()
        .take(BATCH_WRITES_MAX)
        .position(|write| {
            bytes += write.payload_bytes();
            bytes > BATCH_BYTES_MAX
        })
        .map_or(writes.len().min(BATCH_WRITES_MAX), |first_too_many| first_too_many.max(1))
}

/// Commits one batch and answers its writes; returns the settlements to try again.
async fn commit(writer: &mut Writer, batch: Vec<Write>, doubts: &Doubts) -> Vec<Write> {
    match writer.commit(&batch).await {
        Ok(outcomes) => {
            for (write, outcome) in batch.into_iter().zip(outcomes) {
                write.finish(outcome);
            }
            Vec::new()
        }
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, writes = batch.len(), "cannot commit a batch");
            let (settlements, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(|write| matches!(write, Write::Settle { .. }));
            others.into_iter().for_each(|write| write.fail(error.clone()));
            doubts.raise();
            settlements
        }
        // The database refuses one of the statements: find whose, so that one bad row fails alone.
        Err(error) if batch.len() > 1 => {
            tracing::error!(%error, writes = batch.len(), "a batch was refused; committing its writes one by one");
            let mut again = Vec::new();
            for write in batch {
                again.extend(Box::pin(commit(writer, vec![write], doubts)).await);
            }
            again
        }
        Err(error) => {
            tracing::error!(%error, "a write was refused");
            batch.into_iter().for_each(|write| write.fail(error.clone()));
            doubts.raise();
            Vec::new()
        }
    }
}
