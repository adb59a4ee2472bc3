//! [`Uuid`]: 16 bytes, big endian on the wire; printed as Kafka prints topic ids, base64 without padding for URLs.

use core::fmt;

/// 128 bits; zero stands for none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub u128);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// None.
    pub const ZERO: Uuid = Uuid(0);

    /// Whether it stands for none.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 128 bits are 21 digits of 6 bits and a last one of 2 bits and 4 zeros.
        for digit in 0..22u32 {
            let value = if digit < 21 { self.0 >> (122 - 6 * digit) } else { self.0 << 4 };
            let at = usize::try_from(value & 63).expect("six bits");
            write!(f, "{}", char::from(ALPHABET[at]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
