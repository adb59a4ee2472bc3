//! Splits a byte stream into frames: a four-byte size, then that many bytes.
//!
//! Knows nothing of what is in a frame. Sans-IO: the caller reads into [`FrameBuffer::space`] and takes frames out.
//! - a size is believed only as far as bytes arrive: a large frame's buffer grows with it, so a claim costs nothing;
//! - every frame is the only owner of its memory, so that records can be patched in place later;
//! - a stream of frames of one size is not copied: the next frame is expected to be as large as the last one, and is read into a buffer
//!   that it fills;
//! - memory held ≤ 2 × (bytes received and not taken) + [`FRAME_BYTES_FIRST`] + [`READ_BYTES`], and nothing after [`FrameBuffer::rest`] between frames.
//!
//! ```text
//! | 0..4 size, signed, big-endian (Kafka) or little-endian (peers) | 4..4+size the frame |
//! ```

use crate::limits::{FRAME_BYTES_FIRST, READ_BYTES};
use bytes::{Buf, BytesMut};

/// Bytes of the size field.
pub const SIZE_BYTES: usize = 4;
/// From here on a frame that fills the read buffer exactly is handed out with it, and the next one is expected to be as large; smaller ones
/// are read many at once and copied out, which is cheaper than a read and a buffer for each.
const TAKE_BYTES_MIN: usize = 8 * 1024;

/// Byte order of the size field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SizeOrder {
    /// Kafka's.
    Big,
    /// Our own, between brokers.
    Little,
}

/// A size that no honest sender writes: the stream can't be split any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadSize(pub i32);

/// Bytes received and not yet taken.
#[derive(Debug)]
pub struct FrameBuffer {
    order: SizeOrder,
    bytes_max: usize,
    /// Holds small frames and the start of every frame.
    small: BytesMut,
    /// A frame too large for it, without its size field, and its size.
    large: Option<(BytesMut, usize)>,
    /// Bytes that the next frame takes with its size field, if it is like the last one; 0 for small ones.
    expected: usize,
}

