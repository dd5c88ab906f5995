//! Logs of all formats come to the same.

use super::*;
use crate::stats::tally::TOTAL;

const PLAIN: &str = "\
2026-11-29 21:44:00.123 UTC [71] app@shop LOG:  duration: 12.345 ms  statement: select * from orders
\twhere id = 17
2026-11-29 21:44:01.000 UTC [72] app@shop LOG:  duration: 100.000 ms  execute <unnamed>: select * from t where email = $1
2026-11-29 21:44:01.000 UTC [72] app@shop DETAIL:  parameters: $1 = 'a@b.example'
2026-11-29 21:44:30.000 UTC [71] app@shop ERROR:  duplicate key value violates unique constraint \"t_pkey\"
2026-11-29 21:44:30.000 UTC [71] app@shop DETAIL:  Key (id)=(7) already exists.
2026-11-29 21:44:30.000 UTC [71] app@shop STATEMENT:  insert into t values (7)
this is no line of a log
2026-11-29 21:45:00.000 UTC [9] LOG:  checkpoint starting: time
2026-11-29 21:45:00.000 UTC [71] app@shop LOG:  duration: 7.655 ms  statement: select * from orders where id = 18
2026-11-29 21:45:00.000 UTC [71] app@shop LOG:  duration: 1.000 ms
";

fn read_text(text: &str, prefix: Option<&str>) -> Result<Log, String> {
    read(&mut text.as_bytes(), prefix, (0, i64::MAX))
}

/// Statements with calls, microseconds and errors.
fn lines(log: &Log) -> Vec<(String, u64, u64, u64)> {
    let mut all: Vec<_> = log
        .history
        .counted
        .lines()
        .map(|(_, _, text, sums)| (text.to_string(), sums.calls, sums.micros[TOTAL], sums.failures()))
        .collect();
    all.sort();
    all
}

fn expected() -> Vec<(String, u64, u64, u64)> {
    [
        ("insert into t values ($1)", 1, 0, 1),
        ("select * from orders where id = $1", 2, 20_000, 0),
        ("select * from t where email = $1", 1, 100_000, 0),
    ]
    .map(|(text, calls, micros, errors)| (text.to_owned(), calls, micros, errors))
    .to_vec()
}

#[test]
fn the_servers_own_format_is_read_with_its_prefix_guessed() {
    let log = read_text(PLAIN, None).expect("a log");
    assert_eq!(lines(&log), expected());
    assert_eq!(log.history.between, Some((1_795_988_640, 1_795_988_701)));
    let (who, ..) = log.history.counted.lines().next().expect("one");
    assert_eq!((&*who.user, &*who.database), ("app", "shop"));
    let notes = log.notes.join("\n");
    for part in [
        "taken to be '%m [%p] %q%u@%d '",
        "1 of 11 lines could not be read, the first of them line 8",
        "1 durations have no statement",
        "1 errors have no SQLSTATE",
    ] {
        assert!(notes.contains(part), "{part} is not in\n{notes}");
    }
    assert!(read_text(PLAIN, Some("%m [%p] %q%u@%d ")).is_ok());
    let late = read(&mut PLAIN.as_bytes(), None, (1_795_988_690, i64::MAX)).expect("a log");
    assert_eq!(lines(&late), [("select * from orders where id = $1".to_owned(), 1, 7655, 0)]);
}

#[test]
fn samples_have_values_and_the_report_has_none() {
    let log = read_text(PLAIN, None).expect("a log");
    let texts: Vec<_> = log.workload.shapes.iter().map(|one| &*one.text).collect();
    assert_eq!(
        texts,
        [
            "select * from t where email = $1",
            "select * from orders where id = $1",
            "insert into t values ($1)"
        ]
    );
    assert_eq!(log.workload.shapes[0].samples[0].values, [Some("a@b.example".to_owned())]);
    assert_eq!(log.workload.shapes[1].samples.len(), 2);
    let scope = crate::report::Scope {
        origin: crate::report::Origin::Log,
        name: "x.log".into(),
        window: (0, i64::MAX),
        most: 10,
    };
    let report = crate::report::Report::of(scope, &log.history, None);
    assert_eq!(report.seconds(), 61.0);
    for form in [report.text(false), report.markdown(), report.html(), report.json()] {
        assert!(
            !form.contains("a@b.example")
                && !form.contains("values (7)")
                && form.contains("select * from orders where id = $1"),
            "{form}"
        );
    }
}

