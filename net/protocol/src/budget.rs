//! How much goes out, and how much is taken in: token buckets over whole numbers, with the time as an argument.

use std::time::Duration;

/// How much a second, and how much of what was not used is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units a second: bytes, or what a request costs.
    pub per_second: u64,
    /// The most that is saved up.
    pub burst: u64,
}

impl Rate {
    /// So much a second, of which a quarter of a second is saved up: five ticks, so that a late one is not lost.
    pub const fn new(per_second: u64) -> Self {
        Self { per_second, burst: per_second.div_ceil(4) }
    }
}

/// Fills with time, is emptied by use. It may be overdrawn by one use, which is then waited for.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Rate,
    tokens: i64,
    /// What has come in beyond whole tokens, in billionths.
    billionths: u64,
    filled: Duration,
}

impl TokenBucket {
    /// A full one; `now` is the time since any fixed point.
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, tokens: i64::try_from(rate.burst).unwrap_or(i64::MAX), billionths: 0, filled: now }
    }

    /// What may be used now; not above 0 if it is overdrawn.
    pub fn available(&mut self, now: Duration) -> i64 {
        const BILLION: u128 = 1_000_000_000;
        let passed = now.saturating_sub(self.filled).as_nanos();
        self.filled = self.filled.max(now);
        let gained = passed.saturating_mul(u128::from(self.rate.per_second)) + u128::from(self.billionths);
        let burst = i64::try_from(self.rate.burst).unwrap_or(i64::MAX);
        let whole = i64::try_from(gained / BILLION).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(whole);
        self.billionths = (gained % BILLION) as u64;
        if self.tokens >= burst {
            (self.tokens, self.billionths) = (burst, 0);
        }
        self.tokens
    }

    /// Uses some.
    pub fn spend(&mut self, units: u64) {
        self.tokens = self.tokens.saturating_sub(i64::try_from(units).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_begins_full_fills_evenly_and_never_above_its_burst() {
        let at = Duration::from_millis;
        let mut bucket = TokenBucket::new(Rate { per_second: 1_000, burst: 100 }, at(5));
        assert_eq!(bucket.available(at(5)), 100);
        bucket.spend(150);
        assert_eq!(bucket.available(at(5)), -50);
        assert_eq!(bucket.available(at(55)), 0);
        assert_eq!(bucket.available(at(50)), 0, "a clock that goes back gives nothing");
        assert_eq!(bucket.available(at(56)), 1);
        assert_eq!(bucket.available(at(5_000)), 100);
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_rate_and_one_burst(
            per_second in 1u64..10_000_000, burst in 0u64..1_000_000,
            steps in prop::collection::vec((0u64..2_000_000_000, 0u64..100_000), 1..60),
        ) {
            let mut bucket = TokenBucket::new(Rate { per_second, burst }, Duration::ZERO);
            let (mut now, mut used, mut last) = (0u64, 0u64, 0);
            for (passed, wish) in steps {
                now += passed;
                if bucket.available(Duration::from_nanos(now)) > 0 {
                    bucket.spend(wish);
                    used += wish;
                    last = wish;
                }
                let whole = u128::from(burst) + u128::from(now) * u128::from(per_second) / 1_000_000_000;
                prop_assert!(u128::from(used) <= whole + u128::from(last), "{used} of {whole}, the last use {last}");
            }
        }
    }
}
