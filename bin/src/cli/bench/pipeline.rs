//! One connection that keeps a pipeline of equal requests full, or sends them at a rate.
//!
//! The request is encoded once; only its correlation id differs. Answers come in order, so the oldest request is the one answered.

use super::figures::Figures;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Where the correlation id lies in a frame: after size, API key and version.
const CORRELATION: std::ops::Range<usize> = 8..12;
/// Requests handed to the kernel in one call at most.
const BURST: usize = 256;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// When what happens.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Requests go out from here.
    pub start: Instant,
    /// Answers count from here.
    pub from: Instant,
    /// Nothing is sent after this.
    pub until: Instant,
    /// Requests without an answer at most.
    pub in_flight: usize,
    /// Time between two requests; as fast as answers come if `None`.
    pub every: Option<Duration>,
}

/// A connection under load.
#[derive(Debug)]
pub struct Pipeline {
    stream: TcpStream,
    frame: Vec<u8>,
    next: i32,
    /// When each unanswered request was sent, or meant to be.
    open: VecDeque<Instant>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Pipeline {
    /// A pipeline of `frame`s, each with its size in front.
    pub fn new(stream: TcpStream, frame: Vec<u8>) -> Pipeline {
        Pipeline { stream, frame, next: 0, open: VecDeque::new(), buffer: vec![0; READ_BYTES], filled: 0 }
    }

    /// Runs until all answers are in. `judge` looks at each answer (without its size) and says how many records and bytes it stands for.
    pub fn run(
        mut self,
        schedule: &Schedule,
        mut judge: impl FnMut(&[u8]) -> Result<(u64, u64), String>,
    ) -> Result<Figures, String> {
        let broken = |error: io::Error| format!("the connection broke: {error}");
        let mut figures = Figures::default();
        self.stream.set_nonblocking(schedule.every.is_some()).map_err(broken)?;
        let mut sent = 0u32;
        loop {
            let now = Instant::now();
            let is_over = now >= schedule.until;
            match schedule.every {
                None if !is_over => self.fill(schedule.in_flight, now).map_err(broken)?,
                Some(every) if !is_over && self.open.len() < schedule.in_flight => {
                    let due = schedule.start + every * sent;
                    if now >= due {
                        sent += 1;
                        self.send_one(due).map_err(broken)?;
                    }
                }
                None | Some(_) => {}
            }
            if is_over && self.open.is_empty() {
                return Ok(figures);
            }
            if self.open.is_empty() {
                std::hint::spin_loop();
                continue;
            }
            self.receive(schedule.from, &mut figures, &mut judge)?;
        }
    }

    /// Sends until the pipeline is full.
    fn fill(&mut self, in_flight: usize, now: Instant) -> io::Result<()> {
        while self.open.len() < in_flight {
            let burst = (in_flight - self.open.len()).min(BURST);
            let mut ids = Vec::with_capacity(burst);
            for _ in 0..burst {
                ids.push(self.next.to_be_bytes());
                self.next = self.next.wrapping_add(1);
                self.open.push_back(now);
            }
            let mut slices = Vec::with_capacity(burst * 3);
            for id in &ids {
                slices.push(IoSlice::new(&self.frame[..CORRELATION.start]));
                slices.push(IoSlice::new(id));
                slices.push(IoSlice::new(&self.frame[CORRELATION.end..]));
            }
            let mut rest = &mut slices[..];
            while !rest.is_empty() {
                let written = self.stream.write_vectored(rest)?;
                if written == 0 {
                    return Err(ErrorKind::WriteZero.into());
                }
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        Ok(())
    }

    /// Sends one request; what the socket does not take is waited for, which the latencies of the others then show.
    fn send_one(&mut self, meant: Instant) -> io::Result<()> {
        self.frame[CORRELATION].copy_from_slice(&self.next.to_be_bytes());
        self.next = self.next.wrapping_add(1);
        self.open.push_back(meant);
        let mut rest = &self.frame[..];
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes the answers that are there.
    fn receive(
        &mut self,
        from: Instant,
        figures: &mut Figures,
        judge: &mut impl FnMut(&[u8]) -> Result<(u64, u64), String>,
    ) -> Result<(), String> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err("the server closed the connection".to_owned()),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("the connection broke: {error}")),
        }
        let now = Instant::now();
        let mut at = 0;
        while let Some(size) = self.buffer[at..self.filled].first_chunk() {
            let size = usize::try_from(i32::from_be_bytes(*size)).map_err(|_| "an answer of negative size".to_owned())?;
            let Some(answer) = self.buffer[at..self.filled].get(4..4 + size) else { break };
            let (records, bytes) = judge(answer)?;
            let sent = self.open.pop_front().ok_or("an answer nobody asked for")?;
            if now >= from {
                figures.count(records, bytes, now - sent);
            }
            at += 4 + size;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }
}
