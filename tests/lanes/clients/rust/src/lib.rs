//! The rule of `../README.md`: what each producer writes, and the digest of what a consumer read.

use sha2::{Digest as _, Sha256};

pub const PARTITIONS: i32 = 3;
pub const RECORDS: usize = 2000;

pub type Bytes = Vec<u8>;

/// Keys, values and values of headers are null as `None`.
pub struct Record {
    pub partition: i32,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(&'static str, Option<Bytes>)>,
}

/// What the program is asked for.
pub enum Job {
    Produce(Produce),
    Consume { bootstrap: String, topics: Vec<String> },
}

pub struct Produce {
    pub bootstrap: String,
    pub topic: String,
    pub client: String,
    pub codecs: Vec<String>,
    pub time: i64,
    pub without: String,
}

impl Job {
    /// # Panics
    /// When the arguments are not those of the README.
    pub fn from_arguments() -> Job {
        let words: Vec<String> = std::env::args().skip(1).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["produce", bootstrap, topic, client, codecs, time, without] => Job::Produce(Produce {
                bootstrap: bootstrap.into(),
                topic: topic.into(),
                client: client.into(),
                codecs: codecs.split(',').map(String::from).collect(),
                time: time.parse().expect("TIME is a number"),
                without: without.into(),
            }),
            ["consume", bootstrap, ref topics @ ..] => {
                Job::Consume { bootstrap: bootstrap.into(), topics: topics.iter().map(|t| String::from(*t)).collect() }
            }
            _ => panic!("unknown arguments {words:?}"),
        }
    }
}

impl Produce {
    pub fn record(&self, codec: &str, n: usize) -> Record {
        let lacks = |kind: &str| self.without.contains(kind);
        let key = match n % 4 {
            0 => None,
            1 => Some(vec![]),
            2 => Some(format!("{}-{n}", self.client).into_bytes()),
            _ => Some(vec![0, 255, low_byte(n >> 8), low_byte(n)]),
        };
        let value = match n % 7 {
            0 => (key.is_none() && lacks("null-null")).then(Vec::new),
            1 => Some(vec![]),
            2 => Some(format!("{} {codec} {n}", self.client).into_bytes()),
            _ => {
                let length = if n % 1000 == 999 { 100_000 } else { 37 * n % 300 };
                Some((0..length).map(|i| low_byte(31 * n + i * i + (i >> 8))).collect())
            }
        };
        let headers = match n % 5 {
            1 => vec![("client", Some(self.client.clone().into_bytes()))],
            2 if !lacks("repeated") => vec![("h", Some(b"1".to_vec())), ("h", Some(vec![])), ("h", Some(b"2".to_vec()))],
            3 if !lacks("null-header") => vec![("null", None), ("after", Some(b"x".to_vec()))],
            4 => vec![("ключ", Some(vec![0, 255]))],
            _ => vec![],
        };
        let number = i64::try_from(n).expect("n is small");
        Record {
            partition: i32::try_from(n).expect("n is small") % PARTITIONS,
            timestamp: self.time + number,
            key,
            value,
            headers,
        }
    }
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

/// What a consumer prints of one partition.
#[derive(Default)]
pub struct Digest {
    pub count: i64,
    sha: Sha256,
}

impl Digest {
    pub fn add<'a>(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) {
        self.count += 1;
        self.sha.update(offset.to_be_bytes());
        self.sha.update(timestamp.to_be_bytes());
        self.sized(key);
        self.sized(value);
        self.sha.update(u32::try_from(headers.len()).expect("headers are few").to_be_bytes());
        for (name, value) in headers {
            self.sized(Some(name.as_bytes()));
            self.sized(value);
        }
    }

    fn sized(&mut self, data: Option<&[u8]>) {
        let length = data.map_or(-1, |data| i32::try_from(data.len()).expect("records are small"));
        self.sha.update(length.to_be_bytes());
        self.sha.update(data.unwrap_or_default());
    }

    pub fn print(self, topic: &str, partition: i32) {
        let hex: String = self.sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{topic} {partition} {} {hex}", self.count);
    }
}
