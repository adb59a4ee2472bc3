//! Kafka's wire protocol: a bounded codec and all messages of Kafka 4.3, generated from `core/protocol/layouts/` by `core/protocol/build/`.
//!
//! Deliberately knows no meaning: which versions are served, what a field asks for and what an error implies is decided in
//! `ottla_core::api`. Nothing read from a frame makes the reader allocate more than a constant factor of what the frame holds.
//!
//! Source: layouts and codes as printed from Apache Kafka 4.3.1 (`core/protocol/README.md`); KIP-482 for flexible versions.

#![forbid(unsafe_code)]

mod api_key;
mod decode_error;
mod error_code;
mod header;
pub mod messages;
mod reader;
mod records;
mod text;
mod uuid;
mod writer;

pub use api_key::ApiKey;
pub use bytes::Bytes;
pub use decode_error::DecodeError;
pub use error_code::ErrorCode;
pub use header::{RequestHeader, ResponseHeader};
pub use messages::{RequestBody, ResponseBody};
pub use reader::{DECODED_BYTES_MAX, Reader};
pub use records::Records;
pub use text::Text;
pub use uuid::Uuid;
pub use writer::Writer;

/// How lengths and structs travel in a version of a message (KIP-482).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Lengths of fixed size, no tagged fields.
    Fixed,
    /// Lengths as unsigned varints of length + 1; every struct ends with tagged fields. Kafka says *flexible*.
    Compact,
}

impl Format {
    /// The format of a version, given the first flexible one.
    #[must_use]
    pub fn of(version: i16, flexible_first: i16) -> Format {
        if version >= flexible_first { Format::Compact } else { Format::Fixed }
    }
}

/// A whole request or response body.
pub trait Message: Sized {
    /// Whose body it is.
    const KEY: ApiKey;
    /// Reads the body of a version that [`ApiKey::versions`] names.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError>;
    /// Writes the body.
    fn encode(&self, writer: &mut Writer, version: i16);
}

/// A request body that knows its response.
pub trait Request: Message {
    /// What answers it.
    type Response: Message;
}

/// A request as it is sent: header and body, without the size field.
#[must_use]
pub fn encode_request<R: Request>(request: &R, version: i16, correlation_id: i32, client_id: &str) -> Vec<Bytes> {
    let mut writer = Writer::new();
    let client_id = Some(Bytes::copy_from_slice(client_id.as_bytes()));
    RequestHeader { api_key: R::KEY, api_version: version, correlation_id, client_id }.encode(&mut writer);
    request.encode(&mut writer, version);
    writer.finish()
}

/// A response as it is sent: header and body, without the size field.
#[must_use]
pub fn encode_response<M: Message>(response: &M, version: i16, correlation_id: i32) -> Vec<Bytes> {
    let mut writer = Writer::new();
    ResponseHeader { correlation_id }.encode(M::KEY, version, &mut writer);
    response.encode(&mut writer, version);
    writer.finish()
}

/// Reads a response frame without the size field; the correlation id is for the caller to check.
pub fn decode_response<M: Message>(frame: Bytes, version: i16) -> Result<(i32, M), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(M::KEY, version, &mut reader)?;
    Ok((header.correlation_id, M::decode(&mut reader, version)?))
}
