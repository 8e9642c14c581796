//! The memory of large bodies that are being sent.
//!
//! A large body takes its bytes from a pool before it is read from the store or leaves the window, and gives them back
//! when its memory is freed: that is when the last byte has gone to the connection, not when the receiver has answered.
//! A receiver that takes a body and then is silent holds an attempt, and no memory. Small bodies are not counted: the
//! number of attempts in flight bounds them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hookyard_domain::EndpointId;
use tokio::sync::Notify;

use super::share::{Pool, Standing};

/// Bytes of large bodies being sent at once. Ten bodies of the default limit of 25 MiB; more would not send faster, for a
/// network of 10 Gbit/s empties it in a fifth of a second.
pub const SENDING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A body above it counts as no more, so that any body an operator allows finds room in the part of the pool that slow
/// endpoints may fill.
const COUNTED_BYTES_MAX: usize = SENDING_BYTES_MAX / 4;
/// Bodies up to this size are not counted: with 2,048 attempts in flight 64 MiB, and most payloads are smaller.
pub const SMALL_BODY_BYTES: usize = 32 * 1024;

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Sending(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Bytes came back while somebody waited for them.
    freed: Notify,
}

struct State {
    pool: Pool,
    by_endpoint: HashMap<EndpointId, usize>,
    /// Somebody asked in vain since bytes last came back.
    wanted: bool,
}

/// The bytes of one body, given back when dropped.
pub struct Share {
    sending: Sending,
    endpoint: EndpointId,
    standing: Standing,
    bytes: usize,
}

impl Default for Sending {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                pool: Pool::new(SENDING_BYTES_MAX),
                by_endpoint: HashMap::new(),
                wanted: false,
            }),
            freed: Notify::new(),
        }))
    }
}

impl Sending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bytes of one body. `None`: there is no room now; [`Sending::freed`] says when to ask again.
    pub fn take(&self, endpoint: EndpointId, standing: Standing, bytes: usize) -> Option<Share> {
        let bytes = bytes.min(COUNTED_BYTES_MAX);
        let mut state = self.state();
        let own = state.by_endpoint.get(&endpoint).copied().unwrap_or(0);
        // The first body is not measured by the share: each endpoint can send one, whatever its size.
        let room = match own {
            0 => state.pool.free(standing),
            own => state.pool.room(standing, own),
        };
        if bytes > room {
            state.wanted = true;
            return None;
        }
        state.pool.take(standing, bytes);
        *state.by_endpoint.entry(endpoint).or_default() += bytes;
        Some(Share {
            sending: self.clone(),
            endpoint,
            standing,
            bytes,
        })
    }

    /// Waits until bytes came back that somebody asked for in vain.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.sending.state();
        state.pool.give_back(self.standing, self.bytes);
        if let Some(own) = state.by_endpoint.get_mut(&self.endpoint) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                state.by_endpoint.remove(&self.endpoint);
            }
        }
        if std::mem::take(&mut state.wanted) {
            self.sending.0.freed.notify_one();
        }
    }
}

impl Share {
    /// Ties the share to a body: it lasts as long as any part of the body is in memory.
    pub fn hold_for(self, body: Bytes) -> Bytes {
        struct Held {
            body: Bytes,
            _share: Share,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.body
            }
        }
        Bytes::from_owner(Held { body, _share: self })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::from_uuid(Uuid::from_u128(n))
    }

    fn free(sending: &Sending) -> usize {
        sending.state().pool.free(Standing::Quick)
    }

    #[test]
    fn a_share_comes_back_when_the_last_slice_of_its_body_is_dropped() {
        let sending = Sending::default();
        let share = sending.take(endpoint(1), Standing::Quick, MIB).expect("there is room");
        let mut body = share.hold_for(Bytes::from(vec![7; MIB]));
        let first = body.split_to(10);
        drop(body);
        assert_eq!(free(&sending), SENDING_BYTES_MAX - MIB);
        drop(first);
        assert_eq!(free(&sending), SENDING_BYTES_MAX);
    }

    #[test]
    fn hanging_endpoints_leave_room_for_others_and_one_body_always_fits() {
        let sending = Sending::default();
        let mut held = Vec::new();
        for number in 0..1_000 {
            held.extend(sending.take(endpoint(number % 100), Standing::Slow, 5 * MIB));
        }
        assert!(free(&sending) >= SENDING_BYTES_MAX / 2);
        assert!(sending.take(endpoint(1_000), Standing::Quick, 100 * MIB).is_some());
        drop(held);
        let giant = sending.take(endpoint(1), Standing::Slow, 2 * SENDING_BYTES_MAX);
        assert!(giant.is_some(), "a body larger than everything can be sent, too");
        assert!(sending.take(endpoint(1), Standing::Slow, COUNTED_BYTES_MAX).is_none());
    }

    #[tokio::test]
    async fn who_asked_in_vain_is_told_when_bytes_come_back() {
        let sending = Sending::default();
        let first = sending.take(endpoint(1), Standing::Slow, COUNTED_BYTES_MAX);
        let second = sending.take(endpoint(2), Standing::Slow, COUNTED_BYTES_MAX);
        assert!(first.is_some() && second.is_some());
        assert!(sending.take(endpoint(3), Standing::Slow, 1).is_none());
        drop(first);
        tokio::time::timeout(std::time::Duration::from_secs(5), sending.freed())
            .await
            .expect("told");
    }
}
