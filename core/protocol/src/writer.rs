//! [`Writer`]: puts the values of a message together as slices for one vectored write.
//!
//! Small values are copied into one buffer; bytes of [`SLICE_BYTES_MIN`] and more are kept as they are, so that record batches
//! travel from the log to the socket without a copy. Writing can't fail: lengths of our own values fit by construction, and a string
//! that would not (an error message that quotes a client) is cut.

use super::{Bytes, Format, Records, Text, Uuid};
use bytes::{BufMut, BytesMut};

/// Kafka writes the length of a string as int16 and refuses longer ones in flexible versions too.
pub(super) const STRING_BYTES_MAX: usize = 32767;
/// Bytes from which a slice of its own is cheaper than a copy: about the price of one more entry in a vectored write.
pub const SLICE_BYTES_MIN: usize = 512;

/// What a frame begins with room for: most answers fit, and it need not grow step by step.
const FIRST_BYTES: usize = 128;

/// A frame that is being written.
#[derive(Debug)]
pub struct Writer {
    slices: Vec<Bytes>,
    tail: BytesMut,
    format: Format,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer::new()
    }
}

impl Writer {
    /// An empty frame.
    #[must_use]
    pub fn new() -> Writer {
        Writer { slices: Vec::new(), tail: BytesMut::with_capacity(FIRST_BYTES), format: Format::Fixed }
    }

    /// Set by every message when it starts; structs inside it rely on it.
    #[inline]
    pub fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// The frame.
    #[must_use]
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.tail.is_empty() {
            self.slices.push(self.tail.freeze());
        }
        self.slices
    }

    /// The frame as one piece, copied: for tests and tools.
    #[must_use]
    pub fn finish_contiguous(self) -> Bytes {
        let mut slices = self.finish();
        match slices.len() {
            1 => slices.remove(0),
            _ => slices.concat().into(),
        }
    }

    /// One byte.
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.tail.put_u8(u8::from(value));
    }

    /// One byte.
    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.tail.put_i8(value);
    }

    /// Two bytes, big endian.
    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.tail.put_i16(value);
    }

    /// Two bytes, big endian.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.tail.put_u16(value);
    }

    /// Four bytes, big endian.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.tail.put_i32(value);
    }

    /// Eight bytes, big endian.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.tail.put_i64(value);
    }

    /// Eight bytes, big endian.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.tail.put_f64(value);
    }

    /// Sixteen bytes, big endian.
    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.tail.put_u128(value.0);
    }

    /// Seven bits a byte, lowest first.
    #[inline]
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.tail.put_u8(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.tail.put_u8(u8::try_from(value).expect("seven bits"));
    }

    fn length(&mut self, length: Option<usize>) {
        let length = length.map(|length| i32::try_from(length).expect("nothing in a frame has more than 2 GiB"));
        match self.format {
            Format::Fixed => self.i32(length.unwrap_or(-1)),
            Format::Compact => self.unsigned_varint(length.map_or(0, |length| length.unsigned_abs() + 1)),
        }
    }

    /// A string, cut at a character after 32767 bytes.
    pub fn string(&mut self, value: &str) {
        let mut end = value.len().min(STRING_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let length = u16::try_from(end).expect("cut above");
        match self.format {
            Format::Fixed => self.u16(length),
            Format::Compact => self.unsigned_varint(u32::from(length) + 1),
        }
        self.tail.put_slice(&value.as_bytes()[..end]);
    }

    /// A string, or null.
    #[inline]
    pub fn nullable_string(&mut self, value: Option<&Text>) {
        match (value, self.format) {
            (Some(value), _) => self.string(value),
            (None, Format::Fixed) => self.i16(-1),
            (None, Format::Compact) => self.unsigned_varint(0),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, value: &Bytes) {
        self.length(Some(value.len()));
        self.slice(value);
    }

    /// Bytes, or null.
    #[inline]
    pub fn nullable_bytes(&mut self, value: Option<&Bytes>) {
        match value {
            Some(value) => self.bytes(value),
            None => self.length(None),
        }
    }

    /// Records, each slice of theirs as it is.
    pub fn records(&mut self, value: &Records) {
        self.length(Some(value.len()));
        for slice in value.slices() {
            self.slice(slice);
        }
    }

    /// Records, or null.
    #[inline]
    pub fn nullable_records(&mut self, value: Option<&Records>) {
        match value {
            Some(value) => self.records(value),
            None => self.length(None),
        }
    }

    fn slice(&mut self, value: &Bytes) {
        if value.len() < SLICE_BYTES_MIN {
            self.tail.put_slice(value);
            return;
        }
        if !self.tail.is_empty() {
            self.slices.push(self.tail.split().freeze());
        }
        self.slices.push(value.clone());
    }

    /// Bytes with an int16 length in every format, or null: the client id. Cut after 32767 bytes.
    pub(super) fn short_bytes(&mut self, value: Option<&Bytes>) {
        let Some(value) = value else { return self.i16(-1) };
        let end = value.len().min(STRING_BYTES_MAX);
        self.u16(u16::try_from(end).expect("cut above"));
        self.tail.put_slice(&value[..end]);
    }

    /// An array.
    pub fn array<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Writer, &T)) {
        self.length(Some(elements.len()));
        for one in elements {
            element(self, one);
        }
    }

    /// An array, or null.
    #[inline]
    pub fn nullable_array<T>(&mut self, elements: Option<&[T]>, element: impl FnMut(&mut Writer, &T)) {
        match elements {
            Some(elements) => self.array(elements, element),
            None => self.length(None),
        }
    }

    /// A struct behind the byte that says whether it is there.
    #[inline]
    pub fn nullable_struct<T>(&mut self, value: Option<&T>, body: impl FnOnce(&mut Writer, &T)) {
        match value {
            Some(value) => {
                self.i8(1);
                body(self, value);
            }
            None => self.i8(-1),
        }
    }

    /// A tagged field: its number, its size, its value. Written aside first, since the size stands before the value.
    pub fn tagged(&mut self, tag: u32, body: impl FnOnce(&mut Writer)) {
        let mut aside = Writer { slices: Vec::new(), tail: BytesMut::new(), format: self.format };
        body(&mut aside);
        let value = aside.finish();
        let size: usize = value.iter().map(Bytes::len).sum();
        self.unsigned_varint(tag);
        self.unsigned_varint(u32::try_from(size).expect("nothing in a frame has more than 2 GiB"));
        for slice in &value {
            self.slice(slice);
        }
    }
}
