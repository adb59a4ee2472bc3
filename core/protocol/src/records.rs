//! [`Records`]: the records field of a message, one value on the wire, one or more slices in memory.
//!
//! What a request carries is one slice of its frame. What an answer carries may lie in several places of a log, and joining them would
//! be the one copy on the path of a fetch.

use super::Bytes;

/// Record batches back to back, not looked into by the codec.
#[derive(Clone, Debug)]
pub struct Records(Slices);

#[derive(Clone, Debug)]
enum Slices {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Records {
    /// Bytes of all slices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices().iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices().iter().all(Bytes::is_empty)
    }

    /// The slices, in order; at least one, which may be empty.
    #[must_use]
    pub fn slices(&self) -> &[Bytes] {
        match &self.0 {
            Slices::One(one) => core::slice::from_ref(one),
            Slices::Many(many) => many,
        }
    }

    /// One slice: the one there is, or a copy of several.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Slices::One(one) => one,
            Slices::Many(many) => many.concat().into(),
        }
    }
}

impl Default for Records {
    fn default() -> Records {
        Records(Slices::One(Bytes::new()))
    }
}

impl From<Bytes> for Records {
    fn from(one: Bytes) -> Records {
        Records(Slices::One(one))
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(mut slices: Vec<Bytes>) -> Records {
        match slices.len() {
            0 => Records::default(),
            1 => Records(Slices::One(slices.remove(0))),
            _ => Records(Slices::Many(slices)),
        }
    }
}

/// Equal when the bytes are, however they are cut.
impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.len() == other.len() && self.slices().iter().flatten().eq(other.slices().iter().flatten())
    }
}

impl Eq for Records {}
