//! What messages are made of. The package of the codec has no tests of its own: all messages would be compiled once more for them.

use ottla_core::protocol::{Bytes, DECODED_BYTES_MAX, DecodeError, Reader, Records, Uuid};

const STOP: DecodeError = DecodeError::Invalid("the test has seen enough");

/// An element that takes a byte in the frame and 64 KiB in memory.
struct Heavy([u8; 1 << 16]);

/// Reads arrays of so many of these, one after the other.
fn arrays(counts: &[usize]) -> Result<(), DecodeError> {
    let mut frame = Vec::new();
    for count in counts {
        frame.extend_from_slice(&u32::try_from(*count).expect("small").to_be_bytes());
        frame.resize(frame.len() + count, 0);
    }
    let mut reader = Reader::new(frame.into());
    for count in counts {
        // Reading goes wrong at the first element, behind the decision whether there may be so many.
        let read = reader.array(1, |reader| {
            reader.i8()?;
            Err::<Heavy, _>(STOP)
        });
        match read {
            Err(error) if error == STOP => {
                for _ in 1..*count {
                    reader.i8()?;
                }
            }
            Err(error) => return Err(error),
            Ok(elements) => assert!(elements.iter().all(|heavy| heavy.0[0] == 0) && *count == 0),
        }
    }
    Ok(())
}

#[test]
fn all_arrays_of_a_message_share_what_they_may_take() {
    let most = DECODED_BYTES_MAX >> 16;
    assert_eq!(arrays(&[most]), Ok(()));
    assert_eq!(arrays(&[most + 1]), Err(DecodeError::TooLarge));
    assert_eq!(arrays(&[0, 100, most - 100]), Ok(()));
    assert_eq!(arrays(&[0, 100, most - 99]), Err(DecodeError::TooLarge));
}

#[test]
fn slices_are_one_value() {
    let cut = Records::from(vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")]);
    assert_eq!((cut.len(), cut.is_empty()), (3, false));
    assert_eq!(cut, Records::from(Bytes::from_static(b"abc")));
    assert_ne!(cut, Records::from(Bytes::from_static(b"abd")));
    assert_eq!(cut.into_bytes(), Bytes::from_static(b"abc"));
    assert!(Records::from(Vec::new()).is_empty());
}

#[test]
fn uuids_print_as_kafka_prints_them() {
    assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(Uuid(1).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(Uuid(u128::MAX).to_string(), "_____________________w");
}
