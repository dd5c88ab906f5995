//! What is done to the publication, beside the stream: it is looked after.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::shared::Shared;
use super::status::Loss;
use super::table::Refusal;
use super::wanted::Todo;
use super::{catalog, node, publication};
use crate::pool::ask;
use crate::pool::connect::Connected;
use crate::wire::Fault;

/// The catalog is read so often.
const READ: Duration = Duration::from_secs(1);
/// While tables are on their way, it is looked at so often whether transactions have ended.
const SETTLE: Duration = Duration::from_millis(20);
/// An answer to a question of the catalog takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the catalog, and brings tables into the publication, until something goes wrong.
pub(super) async fn look_after(shared: &Arc<Shared>, mut questions: Connected) -> Loss {
    let name = &shared.options().publication;
    loop {
        if let Err(fault) = look(shared, &mut questions, name).await {
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

/// Reads what is wanted, and does what is to be done about it.
async fn look(shared: &Arc<Shared>, questions: &mut Connected, name: &str) -> Result<(), Fault> {
    let todo = read(shared, questions, name).await?;
    for one in todo {
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
    if oids.is_empty() {
        return Ok(vec![]);
    }
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
