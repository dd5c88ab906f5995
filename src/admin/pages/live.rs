//! What is known of statements now: what was counted since the start, and when, from the store where there is one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use crate::admin::Admin;
use crate::report::ids::Names;
use crate::report::{Origin, PARTS, Report, Scope};
use crate::slow::Merged;
use crate::store::Stored;
use crate::store::read::History;

/// So many statements are listed on the overview.
pub(super) const LISTED: usize = 50;
/// The picture goes back so far, in seconds.
const BACK: i64 = 3600;
/// How long what was read of the store is used: whoever asks often does not make pgweir read often.
const KEEP: Duration = Duration::from_secs(10);

/// What was read last, and when that was.
type Kept<T> = Mutex<Option<(Instant, Arc<T>)>>;

/// What the store said last.
#[derive(Default)]
pub(super) struct Live {
    read: Kept<History>,
    samples: Kept<Vec<Stored>>,
    fleet: Kept<History>,
}

impl Live {
    /// The report as it is now, with every shape that is counted by itself.
    pub(super) async fn report(&self, admin: &Admin) -> Report {
        let stored = self.stored(admin).await;
        let mut history = admin.history.look(since_start).await;
        let now = seconds(SystemTime::now());
        let start = seconds(admin.started.0);
        history.between = (!history.counted.is_empty()).then_some((start, now.max(start + 1)));
        history.series = stored.series.clone();
        history.numbers.clone_from(&stored.numbers);
        history.marks.clone_from(&stored.marks);
        let name = "since the start".to_owned();
        let scope =
            Scope { origin: Origin::Live, name, window: (start, now.max(start + 1)), most: usize::MAX };
        let advising = &admin.advising;
        let mut report = Report::of(scope, &history, advising.advice().as_deref());
        report.notes.extend(advising.notes());
        report.named(&mut Names::of_statements(&history.numbers), &mut Names::of_fixes(&advising.numbers()));
        report
    }

    /// What all pgweirs that write to the store have counted in the last hour.
    pub(super) async fn fleet(&self, admin: &Admin) -> Report {
        let now = seconds(SystemTime::now());
        let Some((place, _)) = admin.history.view().store else { return Report::default() };
        let name = place.to_string();
        let read = move || place.between((now - BACK, now), PARTS, None).unwrap_or_default();
        let history = kept(&self.fleet, read).await;
        let scope = Scope { origin: Origin::Store, name, window: (now - BACK, now), most: 0 };
        Report::of(scope, &history, None)
    }

    /// What the store has of the last hour, of this pgweir in a fleet. Where it cannot be read, nothing: the pages do without.
    async fn stored(&self, admin: &Admin) -> Arc<History> {
        let view = admin.history.view();
        // The counts beside it are this pgweir's; a fleet has others.
        let own = view.own();
        let Some((place, _)) = view.store else { return Arc::default() };
        let now = seconds(SystemTime::now());
        kept(&self.read, move || place.between((now - BACK, now), PARTS, own.as_deref()).unwrap_or_default())
            .await
    }

    /// Statements with their values, as the store has them: of a value that may not be seen, its hash. Where they cannot be read, none.
    pub(super) async fn samples(&self, admin: &Admin) -> Arc<Vec<Stored>> {
        let view = admin.history.view();
        let own = view.own();
        let Some((place, _)) = view.store else { return Arc::default() };
        kept(&self.samples, move || place.samples(None, own.as_deref()).unwrap_or_default()).await
    }
}

/// What was read lately, or is read now by somebody who may take long.
async fn kept<T: Default + Send + Sync + 'static>(
    known: &Kept<T>,
    read: impl FnOnce() -> T + Send + 'static,
) -> Arc<T> {
    let mut known = known.lock().await;
    if let Some((at, value)) = &*known
        && at.elapsed() < KEEP
    {
        return value.clone();
    }
    let value = Arc::new(tokio::task::spawn_blocking(read).await.unwrap_or_default());
    *known = Some((Instant::now(), value.clone()));
    value
}

/// What was counted since the start, in the form that reports take.
fn since_start(seen: &Merged) -> History {
    let mut history = History::default();
    for (who, fingerprint, text, sums) in seen.lines() {
        history.counted.add((**who).clone(), fingerprint, text.clone(), sums.clone());
    }
    history
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
