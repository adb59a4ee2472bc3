//! One frame on its way to the broker: the very functions that a connection calls. Shared with the fuzz target, which has no broker behind it.

use bytes::BytesMut;
use ottla_core::api::{self, Ask, ClientRequest, Refusal};

/// Decodes a frame and checks the records in it, as the task of a connection does. What was judged is looked at again, so that nothing of it
/// is left out because nobody asks.
///
/// # Errors
/// The connection is closed.
///
/// # Panics
/// Never: that is what is tested.
pub fn decode(frame: &[u8]) -> Result<ClientRequest, Refusal> {
    let request = api::decode(BytesMut::from(frame))?;
    assert!(request.answer_bytes_expected() <= 1 << 26, "one answer is not the whole memory");
    if let Ask::Produce { batches, .. } = &request.ask {
        for batch in batches {
            match batch {
                Ok(batch) => assert!(batch.bytes.len() <= frame.len() && batch.header.record_count > 0),
                Err(fault) => drop((fault.error_code(), fault.message(), fault.record_errors().len())),
            }
        }
    }
    Ok(request)
}
