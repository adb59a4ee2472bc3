//! Reads the layout files of `core/protocol/layouts/`: a header line per message, then one line per field, nested by indentation.
//!
//! Deliberately does not know Rust: it is also the input of the codec tests, which interpret layouts without generated code.
//! A line that is not understood ends the build; nothing is guessed. Format: see the first lines of any file there, and
//! `core/protocol/README.md`.

use std::path::Path;

/// Both ends are included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

/// Type of a field, or of one element if the field is an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Boolean,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct,
}

/// One line below `request` or `response`.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub is_array: bool,
    pub kind: Kind,
    /// Versions that have the field.
    pub versions: Versions,
    /// Versions in which it may be null.
    pub nullable: Option<Versions>,
    /// Number, if it is a tagged field.
    pub tag: Option<u32>,
    /// Default as written, if it is not zero, empty or false.
    pub default: Option<String>,
    /// Fields of a struct, in wire order.
    pub fields: Vec<Field>,
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct Api {
    pub name: String,
    pub key: i16,
    pub versions: Versions,
    /// Newest version that Kafka offers by default, if it is not the last.
    pub newest_stable: Option<i16>,
    /// First flexible version.
    pub flexible: Option<i16>,
    pub is_on_broker_listener: bool,
    pub request: Vec<Field>,
    pub response: Vec<Field>,
}

/// What coordinators, consumers and control batches store inside records.
#[derive(Clone, Debug)]
pub struct Stored {
    pub name: String,
    pub versions: Versions,
    pub flexible: Option<i16>,
    pub fields: Vec<Field>,
}

/// Everything in the directory.
#[derive(Debug, Default)]
pub struct Layouts {
    /// In the order of their keys.
    pub apis: Vec<Api>,
    /// In the order of the file.
    pub stored: Vec<Stored>,
}

/// Reads every `NN-Name.txt` and `records.txt`.
#[allow(clippy::disallowed_methods, reason = "layouts are read when the crate is built or tested")]
pub fn read_directory(directory: &Path) -> Layouts {
    let mut layouts = Layouts::default();
    for entry in std::fs::read_dir(directory).expect("the directory of layouts is part of the crate") {
        let path = entry.expect("the directory of layouts can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("layout files have ASCII names").to_owned();
        if !name.ends_with(".txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "records.txt" {
            layouts.stored = parse_stored(&text);
        } else {
            layouts.apis.push(parse_api(&text));
        }
    }
    layouts.apis.sort_by_key(|api| api.key);
    layouts
}

fn parse_api(text: &str) -> Api {
    let mut lines = text.lines();
    let header = lines.next().expect("a layout file has a header");
    let (name, facts) = header.strip_prefix("# ").and_then(|rest| rest.split_once(": ")).expect("header: # Name: facts");
    let fact = |word: &str| facts.split(", ").find_map(|fact| fact.strip_prefix(word)).map(str::trim);
    let versions = parse_range(fact("versions ").expect("header has versions"));
    let body: Vec<&str> = lines.collect();
    let response_at = body.iter().position(|line| *line == "response").expect("a layout file has a response");
    assert_eq!(body[0], "request", "{name}");
    Api {
        name: name.to_owned(),
        key: fact("key ").expect("header has a key").parse().expect("the key is a number"),
        versions,
        newest_stable: fact("newest stable ").map(|version| version.parse().expect("newest stable is a number")),
        flexible: parse_flexible(fact("flexible ").expect("header has flexible")),
        is_on_broker_listener: facts.contains("[broker"),
        request: parse_fields(&body[1..response_at], 1, versions).0,
        response: parse_fields(&body[response_at + 1..], 1, versions).0,
    }
}

fn parse_stored(text: &str) -> Vec<Stored> {
    let lines: Vec<&str> = text.lines().collect();
    let mut stored = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let header = lines[at].strip_prefix("# ").unwrap_or_else(|| panic!("records.txt: expected a header: {}", lines[at]));
        let mut facts = header.split(", ");
        let name = facts.next().expect("a header starts with the name").to_owned();
        let fact = |word: &str| header.split(", ").find_map(|fact| fact.strip_prefix(word)).expect("header has the fact");
        let versions = parse_range(fact("versions "));
        let end = (at + 1..lines.len()).find(|line| lines[*line].starts_with('#')).unwrap_or(lines.len());
        let fields = parse_fields(&lines[at + 1..end], 1, versions).0;
        stored.push(Stored { name, versions, flexible: parse_flexible(fact("flexible ")), fields });
        at = end;
    }
    stored
}

