//! Panics that become errors: of threads of this crate, and of libraries that panic where a device
//! or a driver fails.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// The names of all threads of this crate begin with this.
const THREADS: &str = "wgrad";

thread_local! {
    /// How many calls of [`caught`] run on this thread, one inside the other.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic on this thread becomes an [`Error`](crate::Error). A panic hook need not print
/// such a panic: whoever gets the error does.
#[doc(hidden)]
pub fn become_errors() -> bool {
    let name = std::thread::current().name().map(str::to_owned);
    CATCHING.get() > 0 || name.is_some_and(|name| name.starts_with(THREADS))
}

/// Runs `work`, and returns the message of its panic if it panics. Whatever `work` was changing may
/// be half changed then.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    CATCHING.set(CATCHING.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|panic| message(&*panic))
}

/// As [`caught`], for a future.
pub(crate) async fn caught_async<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    poll_fn(|context| match caught(|| work.as_mut().poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

/// The message of a panic, in one line.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("a panic without a message");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_its_message_and_hooks_know_that_it_is_caught() {
        assert!(!become_errors());
        let inner = caught(|| {
            assert_eq!(caught(|| 3), Ok(3));
            assert!(become_errors());
            let lines = "two\n  lines";
            panic!("{lines}")
        });
        assert_eq!(inner, Err::<(), _>("two lines".to_owned()));
        assert!(!become_errors());
        let static_text = caught(|| panic!("a text"));
        assert_eq!(static_text, Err::<(), _>("a text".to_owned()));
        let other = caught(|| std::panic::panic_any(7));
        assert_eq!(other, Err::<(), _>("a panic without a message".to_owned()));
        let named = std::thread::Builder::new().name("wgrad-cpu-1".to_owned());
        assert!(named.spawn(become_errors).unwrap().join().unwrap());
    }
}
