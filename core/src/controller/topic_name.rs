//! Which topic names are legal, and which two can't exist side by side.
//!
//! Source: Kafka `org.apache.kafka.common.internals.Topic`, whose wording clients show to their users.

/// Longest legal name, bytes.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// The internal topic of Kafka's own controller; no one may create it.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Says what is wrong with a name, for INVALID_TOPIC_EXCEPTION (17).
///
/// # Errors
/// Kafka's sentence.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    let is_legal_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() {
        return Err("Topic name is invalid: the empty string is not allowed".into());
    }
    if name == "." || name == ".." {
        return Err(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        return Err(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}"
        ));
    }
    if !name.bytes().all(is_legal_byte) {
        return Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// Two names with the same key collide: Kafka's metric names do not tell `.` from `_`.
#[must_use]
pub(super) fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

/// Topics of the brokers' own that clients see as internal.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_bad_name() {
        for (name, why) in [
            ("", "Topic name is invalid: the empty string is not allowed"),
            (".", "Topic name is invalid: '.' is not allowed"),
            ("..", "Topic name is invalid: '..' is not allowed"),
            (
                "a/b",
                "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
            (
                "tä",
                "Topic name is invalid: 'tä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
        ] {
            assert_eq!(check_topic_name(name), Err(why.to_string()));
        }
        assert!(check_topic_name(&"x".repeat(249)).is_ok());
        assert!(check_topic_name(&"x".repeat(250)).is_err());
        assert!(check_topic_name("a.b_c-D9").is_ok());
    }

    #[test]
    fn create_collision() {
        assert_eq!(collision_key("coll.a"), collision_key("coll_a"));
        assert_ne!(collision_key("coll.a"), collision_key("coll-a"));
    }
}
