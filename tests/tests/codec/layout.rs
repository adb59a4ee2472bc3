//! Writes random messages straight from the layout files, without generated code: a second, slower reading of the same facts.
//!
//! What it writes is canonical (tagged fields ascending and only when not default, nothing unknown), so a codec that reads it must
//! write the same bytes again.

#[path = "../../../core/protocol/build/parse.rs"]
#[allow(dead_code, reason = "the generator uses the rest")]
#[allow(missing_docs, clippy::wildcard_enum_match_arm)]
pub mod parse;

use ottla_core::protocol::{ApiKey, Bytes};
use ottla_core::random::Random;
use ottla_tests::tidy::tree::root;
use parse::{Api, Field, Kind};

/// The layouts of all APIs.
pub fn apis() -> Vec<Api> {
    parse::read_directory(&root().join("core/protocol/layouts")).apis
}

/// The layouts of what is stored inside records.
pub fn stored() -> Vec<parse::Stored> {
    parse::read_directory(&root().join("core/protocol/layouts")).stored
}

/// A random value of one version of what is stored inside a record.
pub fn random_stored(stored: &parse::Stored, version: i16, random: &mut Random) -> Bytes {
    let is_flexible = stored.flexible.is_some_and(|first| version >= first);
    let mut body = Body { bytes: Vec::new(), version, is_flexible, random, words: &Words::default() };
    body.fields(&stored.fields, 0);
    body.bytes.into()
}

/// Which half of an API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Request,
    Response,
}

/// Values that mean something to whoever reads a message; where there are none of a kind they are made up.
#[derive(Debug, Default)]
pub struct Words {
    pub strings: Vec<String>,
    pub ids: Vec<u128>,
    pub records: Vec<Bytes>,
    /// Every other number is from -2 to 5.
    pub are_numbers_small: bool,
    /// Elements of the arrays that are in no other array; strings are all different then.
    pub elements: Option<u64>,
}

/// A random body of one version.
pub fn random_body(api: &Api, side: Side, version: i16, random: &mut Random) -> Bytes {
    body_of(api, side, version, random, &Words::default())
}

/// A random body of one version in which some values mean something.
pub fn body_of(api: &Api, side: Side, version: i16, random: &mut Random, words: &Words) -> Bytes {
    let fields = match side {
        Side::Request => &api.request,
        Side::Response => &api.response,
    };
    let is_flexible = api.flexible.is_some_and(|first| version >= first);
    let mut body = Body { bytes: Vec::new(), version, is_flexible, random, words };
    body.fields(fields, 0);
    body.bytes.into()
}

/// The enum variant of a layout.
pub fn key(api: &Api) -> ApiKey {
    ApiKey::from_code(api.key).expect("keys are generated from the same files")
}

struct Body<'a> {
    bytes: Vec<u8>,
    version: i16,
    is_flexible: bool,
    random: &'a mut Random,
    words: &'a Words,
}

