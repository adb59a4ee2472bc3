//! One client as a task, over real connections.

use super::broker::address;
use super::world::SharedWorld;
use crate::action::{Action, Outcome};
use crate::check::promises::{self, Note};
use crate::client::Client;
use crate::disk::SimDisk;
use crate::run::log_difference;
use bytes::{BufMut, Bytes, BytesMut};
use madsim::net::TcpStream;
use madsim::time::{Duration, sleep};
use std::collections::{BTreeMap, VecDeque};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One client.
pub(super) async fn client(world: SharedWorld, mut client: Client, id: usize) {
    let mut streams: BTreeMap<usize, TcpStream> = BTreeMap::new();
    let mut outcome = Outcome::Ready;
    let mut notes: VecDeque<Note> = VecDeque::new();
    loop {
        if world.has_ended() {
            return;
        }
        let action = {
            let mut inner = world.lock();
            let action = client.next(&mut inner.shared, outcome);
            if id == 0 {
                inner.trouble = client.trouble();
            }
            action
        };
        let action = match action {
            Ok(action) => action,
            Err(breach) => {
                world.judge(Err(breach));
                return;
            }
        };
        outcome = match action {
            Action::Done => break,
            Action::Sleep { us } => {
                sleep(Duration::from_micros(us)).await;
                Outcome::Ready
            }
            Action::Tell { broker, frame } => {
                let sent = madsim::time::timeout(Duration::from_secs(1), tell(&mut streams, broker, &frame)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    streams.remove(&broker);
                }
                sleep(Duration::from_millis(1)).await;
                Outcome::Ready
            }
            Action::Ask { broker, frame, note, wait_us } => {
                notes = VecDeque::from([note]);
                let asked = ask(&mut streams, broker, std::slice::from_ref(&frame));
                let asked = madsim::time::timeout(Duration::from_micros(wait_us), asked).await;
                heard(&world, &mut streams, broker, &mut notes, asked).await
            }
            Action::Volley { broker, frames: asked, wait_us } => {
                let frames: Vec<Bytes>;
                (frames, notes) = asked.into_iter().unzip();
                let asked = ask(&mut streams, broker, &frames);
                let asked = madsim::time::timeout(Duration::from_micros(wait_us), asked).await;
                heard(&world, &mut streams, broker, &mut notes, asked).await
            }
            Action::Listen { broker, wait_us } => {
                let asked = madsim::time::timeout(Duration::from_micros(wait_us), ask(&mut streams, broker, &[])).await;
                heard(&world, &mut streams, broker, &mut notes, asked).await
            }
        };
    }
    if id == 0 {
        loop {
            let difference = {
                let inner = world.lock();
                log_difference(&inner.machines.iter().map(|m| &m.disk).collect::<Vec<_>>())
            };
            match difference {
                None => break,
                Some(what) => world.lock().trouble = what,
            }
            sleep(Duration::from_millis(50)).await;
        }
        let verdict = {
            let inner = world.lock();
            inner.shared.history.finish(&inner.shared.lives)
        };
        world.judge(verdict);
        world.lock().is_done = true;
    }
}

/// What came of asking: the next reply, or a connection that is not used again.
async fn heard(
    world: &SharedWorld,
    streams: &mut BTreeMap<usize, TcpStream>,
    broker: usize,
    notes: &mut VecDeque<Note>,
    asked: Result<std::io::Result<Bytes>, madsim::time::error::Elapsed>,
) -> Outcome {
    if let Ok(Ok(reply)) = asked {
        check_reply(world, broker, &notes.pop_front().unwrap_or(Note::Other), &reply);
        return Outcome::Reply(reply);
    }
    streams.remove(&broker);
    sleep(Duration::from_millis(5)).await;
    Outcome::Lost
}

/// I7 where it can be seen here: when the reply arrives. What was durable then still is.
fn check_reply(world: &SharedWorld, broker: usize, note: &Note, reply: &Bytes) {
    let now = world.now_us();
    let verdict = {
        let mut inner = world.lock();
        inner.trace.event(now, u64::try_from(broker).expect("few"), 63);
        inner.trace.bytes(reply);
        let disks: Vec<&SimDisk> = inner.machines.iter().map(|m| &m.disk).collect();
        promises::check_reply(&inner.watch, broker, &disks, note, reply.clone())
    };
    world.judge(verdict);
}

async fn stream(streams: &mut BTreeMap<usize, TcpStream>, broker: usize) -> std::io::Result<&mut TcpStream> {
    if let std::collections::btree_map::Entry::Vacant(slot) = streams.entry(broker) {
        slot.insert(TcpStream::connect(address(broker, 9092)).await?);
    }
    Ok(streams.get_mut(&broker).expect("inserted above"))
}

async fn tell(streams: &mut BTreeMap<usize, TcpStream>, broker: usize, frame: &Bytes) -> std::io::Result<()> {
    let stream = stream(streams, broker).await?;
    let mut bytes = BytesMut::with_capacity(frame.len() + 4);
    bytes.put_u32(u32::try_from(frame.len()).expect("small"));
    bytes.put_slice(frame);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Sends frames and waits for the next reply.
async fn ask(streams: &mut BTreeMap<usize, TcpStream>, broker: usize, frames: &[Bytes]) -> std::io::Result<Bytes> {
    for frame in frames {
        tell(streams, broker, frame).await?;
    }
    let stream = stream(streams, broker).await?;
    let mut size = [0_u8; 4];
    stream.read_exact(&mut size).await?;
    let mut reply = BytesMut::zeroed(usize::try_from(u32::from_be_bytes(size)).expect("small"));
    stream.read_exact(&mut reply).await?;
    Ok(reply.freeze())
}
