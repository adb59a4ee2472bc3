//! Bounded reading and writing of the controller's own binary formats.
//!
//! Integers are little-endian; a text is its length in bytes (u16) and UTF-8; a list is its length (u32) and its items. A reader never
//! allocates more than the bytes it was given can hold, and answers `None` for anything cut, overlong or not UTF-8.

/// Appends to a byte vector.
#[derive(Debug, Default)]
pub(super) struct ByteWriter(pub(super) Vec<u8>);

impl ByteWriter {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn i16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(super) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }
    /// Kafka's strings are at most 32767 bytes long, longer ones are cut at a character.
    pub(super) fn text(&mut self, value: &str) {
        let mut length = value.len().min(usize::from(u16::MAX));
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        self.u16(u16::try_from(length).expect("at most u16::MAX"));
        self.0.extend_from_slice(&value.as_bytes()[..length]);
    }
    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
    pub(super) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.0.extend_from_slice(&u32::try_from(items.len()).expect("lists of one request").to_le_bytes());
        for item in items {
            write(self, item);
        }
    }
}

/// Reads from the front of a byte slice.
#[derive(Debug)]
pub(super) struct ByteReader<'a>(pub(super) &'a [u8]);

impl ByteReader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }
    pub(super) fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_le_bytes)
    }
    pub(super) fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
    pub(super) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }
    pub(super) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(head).ok().map(str::to_string)
    }
    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Some(None) }
    }
    /// Every item takes at least `item_bytes_min` bytes, so that a lying length is found before anything is allocated.
    pub(super) fn list<T>(&mut self, item_bytes_min: usize, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = usize::try_from(self.take().map(u32::from_le_bytes)?).ok()?;
        if length > self.0.len() / item_bytes_min.max(1) {
            return None;
        }
        (0..length).map(|_| read(self)).collect()
    }
    /// Nothing may follow.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