impl FrameBuffer {
    /// For frames of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(order: SizeOrder, bytes_max: usize) -> FrameBuffer {
        FrameBuffer { order, bytes_max, small: BytesMut::new(), large: None, expected: 0 }
    }

    /// Allows frames of another size from the next size field on.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Where the next bytes of the stream go: has spare capacity.
    pub fn space(&mut self) -> &mut BytesMut {
        if let Some((frame, size)) = &mut self.large {
            let missing = size.saturating_sub(frame.len()).max(1);
            if frame.capacity() == frame.len() {
                frame.reserve(missing.min(frame.len().max(FRAME_BYTES_FIRST)));
            }
            frame
        } else {
            let spare = self.small.capacity() - self.small.len();
            if self.expected > self.small.len() {
                // What is left of an earlier, larger buffer would catch the start of the frame behind the expected one.
                if self.small.capacity() != self.expected {
                    let mut exact = BytesMut::with_capacity(self.expected);
                    exact.extend_from_slice(&self.small);
                    self.small = exact;
                }
            } else if spare < READ_BYTES / 4 {
                self.small.reserve(READ_BYTES);
            }
            &mut self.small
        }
    }

    /// Gives the memory back that only waits for bytes; [`FrameBuffer::space`] takes some again.
    pub fn rest(&mut self) {
        if !self.is_inside_frame() {
            (self.small, self.expected) = (BytesMut::new(), 0);
        }
    }

    /// Bytes of memory that are held, filled or not.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.small.capacity() + self.large.as_ref().map_or(0, |(frame, _)| frame.capacity())
    }

    /// Whether a frame has begun and is not whole.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        self.large.is_some() || !self.small.is_empty()
    }

    /// Bytes that are here or were announced: what is read, and the rest of the frame whose size is known.
    #[must_use]
    pub fn claimed_bytes(&self) -> usize {
        match &self.large {
            Some((frame, size)) => frame.len().max(*size),
            None => self.small.len().max(self.claimed_size().and_then(Result::ok).map_or(0, |size| SIZE_BYTES + size)),
        }
    }

    /// Whether the size of a frame is known that is not whole.
    #[must_use]
    pub fn has_claimed(&self) -> bool {
        self.large.is_some() || matches!(self.claimed_size(), Some(Ok(_)))
    }

    fn claimed_size(&self) -> Option<Result<usize, BadSize>> {
        let field = self.small.first_chunk::<SIZE_BYTES>()?;
        let claimed = match self.order {
            SizeOrder::Big => i32::from_be_bytes(*field),
            SizeOrder::Little => i32::from_le_bytes(*field),
        };
        Some(usize::try_from(claimed).ok().filter(|size| *size <= self.bytes_max).ok_or(BadSize(claimed)))
    }

    /// The next whole frame without its size field; `None` until more bytes came.
    ///
    /// # Errors
    /// A size outside `0..=bytes_max`; the stream is of no further use.
    pub fn next_frame(&mut self) -> Result<Option<BytesMut>, BadSize> {
        if let Some((frame, size)) = self.large.take() {
            if frame.len() < size {
                self.large = Some((frame, size));
                return Ok(None);
            }
            return Ok(Some(self.finish_large(frame, size)));
        }
        let Some(size) = self.claimed_size().transpose()? else { return Ok(None) };
        let end = SIZE_BYTES + size;
        if self.small.len() < end {
            if end > READ_BYTES {
                self.start_large(size);
            } else {
                self.expected = if size >= TAKE_BYTES_MIN { end } else { 0 };
            }
            return Ok(None);
        }
        self.expected = if size >= TAKE_BYTES_MIN { end } else { 0 };
        if self.small.len() == end && size >= TAKE_BYTES_MIN {
            let mut frame = std::mem::take(&mut self.small);
            frame.advance(SIZE_BYTES);
            return Ok(Some(frame));
        }
        let frame = BytesMut::from(&self.small[SIZE_BYTES..end]);
        self.small.advance(end);
        Ok(Some(frame))
    }

    fn start_large(&mut self, size: usize) {
        self.expected = 0;
        let mut frame = BytesMut::with_capacity(size.min(FRAME_BYTES_FIRST));
        frame.extend_from_slice(&self.small[SIZE_BYTES..]);
        self.small.clear();
        self.large = Some((frame, size));
    }

    /// A large frame's buffer may have caught the start of the next frame.
    fn finish_large(&mut self, mut frame: BytesMut, size: usize) -> BytesMut {
        self.small.extend_from_slice(&frame[size..]);
        frame.truncate(size);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    #[test]
    fn who_rests_holds_nothing_and_loses_nothing() {
        let mut buffer = FrameBuffer::new(SizeOrder::Big, 100_000);
        assert!(buffer.space().capacity() >= READ_BYTES);
        assert!((READ_BYTES..2 * READ_BYTES).contains(&buffer.held_bytes()));
        buffer.rest();
        assert_eq!(buffer.held_bytes(), 0);
        assert_eq!(feed(&mut buffer, b"\0\0\0\x02ab\0\0\0\x02c"), [&b"ab"[..]]);
        buffer.rest();
        assert_eq!(feed(&mut buffer, b"d"), [&b"cd"[..]], "a frame that has begun is kept");
        let expected: Vec<u8> = [&10_000_u32.to_be_bytes()[..], &[7; 10_000]].concat();
        assert_eq!(feed(&mut buffer, &expected).len(), 1);
        buffer.space();
        assert!(buffer.held_bytes() > 10_000);
        buffer.rest();
        assert_eq!(buffer.held_bytes(), 0, "the next frame may be long in coming");
        assert_eq!(feed(&mut buffer, &expected).len(), 1);
    }

    fn feed(buffer: &mut FrameBuffer, mut bytes: &[u8]) -> Vec<BytesMut> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let space = buffer.space();
            let count = bytes.len().min(space.capacity() - space.len());
            assert!(count > 0, "there is always space");
            space.put_slice(&bytes[..count]);
            bytes = &bytes[count..];
            while let Some(frame) = buffer.next_frame().expect("the sizes are fine") {
                frames.push(frame);
            }
        }
        frames
    }

    fn frame(size: usize, fill: u8) -> Vec<u8> {
        let mut bytes = u32::try_from(size).expect("small").to_be_bytes().to_vec();
        bytes.resize(SIZE_BYTES + size, fill);
        bytes
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_frames() {
        let sizes = [0, 1, 5, 4000, 16_384, 70_000, 3, 300_000, 65_532, 65_533, 2];
        let mut stream = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            stream.extend(frame(*size, u8::try_from(number).expect("few")));
        }
        for chunk in [1, 7, 1000, 65_536, 100_000, stream.len()] {
            let mut buffer = FrameBuffer::new(SizeOrder::Big, 1 << 20);
            let mut frames = Vec::new();
            for part in stream.chunks(chunk) {
                frames.extend(feed(&mut buffer, part));
            }
            assert_eq!(frames.iter().map(BytesMut::len).collect::<Vec<_>>(), sizes, "chunk {chunk}");
            for (number, frame) in frames.iter().enumerate() {
                assert!(frame.iter().all(|byte| usize::from(*byte) == number), "chunk {chunk}, frame {number}");
            }
            assert!(!buffer.is_inside_frame());
        }
    }

    #[test]
    fn frames_of_one_size_stay_where_they_were_read() {
        let mut buffer = FrameBuffer::new(SizeOrder::Big, 1 << 20);
        let stream: Vec<u8> = (0..6).flat_map(|fill| frame(16_500, fill)).collect();
        let mut rest = stream.as_slice();
        let (mut read_at, mut taken_at) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let space = buffer.space();
            if space.is_empty() {
                read_at.push(space.as_ptr().addr());
            }
            // Now and then a part of a frame arrives alone.
            let count =
                rest.len().min(space.capacity() - space.len()).min(if rest.len().is_multiple_of(3) { 9_000 } else { usize::MAX });
            space.put_slice(&rest[..count]);
            rest = &rest[count..];
            while let Some(frame) = buffer.next_frame().expect("the sizes are fine") {
                taken_at.push((frame.as_ptr().addr(), frame));
            }
        }
        assert_eq!(taken_at.len(), 6);
        let copied = taken_at.iter().filter(|(at, _)| !read_at.contains(&(at - SIZE_BYTES))).count();
        assert!(copied <= 3, "only those of the first read, when nothing was known of their size: {copied}");
    }

    #[test]
    fn every_frame_owns_its_memory_alone() {
        let mut buffer = FrameBuffer::new(SizeOrder::Big, 1 << 20);
        let mut stream = frame(40_000, 1);
        stream.extend(frame(20_000, 2));
        stream.extend(frame(200_000, 3));
        stream.extend(frame(10, 4));
        let frames = feed(&mut buffer, &stream);
        assert_eq!(frames.len(), 4);
        for frame in frames {
            assert!(frame.freeze().try_into_mut().is_ok());
        }
    }

    #[test]
    fn a_claimed_size_allocates_nothing_before_bytes_come() {
        let mut buffer = FrameBuffer::new(SizeOrder::Big, 100 << 20);
        assert!(feed(&mut buffer, &(100_u32 << 20).to_be_bytes()).is_empty());
        assert!(buffer.space().capacity() <= FRAME_BYTES_FIRST);
        assert!(feed(&mut buffer, &vec![0; 1 << 20]).is_empty());
        assert!(buffer.space().capacity() <= 4 << 20);
    }

    #[test]
    fn a_claim_is_known_as_soon_as_the_size_is() {
        let mut buffer = FrameBuffer::new(SizeOrder::Big, 100 << 20);
        let stream = frame(200_000, 1);
        assert!(feed(&mut buffer, &stream[..3]).is_empty());
        assert_eq!((buffer.claimed_bytes(), buffer.has_claimed()), (3, false));
        assert!(feed(&mut buffer, &stream[3..10]).is_empty());
        assert_eq!((buffer.claimed_bytes(), buffer.has_claimed()), (200_000, true));
        assert_eq!(feed(&mut buffer, &stream[10..]).len(), 1);
        assert_eq!((buffer.claimed_bytes(), buffer.has_claimed()), (0, false));
    }

    #[test]
    fn sizes_below_zero_and_above_the_bound_end_the_stream() {
        for size in [-1, i32::MIN, 1001, i32::MAX] {
            let mut buffer = FrameBuffer::new(SizeOrder::Big, 1000);
            buffer.space().put_slice(&size.to_be_bytes());
            assert_eq!(buffer.next_frame(), Err(BadSize(size)));
        }
    }
}
