//! `ottla bench null`: the ceiling. A server that looks like one broker to a producer and does as little as it is told to.
//!
//! Blocking, one thread per connection, no checks of what it is sent: only for measuring, only on loopback.

use super::super::output::{Format, Report, Section};
use super::super::{Failed, Print, print};
use bytes::Bytes;
use ottla_core::protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse, response as spoken};
use ottla_core::protocol::messages::metadata::{MetadataRequest, MetadataResponse, response as metadata};
use ottla_core::protocol::messages::produce::{ProduceRequest, ProduceResponse, response as produce};
use ottla_core::protocol::{ApiKey, Reader, RequestHeader, encode_response};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// The file grows as a log does, since new pages are what a log costs the kernel; after so many bytes it is begun anew, empty.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 18;

/// What is done with a produce request before it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Mode {
    /// Nothing.
    Discard,
    /// It is written to a file: the page cache.
    PageCache,
    /// It is written to a file and fsynced, with what other connections wrote meanwhile.
    Durable,
}

/// A server that does next to nothing.
#[derive(Debug, clap::Args)]
pub struct Null {
    /// What it does.
    #[arg(long, value_enum, default_value = "discard")]
    mode: Mode,
    /// Port on loopback; 0: any.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The file it writes to.
    #[arg(long, value_name = "FILE", required_if_eq_any([("mode", "page-cache"), ("mode", "durable")]))]
    file: Option<PathBuf>,
    #[command(flatten)]
    print: Print,
}

/// What a null server calls its cluster, before its mode: a measurement sees what it measures.
const CLUSTER: &str = "ottla-bench-null-";

impl Mode {
    /// When it fsyncs.
    fn fsync(self) -> &'static str {
        match self {
            Mode::Discard | Mode::PageCache => "none",
            Mode::Durable => "before the answer",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Mode::Discard => "discard",
            Mode::PageCache => "page-cache",
            Mode::Durable => "durable",
        }
    }
}

/// When the null server that calls its cluster so fsyncs; `None`: it is no null server.
pub(super) fn fsync_of(cluster: &str) -> Option<&'static str> {
    let mode = cluster.strip_prefix(CLUSTER)?;
    [Mode::Discard, Mode::PageCache, Mode::Durable].into_iter().find(|known| known.name() == mode).map(Mode::fsync)
}

struct Server {
    port: u16,
    mode: Mode,
    file: Option<File>,
    position: AtomicU64,
    flush: Mutex<Flush>,
    flushed: Condvar,
}

/// Group commit: one fsync at a time, for all writes that ended before it began.
#[derive(Default)]
struct Flush {
    /// Writes that ended.
    written: u64,
    /// Writes that are durable.
    durable: u64,
    is_running: bool,
}

impl Null {
    /// Runs it; it never ends by itself.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let fail = |error: std::io::Error| Failed(format!("the null server can't start: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", self.port)).map_err(fail)?;
        let port = listener.local_addr().map_err(fail)?.port();
        let file = self.file.as_ref().map(File::create).transpose().map_err(fail)?;
        let server = Arc::new(Server {
            port,
            mode: self.mode,
            file: file.filter(|_| self.mode != Mode::Discard),
            position: AtomicU64::new(0),
            flush: Mutex::default(),
            flushed: Condvar::new(),
        });
        self.tell_ready(port)?;
        for stream in listener.incoming() {
            let (stream, server) = (stream.map_err(fail)?, server.clone());
            std::thread::spawn(move || {
                // Whoever went away is no news.
                let _ = server.serve(stream);
            });
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tell_ready(&self, port: u16) -> Result<(), Failed> {
        let (mode, fsync, address) = (self.mode.name(), self.mode.fsync(), format!("127.0.0.1:{port}"));
        if self.print.output == Format::Table {
            return print(&format!("Null server is ready, mode {mode}, fsync {fsync}: clients {address}\n"));
        }
        let mut ready = Section::new("ready", &["address", "mode", "fsync"]);
        ready.row(vec![address.as_str().into(), mode.into(), fsync.into()]);
        let mut report = Report::default();
        report.add(ready);
        self.print.report(&report)
    }
}

impl Server {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut filled = 0;
        // The answer to the produce request of this connection; only the correlation id differs.
        let mut answer: Vec<u8> = Vec::new();
        loop {
            let read = stream.read(&mut buffer[filled..])?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            let mut out = Vec::new();
            let (mut at, mut wrote) = (0, false);
            while let Some(size) = buffer[at..filled].first_chunk() {
                let size = u32::from_be_bytes(*size) as usize;
                if 4 + size > buffer.len() {
                    buffer.resize(4 + size, 0);
                }
                let Some(frame) = buffer[at..filled].get(4..4 + size) else { break };
                if frame.starts_with(&ApiKey::Produce.code().to_be_bytes()) {
                    if answer.is_empty() {
                        answer = self.answer(frame)?;
                    }
                    wrote |= self.write(frame)?;
                    answer[4..8].copy_from_slice(&frame[4..8]);
                    out.extend_from_slice(&answer);
                } else {
                    out.extend_from_slice(&self.answer(frame)?);
                }
                at += 4 + size;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            if wrote && self.mode == Mode::Durable {
                self.make_durable()?;
            }
            stream.write_all(&out)?;
        }
    }

