//! Level `strict_all`: nobody is told less than anybody could see before, whoever wrote it; answers out of the cache wait for the stream.

use std::time::{Duration, Instant};

use super::applied::Ruled;
use crate::harness::cluster::Cluster;
use crate::harness::eventually;
use crate::harness::raw::Client;

const RULES: &str = r#"
[[rule]]
name = "kept"
when = { class = "select", tables = ["kept", "dear"] }
then.cache = { level = "strict_all", ttl_cap = "1h" }
"#;

const SETUP: &str = "create table kept (id int primary key, n int);
    insert into kept select i, 0 from generate_series(1, 10) as i;
    create table dear (id int primary key); insert into dear select generate_series(1, 10)";

const READ: &str = "select n from kept where id = 7";

fn hits(ruled: &Ruled) -> u64 {
    ruled.metric("pgweir_cache_hits_total").parse().expect("a number")
}

/// A client that was answered out of the cache. Where the stream is slow, one that has waited in vain does not wait for a while: so each time it is another.
#[track_caller]
fn until_hit(ruled: &Ruled, read: &str) -> Client {
    let mut found = None;
    eventually("it is kept", || {
        let client = found.insert(ruled.client());
        (0..3).for_each(|_| drop(client.value(read)));
        let before = hits(ruled);
        client.value(read);
        hits(ruled) > before
    });
    found.expect("it was there")
}

#[test]
fn what_is_written_around_it_is_never_missed() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=4") else { return };
    ruled.databases[0].setup(SETUP);
    let mut beside = Cluster::shared().superuser(&ruled.databases[0].name);
    let mut client = until_hit(&ruled, READ);
    let begun = hits(&ruled);
    for n in 1..300 {
        beside.run(&format!("update kept set n = {n} where id = 7"));
        // At once, with nothing between the server's acknowledgement and the question.
        assert_eq!(client.value(READ), n.to_string());
        // Kept again, and again looked at behind the stream.
        (0..3).for_each(|_| assert_eq!(client.value(READ), n.to_string()));
    }
    let hits = hits(&ruled) - begun;
    println!("{hits} hits of 1196");
    // How many, the machine decides: each waits for the stream, 10 ms at most.
    assert!(hits > 10, "{hits} hits of 1196");
}

#[test]
fn a_hit_waits_for_the_stream_and_no_longer() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=4") else { return };
    ruled.databases[0].setup(SETUP);
    let mut client = until_hit(&ruled, READ);
    let before = hits(&ruled);
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            client.value(READ);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let hits = hits(&ruled) - before;
    println!("{hits} hits of 200; half within {:?}, nine tenths within {:?}", times[100], times[180]);
    assert!(hits > 2, "{hits} hits of 200");
    // The longest wait is 10 ms, and one in vain is not repeated at once.
    assert!(times[100] < Duration::from_millis(100), "{:?}", times[100]);
}
