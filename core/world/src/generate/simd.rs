//! Which vector instructions a kernel uses. The bytes it makes do not depend on it; a test masks each of them off.

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every machine has.
    Plain,
    /// AVX2: 16 numbers of 16 bits at a time.
    Avx2,
    /// AVX-512 with BW and VL: 32 numbers of 16 bits at a time.
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
                if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
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
