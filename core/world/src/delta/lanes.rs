//! Rows of 32 bytes at a time, with the vector instructions that a machine has. What comes out is the same with all of them.
#![allow(unsafe_code, reason = "calls of instructions that the machine has been asked about")]

use crate::generate::simd::Level;
use crate::limits::CHUNK_EDGE;

/// A row of numbers of blocks.
pub(super) type Row = [u8; CHUNK_EDGE];

/// A row of numbers below 16, two in a byte, the first one in its lower half.
pub(super) type HalfRow = [u8; CHUNK_EDGE / 2];

/// What a kernel does with rows.
pub(super) trait Lanes {
    /// One bit for each byte in which two rows differ.
    fn unequal(row: &Row, other: &Row) -> u32;
    /// The bytes of a row whose bits are set, one after the other. What stands behind them in `out` is left to chance.
    fn compress(row: &Row, mask: u32, out: &mut Row);
    /// A row in registers, in whatever form is best.
    type Held: Copy;
    /// A row of zeros.
    fn none() -> Self::Held;
    /// A row in which the bytes whose bits are set are the first ones of `values`, in order.
    fn expand(row: Self::Held, mask: u32, values: &Row) -> Self::Held;
    /// A row as bytes.
    fn bytes(row: Self::Held) -> Row;
    /// A row of numbers below 16 as half bytes.
    fn halves(row: Self::Held) -> HalfRow;
    /// The bytes of a list at some places, each below 16.
    fn pick(list: &[u8; 16], places: [u8; 8]) -> [u8; 8];
}

/// A kernel with its arguments, compiled once for each set of instructions. All that it calls must be `#[inline(always)]`.
pub(super) trait Kernel {
    fn run<L: Lanes>(self);
}

/// What every machine has.
pub(super) struct Plain;

impl Lanes for Plain {
    #[inline(always)]
    fn unequal(row: &Row, other: &Row) -> u32 {
        let (words, others) = (row.as_chunks::<8>().0, other.as_chunks::<8>().0);
        let mut mask = 0;
        for n in 0..4 {
            let differs = u64::from_le_bytes(words[n]) ^ u64::from_le_bytes(others[n]);
            // The highest bit of each byte that is not 0, moved down; eight of them are gathered in the highest byte.
            let low = 0x7f7f_7f7f_7f7f_7f7f;
            let bits = (differs | ((differs & low) + low)) >> 7 & 0x0101_0101_0101_0101;
            mask |= (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * n)) as u32;
        }
        mask
    }

    #[inline(always)]
    fn compress(row: &Row, mut mask: u32, out: &mut Row) {
        let mut next = 0;
        while mask != 0 {
            out[next] = row[mask.trailing_zeros() as usize & 31];
            mask &= mask - 1;
            next += 1;
        }
    }

    type Held = Row;

    #[inline(always)]
    fn none() -> Row {
        [0; CHUNK_EDGE]
    }

    #[inline(always)]
    fn expand(mut row: Row, mut mask: u32, values: &Row) -> Row {
        let mut next = 0;
        while mask != 0 {
            row[mask.trailing_zeros() as usize & 31] = values[next];
            mask &= mask - 1;
            next += 1;
        }
        row
    }

    #[inline(always)]
    fn bytes(row: Row) -> Row {
        row
    }

    #[inline(always)]
    fn halves(row: Row) -> HalfRow {
        let pairs = row.as_chunks::<2>().0;
        // As one number of 16 bits, which vectors can do.
        std::array::from_fn(|n| {
            let two = u16::from_le_bytes(pairs[n]);
            (two | two >> 4) as u8
        })
    }

    #[inline(always)]
    fn pick(list: &[u8; 16], places: [u8; 8]) -> [u8; 8] {
        places.map(|place| list[usize::from(place & 15)])
    }
}

/// Runs a kernel with the instructions of a level, or of the highest below it that the machine has.
pub(super) fn run<K: Kernel>(level: Level, kernel: K) {
    match level.min(Level::best()) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `best` has found these instructions on this machine, and the condition the rest.
        Level::Avx512 if has_bits() => unsafe { run_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `best` has found these instructions on this machine, and the condition the rest.
        Level::Avx2 if has_bits() => unsafe { run_avx2(kernel) },
        _ => kernel.run::<Plain>(),
    }
}