    fn write(&self, frame: &[u8]) -> std::io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let position = self.position.fetch_add(frame.len() as u64, Ordering::Relaxed);
        if position % FILE_BYTES_MAX < frame.len() as u64 && position > frame.len() as u64 {
            file.set_len(0)?;
        }
        file.write_all_at(frame, position % FILE_BYTES_MAX)?;
        Ok(true)
    }

    /// Returns once everything this thread wrote is on the disk.
    fn make_durable(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut flush = self.flush.lock().map_err(|_| ErrorKind::Other)?;
        flush.written += 1;
        let wanted = flush.written;
        while flush.durable < wanted {
            if flush.is_running {
                flush = self.flushed.wait(flush).map_err(|_| ErrorKind::Other)?;
                continue;
            }
            flush.is_running = true;
            let covers = flush.written;
            drop(flush);
            file.sync_data()?;
            flush = self.flush.lock().map_err(|_| ErrorKind::Other)?;
            flush.is_running = false;
            flush.durable = flush.durable.max(covers);
            self.flushed.notify_all();
        }
        Ok(())
    }

    fn answer(&self, frame: &[u8]) -> std::io::Result<Vec<u8>> {
        let nonsense = |_| std::io::Error::from(ErrorKind::InvalidData);
        let mut reader = Reader::new(Bytes::copy_from_slice(frame));
        let header = RequestHeader::decode(&mut reader).map_err(nonsense)?;
        let (version, id) = (header.api_version, header.correlation_id);
        let slices = if header.api_key == ApiKey::ApiVersions {
            ApiVersionsRequest::decode(&mut reader, version).map_err(nonsense)?;
            encode_response(&versions(), version, id)
        } else if header.api_key == ApiKey::Metadata {
            let request = MetadataRequest::decode(&mut reader, version).map_err(nonsense)?;
            encode_response(&self.metadata(&request), version, id)
        } else if header.api_key == ApiKey::Produce {
            let request = ProduceRequest::decode(&mut reader, version).map_err(nonsense)?;
            encode_response(&taken(&request), version, id)
        } else {
            return Err(ErrorKind::Unsupported.into());
        };
        let body = slices.concat();
        let size = u32::try_from(body.len()).expect("a small answer");
        Ok([&size.to_be_bytes(), body.as_slice()].concat())
    }

    /// Every topic exists and has one partition.
    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let partition = metadata::Partitions { replica_nodes: vec![0], isr_nodes: vec![0], ..Default::default() };
        let topics = request.topics.iter().flatten().map(|asked| metadata::Topics {
            name: asked.name.clone(),
            partitions: vec![partition.clone()],
            ..Default::default()
        });
        let broker = metadata::Brokers { host: "127.0.0.1".into(), port: i32::from(self.port), ..Default::default() };
        let cluster_id = Some(format!("{CLUSTER}{}", self.mode.name()).into());
        MetadataResponse { brokers: vec![broker], topics: topics.collect(), cluster_id, ..Default::default() }
    }
}

fn versions() -> ApiVersionsResponse {
    let speaks = [(ApiKey::Produce, 3, 9), (ApiKey::Metadata, 0, 12), (ApiKey::ApiVersions, 0, 4)];
    let api_keys = speaks.iter().map(|(key, min_version, max_version)| spoken::ApiKeys {
        api_key: key.code(),
        min_version: *min_version,
        max_version: *max_version,
    });
    ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() }
}

/// Says that all is well.
fn taken(request: &ProduceRequest) -> ProduceResponse {
    let topics = request.topic_data.iter().map(|topic| {
        let parts =
            topic.partition_data.iter().map(|part| produce::PartitionResponses { index: part.index, ..Default::default() });
        produce::Responses { name: topic.name.clone(), partition_responses: parts.collect(), ..Default::default() }
    });
    ProduceResponse { responses: topics.collect(), ..Default::default() }
}
