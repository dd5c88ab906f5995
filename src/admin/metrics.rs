//! Every metric, defined once: name, type, labels, meaning, and where its samples come from.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use super::snapshot::PoolView;
use super::{Snapshot, rules, statements};
use crate::cache::{Eviction, Miss, Unstored};
use crate::level::Caching;
use crate::plan::topology::Node;
use crate::runtime::verified::Verified;
use crate::stats::prometheus::{self, Head, Kind, Samples};
use crate::stats::{CLUSTER_EVENTS, ERROR_CLASSES, PIN_REASONS, PRIMARY_REASONS, REFUSALS, Totals};
use crate::store::Status;

/// A metric and how it is read.
struct Metric {
    head: Head,
    read: fn(&Snapshot, &mut Samples<'_>),
}

macro_rules! metrics {
    ($($name:literal $kind:ident [$($label:literal),*] $help:literal $read:expr;)*) => {
        const METRICS: &[Metric] = &[$(Metric {
            head: Head { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },
            read: $read,
        },)*];
    };
}

metrics! {
    "pgweir_transactions_total" Counter ["database", "user"]
        "Transactions that ended, committed or not."
        |all, out| totals(all, out, |pool| pool.transactions);
    "pgweir_queries_total" Counter ["database", "user"]
        "Statements: simple queries, executions of prepared statements, function calls."
        |all, out| totals(all, out, |pool| pool.queries);
    "pgweir_client_parses_total" Counter ["database", "user"]
        "Statements that clients had prepared, named or not."
        |all, out| totals(all, out, |pool| pool.client_parses);
    "pgweir_server_parses_total" Counter ["database", "user"]
        "Statements that servers prepared; fewer than clients asked for where a server had them already."
        |all, out| totals(all, out, |pool| pool.server_parses);
    "pgweir_binds_total" Counter ["database", "user"]
        "Prepared statements bound to parameters."
        |all, out| totals(all, out, |pool| pool.binds);
    "pgweir_received_bytes_total" Counter ["database", "user"]
        "Bytes received from clients after their login."
        |all, out| totals(all, out, |pool| pool.received);
    "pgweir_sent_bytes_total" Counter ["database", "user"]
        "Bytes sent to clients after their login."
        |all, out| totals(all, out, |pool| pool.sent);
    "pgweir_query_seconds_total" Counter ["database", "user"]
        "Time in which servers worked for clients."
        |all, out| times(all, out, |pool| pool.query_time);
    "pgweir_transaction_seconds_total" Counter ["database", "user"]
        "Time from the first statement of transactions to their end, pauses of the client included."
        |all, out| times(all, out, |pool| pool.transaction_time);
    "pgweir_wait_seconds_total" Counter ["database", "user"]
        "Time that sessions waited for a server."
        |all, out| times(all, out, |pool| pool.wait_time);
    "pgweir_assignments_total" Counter ["database", "user"]
        "Times that a session was given a server."
        |all, out| totals(all, out, |pool| pool.assignments);
    "pgweir_server_logins_total" Counter ["database", "user", "result"]
        "Logins to servers; `result` is `ok` or `failed`."
        |all, out| two(all, out, ["ok", "failed"], |pool| [pool.server_logins, pool.server_logins_failed]);
    "pgweir_client_logins_total" Counter ["database", "user", "result"]
        "Logins of clients that proved who they are; `result` is `ok` or `refused`."
        |all, out| two(all, out, ["ok", "refused"], |pool| [pool.client_logins, pool.client_logins_refused]);
    "pgweir_cancels_total" Counter ["database", "user"]
        "Cancels by clients that named a session with its secret."
        |all, out| totals(all, out, |pool| pool.cancels);
    "pgweir_shared_reads_total" Counter ["database", "user", "result"]
        "Reads sent behind another session's on a server at work (`share_servers`); `result` is `answered`, or `sent_away`: those ahead took too long or went wrong, and another server answered."
        |all, out| two(all, out, ["answered", "sent_away"], |pool| [pool.followed.saturating_sub(pool.sent_away), pool.sent_away]);
    "pgweir_replica_reads_total" Counter ["database", "user", "result"]
        "Reads sent to replicas (`reads`); `result` is `answered`, or `asked_again`: the replica failed or refused, and the primary answered."
        |all, out| two(all, out, ["answered", "asked_again"], |pool| [pool.replica_reads.saturating_sub(pool.asked_again), pool.asked_again]);
    "pgweir_primary_reads_total" Counter ["database", "user", "reason"]
        "Reads that might have gone to a replica and went to the primary, by the reason; `definitions not read`: a read by its words, while the catalogs were not read since the start or since a change."
        |all, out| each(all, out, |key, pool, out| {
            PRIMARY_REASONS.iter().zip(pool.totals.kept).for_each(|(reason, n)| out.count(&[&key.0, &key.1, reason], n));
        });
    "pgweir_replica_transactions_total" Counter ["database", "user", "result"]
        "Explicit transactions that began on a replica (`read_only_transactions`); `result` is `ended` there, or `moved`: the replica could not, or might not, do all of it, and it was begun anew at the primary."
        |all, out| two(all, out, ["ended", "moved"], |pool| [pool.replica_transactions, pool.moved_transactions]);
    "pgweir_pins_total" Counter ["database", "user", "reason"]
        "Times that a session began to keep its server, by what cannot follow it to another."
        |all, out| each(all, out, |key, pool, out| {
            PIN_REASONS.iter().zip(pool.totals.pins).for_each(|(reason, n)| out.count(&[&key.0, &key.1, reason], n));
        });
    "pgweir_errors_total" Counter ["database", "user", "class"]
        "Errors that pgweir itself gave to clients, by class of SQLSTATE (manual, appendix A)."
        |all, out| each(all, out, |key, pool, out| {
            ERROR_CLASSES.iter().zip(pool.totals.errors).for_each(|(class, n)| out.count(&[&key.0, &key.1, class], n));
        });
    "pgweir_statements_folded_total" Counter []
        "Statements counted with all others of their user, database and application, because more shapes were in use than are counted by themselves (`history.statements`)."
        |all, out| out.count(&[], all.history.folded);
    "pgweir_store_state" Gauge ["state"]
        "1 for the state of the store of history (`--store`, `history.url`), 0 for the others: `off`, `ok`, `locked`, `full`, `read-only`, `unusable`, `newer`, `foreign`, `away`, `refused`, `denied`, `slow`."
        |all, out| statements::states(&all.history).for_each(|(state, is)| out.count(&[state], is));
    "pgweir_store_bytes" Gauge []
        "Bytes of the store that are in use (`history.max_size` is the most)."
        |all, out| store(all, out, |status| &status.bytes);
    "pgweir_store_written_total" Counter []
        "Statements whose counts were written to the store."
        |all, out| store(all, out, |status| &status.written);
    "pgweir_store_dropped_total" Counter []
        "Statements whose counts were dropped, because the store could not be written for too long."
        |all, out| store(all, out, |status| &status.dropped);
    "pgweir_store_corrupt_files_total" Counter []
        "Times that the store was found damaged, moved aside and begun anew."
        |all, out| store(all, out, |status| &status.moved);
    "pgweir_slow_log_lines_total" Counter []
        "Lines that were written to the slow-query log (`slow_log.file`)."
        |all, out| all.history.slow_lines.iter().for_each(|(written, _)| out.count(&[], *written));
    "pgweir_slow_log_dropped_total" Counter []
        "Lines of the slow-query log that were left out: there were more than `slow_log.rate` in a second, or the file could not be written."
        |all, out| all.history.slow_lines.iter().for_each(|(_, dropped)| out.count(&[], *dropped));
    "pgweir_pool_servers" Gauge ["database", "user", "state"]
        "Servers; `state` is `active` (a session has it), `idle`, `connecting` or `cancelling` (waits for a cancel to arrive)."
        |all, out| each(all, out, |key, pool, out| {
            let report = &pool.report;
            let states = [("active", report.leased), ("idle", report.idle)];
            let states = states.into_iter().chain([("connecting", report.connecting), ("cancelling", report.cancelling)]);
            states.for_each(|(state, n)| out.count(&[&key.0, &key.1, state], n as u64));
        });
    "pgweir_pool_clients" Gauge ["database", "user", "state"]
        "Sessions; `state` is `waiting` (in line for a server) or `other`."
        |all, out| each(all, out, |key, pool, out| {
            out.count(&[&key.0, &key.1, "waiting"], pool.report.waiting as u64);
            out.count(&[&key.0, &key.1, "other"], pool.clients.saturating_sub(pool.report.waiting) as u64);
        });
    "pgweir_pool_size" Gauge ["database", "user"]
        "Servers that the pool may have (`pool_size`)."
        |all, out| gauge(all, out, |pool| pool.target.as_ref().map_or(0.0, |target| target.pool.size as f64));
    "pgweir_pool_max_wait_seconds" Gauge ["database", "user"]
        "How long the first session in line has waited."
        |all, out| gauge(all, out, |pool| pool.report.max_wait.as_secs_f64());
    "pgweir_pool_paused" Gauge ["database", "user"]
        "1 while the pool is paused."
        |all, out| gauge(all, out, |pool| f64::from(u8::from(pool.report.paused)));
    "pgweir_node_up" Gauge ["database", "node", "role"]
        "1 while a node of a database with `reads = \"replicas\"` can be used as what it is; `role` is `primary`, `replica` or `unknown`."
        |all, out| nodes(all, out, |node, state, samples, database| {
            samples.count(&[database, &node.name, node.role.word()], (state == "up").into());
        });
    "pgweir_node_lag_bytes" Gauge ["database", "node"]
        "Bytes of WAL that a replica has yet to replay."
        |all, out| all.clusters.iter().for_each(|view| view.nodes().for_each(|(node, _)| {
            let behind = view.sighting.topology.bytes_behind(node);
            behind.into_iter().for_each(|bytes| out.count(&[&view.database, &node.name], bytes));
        }));
    "pgweir_node_lag_seconds" Gauge ["database", "node"]
        "How old a replica's data were when it was probed last."
        |all, out| nodes(all, out, |node, _, samples, database| {
            node.lag.into_iter().for_each(|lag| samples.put(&[database, &node.name], lag.as_secs_f64()));
        });
    "pgweir_node_probes_total" Counter ["database", "result"]
        "Questions to nodes where they are; `result` is `ok` or `failed`, connections that could not be made included."
        |all, out| all.clusters.iter().for_each(|view| {
            let stats = &view.cluster.stats;
            out.count(&[&view.database, "ok"], stats.probes.get());
            out.count(&[&view.database, "failed"], stats.probes_failed.get());
        });
    "pgweir_node_events_total" Counter ["database", "event"]
        "What happened to the nodes of a database; `event` as in the log."
        |all, out| all.clusters.iter().for_each(|view| {
            let counts = CLUSTER_EVENTS.iter().zip(&view.cluster.stats.events);
            counts.for_each(|(event, count)| out.count(&[&view.database, event], count.get()));
        });
    "pgweir_rule_hits_total" Counter ["rule", "mode"]
        "Statements for which a rule has decided something (`mode` `enforce`), or would have (`shadow`)."
        |all, out| rules::hits(&all.rules, out);
    "pgweir_mirror_copies_total" Counter ["database", "user", "result"]
        "Copies of statements that rules had sent to another node (`mirror`); `result` is `answered`, `failed` (an error, or the node could not be reached) or `dropped` (too many waited, or it was too long)."
        |all, out| each(all, out, |key, pool, out| {
            let Totals { mirror_answered, mirror_failed, mirror_dropped, .. } = pool.totals;
            let counts = [("answered", mirror_answered), ("failed", mirror_failed), ("dropped", mirror_dropped)];
            counts.into_iter().for_each(|(result, n)| out.count(&[&key.0, &key.1, result], n));
        });
    "pgweir_mirror_statements_total" Counter ["database", "user", "of"]
        "What `pgweir_mirror_seconds_total` has the time of: `of` is `copy`, copies that were answered, or `original`, the statements that had copies."
        |all, out| each(all, out, |key, pool, out| {
            let counts = [("copy", pool.totals.mirror_answered), ("original", pool.totals.mirrored)];
            counts.into_iter().for_each(|(of, n)| out.count(&[&key.0, &key.1, of], n));
        });
    "pgweir_mirror_seconds_total" Counter ["database", "user", "of"]
        "Time of copies at their node, and of the statements that had copies, from sending to the end of the answer. Divided by `pgweir_mirror_statements_total` each gives a mean; their difference is that of the nodes."
        |all, out| each(all, out, |key, pool, out| {
            let times = [("copy", pool.totals.mirror_time), ("original", pool.totals.mirrored_time)];
            times.into_iter().for_each(|(of, micros)| out.seconds(&[&key.0, &key.1, of], micros));
        });
    "pgweir_rule_waiting" Gauge ["rule"]
        "Statements that wait for their turn by a rule with `throttle` or `concurrency`."
        |all, out| rules::tallies(&all.rules, |rule, tally| out.count(&[rule], tally.waiting));
    "pgweir_rule_running" Gauge ["rule"]
        "Statements that have a permit of a rule with `concurrency`."
        |all, out| rules::tallies(&all.rules, |rule, tally| out.count(&[rule], tally.running));
    "pgweir_rule_waits_total" Counter ["rule"]
        "Statements that have waited for their turn, whatever became of them."
        |all, out| rules::tallies(&all.rules, |rule, tally| out.count(&[rule], tally.waited));
    "pgweir_rule_wait_seconds_total" Counter ["rule"]
        "How long they have waited, all together."
        |all, out| rules::tallies(&all.rules, |rule, tally| out.seconds(&[rule], tally.wait_time.as_micros() as u64));
    "pgweir_rule_refused_total" Counter ["rule"]
        "Statements that were refused because their turn did not come in time."
        |all, out| rules::tallies(&all.rules, |rule, tally| out.count(&[rule], tally.refused));
    "pgweir_cache_hits_total" Counter []
        "Reads answered by the result cache from what was kept."
        |all, out| out.count(&[], all.cache.counts.all_hits());
    "pgweir_cache_level_hits_total" Counter ["level"]
        "The same, by the level of the rule."
        |all, out| by_reason(out, Caching::WORDS.iter().map(|(word, _)| *word), &all.cache.counts.hits);
    "pgweir_cache_shared_total" Counter []
        "Reads that were given the answer that another session was waiting for."
        |all, out| out.count(&[], all.cache.counts.followed);
    "pgweir_cache_misses_total" Counter ["reason"]
        "Reads that were looked for in the result cache and went to the database, by the reason; those whose answer was then kept are among them."
        |all, out| by_reason(out, Miss::ALL.iter().map(|why| why.name()), &all.cache.counts.misses);
    "pgweir_cache_refusals_total" Counter ["reason"]
        "Answers that a rule wants kept and that may not be, by the reason; their reads are counted as misses too, `not_ready`. A statement that is asked for once is not looked at."
        |all, out| by_reason(out, REFUSALS.into_iter(), &all.cache.refused);
    "pgweir_cache_stored_total" Counter []
        "Answers kept."
        |all, out| out.count(&[], all.cache.counts.stored);
    "pgweir_cache_unstored_total" Counter ["reason"]
        "Answers that were to be kept and were not, by the reason."
        |all, out| by_reason(out, Unstored::ALL.iter().map(|why| why.name()), &all.cache.counts.unstored);
    "pgweir_cache_evictions_total" Counter ["cause"]
        "Answers that were kept and are no more, by the cause."
        |all, out| by_reason(out, Eviction::ALL.iter().map(|cause| cause.name()), &all.cache.counts.evictions);
    "pgweir_cache_refreshes_total" Counter []
        "Reads that went to the database so that an answer is not too old soon."
        |all, out| out.count(&[], all.cache.counts.refreshes);
    "pgweir_cache_followers" Gauge []
        "Sessions that wait for the answer to another session's read."
        |all, out| out.count(&[], all.cache.counts.followers as u64);
    "pgweir_cache_entries" Gauge []
        "Answers that are kept."
        |all, out| out.count(&[], all.cache.counts.entries as u64);
    "pgweir_cache_bytes" Gauge []
        "Their memory, with keys, tags and tables; not that of answers coming in, nor of the versions of tags (8 MiB)."
        |all, out| out.count(&[], all.cache.counts.bytes as u64);
    "pgweir_cache_bytes_limit" Gauge []
        "How much that may be (`limits.cache_size`)."
        |all, out| out.count(&[], all.cache.limit as u64);
    "pgweir_cache_stream_up" Gauge ["database"]
        "1 while the replication stream of a database with a cache hears what is changed."
        |all, out| all.cache.each(out, |one| Some(f64::from(u8::from(one.is_live()))));
    "pgweir_cache_stream_lag_seconds" Gauge ["database"]
        "How long ago the database was where its stream has not come to yet; 0 while it is not behind, none without a stream."
        |all, out| all.cache.each(out, |one| one.fresh.map(|_| one.lag.as_secs_f64()));
    "pgweir_cache_fresh_seconds" Gauge ["database"]
        "How long ago the last instant was up to which nothing is missing; up to a second where nobody reads by the cache, none without a stream."
        |all, out| all.cache.each(out, |one| one.fresh.map(|since| since.as_secs_f64()));
    "pgweir_cache_limbo" Gauge ["database"]
        "Commits that the stream has told and that no snapshot has shown."
        |all, out| all.cache.each(out, |one| Some(one.limbo() as f64));
    "pgweir_cache_doubts" Gauge ["database"]
        "Writes through pgweir that were answered, or lost on their way, and whose tags are in doubt until the stream has come to them."
        |all, out| all.cache.each(out, |one| Some(one.doubts as f64));
    "pgweir_cache_bypass_seconds_total" Counter ["database"]
        "Time without a stream since a read first needed it: all such reads go to the database."
        |all, out| all.cache.each(out, |one| Some(one.bypassed.as_secs_f64()));
    "pgweir_cache_verified_total" Counter ["database", "result"]
        "Hits that were run again on the primary (`verify`). `same`: it answers the same; `wrong`: something else, though nothing has changed; `changed`: what the answer depends on has changed meanwhile; `undecided`: something else, which may be right in another order of rows, or the stream did not come to it in time; `failed`: it could not be run; `dropped`: others came first."
        |all, out| {
            for view in all.cache.named() {
                let counts = Verified::ALL.iter().zip(view.verified);
                counts.for_each(|(what, count)| out.count(&[&view.name, what.name()], count));
            }
        };
    "pgweir_cache_wrong_total" Counter ["database"]
        "Those that were wrong: each is an alarm, told in the log, and all that reads the same tables was thrown away."
        |all, out| all.cache.each(out, |one| Some(one.verified()[1] as f64));
    "pgweir_reloads_total" Counter ["result"]
        "Reloads of settings and rule files; `result` is `ok`, or `refused`: something in them was wrong, and nothing was changed."
        |all, out| {
            ["ok", "refused"].iter().zip(all.process.reloads).for_each(|(result, n)| out.count(&[result], n));
        };
    "pgweir_clients" Gauge []
        "Clients logged in or about to be."
        |all, out| out.count(&[], all.process.clients.0 as u64);
    "pgweir_clients_limit" Gauge []
        "How many clients may be (`max_clients`)."
        |all, out| out.count(&[], all.process.clients.1 as u64);
    "pgweir_servers" Gauge []
        "Servers, those being connected included."
        |all, out| out.count(&[], all.process.servers.0 as u64);
    "pgweir_servers_limit" Gauge []
        "How many servers may be (`max_servers`)."
        |all, out| out.count(&[], all.process.servers.1 as u64);
    "pgweir_logins_under_way" Gauge []
        "Connections that have not logged in."
        |all, out| out.count(&[], all.process.logins.0 as u64);
    "pgweir_logins_under_way_limit" Gauge []
        "How many of them may be (`max_unauthenticated`)."
        |all, out| out.count(&[], all.process.logins.1 as u64);
    "pgweir_logins_refused_total" Counter ["class"]
        "Logins refused before a client had a pool, by class of SQLSTATE (28: wrong password or no such user)."
        |all, out| {
            ERROR_CLASSES.iter().zip(all.process.refused).for_each(|(class, n)| out.count(&[class], n));
        };
    "pgweir_logins_unfinished_total" Counter []
        "Connections that went away, or ran out of time, before they had logged in."
        |all, out| out.count(&[], all.process.unfinished);
    "pgweir_worker_sessions" Gauge ["worker"]
        "Sessions of each data-plane thread."
        |all, out| {
            let workers = all.process.sessions.iter().enumerate();
            workers.for_each(|(at, n)| out.count(&[&at.to_string()], *n as u64));
        };
    "pgweir_draining" Gauge []
        "1 when the process waits for transactions to end before it stops."
        |all, out| out.count(&[], all.process.draining.into());
    "pgweir_info" Gauge ["version"]
        "Always 1; which pgweir this is."
        |_, out| out.count(&[env!("CARGO_PKG_VERSION")], 1);
    "pgweir_start_time_seconds" Gauge []
        "When the process started, in seconds since 1970."
        |all, out| out.count(&[], all.process.started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    "pgweir_memory_bytes" Gauge []
        "Resident memory."
        |all, out| out.count(&[], all.process.memory);
}

type Key = (String, String);

fn each(all: &Snapshot, out: &mut Samples<'_>, put: fn(&Key, &PoolView, &mut Samples<'_>)) {
    all.pools.iter().for_each(|(key, pool)| put(key, pool, out));
}

fn by_reason<'r>(out: &mut Samples<'_>, reasons: impl Iterator<Item = &'r str>, counts: &[u64]) {
    reasons.zip(counts).for_each(|(reason, count)| out.count(&[reason], *count));
}

