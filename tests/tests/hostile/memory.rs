//! What a thread holds, and the most it held: an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    /// Bytes held, and the most since [`restart`]. What one thread allocates and another frees would be counted wrong: nothing here does that.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(more: usize, less: usize) {
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let top = now.wrapping_add_unsigned(more);
        held.set((top.wrapping_sub_unsigned(less), most.max(top)));
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only a thread-local cell that needs no
// allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As if both blocks were there for a moment.
        count(size, layout.size());
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes this thread holds; what it holds at most is counted from here.
pub fn restart() -> isize {
    let (now, _) = HELD.get();
    HELD.set((now, now));
    now
}

/// The most bytes this thread held since [`restart`].
pub fn most() -> isize {
    HELD.get().1
}
