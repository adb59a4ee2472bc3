//! Metrics and health of a broker over HTTP, for Prometheus, for those who run containers, and for people with `curl`.
//!
//! A thread of its own with a small runtime: when the broker's loop hangs, this is who says so. It asks the loop for one value per scrape
//! and formats it here; the broker never waits for a reader.
//! - connections ≤ [`CONNECTIONS_MAX`], a further one is closed; each lives [`CONNECTION_MAX`] at most;
//! - a request's head ≤ [`HEAD_BYTES_MAX`] and arrives within [`HEAD_MAX`]; bodies are not read;
//! - one look at the broker at a time, each [`LOOK_MAX`] at most.
//!
//! No authentication: the address is loopback unless the operator says otherwise.

mod exposition;
mod health;
mod page;
mod process;

use crate::disk::Flushes;
use crate::logs::Dropped;
use health::Verdict;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ottla_net::{Lookout, NodeMetrics};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections that are served at once.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may live: a scraper comes back.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// How long a request's head may take.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long the broker's loop may take to say how it is.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// Before accepting goes on after the system refused to.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is served; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

/// What is counted outside the broker's loop; goes on counting.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// How long flushes of files took.
    pub flushes: Flushes,
    /// Lines of the log that nobody read in time.
    pub lines_dropped: Dropped,
}

struct Shared {
    stage: Mutex<Stage>,
    /// Who looks at the broker holds it.
    turn: tokio::sync::Mutex<()>,
    started: SystemTime,
}

#[derive(Clone)]
enum Stage {
    /// The broker reads its logs.
    Starting,
    /// Its loop runs.
    Running(Lookout, Counted),
}

/// What a look at the broker shows.
enum Seen {
    Starting,
    Node(Box<NodeMetrics>, Counted),
    Silent,
    Ended,
}

impl Metrics {
    /// Serves on `listener` from now on; the broker is starting.
    ///
    /// # Errors
    /// No thread or no runtime.
    pub fn serve(listener: std::net::TcpListener) -> io::Result<Metrics> {
        listener.set_nonblocking(true)?;
        let turn = tokio::sync::Mutex::new(());
        let shared = Shared { stage: Mutex::new(Stage::Starting), turn, started: SystemTime::now() };
        let metrics = Metrics(Arc::new(shared));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = metrics.clone();
        thread::Builder::new().name("metrics".to_string()).spawn(move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => accept(listener, served).await,
                    Err(error) => panic!("a bound listener can be registered with a runtime: {error}"),
                }
            });
        })?;
        Ok(metrics)
    }

    /// The broker's loop runs.
    pub fn running(&self, lookout: Lookout, counted: Counted) {
        *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Running(lookout, counted);
    }

    async fn look(&self) -> Seen {
        let stage = self.0.stage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Stage::Running(lookout, counted) = stage else { return Seen::Starting };
        let look = async {
            let _turn = self.0.turn.lock().await;
            lookout.look().await
        };
        match timeout(LOOK_MAX, look).await {
            Ok(Some(node)) => Seen::Node(Box::new(node), counted),
            Ok(None) => Seen::Ended,
            Err(_) => Seen::Silent,
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is understood here.\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.metrics().await,
            "/health" | "/health/ready" => tell(self.verdict(health::ready).await),
            "/health/live" => tell(self.verdict(health::live).await),
            "/" => text(StatusCode::OK, "An Ottla broker: /metrics, /health, /health/live and /health/ready.\n"),
            _ => text(StatusCode::NOT_FOUND, "There are /metrics, /health, /health/live and /health/ready.\n"),
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let Seen::Node(node, counted) = self.look().await else {
            return tell(self.verdict(health::live).await);
        };
        let flushes = counted.flushes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lines_dropped = counted.lines_dropped.load(Ordering::Acquire);
        let mut response = text(StatusCode::OK, page::page(&node, &flushes, lines_dropped, self.0.started));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition::CONTENT_TYPE));
        response
    }

    async fn verdict(&self, judge: fn(&NodeMetrics) -> Verdict) -> Verdict {
        match self.look().await {
            Seen::Node(node, _) => judge(&node),
            Seen::Starting => Verdict::ill("The broker reads its logs and does not serve yet."),
            Seen::Silent => Verdict::ill(format!("The broker's loop said nothing for {} seconds.", LOOK_MAX.as_secs())),
            Seen::Ended => Verdict::ill("The broker stops."),
        }
    }
}

fn tell(verdict: Verdict) -> Response<Full<Bytes>> {
    let status = if verdict.is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, verdict.sentence + "\n")
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn accept(listener: TcpListener, metrics: Metrics) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            // A reader that breaks its connection, or takes too long, has itself to blame.
            let _ = timeout(CONNECTION_MAX, converse(stream, metrics)).await;
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, metrics: Metrics) -> Result<(), hyper::Error> {
    let answer = service_fn(move |request| {
        let metrics = metrics.clone();
        async move { Ok::<_, Infallible>(metrics.answer(&request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

#[cfg(test)]
mod tests;