fn nodes(all: &Snapshot, out: &mut Samples<'_>, put: fn(&Node, &str, &mut Samples<'_>, &str)) {
    for view in &all.clusters {
        view.nodes().for_each(|(node, state)| put(node, state, out, &view.database));
    }
}

fn store(all: &Snapshot, out: &mut Samples<'_>, read: fn(&Status) -> &AtomicU64) {
    let number = all.history.store.as_ref().map(|(_, status)| read(status).load(Ordering::Relaxed));
    number.into_iter().for_each(|number| out.count(&[], number));
}

fn totals(all: &Snapshot, out: &mut Samples<'_>, read: fn(&Totals) -> u64) {
    all.pools.iter().for_each(|(key, pool)| out.count(&[&key.0, &key.1], read(&pool.totals)));
}

fn times(all: &Snapshot, out: &mut Samples<'_>, read: fn(&Totals) -> u64) {
    all.pools.iter().for_each(|(key, pool)| out.seconds(&[&key.0, &key.1], read(&pool.totals)));
}

fn gauge(all: &Snapshot, out: &mut Samples<'_>, read: fn(&PoolView) -> f64) {
    all.pools.iter().for_each(|(key, pool)| out.put(&[&key.0, &key.1], read(pool)));
}

fn two(all: &Snapshot, out: &mut Samples<'_>, names: [&str; 2], read: fn(&Totals) -> [u64; 2]) {
    for (key, pool) in &all.pools {
        let numbers = names.iter().zip(read(&pool.totals));
        numbers.for_each(|(name, n)| out.count(&[&key.0, &key.1, name], n));
    }
}

