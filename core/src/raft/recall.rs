//! What brokers say to each other when one of them does not know what it promised (`recalls.rs` says why and when).
//!
//! Binary form, little-endian, one message for many groups: kind u8, folder u64, life u64, count u16, then `count` times
//! - kind 1 `Ask`: group u64, round u32, last index u64, 1 if the replica has no rights yet, else 0 u8. `folder`: the id of the asker's data
//!   folder; `life`: a number that no other life of the asker has;
//! - kind 2 `Tell`: group u64, round u32, what u8 (1 nothing, 2 nothing but that there is a past, 3 something, 4 something, and the asker has
//!   no past), term u64, term and index u64 of the last entry. `folder` is the teller's; `life`: the asker's, as it said. A further u64 after
//!   `count`, the teller's own life, so that who asks twice knows whether it was told twice by the same memory.

use crate::ids::{GroupId, Index, Term};
use crate::limits::RECALL_ITEMS_MAX;
use crate::log::Position;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Kind of these messages among those that travel in peer frames beside raft's.
pub(crate) const KIND_RECALL: u8 = 5;

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub group: GroupId,
    /// Counts the rounds of questions of this life and group.
    pub round: u32,
    /// The last entry that the asker durably has.
    pub last: Index,
    /// Whether it has no rights yet.
    pub is_mute: bool,
}

/// What another replica of the group knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: its disk was empty too.
    Nothing,
    /// Nothing, but it heard that there is something to know.
    Past,
    /// Its term, and where its log ends, in memory.
    Something {
        term: Term,
        last: Position,
        /// It was born when it knew that this very folder of the asker's was empty: the asker has no past either.
        is_birth: bool,
    },
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tell {
    pub group: GroupId,
    /// The round that was asked in.
    pub round: u32,
    pub told: Told,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecallMessage {
    Ask { folder: u64, life: u64, asked: Vec<Ask> },
    Tell { folder: u64, life: u64, teller: u64, told: Vec<Tell> },
}

impl RecallMessage {
    /// # Panics
    /// It has more than [`RECALL_ITEMS_MAX`] items.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let (kind, folder, life, count) = match self {
            RecallMessage::Ask { folder, life, asked } => (1, folder, life, asked.len()),
            RecallMessage::Tell { folder, life, told, .. } => (2, folder, life, told.len()),
        };
        assert!(count <= RECALL_ITEMS_MAX, "a message of {count} items");
        out.put_u8(kind);
        out.put_u64_le(*folder);
        out.put_u64_le(*life);
        out.put_u16_le(u16::try_from(count).expect("bounded above"));
        match self {
            RecallMessage::Ask { asked, .. } => {
                for ask in asked {
                    out.put_u64_le(ask.group.0);
                    out.put_u32_le(ask.round);
                    out.put_u64_le(ask.last.0);
                    out.put_u8(u8::from(ask.is_mute));
                }
            }
            RecallMessage::Tell { teller, told, .. } => {
                out.put_u64_le(*teller);
                for tell in told {
                    out.put_u64_le(tell.group.0);
                    out.put_u32_le(tell.round);
                    let (what, term, last_term, last_index) = match tell.told {
                        Told::Nothing => (1, 0, 0, 0),
                        Told::Past => (2, 0, 0, 0),
                        Told::Something { term, last, is_birth } => {
                            (if is_birth { 4 } else { 3 }, term.0, last.term.0, last.index.0)
                        }
                    };
                    out.put_u8(what);
                    out.put_u64_le(term);
                    out.put_u64_le(last_term);
                    out.put_u64_le(last_index);
                }
            }
        }
        out.freeze()
    }

    /// The message that `bytes` are; `None` for nonsense.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<RecallMessage> {
        let input = &mut bytes;
        let kind = input.try_get_u8().ok()?;
        let folder = input.try_get_u64_le().ok()?;
        let life = input.try_get_u64_le().ok()?;
        let count = usize::from(input.try_get_u16_le().ok()?);
        if count > RECALL_ITEMS_MAX {
            return None;
        }
        let message = match kind {
            1 => {
                let mut asked = Vec::with_capacity(count);
                for _ in 0..count {
                    let group = GroupId(input.try_get_u64_le().ok()?);
                    let round = input.try_get_u32_le().ok()?;
                    let last = Index(number(input)?);
                    asked.push(Ask { group, round, last, is_mute: input.try_get_u8().ok()? == 1 });
                }
                RecallMessage::Ask { folder, life, asked }
            }
            2 => {
                let teller = input.try_get_u64_le().ok()?;
                let mut told = Vec::with_capacity(count);
                for _ in 0..count {
                    let group = GroupId(input.try_get_u64_le().ok()?);
                    let round = input.try_get_u32_le().ok()?;
                    let what = input.try_get_u8().ok()?;
                    let term = Term(number(input)?);
                    let last = Position { term: Term(number(input)?), index: Index(number(input)?) };
                    let told_here = match what {
                        1 => Told::Nothing,
                        2 => Told::Past,
                        3 | 4 if term >= last.term && last.index >= Index::BIRTH => {
                            Told::Something { term, last, is_birth: what == 4 }
                        }
                        _ => return None,
                    };
                    told.push(Tell { group, round, told: told_here });
                }
                RecallMessage::Tell { folder, life, teller, told }
            }
            _ => return None,
        };
        input.is_empty().then_some(message)
    }
}