impl Body<'_> {
    fn fields(&mut self, fields: &[Field], depth: u64) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(version)) {
            let may_be_null = field.nullable.is_some_and(|nullable| nullable.contains(self.version));
            if may_be_null && self.words.elements.is_none() && self.random.chance(1, 3) {
                self.null(field);
            } else {
                self.field(field, may_be_null, depth, 0);
            }
        }
        if !self.is_flexible {
            return;
        }
        let mut tagged: Vec<&Field> =
            fields.iter().filter(|field| field.tag.is_some() && field.versions.contains(self.version)).collect();
        tagged.retain(|_| self.random.chance(1, 2));
        tagged.sort_by_key(|field| field.tag);
        self.varint(tagged.len() as u64);
        for field in tagged {
            let may_be_null = field.nullable.is_some_and(|nullable| nullable.contains(self.version));
            let before = std::mem::take(&mut self.bytes);
            // One element at least, so that the value is never the default.
            self.field(field, may_be_null, depth, 1);
            let value = std::mem::replace(&mut self.bytes, before);
            self.varint(u64::from(field.tag.expect("filtered")));
            self.varint(value.len() as u64);
            self.bytes.extend_from_slice(&value);
        }
    }

    fn null(&mut self, field: &Field) {
        if field.kind == Kind::Struct && !field.is_array {
            self.bytes.push(0xff);
        } else if self.is_flexible {
            self.bytes.push(0);
        } else if field.kind == Kind::String && !field.is_array {
            self.bytes.extend_from_slice(&[0xff; 2]);
        } else {
            self.bytes.extend_from_slice(&[0xff; 4]);
        }
    }

    fn field(&mut self, field: &Field, may_be_null: bool, depth: u64, elements_min: u64) {
        if field.is_array {
            let elements = match self.words.elements.filter(|_| depth == 0) {
                Some(elements) => elements,
                None => self.random.between(elements_min, (4 - depth.min(3)).max(elements_min)),
            };
            self.length(elements, 4);
            for _ in 0..elements {
                self.value(field, depth);
            }
        } else {
            if field.kind == Kind::Struct && may_be_null {
                self.bytes.push(1);
            }
            self.value(field, depth);
        }
    }

    /// One of `words`, mostly.
    fn word<'w, W>(&mut self, words: &'w [W]) -> Option<&'w W> {
        if words.is_empty() || self.random.chance(1, 8) {
            return None;
        }
        words.get(self.random.below(words.len() as u64) as usize)
    }

    fn small_number(&mut self, width: usize) -> Option<(Vec<u8>, usize)> {
        if !self.words.are_numbers_small || self.random.chance(1, 2) {
            return None;
        }
        let number = self.random.below(8) as i64 - 2;
        Some((number.to_be_bytes()[8 - width..].to_vec(), 0))
    }

    /// Writes a value that means something, if there is one of its kind.
    fn known_value(&mut self, field: &Field) -> bool {
        let words = self.words;
        let bytes = match field.kind {
            Kind::String if self.words.elements.is_some() => {
                let number = self.random.bits();
                Some((format!("n{number:x}").into_bytes(), 2))
            }
            Kind::String => self.word(&words.strings).map(|word| (word.as_bytes().to_vec(), 2)),
            Kind::Records => self.word(&words.records).map(|word| (word.to_vec(), 4)),
            Kind::Uuid => self.word(&words.ids).map(|id| (id.to_be_bytes().to_vec(), 0)),
            Kind::Int8 => self.small_number(1),
            Kind::Int16 => self.small_number(2),
            Kind::Int32 => self.small_number(4),
            Kind::Int64 => self.small_number(8),
            Kind::Boolean | Kind::Uint16 | Kind::Float64 | Kind::Bytes | Kind::Struct => None,
        };
        let Some((bytes, length_bytes)) = bytes else { return false };
        if length_bytes > 0 {
            self.length(bytes.len() as u64, length_bytes);
        }
        self.bytes.extend_from_slice(&bytes);
        true
    }

    /// Numbers are never 0, -1 or the largest, which are the defaults.
    fn value(&mut self, field: &Field, depth: u64) {
        if self.known_value(field) {
            return;
        }
        let number = self.random.bits().clamp(5, u64::MAX - 5);
        match field.kind {
            // The only boolean that is tagged has the default false.
            Kind::Boolean => {
                let value = field.tag.is_some() || number.is_multiple_of(2);
                self.bytes.push(u8::from(value));
            }
            Kind::Int8 => self.bytes.push((number % 100 + 5) as u8),
            Kind::Int16 | Kind::Uint16 => self.bytes.extend_from_slice(&((number % 30_000 + 5) as u16).to_be_bytes()),
            Kind::Int32 => self.bytes.extend_from_slice(&((number >> 33) as u32 | 4).saturating_sub(3).to_be_bytes()),
            Kind::Int64 => self.bytes.extend_from_slice(&((number >> 2) | 4).to_be_bytes()),
            Kind::Float64 => self.bytes.extend_from_slice(&(number as f64 / 3.0).to_be_bytes()),
            Kind::Uuid => self.bytes.extend_from_slice(&self.random.id128().to_be_bytes()),
            Kind::String => {
                let letters: String = (0..self.random.between(1, 12))
                    .map(|_| ['a', 'z', '.', 'ß', '日', '🌊'][self.random.below(6) as usize])
                    .collect();
                self.length(letters.len() as u64, 2);
                self.bytes.extend_from_slice(letters.as_bytes());
            }
            Kind::Bytes | Kind::Records => {
                let length = if self.random.chance(1, 8) { self.random.between(500, 2000) } else { self.random.between(0, 40) };
                self.length(length, 4);
                let filler = number as u8;
                self.bytes.extend((0..length).map(|at| filler.wrapping_add(at as u8)));
            }
            Kind::Struct => self.fields(&field.fields, depth + 1),
        }
    }

    fn length(&mut self, length: u64, fixed_bytes: usize) {
        if self.is_flexible {
            self.varint(length + 1);
        } else {
            self.bytes.extend_from_slice(&length.to_be_bytes()[8 - fixed_bytes..]);
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}