/// The page for Prometheus.
pub fn text(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for metric in METRICS {
        prometheus::metric(&mut out, &metric.head, |samples| (metric.read)(snapshot, samples));
    }
    out
}

/// The reference page, `docs/guide/metrics.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Generated by `pgweir generate metrics-page`. -->\n\n\
         `GET /metrics` on the HTTP address (`http`, by default 127.0.0.1:6433) answers in the text format of \
         Prometheus, version 0.0.4. Counters are of the process and begin at zero when it starts; `database` and `user` \
         are as clients name them. Beside it, `/health` answers 200 while the process lives, and `/ready` 200 while it \
         takes clients and has a server, or can log in to one (as the user of a database or `auth_user`, or one of `[users]` whose plain \
         password it knows; where there is none, it is enough that a host takes connections); 503 else, and while it stops.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Metric { head, .. } in METRICS {
        let labels: Vec<_> = head.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            head.name,
            head.kind.word(),
            labels.join(", "),
            head.help
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_metrics_page_is_committed_as_generated() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/metrics.md");
        let found = std::fs::read_to_string(path).unwrap_or_default();
        let command = "cargo run -- generate metrics-page > docs/guide/metrics.md";
        assert!(found == page(), "docs/guide/metrics.md is not as generated; run: {command}");
    }

    #[test]
    fn admin_metrics_are_named_as_prometheus_wants() {
        for Metric { head, .. } in METRICS {
            assert!(head.name.starts_with("pgweir_"), "{}", head.name);
            assert_eq!(head.kind == Kind::Counter, head.name.ends_with("_total"), "{}", head.name);
            assert!(head.help.ends_with('.') && !head.help.contains('|'), "{}", head.name);
            assert_eq!(
                METRICS.iter().filter(|other| other.head.name == head.name).count(),
                1,
                "{}",
                head.name
            );
        }
    }
}
