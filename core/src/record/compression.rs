//! The four codecs of record batches, bounded: what a stream claims about its size is never believed.
//!
//! | codec | format | what is accepted beyond it, because Kafka's own broker does |
//! |---|---|---|
//! | gzip | RFC 1952 | several members; anything that is no member after the last one |
//! | snappy | raw block, or xerial: magic `82 "SNAPPY" 00`, two i32, then blocks of i32 length + raw block | the header again between blocks |
//! | lz4 | frame format | anything after the frame |
//! | zstd | RFC 8878 | several frames |
//!
//! Invariants: the output never exceeds `bytes_max` by more than one read of the decoder; nothing is allocated for a claimed size
//! except a snappy block's, which is first compared with what its compressed bytes could give at best, and the window of a zstd
//! frame, which is at most 2^27 bytes.
//!
//! Does not know batches. Source: the formats named above; the xerial framing as written by snappy-java.

use super::batch::Codec;
use crate::limits::COMPRESSION_ZSTD_LEVEL_MAX;
use flate2::bufread::GzDecoder;
use std::borrow::Cow;
use std::io::{Read, Write};

const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, version, lowest compatible version.
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// A snappy copy element turns 3 bytes into at most 64; nothing in the format does better.
const SNAPPY_RATIO_MAX: usize = 22;
/// What zstd's own decoder accepts without being asked; level 22 needs it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const GZIP_MAGIC: &[u8; 2] = &[0x1f, 0x8b];
/// What is allocated first for what a stream gives.
const OUTPUT_BYTES_FIRST: usize = 4 * 1024;

/// Why a compressed body can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionFault {
    /// It is no stream of its codec, or it is cut.
    Undecodable,
    /// It would give more bytes than allowed.
    TooLarge,
}

/// Decompresses at most `bytes_max` bytes; for [`Codec::None`] a copy.
///
/// # Errors
/// See [`CompressionFault`].
pub fn decompress(codec: Codec, data: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionFault> {
    match codec {
        Codec::None if data.len() > bytes_max => Err(CompressionFault::TooLarge),
        Codec::None => Ok(data.to_vec()),
        Codec::Gzip => gunzip(data, bytes_max),
        Codec::Snappy => unsnap(data, bytes_max),
        Codec::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(data), bytes_max),
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(|_| CompressionFault::Undecodable)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| CompressionFault::Undecodable)?;
            read_bounded(decoder, bytes_max)
        }
    }
}

