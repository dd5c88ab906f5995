//! Level `session`: a read that takes the database long waits for the stream, after a write of its session, rather than being asked again.

use std::time::{Duration, Instant};

use super::applied::Ruled;
use crate::harness::cluster::{Cluster, Frozen};
use crate::harness::eventually;
use crate::harness::raw::Client;

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = "kept" }
then.cache = { level = "session", ttl_cap = "1h" }
"#;

/// `slow` has something to do: a function that sleeps calls one that is not IMMUTABLE, so what calls it is not kept.
const SETUP: &str = "create table kept (id int primary key, n int); insert into kept select i, i from generate_series(1, 10) as i;
    create table other (id int primary key, n int); insert into other values (1, 0);
    create function slow(i int) returns int immutable language plpgsql as 'begin for j in 1..400000 loop i := i + 0; end loop; return i; end'";

const CHEAP: &str = "select n from kept where id = 7";
const DEAR: &str = "select slow(n) from kept where id = 7";

fn hits(ruled: &Ruled) -> u64 {
    ruled.metric("pgweir_cache_hits_total").parse().expect("a number")
}

/// How often each is read.
const READS: u64 = 40;
/// Longer than the way of a cheap read, and shorter than a dear one waits.
const LATE: Duration = Duration::from_millis(2);

fn keep(ruled: &Ruled, client: &mut Client, read: &str) {
    eventually("it is kept", || {
        (0..3).for_each(|_| drop(client.value(read)));
        std::thread::sleep(Duration::from_millis(20));
        let before = hits(ruled);
        client.value(read);
        hits(ruled) > before
    });
}

/// Hits of reads each of which follows a write of its own session to another table; the stream, of that process, tells of the write a little later.
fn hits_behind_writes(ruled: &Ruled, client: &mut Client, stream: &str, read: &str) -> u64 {
    let before = hits(ruled);
    for n in 0..READS {
        let late = Frozen::processes(vec![stream.to_owned()]);
        client.run(&format!("update other set n = {n} where id = 1"));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(LATE);
                drop(late);
            });
            assert_eq!(client.value(read), "7");
        });
    }
    hits(ruled) - before
}

#[test]
fn a_dear_read_waits_for_the_stream() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    ruled.databases[0].setup(SETUP);
    let mut client = ruled.client();
    keep(&ruled, &mut client, CHEAP);
    let database = &ruled.databases[0].name;
    let stream = Cluster::shared().superuser(database).value(&format!(
        "select active_pid from pg_replication_slots where slot_type = 'logical' and database = '{database}'"
    ));
    // A cheap read waits as well, once in eight times that it was missed. How late the stream is in the end, the machine decides.
    let mut was_late = true;
    let is_clear = (0..8).any(|_| {
        // Kept anew: what a busy machine took long for once counts as dear for as long as it is kept.
        client.run("update kept set n = n where id = 7");
        [CHEAP, DEAR].into_iter().for_each(|read| keep(&ruled, &mut client, read));
        let cheap = hits_behind_writes(&ruled, &mut client, &stream, CHEAP);
        let begun = Instant::now();
        let dear = hits_behind_writes(&ruled, &mut client, &stream, DEAR);
        println!(
            "of {READS}, {cheap} cheap reads were hits, {dear} dear ones, these in {:?}",
            begun.elapsed()
        );
        // Where the machine is so busy that reads come later than the stream, nothing is told.
        was_late &= cheap < READS / 2;
        dear >= READS / 3 && dear > 2 * cheap
    });
    assert!(is_clear || !was_late, "dear reads do not wait for the stream");
}