/// A term or an index, which never comes near this.
fn number(input: &mut Bytes) -> Option<u64> {
    input.try_get_u64_le().ok().filter(|number| *number < 1 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_give_themselves_back_and_nonsense_does_not() {
        let ask = Ask { group: GroupId(7), round: 3, last: Index(9), is_mute: true };
        let last = Position { term: Term(4), index: Index(88) };
        let tell = |told| Tell { group: GroupId(7), round: 3, told };
        let told = vec![
            tell(Told::Nothing),
            tell(Told::Past),
            tell(Told::Something { term: Term(5), last, is_birth: false }),
            tell(Told::Something { term: Term(4), last, is_birth: true }),
        ];
        for message in [
            RecallMessage::Ask { folder: 1, life: 2, asked: vec![ask, Ask { is_mute: false, ..ask }] },
            RecallMessage::Tell { folder: 1, life: 2, teller: 3, told },
        ] {
            let bytes = message.encode();
            assert_eq!(RecallMessage::decode(bytes.clone()), Some(message));
            for length in 0..bytes.len() {
                assert_eq!(RecallMessage::decode(bytes.slice(..length)), None, "cut to {length}");
            }
            assert_eq!(RecallMessage::decode([&bytes[..], &[0]].concat().into()), None, "something follows");
        }
        let decoded = |term: u64, last: (u64, u64)| {
            let last = Position { term: Term(last.0), index: Index(last.1) };
            let told = vec![tell(Told::Something { term: Term(term), last, is_birth: false })];
            RecallMessage::decode(RecallMessage::Tell { folder: 1, life: 2, teller: 3, told }.encode())
        };
        assert!(decoded(6, (6, 88)).is_some());
        assert_eq!(decoded(5, (6, 88)), None, "a log that is newer than its term");
        assert_eq!(decoded(6, (6, 0)), None, "a log that ends before every log begins");
        assert_eq!(decoded(1 << 62, (6, 88)), None, "a term that nobody reaches");
    }

    #[test]
    fn a_message_of_too_many_items_is_dropped() {
        let ask = Ask { group: GroupId(7), round: 3, last: Index(9), is_mute: true };
        let asked = vec![ask; RECALL_ITEMS_MAX];
        let bytes = RecallMessage::Ask { folder: 1, life: 2, asked }.encode();
        assert!(RecallMessage::decode(bytes.clone()).is_some());
        let mut more = BytesMut::from(&bytes[..]);
        more[17..19].copy_from_slice(&u16::try_from(RECALL_ITEMS_MAX + 1).expect("small").to_le_bytes());
        more.extend_from_slice(&bytes[19..40]);
        assert_eq!(RecallMessage::decode(more.freeze()), None);
    }
}
