//! The beat by which workers keep their pools in order: one thread wakes all of them.
//!
//! A worker has no timer of its own for it. Where nothing else needs one, it waits for its sockets without a limit: that spares two readings of the
//! clock, and the kernel a timer, each time it goes to sleep. With one client that is twice for every statement.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// How often.
const BEAT: Duration = Duration::from_millis(100);

/// What a worker waits for; a beat that it missed comes at once, several as one.
pub type Beat = Arc<Notify>;

/// So many beats, from now on, for as long as somebody has any of them; and who keeps the workers' other timers as long.
///
/// # Errors
/// When the system gives no thread, or no descriptor.
pub fn start(workers: usize) -> std::io::Result<(Vec<Beat>, Handle)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let keeper = runtime.handle().clone();
    let beats: Vec<Beat> = (0..workers).map(|_| Beat::default()).collect();
    let felt: Vec<Weak<Notify>> = beats.iter().map(Arc::downgrade).collect();
    thread::Builder::new().name("beat".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::time::sleep(BEAT).await;
                let there: Vec<Beat> = felt.iter().filter_map(Weak::upgrade).collect();
                if there.is_empty() {
                    return;
                }
                there.iter().for_each(|beat| beat.notify_one());
            }
        });
    })?;
    Ok((beats, keeper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_woken_again_and_again_until_nobody_is_there() {
        let (beats, _) = start(2).expect("a thread");
        for _ in 0..3 {
            for beat in &beats {
                let woken = tokio::time::timeout(Duration::from_secs(10), beat.notified()).await;
                assert!(woken.is_ok());
            }
        }
        let left: Vec<Weak<Notify>> = beats.iter().map(Arc::downgrade).collect();
        drop(beats);
        // The thread has them for a moment at most.
        while left.iter().any(|beat| beat.strong_count() > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
