//! `pgweir.token` and the result cache: what one session has seen, another one sees after it was given the token, at the same pgweir or at another.

use std::time::Duration;

use super::applied::Ruled;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const RULES: &str =
    "[[rule]]\nname = \"kept\"\nwhen.class = \"select\"\nthen.cache = { level = \"session\" }\n";

/// Ways in which a session takes a token.
fn take(client: &mut Client, token: &str, way: usize) {
    let set = format!("set pgweir.token = '{token}'");
    match way % 4 {
        0 => client.run(&set),
        1 => client.run(&format!("select set_config('pgweir.token', '{token}', false)")),
        2 => client.run(&format!("begin; {set}; commit")),
        _ => {
            client.send(&[msg::unnamed(&set, &[]), msg::sync()].concat());
            client.until_ready();
        }
    }
}

#[test]
fn a_token_carries_what_was_seen() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=4") else { return };
    let database = &ruled.databases[0];
    database.setup("create table kept (i int primary key, n int); insert into kept select i, 0 from generate_series(1, 9) i");
    let other = ruled.another();
    let hits = |proxy: std::net::SocketAddr| {
        let (_, page) = crate::admin::get(proxy, "/metrics");
        let line =
            page.lines().find_map(|line| line.strip_prefix("pgweir_cache_hits_total ")).expect("a sample");
        line.parse::<u64>().expect("a number")
    };
    let mut writer = ruled.client();
    let mut readers = [
        (ruled.client(), ruled.http),
        (Client::connect(&other.proxy.endpoint(), &database.login()), other.http),
    ];
    let read = "select n from kept where i = 7";
    let mut before_the_token = 0;
    for round in 1..=60 {
        for (reader, http) in &mut readers {
            let before = hits(*http);
            eventually("it is kept there", || {
                reader.run(read);
                hits(*http) > before
            });
        }
        writer.run(&format!("update kept set n = {round} where i = 7"));
        let token = writer.value("show pgweir.token");
        for (reader, _) in &mut readers {
            // What it would say without the token is right too, and may be older.
            before_the_token += usize::from(reader.value(read) != round.to_string());
        }
        for (reader, http) in &mut readers {
            take(reader, &token, round);
            assert_eq!(reader.value(read), round.to_string(), "round {round}");
            // It is no part of what is asked, and in nobody's way.
            let before = hits(*http);
            eventually("it is kept there", || {
                reader.run(read);
                std::thread::sleep(Duration::from_millis(5));
                hits(*http) > before
            });
        }
    }
    println!("{before_the_token} of 120 reads without a token were older");
    assert_eq!(readers[0].0.error("set pgweir.token = 'nonsense'"), "22023");
}
