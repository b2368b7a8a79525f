//! Amounts of memory on the command line.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `268435456`, `256M`, `2G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub usize);

const UNITS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of memory: write bytes, or a number with K, M or G, as in 256M");
        let unit = UNITS.iter().find(|(letter, _)| text.ends_with([*letter, letter.to_ascii_lowercase()]));
        let (digits, bits) = unit.map_or((text, 0), |(_, bits)| (&text[..text.len() - 1], *bits));
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: usize = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(1 << bits).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, bits)| self.0 > 0 && self.0.trailing_zeros() >= *bits);
        match whole {
            Some((letter, bits)) => write!(f, "{}{letter}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_alike() {
        for (text, bytes) in [("4096", 4096), ("256M", 256 << 20), ("2g", 2 << 30), ("3K", 3 << 10), ("0", 0)] {
            let read: Bytes = text.parse().unwrap();
            assert_eq!(read.0, bytes);
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for text in ["", "M", "1T", "-1", "1.5G", "99999999999999999999G", "+1K"] {
            assert!(text.parse::<Bytes>().unwrap_err().contains("256M"), "{text}");
        }
    }
}