fn parse_flexible(text: &str) -> Option<i16> {
    text.strip_suffix('+').map(|version| version.parse().expect("flexible N+"))
}

/// `N-M`.
fn parse_range(text: &str) -> Versions {
    let (first, last) = text.split_once('-').unwrap_or_else(|| panic!("a range N-M, not {text}"));
    Versions { first: first.parse().expect("a version"), last: last.parse().expect("a version") }
}

/// `N+` or `N-M` or `N`, cut to the versions of the message.
fn parse_versions(text: &str, message: Versions) -> Versions {
    if let Some(first) = text.strip_suffix('+') {
        Versions { first: first.parse().expect("a version"), last: message.last }
    } else if text.contains('-') {
        parse_range(text)
    } else {
        let only = text.parse().unwrap_or_else(|_| panic!("a version, not {text}"));
        Versions { first: only, last: only }
    }
}

/// The fields of one depth, and how many lines they took.
fn parse_fields(lines: &[&str], depth: usize, message: Versions) -> (Vec<Field>, usize) {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let indent = line.len() - line.trim_start().len();
        if indent < 2 * depth {
            break;
        }
        assert_eq!(indent, 2 * depth, "odd indentation: {line}");
        at += 1;
        let mut field = parse_field(line, message);
        if field.kind == Kind::Struct {
            let (below, taken) = parse_fields(&lines[at..], depth + 1, message);
            field.fields = below;
            at += taken;
        }
        fields.push(field);
    }
    (fields, at)
}

fn parse_field(line: &str, message: Versions) -> Field {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a field has a name").to_owned();
    let kind = words.next().unwrap_or_else(|| panic!("{name} has no type"));
    let versions = parse_versions(words.next().unwrap_or_else(|| panic!("{name} has no versions")), message);
    let (is_array, kind) = kind.strip_prefix("[]").map_or((false, kind), |element| (true, element));
    let kind = match kind {
        "boolean" => Kind::Boolean,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "uint16" => Kind::Uint16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        "struct" => Kind::Struct,
        other => panic!("{name}: unknown type {other}"),
    };
    let rest = words.collect::<Vec<_>>().join(" ");
    let fact = |word: &str| rest.split(", ").find_map(|fact| fact.strip_prefix(word));
    Field {
        is_array,
        kind,
        versions,
        nullable: fact("nullable ").map(|text| parse_versions(text, message)),
        tag: fact("tag ").map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a tag, not {text}"))),
        default: fact("default ").map(str::to_owned),
        fields: Vec::new(),
        name,
    }
}

/// The fewest bytes one element of this field takes in any version that has it: bounds what an array length can claim.
pub fn element_bytes_min(field: &Field, flexible: Option<i16>) -> usize {
    (field.versions.first..=field.versions.last)
        .map(|version| element_bytes(field, version, flexible.is_some_and(|first| version >= first)))
        .min()
        .expect("a field exists in some version")
}

fn element_bytes(field: &Field, version: i16, is_flexible: bool) -> usize {
    match field.kind {
        Kind::Boolean | Kind::Int8 => 1,
        Kind::Int16 | Kind::Uint16 => 2,
        Kind::Int32 => 4,
        Kind::Int64 | Kind::Float64 => 8,
        Kind::Uuid => 16,
        Kind::String => {
            if is_flexible {
                1
            } else {
                2
            }
        }
        Kind::Bytes | Kind::Records => {
            if is_flexible {
                1
            } else {
                4
            }
        }
        Kind::Struct => {
            let tags = usize::from(is_flexible);
            let fields = field.fields.iter().filter(|below| below.tag.is_none() && below.versions.contains(version));
            tags + fields.map(|below| field_bytes(below, version, is_flexible)).sum::<usize>()
        }
    }
}

fn field_bytes(field: &Field, version: i16, is_flexible: bool) -> usize {
    if field.is_array {
        return if is_flexible { 1 } else { 4 };
    }
    if field.kind == Kind::Struct && field.nullable.is_some_and(|nullable| nullable.contains(version)) {
        return 1;
    }
    element_bytes(field, version, is_flexible)
}

impl Versions {
    /// Whether the version is one of these.
    pub fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }
    /// Whether every version of the other is one of these.
    pub fn covers(self, other: Versions) -> bool {
        self.first <= other.first && self.last >= other.last
    }
}
