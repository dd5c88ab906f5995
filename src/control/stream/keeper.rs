//! What is done to the publication, beside the stream: it is looked after.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::shared::Shared;
use super::status::Loss;
use super::table::Refusal;
use super::wanted::Todo;
use super::{catalog, node, publication};
use crate::catalog::{BESIDE, Beside};
use crate::pool::ask;
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// The catalog is read so often.
const READ: Duration = Duration::from_secs(1);
/// While tables are on their way, it is looked at so often whether transactions have ended.
const SETTLE: Duration = Duration::from_millis(20);
/// An answer to a question of the catalog takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many times as long as the question of what is beside rows has taken there is none: large catalogs are not read all the time.
const RESTS: u32 = 50;
/// The longest pause between two of these questions.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// So many of these pauses the answer holds: behind one of them the next is asked, which a lock may hold up (`lock_timeout`).
const HOLDS: u32 = 4;

/// Reads the catalog, and brings tables into the publication, until something goes wrong.
pub(super) async fn look_after(shared: &Arc<Shared>, mut questions: Connected) -> Loss {
    let name = &shared.options().publication;
    let mut beside = BesideDue { at: Instant::now(), takes: None };
    loop {
        if let Err(fault) = look(shared, &mut questions, name, &mut beside).await {
            return fault.into();
        }
        let due = Instant::now() + READ;
        while Instant::now() < due {
            let settling = shared.inner().wanted.is_settling();
            let pause = if settling { SETTLE } else { due.saturating_duration_since(Instant::now()) };
            tokio::select! {
                () = sleep(pause) => {}
                () = shared.asked_to_read() => break,
            }
            if let Err(fault) = settle(shared, &mut questions, name).await {
                return fault.into();
            }
        }
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = |_| Err(Fault::error("08006", "the server did not answer in time"));
    timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

/// When what is beside rows is to be read next.
struct BesideDue {
    at: Instant,
    /// How long that takes.
    takes: Option<Duration>,
}

impl BesideDue {
    /// The pause behind a question that has taken so long. Where the server has much else to do, one takes longer than it costs: so what counts is the shortest of late.
    fn pause(&mut self, took: Duration) -> Duration {
        let takes = self.takes.map_or(took, |before| took.min(before * 5 / 4));
        self.takes = Some(takes);
        (takes * RESTS).clamp(READ, LONGEST_REST)
    }
}

/// Reads what answers depend on beside rows, if that is due.
async fn look_beside(shared: &Shared, questions: &mut Connected, due: &mut BesideDue) -> Result<(), Fault> {
    let at = Instant::now();
    if at < due.at {
        return Ok(());
    }
    let rows = within(ask::rows(questions, BESIDE)).await?;
    let beside = rows.first().and_then(Beside::read);
    let beside =
        beside.ok_or_else(|| Fault::protocol("the catalog tells something that is not understood"))?;
    let pause = due.pause(at.elapsed());
    due.at = at + pause;
    shared.sink().beside(&beside, at + pause * HOLDS);
    Ok(())
}

/// Reads what is wanted, and does what is to be done about it.
async fn look(
    shared: &Arc<Shared>,
    questions: &mut Connected,
    name: &str,
    beside: &mut BesideDue,
) -> Result<(), Fault> {
    look_beside(shared, questions, beside).await?;
    let todo = read(shared, questions, name).await?;
    for one in todo {
        look_beside(shared, questions, beside).await?;
        let (oid, done) = match one {
            Todo::Add(oid) => (oid, within(publication::add(questions, name, oid)).await),
            Todo::Remove(oid) => (oid, within(publication::remove(questions, name, oid)).await),
        };
        match (one, done) {
            (_, Err(fault)) if is_broken(&fault) => return Err(fault),
            (Todo::Add(_), Ok(())) => {
                let before = node::next_xid(questions).await?;
                shared.inner().wanted.published(oid, before);
                shared.demand().used();
            }
            // Somebody holds a lock of it: the next time will do.
            (Todo::Add(_), Err(fault)) if fault.sqlstate == "55P03" => {}
            (Todo::Add(_), Err(fault)) => {
                let news = shared.inner().wanted.not_published(oid, Refusal::Server(fault), Instant::now());
                shared.tell(news);
            }
            (Todo::Remove(_), Err(fault)) => {
                tracing::warn!(publication = name, relation = oid, error = %fault, "a table stays published");
            }
            (Todo::Remove(_), Ok(())) => {}
        }
    }
    Ok(())
}

async fn read(shared: &Arc<Shared>, questions: &mut Connected, name: &str) -> Result<Vec<Todo>, Fault> {
    let oids = shared.inner().wanted.all();
    // Asked for none as well: a session that says nothing may be ended by the server (`idle_session_timeout`).
    let rows = within(ask::rows(questions, &catalog::question(&oids, name))).await?;
    let found: Option<Vec<_>> = rows.iter().map(catalog::found).collect();
    let found = found.ok_or_else(|| Fault::protocol("the catalog tells something that is not understood"))?;
    let (todo, news) = shared.inner().wanted.read(&oids, found, Instant::now());
    shared.tell(news);
    Ok(todo)
}

/// Touches the publication for those whose transactions have ended, and reads them once more.
async fn settle(shared: &Arc<Shared>, questions: &mut Connected, name: &str) -> Result<(), Fault> {
    let oids = {
        let inner = shared.inner();
        inner.wanted.to_settle(inner.xmin)
    };
    if oids.is_empty() {
        return Ok(());
    }
    match within(publication::touch(questions, name)).await {
        // Somebody else holds a lock: the next time will do.
        Err(fault) if fault.sqlstate == "55P03" => return Ok(()),
        touched => touched?,
    }
    shared.inner().wanted.settled(&oids, Instant::now());
    // What has changed since it was added is found, and begins anew.
    read(shared, questions, name).await?;
    shared.demand().used();
    Ok(())
}

/// Whether the connection is of no use any more, or the publication is gone.
fn is_broken(fault: &Fault) -> bool {
    let sqlstate = fault.sqlstate.as_str();
    ["08", "57P", "25006"].iter().any(|class| sqlstate.starts_with(class))
        || sqlstate == "42704" && fault.message.contains("publication")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_catalogs_are_read_less_often_and_a_busy_server_is_not_taken_for_one() {
        let mut due = BesideDue { at: Instant::now(), takes: None };
        let mut check = |took: u64, expected: u128| {
            let pause = due.pause(Duration::from_millis(took));
            assert_eq!(pause.as_millis(), expected, "{took}");
        };
        check(4, 1000);
        check(400, 1000);
        check(100, 1000);
        check(4, 1000);
        // The first is slow, since nothing is in memory.
        let mut due = BesideDue { at: Instant::now(), takes: None };
        let mut check = |took: u64, expected: u128| {
            let pause = due.pause(Duration::from_millis(took));
            assert_eq!(pause.as_millis(), expected, "{took}");
        };
        check(160, 8000);
        check(80, 4000);
        check(90, 4500);
        check(1000, 5625);
        check(10_000, 7031);
        check(10_000, 8789);
        check(10_000, 10_000);
    }
}