#[test]
fn other_prefixes_are_read_when_given_or_common() {
    for (prefix, line, given) in [
        ("%m [%p] ", "2026-11-29 21:44:00.123 UTC [71] ", false),
        ("%t:%r:%u@%d:[%p]:", "2026-11-29 21:44:00 UTC:10.0.0.1(5432):app@shop:[71]:", false),
        (
            "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
            "2026-11-29 21:44:00 UTC [71]: [3-1] user=app,db=shop,app=my app,client=10.0.0.1 ",
            false,
        ),
        ("%n %e %-10u|%d|", "1795988640.123 00000 app       |shop|", true),
    ] {
        let text = format!("{line}LOG:  duration: 5.000 ms  statement: select 1\n").repeat(3);
        let log =
            read_text(&text, given.then_some(prefix)).unwrap_or_else(|error| panic!("{prefix}: {error}"));
        assert_eq!(lines(&log), [("select $1".to_owned(), 3, 15_000, 0)], "{prefix}");
        assert_eq!(log.history.between.map(|between| between.0), Some(1_795_988_640), "{prefix}");
        if prefix.contains("%u") {
            assert_eq!(log.history.counted.lines().next().map(|line| &*line.0.user), Some("app"), "{prefix}");
        }
    }
}

#[test]
fn csv_and_json_come_to_the_same() {
    let csv = |time: &str, severity: &str, state: &str, message: &str, detail: &str, query: &str| {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        format!(
            "2026-11-29 21:{time} UTC,\"app\",\"shop\",71,\"[local]\",65.1,1,\"SELECT\",2026-11-29 21:00:00 UTC,3/1,0,{severity},{state},{},{},,,,,{},,,\"web\",\"client backend\",,0\n",
            quoted(message),
            quoted(detail),
            quoted(query)
        )
    };
    let text = [
        csv(
            "44:00.123",
            "LOG",
            "00000",
            "duration: 12.345 ms  statement: select * from orders\nwhere id = 17",
            "",
            "",
        ),
        csv(
            "44:01.000",
            "LOG",
            "00000",
            "duration: 100.000 ms  execute <unnamed>: select * from t where email = $1",
            "parameters: $1 = 'a,\"b'",
            "",
        ),
        csv("44:30.000", "ERROR", "23505", "duplicate key", "", "insert into t values (7)"),
        csv(
            "45:00.000",
            "LOG",
            "00000",
            "duration: 7.655 ms  statement: select * from orders where id = 18",
            "",
            "",
        ),
    ]
    .concat();
    let log = read_text(&text, None).expect("a log");
    assert_eq!(lines(&log), expected());
    assert_eq!(log.workload.shapes[0].samples[0].values, [Some("a,\"b".to_owned())]);
    let json = |message: &str, rest: &str| {
        format!(
            "{{\"timestamp\":\"2026-11-29 21:44:00.123 UTC\",\"user\":\"app\",\"dbname\":\"shop\",\"error_severity\":\"LOG\",\"message\":{}{rest}}}\n",
            serde_json::Value::from(message)
        )
    };
    let text = [
        json("duration: 12.345 ms  statement: select * from orders\nwhere id = 17", ""),
        json(
            "duration: 100.000 ms  execute <unnamed>: select * from t where email = $1",
            ",\"detail\":\"parameters: $1 = 'x'\"",
        ),
        json("duplicate key", ",\"state_code\":\"23505\",\"statement\":\"insert into t values (7)\"")
            .replace("\"LOG\"", "\"ERROR\""),
        "{ broken".to_owned() + "\n",
        json("duration: 7.655 ms  statement: select * from orders where id = 18", ""),
    ]
    .concat();
    let log = read_text(&text, None).expect("a log");
    assert_eq!(lines(&log), expected());
    assert!(log.notes[0].starts_with("1 of 5 lines could not be read"), "{:?}", log.notes);
}

