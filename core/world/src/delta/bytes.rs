//! Numbers as bytes and back: little-endian, or as varints of seven bits a byte, the lowest first.

use super::CodecError;

/// A number as a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number with a sign, small ones of either sign in few bytes.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63) as u64);
}

/// What is still to be read, and where that is.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, length: bytes.len(), what }
    }

    const fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    /// How many bytes are still to be read.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The error that something is wrong with what was just read.
    pub(super) const fn wrong(&self, what: &'static str) -> CodecError {
        CodecError::Wrong { what, at: self.at() }
    }

    pub(super) const fn layout(&self, found: u8) -> CodecError {
        CodecError::Layout { what: self.what, found }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let short = CodecError::Short { what: self.what, at: self.length };
        let (head, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, CodecError> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    /// A varint. One that is longer than it has to be is refused: a number has one form.
    pub(super) fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 127);
            if bits << shift >> shift != bits || byte == 0 && shift > 0 {
                break;
            }
            value |= bits << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(self.wrong("a number is longer than it has to be, or too large"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, CodecError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number that fits a smaller type.
    pub(super) fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, CodecError> {
        let value = self.varint()?;
        T::try_from(value).map_err(|_| self.wrong(what))
    }

    /// How many there are of what takes at least a byte each, so that no more memory is asked for than came.
    pub(super) fn count(&mut self, what: &'static str) -> Result<usize, CodecError> {
        let count: usize = self.small(what)?;
        if count > self.rest.len() { Err(self.wrong(what)) } else { Ok(count) }
    }

    /// Everything that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// That nothing is left.
    pub(super) fn end(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(CodecError::Left { what: self.what, left }),
        }
    }
}

/// Numbers of so many bits each, the lowest bits of a byte first, and zeros up to a whole byte.
pub(super) fn put_bits(out: &mut Vec<u8>, bits: u32, values: impl Iterator<Item = u32>) {
    let (mut word, mut held) = (0u64, 0);
    for value in values {
        word |= u64::from(value) << held;
        held += bits;
        while held >= 8 {
            out.push(word as u8);
            word >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(word as u8);
    }
}

/// How many bits a number below `count` needs.
pub(super) const fn bits_of(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// Numbers of so many bits each, read back.
#[derive(Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    bits: u32,
    next: usize,
}

impl<'a> BitReader<'a> {
    /// `count` numbers. Bits behind the last one have to be zero.
    pub(super) fn new(reader: &mut Reader<'a>, bits: u32, count: usize) -> Result<Self, CodecError> {
        let all = count as u64 * u64::from(bits);
        let bytes = reader.take(usize::try_from(all.div_ceil(8)).unwrap_or(usize::MAX))?;
        let idle = (8 - all % 8) % 8;
        if idle > 0 && bytes.last().is_some_and(|last| u64::from(*last) >> (8 - idle) != 0) {
            return Err(reader.wrong("bits behind the last number are not zero"));
        }
        Ok(Self { bytes, bits, next: 0 })
    }

    /// The next one.
    ///
    /// # Panics
    /// If there were no more to read.
    pub(super) fn read(&mut self) -> u32 {
        let (first, shift) = (self.next / 8, self.next % 8);
        self.next += self.bits as usize;
        let last = self.next.div_ceil(8);
        let word = self.bytes[first..last].iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        word >> shift & ((1 << self.bits) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_have_one_form() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(Reader::new(&bytes, "it").varint(), Ok(value));
            let last = bytes.len() - 1;
            bytes[last] |= 128;
            bytes.push(0);
            assert!(Reader::new(&bytes, "it").varint().is_err(), "{value} with a zero behind it");
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, value);
            assert_eq!(Reader::new(&bytes, "it").signed(), Ok(value));
        }
        assert!(Reader::new(&[255; 10], "it").varint().is_err(), "65 bits and more");
    }

    #[test]
    fn bits_come_back() {
        for bits in 0..=16 {
            let values: Vec<u32> = (0..77).map(|n| n * 40_503 & ((1 << bits) - 1)).collect();
            let mut bytes = Vec::new();
            put_bits(&mut bytes, bits, values.iter().copied());
            assert_eq!(bytes.len(), (77 * bits as usize).div_ceil(8));
            let mut reader = Reader::new(&bytes, "it");
            let mut read = BitReader::new(&mut reader, bits, 77).expect("written above");
            assert!(values.iter().all(|value| read.read() == *value), "{bits} bits");
        }
        assert_eq!([1, 2, 3, 4, 16, 17, 65_536].map(bits_of), [0, 1, 2, 2, 4, 5, 16]);
        assert!(BitReader::new(&mut Reader::new(&[0b1000], "it"), 3, 1).is_err(), "a bit behind the last number");
    }
}
