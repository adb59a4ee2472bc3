//! The reading half of a connection: bytes in, requests to the node in the order in which they came.

use super::{Client, Clients};
use crate::host::{Host, Reader};
use core::future::poll_fn;
use core::task::Poll;
use ottla_core::api::{ClientRequest, RecodePlan};
use ottla_core::ids::RequestNumber;
use ottla_core::input::Input;
use ottla_core::time::Instant;
use std::io;
use std::rc::Rc;

/// What the reading task of a connection goes on with.
enum Next {
    /// The connection is gone.
    Gone,
    /// So many bytes came.
    Read(io::Result<usize>),
    /// A request that is to be worked on first.
    Heavy(Heavy),
}

/// A request that is to be worked on before the node sees it.
pub(super) struct Heavy {
    number: RequestNumber,
    request: Box<ClientRequest>,
    plan: RecodePlan,
}

pub(super) async fn read<H: Host>(clients: Clients, host: H, mut reader: H::Reader, client: Rc<Client>) {
    let reason = loop {
        let next = poll_fn(|cx| {
            client.reader.listen(cx);
            if client.gone.get() {
                return Poll::Ready(Next::Gone);
            }
            // Before every read, not after it: a reply may have made room for requests that came earlier.
            match hand_over(&clients, &client) {
                Ok(None) => {}
                Ok(Some(heavy)) => return Poll::Ready(Next::Heavy(heavy)),
                // Replies to earlier requests may be due: the writer ends the connection when they are written.
                Err(Nonsense) => client.writer.ring(),
            }
            clients.count(&client);
            let mut connection = client.connection.borrow_mut();
            if clients.reads(&connection) { reader.poll_read(cx, connection.space()).map(Next::Read) } else { Poll::Pending }
        });
        match next.await {
            Next::Gone => break "closed here".to_string(),
            Next::Read(Ok(0)) => break "closed by the client".to_string(),
            Next::Read(Ok(bytes)) => {
                clients.0.counters.note(|counters| counters.bytes_in += bytes as u64);
                note_bytes(&client, bytes, host.now().monotonic);
            }
            Next::Read(Err(error)) => break error.to_string(),
            Next::Heavy(heavy) => lighten(&clients, &host, &client, heavy).await,
        }
    };
    clients.leave(&client, &reason);
}

/// Works on a request beside the core and gives it to the node; later requests of the connection wait for it.
async fn lighten<H: Host>(clients: &Clients, host: &H, client: &Client, heavy: Heavy) {
    let Heavy { number, mut request, plan } = heavy;
    clients.count(client);
    client.is_busy.set(true);
    let request = host
        .work(move || {
            request.recode(&plan);
            request
        })
        .await;
    client.is_busy.set(false);
    if !client.gone.get() {
        clients.0.inbox.send(Input::Request { connection: client.id, number, request });
    }
}

/// The client spoke it.
pub(super) struct Nonsense;

/// Gives whole requests to the node: all of them, or those before one that is to be worked on.
pub(super) fn hand_over(clients: &Clients, client: &Client) -> Result<Option<Heavy>, Nonsense> {
    let mut connection = client.connection.borrow_mut();
    loop {
        match connection.next_request() {
            Ok(Some((number, request))) => {
                client.known.set(true);
                client.frame.set(None);
                clients.0.counters.asks(&mut client.asked.borrow_mut(), &request, client.heard.get());
                if let Some(plan) = request.recode_plan(&clients.0.codecs.borrow()) {
                    return Ok(Some(Heavy { number, request, plan }));
                }
                clients.0.inbox.send(Input::Request { connection: client.id, number, request });
            }
            Ok(None) => break,
            Err(fault) => {
                clients.0.counters.note(|counters| counters.sent_away += 1);
                clients.complain(&client.from, fault.reason());
                return Err(Nonsense);
            }
        }
    }
    if client.known.get() && connection.is_inside_frame() && client.frame.get().is_none() {
        client.frame.set(Some((client.heard.get(), 0)));
    }
    Ok(None)
}

pub(super) fn note_bytes(client: &Client, bytes: usize, now: Instant) {
    client.heard.set(now);
    if let Some((since, received)) = client.frame.get() {
        client.frame.set(Some((since, received + bytes as u64)));
    }
}
