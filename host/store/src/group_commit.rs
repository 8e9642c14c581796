//! Group commit: many writes, one transaction, one flush.
//!
//! Writes wait in bounded channels. The lane that reads them takes all that is there, up to a bound, commits it in
//! one transaction, then answers each write. While one transaction flushes, the next batch gathers: a batch is one
//! write when the server idles and hundreds under load; accepting knows no timer and no added delay (A1).
//!
//! SQLite has one lane on a thread of its own, for it has one writer. PostgreSQL has a lane per kind of write, each
//! with its own connection, so that settling never waits behind accepting. There a lane rests a few milliseconds after
//! decisions or settlements: most of a small batch's cost does not depend on its rows.
//!
//! When a commit fails its outcome may be unknown. Accepts, decisions and claims are answered with the error at
//! once; settlements, which must not be forgotten (a forgotten one repeats a delivery), stay and are tried again.
//! Either way the lane raises [`Doubts`].

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::{
    doubt::Doubts,
    error::Error,
    postgres, sqlite,
    vitals::Pulse,
    write::{Outcome, Write},
};

/// Writes that may wait in each queue of a lane; beyond it an accept is refused as [`Error::Busy`]. Sixteen full batches, or
/// twice as many shared ones.
const WAITING_WRITES_MAX: usize = 8_192;
/// Writes in one transaction: past this a larger batch no longer lowers the cost per row and only delays its first.
const BATCH_WRITES_MAX: usize = 512;
/// The same where accepts share the lane with all other writes: one that comes while a backlog is worked off waits for the
/// batch before it and for its own.
const SHARED_BATCH_WRITES_MAX: usize = 64;
/// Rows in one transaction, so that events that fan out to thousands do not make others wait for all of them. Thirty-two
/// for each write of a full batch.
const BATCH_ROWS_MAX: usize = 16_384;
/// Payload bytes in one transaction, so that a few large bodies do not make hundreds of small ones wait.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pause before settlements are tried again after a failed commit.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long the last settlements are tried again once the store is closing.
const CLOSING_MAX: Duration = Duration::from_secs(2);

/// The connection a lane commits through.
pub(super) enum Writer {
    Sqlite(Box<sqlite::Writer>),
    Postgres(Box<postgres::Writer>),
}

impl Writer {
    async fn commit(&mut self, batch: &[Write], pulse: &Pulse) -> Result<Vec<Outcome>, Error> {
        pulse.commit(batch.len(), self.write(batch)).await
    }

    async fn write(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, Error> {
        match self {
            Self::Sqlite(writer) => writer.commit(batch),
            Self::Postgres(writer) => writer.commit(batch).await,
        }
    }
}

pub(super) fn channel() -> (mpsc::Sender<Write>, mpsc::Receiver<Write>) {
    mpsc::channel(WAITING_WRITES_MAX)
}

/// What waits for a lane. Where a lane takes both, accepts do not queue behind the decisions of a backlog, which come by
/// the thousand, nor these behind a flood of accepts: of a batch that does not take all, each has half.
pub(super) struct Inbox {
    accepts: mpsc::Receiver<Write>,
    others: mpsc::Receiver<Write>,
    batch_max: usize,
}

impl Inbox {
    pub(super) fn of_both(accepts: mpsc::Receiver<Write>, others: mpsc::Receiver<Write>) -> Self {
        Self {
            accepts,
            others,
            batch_max: SHARED_BATCH_WRITES_MAX,
        }
    }

    /// For a lane that takes writes of one kind.
    pub(super) fn of_one(writes: mpsc::Receiver<Write>) -> Self {
        let (_, nothing) = mpsc::channel(1);
        Self {
            accepts: nothing,
            others: writes,
            batch_max: BATCH_WRITES_MAX,
        }
    }

    /// Takes what is there, up to a full batch; waits until something is. Nothing: every sender is gone.
    async fn take(&mut self) -> Vec<Write> {
        let mut batch = Vec::with_capacity(self.batch_max);
        self.fill(&mut batch);
        if batch.is_empty() {
            let first = tokio::select! {
                Some(write) = self.accepts.recv() => write,
                Some(write) = self.others.recv() => write,
                else => return batch,
            };
            batch.push(first);
            self.fill(&mut batch);
        }
        batch
    }

    fn fill(&mut self, batch: &mut Vec<Write>) {
        let max = self.batch_max;
        for (from, up_to) in [(&mut self.accepts, max / 2), (&mut self.others, max)] {
            while batch.len() < up_to
                && let Ok(write) = from.try_recv()
            {
                batch.push(write);
            }
        }
        while batch.len() < max
            && let Ok(write) = self.accepts.try_recv()
        {
            batch.push(write);
        }
    }

