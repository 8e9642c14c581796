//! Request bodies, bounded in size, time and the memory all of them share.
//!
//! Memory is taken as bytes arrive, not as they are announced: whoever announces much and sends nothing holds little.
//! It is given back when the caller drops [`Received::memory`], which for an event is when it is on disk.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refused;

/// Memory for bodies being received and committed, in steps of [`STEP_BYTES`]: 256 MiB.
const STEPS_MAX: usize = 16 * 1_024;
/// The same for documents: 32 MiB.
const DOCUMENT_STEPS_MAX: usize = 2 * 1_024;
/// What a body takes at a time; most webhooks fit in one step.
const STEP_BYTES: usize = 16 * 1_024;
/// How long a body may take to arrive: a slow sender holds its share of memory no longer.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A body and the memory it holds.
pub struct Received {
    pub bytes: Bytes,
    pub memory: OwnedSemaphorePermit,
}

/// Takes bodies. Cheap to clone.
#[derive(Clone)]
pub struct Bodies {
    steps: Arc<Semaphore>,
}

impl Bodies {
    /// The pool of payloads.
    pub fn of_payloads() -> Self {
        Self::of(STEPS_MAX)
    }

    /// The pool of documents, which strangers send too, such as log-ins: they take no memory from payloads.
    pub fn of_documents() -> Self {
        Self::of(DOCUMENT_STEPS_MAX)
    }

    fn of(steps: usize) -> Self {
        Self {
            steps: Arc::new(Semaphore::new(steps)),
        }
    }

    /// Reads a body to its end. A body of one piece, which a small one is, is not copied.
    ///
    /// # Errors
    /// [`Refused`], at the first bound that is passed.
    pub async fn receive(&self, announced: Option<usize>, body: Body, bytes_max: usize) -> Result<Received, Refused> {
        if announced.is_some_and(|length| length > bytes_max) {
            return Err(Refused::TooLarge { bytes_max });
        }
        tokio::time::timeout(TIME_MAX, self.read(body, bytes_max))
            .await
            .unwrap_or(Err(Refused::TooSlow))
    }

    async fn read(&self, mut body: Body, bytes_max: usize) -> Result<Received, Refused> {
        let mut memory = self.take(1)?;
        let mut reserved = STEP_BYTES;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| Refused::BrokeOff)?.into_data() else {
                continue;
            };
            length += piece.len();
            if length > bytes_max {
                return Err(Refused::TooLarge { bytes_max });
            }
            if length > reserved {
                let steps = (length - reserved).div_ceil(STEP_BYTES);
                memory.merge(self.take(steps)?);
                reserved += steps * STEP_BYTES;
            }
            if first.is_empty() {
                first = piece;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&piece);
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(Received { bytes, memory })
    }

    fn take(&self, steps: usize) -> Result<OwnedSemaphorePermit, Refused> {
        let steps = u32::try_from(steps).map_err(|_| Refused::Busy)?;
        Arc::clone(&self.steps).try_acquire_many_owned(steps).map_err(|_| Refused::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[usize]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        Body::from_stream(Pieces(pieces.into_iter()))
    }

    struct Pieces(std::vec::IntoIter<Result<Bytes, std::io::Error>>);

    impl futures_core::Stream for Pieces {
        type Item = Result<Bytes, std::io::Error>;

        fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.next())
        }
    }

    #[tokio::test]
    async fn a_body_takes_what_it_uses_and_gives_it_back() {
        let bodies = Bodies::of_payloads();
        let received = bodies.receive(None, pieces(&[10, 20_000, 30_000]), 1_000_000).await.ok();
        assert_eq!(received.as_ref().map(|received| received.bytes.len()), Some(50_010));
        assert_eq!(bodies.steps.available_permits(), STEPS_MAX - 4);
        drop(received);
        assert_eq!(bodies.steps.available_permits(), STEPS_MAX);
    }

    #[tokio::test]
    async fn size_is_bounded_announced_or_not() {
        let bodies = Bodies::of_payloads();
        let too_large = Some(Refused::TooLarge { bytes_max: 100 });
        assert_eq!(bodies.receive(Some(101), pieces(&[]), 100).await.err(), too_large);
        assert_eq!(bodies.receive(None, pieces(&[60, 41]), 100).await.err(), too_large);
        assert!(bodies.receive(None, pieces(&[60, 40]), 100).await.is_ok());
        assert_eq!(bodies.steps.available_permits(), STEPS_MAX);
    }

    #[tokio::test]
    async fn without_memory_a_body_is_refused_and_not_half_taken() {
        let bodies = Bodies::of_payloads();
        let others = bodies.take(STEPS_MAX - 2).ok();
        let received = bodies.receive(None, pieces(&[10_000, 50_000]), 1_000_000).await;
        assert_eq!(received.err(), Some(Refused::Busy));
        assert_eq!(bodies.steps.available_permits(), 2);
        drop(others);
    }
}
