//! Wakes one task of the same thread: what a condition variable is to threads.
//!
//! The waiter checks its condition in a poll after [`Bell::listen`]; whoever changes the condition calls [`Bell::ring`]. One waiter:
//! a second one would silence the first.

use core::cell::Cell;
use core::task::{Context, Waker};

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