/// The records of a body: borrowed if they are not compressed.
///
/// # Errors
/// See [`CompressionFault`].
pub fn decompress_body(codec: Codec, body: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, CompressionFault> {
    if codec == Codec::None { Ok(Cow::Borrowed(body)) } else { decompress(codec, body, bytes_max).map(Cow::Owned) }
}

/// Compresses a body the way Java clients do (snappy in xerial framing, lz4 in independent blocks).
#[must_use]
pub fn compress(codec: Codec, data: &[u8]) -> Vec<u8> {
    compress_at(codec, None, data)
}

/// The same at a level of gzip (1 to 9) or zstd (above [`COMPRESSION_ZSTD_LEVEL_MAX`] counts as that). `None` and what is no level of the codec
/// are its default; snappy and lz4 have no levels here.
#[must_use]
pub fn compress_at(codec: Codec, level: Option<i32>, data: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    match codec {
        Codec::None => data.to_vec(),
        Codec::Gzip => {
            let level = level.and_then(|level| u32::try_from(level).ok()).filter(|level| (1..=9).contains(level));
            let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(data).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Snappy => {
            let mut out = XERIAL_MAGIC.to_vec();
            out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
            for block in data.chunks(XERIAL_BLOCK_BYTES) {
                let block = snap::raw::Encoder::new().compress_vec(block).expect("32 KiB are not too many for snappy");
                out.extend_from_slice(&u32::try_from(block.len()).expect("a block is small").to_be_bytes());
                out.extend_from_slice(&block);
            }
            out
        }
        Codec::Lz4 => {
            let frame = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(data).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Codec::Zstd => {
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL).min(COMPRESSION_ZSTD_LEVEL_MAX);
            zstd::stream::encode_all(data, level).expect(IN_MEMORY)
        }
    }
}

fn read_bounded(reader: impl Read, bytes_max: usize) -> Result<Vec<u8>, CompressionFault> {
    let mut out = Vec::new();
    read_more(reader, &mut out, bytes_max)?;
    Ok(out)
}

/// Reads to the end. Memory that `out` outgrows is there a second time while it is copied, so it doubles only below half of the bound.
fn read_more(mut reader: impl Read, out: &mut Vec<u8>, bytes_max: usize) -> Result<(), CompressionFault> {
    let whole = bytes_max.saturating_add(1);
    loop {
        if out.len() == out.capacity() {
            let double = (2 * out.len()).max(OUTPUT_BYTES_FIRST);
            let capacity = if double > bytes_max / 2 { whole } else { double };
            out.reserve_exact(capacity - out.len());
        }
        let spare = out.capacity().min(whole) - out.len();
        let read = reader.by_ref().take(u64::try_from(spare).expect("usize fits in 64 bits")).read_to_end(out);
        if out.len() > bytes_max {
            return Err(CompressionFault::TooLarge);
        }
        // Who has come to an end is not asked again: a decoder would look for another frame.
        if read.map_err(|_| CompressionFault::Undecodable)? < spare {
            return Ok(());
        }
    }
}

fn gunzip(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionFault> {
    let mut out = Vec::new();
    let mut rest = data;
    loop {
        let mut member = GzDecoder::new(rest);
        read_more(&mut member, &mut out, bytes_max)?;
        rest = member.into_inner();
        if !rest.starts_with(GZIP_MAGIC) {
            return Ok(out);
        }
    }
}

fn unsnap(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionFault> {
    let mut out = Vec::new();
    if !data.starts_with(XERIAL_MAGIC) {
        unsnap_block(data, &mut out, bytes_max)?;
        return Ok(out);
    }
    let mut rest = data;
    while !rest.is_empty() {
        if rest.starts_with(XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or(CompressionFault::Undecodable)?;
            continue;
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or(CompressionFault::Undecodable)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("32 bits fit in usize");
        let (block, after) = after.split_at_checked(length).ok_or(CompressionFault::Undecodable)?;
        unsnap_block(block, &mut out, bytes_max)?;
        rest = after;
    }
    Ok(out)
}

fn unsnap_block(block: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), CompressionFault> {
    let claimed = snap::raw::decompress_len(block).map_err(|_| CompressionFault::Undecodable)?;
    if claimed > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(CompressionFault::Undecodable);
    }
    if claimed > bytes_max - out.len() {
        return Err(CompressionFault::TooLarge);
    }
    let start = out.len();
    out.resize(start + claimed, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(|_| CompressionFault::Undecodable)?;
    if written == claimed { Ok(()) } else { Err(CompressionFault::Undecodable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let zeros = vec![0; 8 * 1024 * 1024];
        for codec in COMPRESSED {
            let bomb = compress(codec, &zeros);
            assert!(bomb.len() < zeros.len() / 15, "{codec:?} packs zeros well");
            assert_eq!(decompress(codec, &bomb, 100_000), Err(CompressionFault::TooLarge), "{codec:?}");
            assert_eq!(decompress(codec, &bomb, zeros.len() - 1), Err(CompressionFault::TooLarge), "{codec:?}");
            assert_eq!(decompress(codec, &bomb, zeros.len()).map(|out| out.len()), Ok(zeros.len()), "{codec:?}");
        }
    }

    #[test]
    fn what_follows_an_lz4_frame_does_not_count_and_memory_stays_in_bounds() {
        for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
            let mut packed = compress(Codec::Lz4, &vec![7; size]);
            packed.extend_from_slice(b"anything");
            for bytes_max in [size, size + 1, 2 * size + 9, usize::MAX] {
                let out = decompress(Codec::Lz4, &packed, bytes_max).expect("what follows does not count");
                assert_eq!(out.len(), size, "{bytes_max}");
                assert!(out.capacity() <= bytes_max.saturating_add(1).max(OUTPUT_BYTES_FIRST), "{size}: {}", out.capacity());
            }
        }
    }

    #[test]
    fn a_level_counts_where_the_codec_has_some() {
        // Words in an order that repeats late: levels differ in how far they look.
        let words = (0..60_000_u64).map(|n| format!("word-{} ", crate::random::keyed(3, &[n]) % 2000));
        let data: Vec<u8> = words.collect::<String>().into_bytes();
        let at = |codec, level| {
            let packed = compress_at(codec, level, &data);
            assert_eq!(decompress(codec, &packed, data.len()).as_deref(), Ok(&data[..]), "{codec:?} {level:?}");
            packed.len()
        };
        for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Zstd, -50, COMPRESSION_ZSTD_LEVEL_MAX)] {
            assert!(at(codec, Some(low)) > at(codec, Some(high)), "{codec:?}");
        }
        assert_eq!(at(Codec::Gzip, Some(-1)), at(Codec::Gzip, None));
        assert_eq!(at(Codec::Zstd, Some(3)), at(Codec::Zstd, None));
        assert_eq!(at(Codec::Zstd, Some(22)), at(Codec::Zstd, Some(COMPRESSION_ZSTD_LEVEL_MAX)));
        assert_eq!((at(Codec::Lz4, Some(17)), at(Codec::Snappy, Some(1))), (at(Codec::Lz4, None), at(Codec::Snappy, None)));
    }

    #[test]
    fn a_snappy_block_may_not_claim_what_it_cannot_hold() {
        // Claims 4 GiB - 1 in five bytes.
        assert_eq!(decompress(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0], usize::MAX), Err(CompressionFault::Undecodable));
    }

    #[test]
    fn snappy_comes_raw_and_framed() {
        let data = b"records records records".repeat(5000);
        let raw = snap::raw::Encoder::new().compress_vec(&data).expect("small");
        assert_eq!(decompress(Codec::Snappy, &raw, data.len()).as_deref(), Ok(&data[..]));
        let framed = compress(Codec::Snappy, &data);
        assert!(framed.starts_with(XERIAL_MAGIC) && data.len() > 3 * XERIAL_BLOCK_BYTES, "several blocks");
        assert_eq!(decompress(Codec::Snappy, &framed, data.len()).as_deref(), Ok(&data[..]));
        let twice = [framed.clone(), framed.clone()].concat();
        assert_eq!(decompress(Codec::Snappy, &twice, usize::MAX).map(|out| out.len()), Ok(2 * data.len()));
        assert_eq!(decompress(Codec::Snappy, &framed[..framed.len() - 1], usize::MAX), Err(CompressionFault::Undecodable));
    }

    #[test]
    fn gzip_members_add_up_and_a_cut_one_is_a_fault() {
        let two = [compress(Codec::Gzip, b"ab"), compress(Codec::Gzip, b"cd")].concat();
        assert_eq!(decompress(Codec::Gzip, &two, 10).as_deref(), Ok(&b"abcd"[..]));
        assert_eq!(decompress(Codec::Gzip, &two, 3), Err(CompressionFault::TooLarge));
        assert_eq!(decompress(Codec::Gzip, &two[..two.len() - 12], 10), Err(CompressionFault::Undecodable));
    }

    proptest! {
        #[test]
        fn every_codec_gives_back_what_it_got(data in proptest::collection::vec(any::<u8>(), 0..5000), codec in 0usize..5) {
            let codec = Codec::ALL[codec];
            prop_assert_eq!(decompress(codec, &compress(codec, &data), data.len()), Ok(data));
        }

        #[test]
        fn random_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..300), codec in 0usize..5, real: bool, at: usize) {
            let codec = Codec::ALL[codec];
            let mut data = if real { compress(codec, &data) } else { data };
            if let Some(byte) = at.checked_rem(data.len()).and_then(|at| data.get_mut(at)) {
                *byte = byte.wrapping_add(1);
            }
            let _ = decompress(codec, &data, 1000).map(|out| assert!(out.len() <= 1000));
        }
    }
}
