//! No value of a statement gets into the file, the log or the console, wherever it stands.

use super::Scene;
use crate::harness::frontend as msg;

/// Stands in every place where a value may.
const SECRET: &str = "xSECRETx";

#[test]
fn store_never_has_a_value() {
    let Some(mut scene) = Scene::new("") else { return };
    let mut client = scene.client();
    for text in [
        format!("select '{SECRET}'"),
        format!("select E'\\'{SECRET}'"),
        format!("select $${SECRET}$$"),
        format!("select $a${SECRET}$a$"),
        format!("select U&'{SECRET}'"),
        format!("select 1 -- {SECRET}"),
        format!("select 1 /* {SECRET} */"),
        format!("select 1 /*+ {SECRET} */"),
        format!("select 'unterminated {SECRET}"),
        format!("select $$unterminated {SECRET}"),
        format!("select \"unterminated {SECRET}"),
        format!("select 1 /* unterminated {SECRET}"),
        format!("select * from t where s in ('{SECRET}', 'a') or s = '{SECRET}'"),
        format!("insert into t values (-1, '{SECRET}')"),
        format!("do $$ begin perform '{SECRET}'; end $$"),
        format!("alter role app password '{SECRET}'"),
        format!("create role nobody_{} password '{SECRET}'", std::process::id()),
        format!("set application_name = 'web'; select '{SECRET}'"),
        format!("set work_mem = '{SECRET}'"),
        format!("prepare q as select '{SECRET}'"),
        "deallocate all".to_owned(),
        format!("copy t from program 'echo {SECRET}'"),
        format!("select 1 \\ {SECRET}"),
        format!("set standard_conforming_strings = off; select 'a\\'{SECRET}'"),
        format!("select 'a\\'{SECRET}'"),
        format!("begin; savepoint a; select '{SECRET}'; rollback"),
    ] {
        client.simple(&text);
    }
    client.run("reset standard_conforming_strings");
    // In a pipeline, where nobody knows yet how the server reads it.
    let mut pipeline = msg::query("set standard_conforming_strings = off");
    pipeline.extend(msg::query(&format!("select 'a\\'{SECRET}'")));
    pipeline.extend(msg::query("set standard_conforming_strings = on"));
    client.send(&pipeline);
    (0..3).for_each(|_| drop(client.until_ready()));
    for text in ["select $1::text", "select s from t where s = $1"] {
        client.send(&[msg::unnamed(text, &[SECRET]), msg::sync()].concat());
        client.until_ready();
    }
    client.send(
        &[msg::unnamed(&format!("select $1::text, '{SECRET}' /* {SECRET} */"), &[SECRET]), msg::sync()]
            .concat(),
    );
    client.until_ready();
    drop(client);
    let shown = format!("{:?}", scene.show("STATEMENTS"));
    scene.proxy.stop();
    assert!(shown.contains("select $1") && !shown.contains(SECRET), "{shown}");
    for part in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{part}", scene.file().display())).unwrap_or_default();
        let at = bytes.windows(SECRET.len()).position(|part| part == SECRET.as_bytes());
        let words = |at: usize| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(100)..(at + 50).min(bytes.len())]).into_owned()
        };
        assert_eq!(at.map(words), None);
    }
    assert!(!scene.proxy.log().contains(SECRET));
    assert!(super::calls(&scene.file()) > 25);
}