/// What every processor with AVX2 is known to have.
#[cfg(target_arch = "x86_64")]
fn has_bits() -> bool {
    std::arch::is_x86_feature_detected!("popcnt") && std::arch::is_x86_feature_detected!("bmi1")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt,bmi1")]
fn run_avx2<K: Kernel>(kernel: K) {
    kernel.run::<x86::Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq,popcnt,bmi1")]
fn run_avx512<K: Kernel>(kernel: K) {
    kernel.run::<x86::Avx512>();
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{HalfRow, Lanes, Plain, Row};
    use std::arch::x86_64::*;

    #[inline(always)]
    fn load(row: &Row) -> __m256i {
        // SAFETY: a row has 32 bytes, and the load takes any address. Only what run_avx2 and run_avx512 call comes here.
        unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
    }

    /// AVX2.
    pub struct Avx2;

    impl Lanes for Avx2 {
        #[inline(always)]
        fn unequal(row: &Row, other: &Row) -> u32 {
            // SAFETY: only run_avx2 calls this, and it has AVX2.
            unsafe { !_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(row), load(other))) as u32 }
        }

        #[inline(always)]
        fn compress(row: &Row, mask: u32, out: &mut Row) {
            Plain::compress(row, mask, out);
        }

        type Held = Row;

        #[inline(always)]
        fn none() -> Row {
            Plain::none()
        }

        #[inline(always)]
        fn expand(row: Row, mask: u32, values: &Row) -> Row {
            Plain::expand(row, mask, values)
        }

        #[inline(always)]
        fn bytes(row: Row) -> Row {
            row
        }

        #[inline(always)]
        fn halves(row: Row) -> HalfRow {
            Plain::halves(row)
        }

        #[inline(always)]
        fn pick(list: &[u8; 16], places: [u8; 8]) -> [u8; 8] {
            shuffle(list, places)
        }
    }

    #[inline(always)]
    fn shuffle(list: &[u8; 16], places: [u8; 8]) -> [u8; 8] {
        let places = i64::from_le_bytes(places);
        // SAFETY: only run_avx2 and run_avx512 get here, and they have what this takes; a list has 16 bytes, and the load takes any
        // address.
        let picked = unsafe { _mm_shuffle_epi8(_mm_loadu_si128(list.as_ptr().cast()), _mm_cvtsi64_si128(places)) };
        // SAFETY: the same.
        unsafe { _mm_cvtsi128_si64(picked) }.to_le_bytes()
    }

    /// AVX-512. Bytes are moved about as 16 numbers of 32 bits: few processors can do that with bytes.
    pub struct Avx512;

    /// 16 bytes, each as 32 bits.
    #[inline(always)]
    fn wide(bytes: &[u8]) -> __m512i {
        let bytes: &[u8; 16] = bytes.first_chunk().expect("16 bytes");
        // SAFETY: only run_avx512 gets here, and it has AVX-512; there are 16 bytes, and the load takes any address.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    /// 16 numbers as bytes.
    #[inline(always)]
    fn store(numbers: __m512i, out: &mut [u8]) {
        let out: &mut [u8; 16] = out.first_chunk_mut().expect("16 bytes");
        // SAFETY: only run_avx512 gets here, and it has AVX-512; there are 16 bytes, and the store takes any address.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(numbers)) }
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn unequal(row: &Row, other: &Row) -> u32 {
            // SAFETY: only run_avx512 calls this, and it has BW and VL.
            unsafe { _mm256_cmpneq_epi8_mask(load(row), load(other)) }
        }

        #[inline(always)]
        fn compress(row: &Row, mask: u32, out: &mut Row) {
            let [low, high] = [mask as u16, (mask >> 16) as u16];
            // SAFETY: only run_avx512 calls this, and it has AVX-512. Into a register and from there into memory: straight into
            // memory takes some processors many times as long.
            let [first, second] = unsafe {
                [
                    _mm512_maskz_compress_epi32(low, wide(&row[..16])),
                    _mm512_maskz_compress_epi32(high, wide(&row[16..])),
                ]
            };
            store(first, out);
            store(second, &mut out[low.count_ones() as usize..]);
        }

        type Held = [__m512i; 2];

        #[inline(always)]
        fn none() -> Self::Held {
            // SAFETY: only run_avx512 calls this, and it has AVX-512.
            unsafe { [_mm512_setzero_si512(); 2] }
        }

        #[inline(always)]
        fn expand([first, second]: Self::Held, mask: u32, values: &Row) -> Self::Held {
            let [low, high] = [mask as u16, (mask >> 16) as u16];
            let rest = wide(&values[low.count_ones() as usize..]);
            // SAFETY: only run_avx512 calls this, and it has AVX-512.
            unsafe {
                [_mm512_mask_expand_epi32(first, low, wide(values)), _mm512_mask_expand_epi32(second, high, rest)]
            }
        }

        #[inline(always)]
        fn bytes([first, second]: Self::Held) -> Row {
            let mut row = [0; 32];
            store(first, &mut row);
            store(second, &mut row[16..]);
            row
        }

        #[inline(always)]
        fn halves([first, second]: Self::Held) -> HalfRow {
            let mut row = [0; 16];
            // SAFETY: only run_avx512 calls this, and it has AVX-512; the store takes any address. Of two numbers, the second one goes
            // down to the first, and the lowest byte of both stays.
            unsafe {
                let pairs = |row| _mm512_cvtepi64_epi8(_mm512_or_si512(row, _mm512_srli_epi64::<28>(row)));
                _mm_storeu_si128(row.as_mut_ptr().cast(), _mm_unpacklo_epi64(pairs(first), pairs(second)));
            }
            row
        }

        #[inline(always)]
        fn pick(list: &[u8; 16], places: [u8; 8]) -> [u8; 8] {
            shuffle(list, places)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::noise::hash;

    struct Check<'a>(&'a mut u32);

    impl Kernel for Check<'_> {
        fn run<L: Lanes>(self) {
            for seed in 0..200 {
                let row = |n: u32| -> Row { std::array::from_fn(|x| (hash(x as i32, 0, n as i32, seed) % 3) as u8) };
                let (one, other) = (row(1), row(2));
                let mask = L::unequal(&one, &other);
                assert!((0..32).all(|x| (mask >> x & 1 == 1) == (one[x] != other[x])), "{seed}");
                for mask in [mask, 0, u32::MAX, hash(0, 0, 0, seed)] {
                    let (mut listed, set) = ([9; 32], |x: &usize| mask >> x & 1 == 1);
                    L::compress(&one, mask, &mut listed);
                    let expected: Vec<u8> = (0..32).filter(set).map(|x| one[x]).collect();
                    assert_eq!(listed[..expected.len()], expected, "{seed} {mask:032b}");
                    let mut list = [0; 32];
                    L::compress(&other, u32::MAX, &mut list);
                    let held = L::expand(L::expand(L::none(), u32::MAX, &list), mask, &listed);
                    let whole = L::bytes(held);
                    let halves: Vec<u8> = whole.chunks(2).map(|two| two[0] | two[1] << 4).collect();
                    assert_eq!(L::halves(held)[..], halves[..], "{seed} {mask:032b}");
                    let places = std::array::from_fn(|n| (hash(n as i32, 1, 0, seed) % 16) as u8);
                    let picked = places.map(|place| one[usize::from(place)]);
                    assert_eq!(L::pick(one.first_chunk().unwrap(), places), picked, "{seed}");
                    assert!((0..32).all(|x| whole[x] == if set(&x) { one[x] } else { other[x] }), "{seed} {mask:032b}");
                }
            }
            *self.0 += 1;
        }
    }

    #[test]
    fn every_level_does_the_same_with_rows() {
        let mut runs = 0;
        Level::available().into_iter().for_each(|level| run(level, Check(&mut runs)));
        assert_eq!(runs as usize, Level::available().len());
    }
}
