//! [`RequestHeader`] and [`ResponseHeader`]: what stands before the body of every frame.
//!
//! Request header v1: api key int16, api version int16, correlation id int32, client id string (int16 length, nullable). v2 adds
//! tagged fields, the client id stays as it was. Response header v0: correlation id int32; v1 adds tagged fields.
//!
//! The version of the header follows from key and version of the body ([`ApiKey::request_header_version`]). The client id is kept as
//! bytes, since Kafka takes any.

use super::{ApiKey, Bytes, DecodeError, Format, Reader, Writer};

/// The header of a request, any version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// Which request.
    pub api_key: ApiKey,
    /// Version of the body: not checked, since ApiVersions answers versions it does not know.
    pub api_version: i16,
    /// Chosen by the client, repeated in the response.
    pub correlation_id: i32,
    /// For logs and quotas; not necessarily UTF-8.
    pub client_id: Option<Bytes>,
}

/// The header of a response, any version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl RequestHeader {
    /// Reads the header; the reader stands before the body then.
    pub fn decode(reader: &mut Reader) -> Result<RequestHeader, DecodeError> {
        reader.set_format(Format::Fixed);
        let code = reader.i16()?;
        let api_version = reader.i16()?;
        let api_key = ApiKey::from_code(code).ok_or(DecodeError::UnknownApi(code))?;
        let correlation_id = reader.i32()?;
        let client_id = reader.short_bytes()?;
        if api_key.request_header_version(api_version) >= 2 {
            reader.skip_tags()?;
        }
        Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
    }

    /// Writes the header.
    pub fn encode(&self, writer: &mut Writer) {
        writer.set_format(Format::Fixed);
        writer.i16(self.api_key.code());
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.short_bytes(self.client_id.as_ref());
        if self.api_key.request_header_version(self.api_version) >= 2 {
            writer.unsigned_varint(0);
        }
    }

    /// The client id for people: bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn client_id_lossy(&self) -> String {
        self.client_id.as_ref().map_or_else(String::new, |id| String::from_utf8_lossy(id).into_owned())
    }
}

impl ResponseHeader {
    /// Reads the header of a response to such a request.
    pub fn decode(key: ApiKey, version: i16, reader: &mut Reader) -> Result<ResponseHeader, DecodeError> {
        let correlation_id = reader.i32()?;
        if key.response_header_version(version) >= 1 {
            reader.skip_tags()?;
        }
        Ok(ResponseHeader { correlation_id })
    }

    /// Writes the header of a response to such a request.
    pub fn encode(self, key: ApiKey, version: i16, writer: &mut Writer) {
        writer.i32(self.correlation_id);
        if key.response_header_version(version) >= 1 {
            writer.unsigned_varint(0);
        }
    }
}
