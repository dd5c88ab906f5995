//! Timers for threads that keep none of their own.
//!
//! A reactor that keeps timers looks at them, and at the clock, whenever it goes to sleep and whenever it wakes: with one client four times for each statement, a tenth
//! of what the worker does for it. Workers seldom need one. So another thread keeps theirs, and wakes them as any other thread would; [`keep_by`] tells a
//! thread which. Without that, as in the control plane, timers are those of the runtime in which they are made, as tokio's own are.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{Sleep, Timeout};

thread_local! {
    static KEEPER: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// From now on the timers of the calling thread are kept by that runtime, which must not end before they do.
pub fn keep_by(keeper: Handle) {
    KEEPER.set(Some(keeper));
}

/// As [`tokio::time::sleep`].
pub fn sleep(time: Duration) -> Sleep {
    made(|| tokio::time::sleep(time))
}

/// As [`tokio::time::sleep_until`].
pub fn sleep_until(moment: Instant) -> Sleep {
    made(|| tokio::time::sleep_until(moment.into()))
}

/// As [`tokio::time::timeout`].
pub fn timeout<F: Future>(time: Duration, of: F) -> Timeout<F> {
    made(|| tokio::time::timeout(time, of))
}

/// As [`tokio::time::timeout_at`].
pub fn timeout_at<F: Future>(moment: Instant, of: F) -> Timeout<F> {
    made(|| tokio::time::timeout_at(moment.into(), of))
}

fn made<T>(make: impl FnOnce() -> T) -> T {
    KEEPER.with_borrow(|keeper| {
        let _inside = keeper.as_ref().map(Handle::enter);
        make()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_timers_is_woken_by_its_keeper() {
        let keeper = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let of_keeper = keeper.handle().clone();
        let without = std::thread::spawn(move || {
            keep_by(of_keeper);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            runtime.block_on(async {
                let began = Instant::now();
                sleep(Duration::from_millis(20)).await;
                sleep_until(began + Duration::from_millis(40)).await;
                assert!(began.elapsed() >= Duration::from_millis(40));
                let late = Instant::now() + Duration::from_millis(20);
                assert!(timeout(Duration::from_millis(20), std::future::pending::<()>()).await.is_err());
                assert!(timeout_at(late, std::future::pending::<()>()).await.is_err());
                assert!(timeout(Duration::from_secs(60), std::future::ready(())).await.is_ok());
            });
        });
        keeper.block_on(async {
            while !without.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(without.join().is_ok());
    }
}