    fn len(&self) -> usize {
        self.accepts.len() + self.others.len()
    }
}

/// Serves one lane until every sender is gone and nothing waits. Having written decisions or settlements it rests for
/// so long while more gather, unless a full batch of them waits already.
///
/// A panic while committing or answering is met where it happens. Should there be one elsewhere, the lane begins anew with
/// all that waits; the few writes that were taken out just then are answered as closed, for their answer is dropped.
pub(super) async fn serve(mut writer: Writer, mut writes: Inbox, rest: Duration, doubts: Doubts, pulse: Pulse) {
    // Settlements of failed commits. Apart from the new writes, which go on being answered meanwhile.
    let mut again: Vec<Write> = Vec::new();
    while AssertUnwindSafe(run(&mut writer, &mut writes, &mut again, rest, &doubts, &pulse))
        .catch_unwind()
        .await
        .is_err()
    {
        pulse.panicked("lane");
        doubts.raise();
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn run(writer: &mut Writer, writes: &mut Inbox, again: &mut Vec<Write>, rest: Duration, doubts: &Doubts, pulse: &Pulse) {
    let mut closing_since: Option<Instant> = None;
    loop {
        let mut batch;
        if again.is_empty() {
            batch = writes.take().await;
            if batch.is_empty() {
                return;
            }
        } else {
            let taken = tokio::time::timeout(RETRY_PAUSE, writes.take()).await;
            let closed = taken.as_ref().is_ok_and(Vec::is_empty);
            batch = taken.unwrap_or_default();
            if closed {
                if closing_since.get_or_insert_with(Instant::now).elapsed() > CLOSING_MAX {
                    tracing::error!(
                        deliveries = again.len(),
                        "cannot settle before closing; these deliveries will be repeated"
                    );
                    again.drain(..).for_each(|write| pulse.answer(|| write.fail(Error::Closed)));
                    return;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        let mut uncommitted = std::mem::take(again);
        uncommitted.append(&mut batch);
        let more_may_gather = uncommitted.iter().any(Write::comes_in_crowds);
        while !uncommitted.is_empty() {
            let later = uncommitted.split_off(fitting(&uncommitted, writes.batch_max));
            again.extend(commit(writer, uncommitted, doubts, pulse).await);
            uncommitted = later;
        }
        if more_may_gather && !rest.is_zero() && writes.len() < writes.batch_max {
            tokio::time::sleep(rest).await;
        }
    }
}

/// How many of `writes` go into one transaction: at least one, whatever its size.
fn fitting(writes: &[Write], writes_max: usize) -> usize {
    let (mut bytes, mut rows) = (0, 0);
    writes
        .iter()
        .take(writes_max)
        .position(|write| {
            bytes += write.payload_bytes();
            rows += write.rows();
            bytes > BATCH_BYTES_MAX || rows > BATCH_ROWS_MAX
        })
        .map_or(writes.len().min(writes_max), |first_too_many| first_too_many.max(1))
}

/// Commits one batch and answers its writes; returns the settlements to try again.
async fn commit(writer: &mut Writer, batch: Vec<Write>, doubts: &Doubts, pulse: &Pulse) -> Vec<Write> {
    match writer.commit(&batch, pulse).await {
        Ok(outcomes) => {
            for (write, outcome) in batch.into_iter().zip(outcomes) {
                pulse.answer(|| write.finish(outcome));
            }
            Vec::new()
        }
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, writes = batch.len(), "cannot commit a batch");
            let (settlements, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(|write| matches!(write, Write::Settle { .. }));
            others.into_iter().for_each(|write| pulse.answer(|| write.fail(error.clone())));
            doubts.raise();
            settlements
        }
        // The database refuses one of the statements: find whose, so that one bad row fails alone.
        Err(error) if batch.len() > 1 => {
            tracing::error!(%error, writes = batch.len(), "a batch was refused; committing its writes one by one");
            let mut again = Vec::new();
            for write in batch {
                again.extend(Box::pin(commit(writer, vec![write], doubts, pulse)).await);
            }
            again
        }
        Err(error) => {
            tracing::error!(%error, "a write was refused");
            batch.into_iter().for_each(|write| pulse.answer(|| write.fail(error.clone())));
            doubts.raise();
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use hookyard_domain::{EndpointId, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::write::ClaimDeliveries;

    fn claim(rows_max: u32) -> Write {
        Write::ClaimDeliveries {
            claim: ClaimDeliveries {
                endpoint: EndpointId::from_uuid(Uuid::nil()),
                due_by: Timestamp::EPOCH,
                rows_max,
                body_bytes_max: 0,
            },
            done: Box::new(|_| {}),
        }
    }

    /// An accept waited behind every decision of a backlog that was being released.
    #[tokio::test]
    async fn accepts_and_other_writes_share_a_batch_and_neither_waits_behind_the_other() {
        let (accept, accepts) = channel();
        let (other, others) = channel();
        let mut inbox = Inbox::of_both(accepts, others);
        let half = SHARED_BATCH_WRITES_MAX / 2;
        let of_accepts = |batch: &[Write]| batch.iter().filter(|write| write.rows() == 1).count();
        for _ in 0..2 * SHARED_BATCH_WRITES_MAX {
            other.send(claim(2)).await.expect("there is room");
            accept.send(claim(1)).await.expect("there is room");
        }
        let batch = inbox.take().await;
        assert_eq!(
            (batch.len(), of_accepts(&batch)),
            (SHARED_BATCH_WRITES_MAX, half),
            "of much, half each"
        );
        drop(other);
        let mut taken = vec![batch];
        drop(accept);
        loop {
            let batch = inbox.take().await;
            if batch.is_empty() {
                break;
            }
            taken.push(batch);
        }
        let all: Vec<_> = taken.into_iter().flatten().collect();
        assert_eq!(
            (all.len(), of_accepts(&all)),
            (4 * SHARED_BATCH_WRITES_MAX, 2 * SHARED_BATCH_WRITES_MAX),
            "what waits is taken before the lane ends"
        );
    }

    /// 512 accepts that each fan out to 10,000 endpoints were one transaction of ten million rows.
    #[test]
    fn a_batch_is_bounded_by_its_rows_and_one_write_always_fits() {
        assert_eq!(fitting(&[claim(10_000), claim(10_000), claim(1)], BATCH_WRITES_MAX), 1);
        assert_eq!(fitting(&[claim(100_000), claim(1)], BATCH_WRITES_MAX), 1);
        assert_eq!(fitting(&[claim(8_000), claim(8_000), claim(8_000)], BATCH_WRITES_MAX), 2);
    }
}
