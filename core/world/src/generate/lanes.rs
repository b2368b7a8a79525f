//! Thirty-two numbers of 16 bits at a time, a row of a chunk: in AVX-512, in AVX2, and in plain Rust.
//!
//! With `simd.rs` the only file of this crate with `unsafe` code: vector instructions may run only where a machine has
//! them. The types for AVX are made nowhere but in a kernel that `simd::run` has been handed, after asking the machine.
#![allow(unsafe_code, reason = "vector instructions; each block says why it may run")]

/// Lanes of a row.
pub const LANES: usize = 32;

/// Which of eight values each lane takes, as byte indexes into them: `2·value`, `2·value + 1` per lane.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Pattern(pub [u8; 2 * LANES]);

/// A row of numbers, aligned for the widest loads.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Row(pub [i16; LANES]);

/// A row of numbers in registers. All arithmetic wraps.
pub trait Lanes: Copy {
    /// The same number in all lanes.
    fn splat(value: i16) -> Self;
    /// From memory.
    fn load(row: &[i16; LANES]) -> Self;
    /// To memory.
    fn store(self, row: &mut [i16; LANES]);
    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Difference.
    fn sub(self, other: Self) -> Self;
    /// Product in Q15, rounded, as [`super::noise::scale`].
    fn scale(self, other: Self) -> Self;
    /// For each lane the value that `pattern` names.
    fn expand(values: &[i16; 8], pattern: &Pattern) -> Self;
    /// Which of 64 bytes are not 0, the first in the lowest bit.
    fn set_bytes(bytes: &[u8; 64]) -> u64;
}

/// Lanes in plain Rust.
#[derive(Clone, Copy)]
pub struct Plain([i16; LANES]);

impl Lanes for Plain {
    #[inline(always)]
    fn splat(value: i16) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    fn load(row: &[i16; LANES]) -> Self {
        Self(*row)
    }
    #[inline(always)]
    fn store(self, row: &mut [i16; LANES]) {
        *row = self.0;
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|n| self.0[n].wrapping_add(other.0[n])))
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|n| self.0[n].wrapping_sub(other.0[n])))
    }
    #[inline(always)]
    fn scale(self, other: Self) -> Self {
        Self(std::array::from_fn(|n| super::noise::scale(i32::from(self.0[n]), i32::from(other.0[n])) as i16))
    }
    #[inline(always)]
    fn expand(values: &[i16; 8], pattern: &Pattern) -> Self {
        Self(std::array::from_fn(|n| values[usize::from(pattern.0[2 * n] >> 1 & 7)]))
    }
    #[inline(always)]
    fn set_bytes(bytes: &[u8; 64]) -> u64 {
        let (high, low) = (0x8080_8080_8080_8080, 0x7f7f_7f7f_7f7f_7f7f);
        bytes.chunks_exact(8).enumerate().fold(0, |all, (n, eight)| {
            let word = crate::chunk::first_word(eight);
            // In each byte the highest bit, then the eight of them side by side.
            let set = ((word & low) + low | word) & high;
            all | (set >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * n)
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Lanes, Pattern};
    use std::arch::x86_64::*;

    /// Lanes in two registers of AVX2.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256i, __m256i);

    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(value: i16) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2.
            let all = unsafe { _mm256_set1_epi16(value) };
            Self(all, all)
        }
        #[inline(always)]
        fn load(row: &[i16; LANES]) -> Self {
            let at = row.as_ptr().cast::<__m256i>();
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2; a row has 64 bytes, and the loads need no alignment.
            unsafe { Self(_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))) }
        }
        #[inline(always)]
        fn store(self, row: &mut [i16; LANES]) {
            let at = row.as_mut_ptr().cast::<__m256i>();
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2; a row has 64 bytes, and the stores need no alignment.
            unsafe {
                _mm256_storeu_si256(at, self.0);
                _mm256_storeu_si256(at.add(1), self.1);
            }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2.
            unsafe { Self(_mm256_add_epi16(self.0, other.0), _mm256_add_epi16(self.1, other.1)) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2.
            unsafe { Self(_mm256_sub_epi16(self.0, other.0), _mm256_sub_epi16(self.1, other.1)) }
        }
        #[inline(always)]
        fn scale(self, other: Self) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2.
            unsafe { Self(_mm256_mulhrs_epi16(self.0, other.0), _mm256_mulhrs_epi16(self.1, other.1)) }
        }
        #[inline(always)]
        fn expand(values: &[i16; 8], pattern: &Pattern) -> Self {
            let at = pattern.0.as_ptr().cast::<__m256i>();
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2; eight values are 16 bytes, a pattern has 64, and the
            // loads need no alignment.
            unsafe {
                let values = _mm256_broadcastsi128_si256(_mm_loadu_si128(values.as_ptr().cast()));
                let (first, second) = (_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1)));
                Self(_mm256_shuffle_epi8(values, first), _mm256_shuffle_epi8(values, second))
            }
        }
        #[inline(always)]
        fn set_bytes(bytes: &[u8; 64]) -> u64 {
            let at = bytes.as_ptr().cast::<__m256i>();
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX2; there are 64 bytes, and the loads need no alignment.
            let unset = |half: usize| unsafe {
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256(at.add(half)), _mm256_setzero_si256())) as u32
            };
            !(u64::from(unset(0)) | u64::from(unset(1)) << 32)
        }
    }

    /// Lanes in one register of AVX-512.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512i);

    impl Lanes for Avx512 {
        #[inline(always)]
        fn splat(value: i16) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW.
            Self(unsafe { _mm512_set1_epi16(value) })
        }
        #[inline(always)]
        fn load(row: &[i16; LANES]) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW; a row has 64 bytes, and the load needs no alignment.
            Self(unsafe { _mm512_loadu_si512(row.as_ptr().cast()) })
        }
        #[inline(always)]
        fn store(self, row: &mut [i16; LANES]) {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW; a row has 64 bytes, and the store needs no alignment.
            unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), self.0) };
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW.
            Self(unsafe { _mm512_add_epi16(self.0, other.0) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW.
            Self(unsafe { _mm512_sub_epi16(self.0, other.0) })
        }
        #[inline(always)]
        fn scale(self, other: Self) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW.
            Self(unsafe { _mm512_mulhrs_epi16(self.0, other.0) })
        }
        #[inline(always)]
        fn expand(values: &[i16; 8], pattern: &Pattern) -> Self {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW; eight values are 16 bytes, a pattern has 64, and
            // the loads need no alignment.
            unsafe {
                let values = _mm512_broadcast_i32x4(_mm_loadu_si128(values.as_ptr().cast()));
                Self(_mm512_shuffle_epi8(values, _mm512_loadu_si512(pattern.0.as_ptr().cast())))
            }
        }
        #[inline(always)]
        fn set_bytes(bytes: &[u8; 64]) -> u64 {
            // SAFETY: only reached in a kernel of `simd::run`, which found AVX-512 BW; there are 64 bytes, and the load needs no
            // alignment.
            unsafe {
                let bytes = _mm512_loadu_si512(bytes.as_ptr().cast());
                _mm512_test_epi8_mask(bytes, bytes)
            }
        }
    }
}
