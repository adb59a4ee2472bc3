//! Turns between tasks of one thread: a bell that wakes one of them, what a condition variable is to threads, and a way to let others go
//! first.
//!
//! The waiter checks its condition in a poll after [`Bell::listen`]; whoever changes the condition calls [`Bell::ring`]. One waiter:
//! a second one would silence the first.

use core::cell::Cell;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

/// One waiter's bell.
#[derive(Default)]
pub(crate) struct Bell(Cell<Option<Waker>>);

impl Bell {
    /// The task of `cx` is woken by the next ring.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let known = self.0.take().filter(|waker| waker.will_wake(cx.waker()));
        self.0.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
    }
    /// Wakes the waiter, if there is one.
    pub(crate) fn ring(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// Lets every other task that is ready run first.
pub(crate) async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
