//! How endpoints share what a node has only so much of: places in memory, attempts in flight, bytes of bodies.
//!
//! Two rules keep one endpoint's trouble from being another's (D4), and both are needed:
//!
//! - **Half of what is free.** An endpoint may have as much as half of what is left. One alone may thus use most of the
//!   node, and its share shrinks as others come: ten hanging endpoints leave a sixth free, a hundred a fiftieth. No
//!   number of endpoints has to be known beforehand.
//! - **Quick endpoints come last to be refused.** With thousands of hanging endpoints the first rule alone would leave
//!   nothing, for each needs at least one attempt. So endpoints whose attempts take long may fill a pool only half, and
//!   those nobody has tried yet only three quarters. The last quarter is for endpoints whose attempts end quickly; what
//!   these take comes back within a second.
//!
//! Left over is a burst: if very many endpoints that were quick begin to hang within the same second, they hold what
//! they took in it until their attempts' deadline. From then on they are slow and kept to their half.

use std::time::Duration;

/// An attempt that lasts longer makes its endpoint [`Standing::Slow`]. Receivers are asked to take a webhook in and
/// answer, which is a matter of milliseconds; and a pool whose quarter is never held for longer than this serves a
/// quarter of its number each second, whatever the rest does.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);

/// How long an endpoint's attempts take, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// The last attempt ended soon, and none in flight has lasted long.
    Quick,
    /// No attempt has ended yet.
    #[default]
    Unknown,
    /// An attempt in flight has lasted longer than [`SLOW_AFTER`], or the last one to end had.
    Slow,
}

impl Standing {
    /// In the order in which they are served.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Unknown, Self::Slow];
}

/// Something a node has only so much of.
#[derive(Debug)]
pub struct Pool {
    max: usize,
    used: usize,
    /// The part of `used` that endpoints have which are not quick.
    used_by_others: usize,
}

impl Pool {
    pub const fn new(max: usize) -> Self {
        Self {
            max,
            used: 0,
            used_by_others: 0,
        }
    }

    /// What an endpoint of this standing could take if it were the only one.
    pub fn free(&self, standing: Standing) -> usize {
        let free = self.max.saturating_sub(self.used);
        let up_to = |limit: usize| free.min(limit.saturating_sub(self.used_by_others));
        match standing {
            Standing::Quick => free,
            Standing::Unknown => up_to(self.max / 4 * 3),
            Standing::Slow => up_to(self.max / 2),
        }
    }

    /// How much more an endpoint may take that has `own` already.
    pub fn room(&self, standing: Standing, own: usize) -> usize {
        (self.free(standing) / 2).saturating_sub(own)
    }

    /// Takes, whether or not there is room: the caller has asked, or has a reason not to.
    pub fn take(&mut self, standing: Standing, amount: usize) {
        self.used += amount;
        if standing != Standing::Quick {
            self.used_by_others += amount;
        }
    }

    pub fn give_back(&mut self, standing: Standing, amount: usize) {
        self.used = self.used.saturating_sub(amount);
        if standing != Standing::Quick {
            self.used_by_others = self.used_by_others.saturating_sub(amount);
        }
    }

    /// An endpoint that has `own` of it has another standing from now on.
    pub fn move_over(&mut self, from: Standing, to: Standing, own: usize) {
        self.give_back(from, own);
        self.take(to, own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many endpoints take what they may, one unit at a time and in turn, each at least `least`.
    fn fill(pool: &mut Pool, standing: Standing, endpoints: usize, least: usize) -> Vec<usize> {
        let mut taken = vec![0; endpoints];
        loop {
            let before: usize = taken.iter().sum();
            for own in &mut taken {
                let first = *own < least && pool.free(standing) > 0;
                if first || pool.room(standing, *own) > 0 {
                    pool.take(standing, 1);
                    *own += 1;
                }
            }
            if taken.iter().sum::<usize>() == before {
                return taken;
            }
        }
    }

    #[test]
    fn the_share_of_each_shrinks_as_more_endpoints_come() {
        for (endpoints, each, left) in [(1, 333, 667), (3, 200, 400), (10, 83, 170), (100, 9, 100)] {
            let mut pool = Pool::new(1_000);
            let taken = fill(&mut pool, Standing::Quick, endpoints, 1);
            assert!(taken.iter().all(|own| own.abs_diff(each) <= 1), "{endpoints}: {taken:?}");
            assert!(pool.free(Standing::Quick).abs_diff(left) <= endpoints, "{endpoints}");
        }
    }

    #[test]
    fn any_number_of_slow_and_unknown_endpoints_leaves_a_quarter_to_quick_ones() {
        let mut pool = Pool::new(1_000);
        let slow: usize = fill(&mut pool, Standing::Slow, 10_000, 1).iter().sum();
        assert_eq!(slow, 500);
        let unknown: usize = fill(&mut pool, Standing::Unknown, 10_000, 1).iter().sum();
        assert_eq!(unknown, 250);
        assert_eq!(pool.free(Standing::Quick), 250);
        assert_eq!(pool.room(Standing::Quick, 0), 125);
    }

    #[test]
    fn what_is_moved_over_counts_for_its_new_standing() {
        let mut pool = Pool::new(100);
        pool.take(Standing::Quick, 60);
        assert_eq!(pool.free(Standing::Slow), 40, "bound by what there is");
        pool.move_over(Standing::Quick, Standing::Slow, 60);
        assert_eq!(pool.free(Standing::Slow), 0);
        assert_eq!(pool.free(Standing::Quick), 40);
        pool.give_back(Standing::Slow, 60);
        assert_eq!((pool.free(Standing::Quick), pool.free(Standing::Slow)), (100, 50));
    }
}
