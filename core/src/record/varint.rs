//! Zigzag varints as records use them: 1 to 5 bytes for 32 bits, 1 to 10 for 64.
//!
//! Seven bits per byte, least significant first; the high bit says that another byte follows. Bits beyond the width are dropped,
//! as Kafka's reader does. Source: Kafka protocol guide, "Protocol Primitive Types" (VARINT, VARLONG).

/// Takes a 32-bit varint off the front; `None` if it is cut or longer than five bytes.
#[inline]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    // Most varints of records are one byte long.
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(i32::from(first >> 1) ^ -i32::from(first & 1));
    }
    let raw = take(bytes, 5)?;
    let low = u32::try_from(raw & u64::from(u32::MAX)).expect("masked to 32 bits");
    Some((low >> 1).cast_signed() ^ -(low & 1).cast_signed())
}

/// Takes a 64-bit varint off the front; `None` if it is cut or longer than ten bytes.
#[inline]
pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let raw = take(bytes, 10)?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

fn take(bytes: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().enumerate().take(bytes_max) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Appends a 32-bit varint.
pub(super) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_i64(out, i64::from(value));
}

/// Appends a 64-bit varint.
pub(super) fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push(raw.to_le_bytes()[0] | 0x80);
        raw >>= 7;
    }
    out.push(raw.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_edges_have_their_known_bytes() {
        for (value, bytes) in
            [(0, &[0u8][..]), (-1, &[1]), (1, &[2]), (63, &[126]), (64, &[128, 1]), (i32::MIN, &[255, 255, 255, 255, 15])]
        {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
        assert_eq!(take_i32(&mut &[0x80u8, 0x80, 0x80, 0x80, 0x80, 0x00][..]), None, "six bytes");
        assert_eq!(take_i64(&mut &[0xffu8; 11][..]), None, "eleven bytes");
        assert_eq!(take_i32(&mut &[0x80u8][..]), None, "cut");
    }

    proptest! {
        #[test]
        fn values_survive_a_round_trip(a: i32, b: i64) {
            let mut out = Vec::new();
            put_i32(&mut out, a);
            put_i64(&mut out, b);
            let mut rest = &out[..];
            prop_assert_eq!(take_i32(&mut rest), Some(a));
            prop_assert_eq!(take_i64(&mut rest), Some(b));
            prop_assert!(rest.is_empty());
        }
    }
}
