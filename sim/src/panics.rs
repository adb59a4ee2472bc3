//! Panics of the core as values: an assertion that fails in a simulated broker is a finding, not the end of the program.
//!
//! The hook is set once and stays silent only on a thread that is inside [`catch`]; all other panics print as usual.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static CAUGHT: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs `work`; a panic in it becomes its message and place.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            let is_ours = CAUGHT.with(|caught| match caught.borrow_mut().as_mut() {
                Some(slot) => {
                    let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
                    let text = info.payload().downcast_ref::<&str>().map(|s| (*s).to_string());
                    let text = text.or_else(|| info.payload().downcast_ref::<String>().cloned());
                    *slot = Some(format!("{}{place}", text.unwrap_or_else(|| "a panic without text".into())));
                    true
                }
                None => false,
            });
            if !is_ours {
                usual(info);
            }
        }));
    });
    CAUGHT.with(|caught| *caught.borrow_mut() = Some(None));
    let result = catch_unwind(AssertUnwindSafe(work));
    let message = CAUGHT.with(|caught| caught.borrow_mut().take()).flatten();
    result.map_err(|_| message.unwrap_or_else(|| "a panic without a message".into()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_becomes_its_message() {
        let what = super::catch(|| -> u32 { panic!("term {} went back", 3) }).expect_err("it panics");
        assert!(what.starts_with("term 3 went back at sim/src/panics.rs:"), "{what}");
        assert_eq!(super::catch(|| 7), Ok(7));
    }
}
