//! Which vector instructions a kernel uses. The bytes it makes do not depend on it; a test masks each of them off.
#![allow(unsafe_code, reason = "calls into functions that the machine has been asked about")]

use super::lanes::{self, Lanes};

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every machine has.
    Plain,
    /// AVX2: 16 numbers of 16 bits at a time.
    Avx2,
    /// AVX-512 with BW, VL and DQ: 32 numbers of 16 bits at a time.
    Avx512,
}

impl Level {
    /// Every level that this machine has, the slowest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                levels.push(Self::Avx2);
                let parts = [
                    is_x86_feature_detected!("avx512f"),
                    is_x86_feature_detected!("avx512bw"),
                    is_x86_feature_detected!("avx512vl"),
                    is_x86_feature_detected!("avx512dq"),
                ];
                if parts == [true; 4] {
                    levels.push(Self::Avx512);
                }
            }
        }
        levels
    }

    /// The fastest one of this machine.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Plain)
    }
}

/// A kernel with its arguments, which [`run`] compiles once for each level.
pub(crate) trait Kernel {
    /// The work. Must be `#[inline(always)]` with all that it calls, so that it is compiled for what its caller may use.
    /// `L` is the level's type of lanes; a body that leaves vectors to the compiler does not look at it.
    fn run<L: Lanes>(self);
}

/// Runs a kernel with the vector instructions of a level, or of the highest below it that the machine has.
pub(crate) fn run<K: Kernel>(level: Level, kernel: K) {
    match level.min(Level::best()) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `best` has found these instructions on this machine.
        Level::Avx512 => unsafe { run_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `best` has found these instructions on this machine.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        _ => kernel.run::<lanes::Plain>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) {
    kernel.run::<lanes::Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq")]
fn run_avx512<K: Kernel>(kernel: K) {
    kernel.run::<lanes::Avx512>();
}
