//! Ids as Kafka shows them.

/// 128 bits as Kafka shows them: 22 characters of base64url, never starting with a dash (which a shell would take for an option).
#[must_use]
pub fn id_text(bits: [u64; 2]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = (u128::from(bits[0]) << 64 | u128::from(bits[1])) & (u128::MAX >> 1);
    let sextet = |shift: u32| usize::try_from((value >> shift) & 63).expect("six bits");
    // 126 bits in 21 characters, the last two bits in the 22nd, followed by four zero bits as base64 has it.
    let mut text: String = (0..21).map(|place| char::from(ALPHABET[sextet(122 - 6 * place)])).collect();
    text.push(char::from(ALPHABET[usize::try_from((value & 3) << 4).expect("six bits")]));
    text
}

#[cfg(test)]
mod tests {
    use super::id_text;

    #[test]
    fn ids_look_like_kafkas() {
        assert_eq!(id_text([0, 0]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(id_text([u64::MAX, u64::MAX]), format!("f{}w", "_".repeat(20)));
    }
}
