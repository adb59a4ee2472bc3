//! [`Reader`]: takes the values of a message out of a frame.
//!
//! Bytes and records are slices of the frame, strings are copied. Every length is compared with what is left before anything is
//! allocated for it; all arrays and strings of a frame together may take [`DECODED_BYTES_MAX`]. Depth is bounded by the
//! layouts, which do not recurse.
//!
//! Where Kafka is lenient so are we: any negative length is null, any byte but 0 is true, what follows the body is ignored.

use super::{Bytes, DecodeError, Format, Records, Text, Uuid};
use bytes::Buf;

/// Bytes that the arrays and strings of one decoded message may take in memory, records and bytes fields aside (they stay slices of the
/// frame). More: the connection is closed. A million partitions in one request fit.
pub const DECODED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A frame that is being read.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
    format: Format,
    /// Bytes that arrays and strings may still allocate.
    budget: usize,
}

impl Reader {
    /// Reads from the start of these bytes.
    #[must_use]
    pub fn new(frame: Bytes) -> Reader {
        Reader { rest: frame, format: Format::Fixed, budget: DECODED_BYTES_MAX }
    }

    /// Set by every message when it starts; structs inside it rely on it.
    #[inline]
    pub fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// Bytes that were not read yet.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Everything that was not read yet.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.rest
    }

    #[inline]
    fn want(&self, wanted: usize) -> Result<(), DecodeError> {
        let remaining = self.rest.len();
        if wanted <= remaining { Ok(()) } else { Err(DecodeError::Truncated { wanted, remaining }) }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(DecodeError::TooLarge)?;
        Ok(())
    }

    /// One byte; any but 0 is true.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.want(1)?;
        Ok(self.rest.get_i8())
    }

    /// Two bytes, big endian.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.want(2)?;
        Ok(self.rest.get_i16())
    }

    /// Two bytes, big endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.want(2)?;
        Ok(self.rest.get_u16())
    }

    /// Four bytes, big endian.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.want(4)?;
        Ok(self.rest.get_i32())
    }

    /// Eight bytes, big endian.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.want(8)?;
        Ok(self.rest.get_i64())
    }

    /// Eight bytes, big endian.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.want(8)?;
        Ok(self.rest.get_f64())
    }

    /// Sixteen bytes, big endian.
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.want(16)?;
        Ok(Uuid(self.rest.get_u128()))
    }

    /// Seven bits a byte, lowest first, at most five bytes and 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for place in 0..5 {
            self.want(1)?;
            let byte = self.rest.get_u8();
            if place == 4 && byte > 0x0f {
                return Err(DecodeError::Invalid("a varint has more than 32 bits"));
            }
            value |= u32::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid("a varint has more than five bytes"))
    }

    /// A length of bytes or array; `None` is null.
    fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = match self.format {
            Format::Fixed => i64::from(self.i32()?),
            Format::Compact => i64::from(self.unsigned_varint()?) - 1,
        };
        // A usize has at least 32 bits on every platform we build for.
        Ok(usize::try_from(length).ok())
    }

    /// A string, or null.
    pub fn nullable_string(&mut self) -> Result<Option<Text>, DecodeError> {
        let length = match self.format {
            Format::Fixed => i64::from(self.i16()?),
            Format::Compact => i64::from(self.unsigned_varint()?) - 1,
        };
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if length > super::writer::STRING_BYTES_MAX {
            return Err(DecodeError::Invalid("a string is longer than 32767 bytes"));
        }
        self.want(length)?;
        self.spend(length)?;
        let text = core::str::from_utf8(&self.rest[..length]).map_err(|_| DecodeError::Invalid("a string is not UTF-8"))?;
        let text = Text::from(text);
        self.rest.advance(length);
        Ok(Some(text))
    }

    /// A string.
    #[inline]
    pub fn string(&mut self) -> Result<Text, DecodeError> {
        self.nullable_string()?.ok_or(NULL)
    }

    /// A slice of the frame, or null.
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length()? else { return Ok(None) };
        self.want(length)?;
        Ok(Some(self.rest.split_to(length)))
    }

    /// A slice of the frame.
    #[inline]
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.nullable_bytes()?.ok_or(NULL)
    }

    /// Records: a slice of the frame.
    #[inline]
    pub fn records(&mut self) -> Result<Records, DecodeError> {
        Ok(self.bytes()?.into())
    }

    /// Records, or null.
    #[inline]
    pub fn nullable_records(&mut self) -> Result<Option<Records>, DecodeError> {
        Ok(self.nullable_bytes()?.map(Records::from))
    }

    /// Bytes with an int16 length in every format, or null: the client id.
    pub(super) fn short_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        self.want(length)?;
        Ok(Some(self.rest.split_to(length)))
    }

    /// An array whose elements take at least `element_bytes_min` each, or null.
    pub fn nullable_array<T>(
        &mut self,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(length) = self.length()? else { return Ok(None) };
        self.want(length.saturating_mul(element_bytes_min.max(1)))?;
        self.spend(length.saturating_mul(size_of::<T>()))?;
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// An array whose elements take at least `element_bytes_min` each.
    #[inline]
    pub fn array<T>(
        &mut self,
        element_bytes_min: usize,
        element: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(element_bytes_min, element)?.ok_or(NULL)
    }

    /// A struct behind the byte that says whether it is there.
    #[inline]
    pub fn nullable_struct<T>(
        &mut self,
        body: impl FnOnce(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 { Ok(None) } else { body(self).map(Some) }
    }

    /// How many tagged fields follow.
    #[inline]
    pub fn tag_count(&mut self) -> Result<u32, DecodeError> {
        self.unsigned_varint()
    }

    /// The number of the next tagged field, and how many bytes of the frame are left when it ends.
    pub fn tag(&mut self) -> Result<(u32, usize), DecodeError> {
        let tag = self.unsigned_varint()?;
        let size = usize::try_from(self.unsigned_varint()?).map_err(|_| DecodeError::TooLarge)?;
        self.want(size)?;
        Ok((tag, self.rest.len() - size))
    }

    /// Passes over a tagged field that nobody knows.
    #[inline]
    pub fn skip_tag(&mut self, end: usize) {
        self.rest.advance(self.rest.len() - end);
    }

    /// Whether the value of a tagged field took as many bytes as it said.
    #[inline]
    pub fn end_tag(&mut self, end: usize) -> Result<(), DecodeError> {
        if self.rest.len() == end { Ok(()) } else { Err(DecodeError::Invalid("a tagged field has another size than it says")) }
    }

    /// Passes over all tagged fields of a struct that has none.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.tag_count()? {
            let (_, end) = self.tag()?;
            self.skip_tag(end);
        }
        Ok(())
    }
}

const NULL: DecodeError = DecodeError::Invalid("a field that can't be null is null");