#[test]
fn plans_are_read_and_count_only_where_durations_do_not() {
    let explained = |text: &str| {
        format!(
            "2026-11-29 21:44:00.123 UTC [71] LOG:  duration: 50.000 ms  plan:\n\t{{\n\t  \"Query Text\": \"{text}\",\n\t  \"Plan\": {{ \"Node Type\": \"Seq Scan\", \"Relation Name\": \"t\" }}\n\t}}\n"
        )
    };
    let text = explained("select * from t where i = 1")
        + &explained("select * from u where i = 1")
        + "2026-11-29 21:44:00.123 UTC [71] LOG:  duration: 50.100 ms  statement: select * from t where i = 1\n";
    let log = read_text(&text, None).expect("a log");
    let found: Vec<_> =
        lines(&log).into_iter().map(|(text, calls, micros, _)| (text, calls, micros)).collect();
    assert_eq!(
        found,
        [
            ("select * from t where i = $1".to_owned(), 1, 50_100),
            ("select * from u where i = $1".to_owned(), 1, 50_000)
        ]
    );
    assert_eq!(log.plans.len(), 2);
}

#[test]
fn what_is_no_log_is_told() {
    let refused = |text: &str, prefix: Option<&str>| read_text(text, prefix).expect_err("refused");
    assert!(refused("", None).contains("nothing in it"));
    assert!(refused("hello\nworld\n", None).contains("--log-line-prefix"));
    assert!(refused(PLAIN, Some("%Z ")).contains("has no %Z"));
    assert!(
        refused("2026-11-29 21:45:00.000 UTC [9] LOG:  checkpoint starting\n", None)
            .contains("log_min_duration_statement")
    );
}

#[test]
fn nothing_that_is_broken_does_harm() {
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below.max(1) as u64) as usize
    };
    let sources = [
        PLAIN.to_owned(),
        "{\"timestamp\":1}\n".repeat(9),
        format!("2026-11-29 21:44:00 UTC,{}\n", "\"a\",".repeat(30)),
    ];
    for round in 0..600 {
        let mut bytes = sources[round % 3].clone().into_bytes();
        for _ in 0..1 + next(9) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b'"'),
                _ => bytes.insert(at, b'\n'),
            }
        }
        drop(read(&mut bytes.as_slice(), None, (0, i64::MAX)));
    }
    let long = format!(
        "2026-11-29 21:44:00.123 UTC [71] LOG:  duration: 5.0 ms  statement: select '{}'\n",
        "x".repeat(3 << 20)
    );
    let log = read_text(&(long + PLAIN), None).expect("a log");
    assert!(log.notes.iter().any(|note| note.contains("longer than 1 MB")), "{:?}", log.notes);
}

#[test]
fn sums_of_the_server_are_put_together() {
    let row = |query: &str, calls: &str| {
        ["shop", "app", query, calls, "10", "500.5", "20.25", "1795988640", "1795992240"]
            .map(|text| Some(text.to_owned()))
            .to_vec()
    };
    let log = statements(&[
        row("select * from t where i = $1", "5"),
        row("SELECT * FROM t WHERE i = $2", "7"),
        row("<insufficient privilege>", "1"),
    ])
    .expect("rows");
    assert_eq!(lines(&log), [("select * from t where i = $1".to_owned(), 12, 1_001_000, 0)]);
    assert_eq!(log.history.between, Some((1_795_988_640, 1_795_992_240)));
    assert!(log.notes[0].contains("1 statements may not be seen"));
    assert!(statements(&[]).is_err());
    let scope = crate::report::Scope {
        origin: crate::report::Origin::PgStatStatements,
        name: "db".into(),
        window: (0, i64::MAX),
        most: 10,
    };
    let text = crate::report::Report::of(scope, &log.history, None).text(false);
    assert!(
        text.contains("p95 of all statements -") && text.contains("p50, p95 and p99 are not known"),
        "{text}"
    );
}
