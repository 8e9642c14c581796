//! Time and chance that repeat: what makes the same event give the same answer, now and on the day someone asks why.
//!
//! A plugin that asks for the time gets the moment its event was accepted, and one that asks for randomness gets a
//! sequence from a stored seed. That also takes the real clock away from a guest that would use it to measure its
//! neighbours.

/// Virtual time: it begins at the moment the event was accepted, and only the guest's own waiting moves it.
#[derive(Debug)]
pub(super) struct Clock {
    received_at_ms: u64,
    elapsed_ns: u64,
}

impl Clock {
    pub(super) fn new(received_at_ms: u64) -> Self {
        Self {
            received_at_ms,
            elapsed_ns: 0,
        }
    }

    pub(super) fn received_at_ms(&self) -> u64 {
        self.received_at_ms
    }

    /// Virtual nanoseconds since the run began.
    pub(super) fn elapsed_ns(&self) -> u64 {
        self.elapsed_ns
    }

    /// Moves on to a moment; one that has passed changes nothing.
    pub(super) fn wait_until(&mut self, at_ns: u64) {
        self.elapsed_ns = self.elapsed_ns.max(at_ns);
    }

    /// Seconds and nanoseconds since the Unix epoch.
    pub(super) fn wall(&self) -> (u64, u32) {
        let elapsed_ms = self.elapsed_ns / 1_000_000;
        let now_ms = self.received_at_ms.saturating_add(elapsed_ms);
        let nanoseconds = (now_ms % 1_000) * 1_000_000 + self.elapsed_ns % 1_000_000;
        (
            now_ms / 1_000,
            u32::try_from(nanoseconds).expect("below a thousand million by the two remainders"),
        )
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): repeats for a seed; whoever knows the seed knows every number.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 7);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_still_until_someone_waits_and_never_goes_back() {
        let mut clock = Clock::new(1_700_000_000_123);
        assert_eq!(clock.wall(), (1_700_000_000, 123_000_000));
        clock.wait_until(10_000_000_001);
        clock.wait_until(5);
        assert_eq!(clock.wall(), (1_700_000_010, 123_000_001));
    }

    #[test]
    fn an_endless_wait_ends_at_once_and_does_not_overflow() {
        let mut clock = Clock::new(u64::MAX);
        clock.wait_until(u64::MAX);
        assert!(clock.wall().1 < 1_000_000_000);
    }

    #[test]
    fn randomness_repeats_for_a_seed_and_matches_the_published_sequence() {
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
        assert_eq!(Random::new(7).bytes(21), Random::new(7).bytes(21));
        assert_ne!(Random::new(7).bytes(21), Random::new(8).bytes(21));
        assert_eq!(Random::new(7).bytes(21).len(), 21);
    }
}
