//! Advice for very many statements: within the time, the plans and the processor's time that are promised.

use super::*;

/// Tables of eight columns, of which some tell rows apart better than others.
const SHELVES: &str = "
    do $$ begin for i in 0..TABLES loop
        execute format('create table shelf_%s (id bigint primary key, c0 int, c1 int, c2 int, c3 int, c4 int, c5 int, c6 int, c7 int, note text)', i);
        execute format('insert into shelf_%s select n, n %% 2, n %% 5, n * 7 %% 20, n * 11 %% 100, n * 13 %% 1000, n, n * 17 %% 50, n * 19 %% 400, repeat(''x'', 60)
            from generate_series(1, 6000) n', i);
    end loop; end $$;
    analyze;";

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Statements over tables in groups of five, a fifth of them joins; no values of them were kept.
fn statements(count: u64, tables: u64) -> Vec<Observed> {
    let mut random = Random(7919);
    let mut one = |number: u64| {
        let table = number % tables;
        let mut text = format!("select a.note, {number} from shelf_{table} a");
        if random.below(5) == 0 {
            text += &format!(" join shelf_{} b on b.c5 = a.c4", table / 5 * 5 + random.below(5));
        }
        let first = random.below(8);
        text += &format!(" where a.c{first} = $1");
        for parameter in 2..2 + random.below(3) {
            text += &format!(" and a.c{} = ${parameter}", (first + random.below(7) + 1) % 8);
        }
        if random.below(3) == 0 {
            text += &format!(" order by a.c{} limit 10", random.below(8));
        }
        let mut observed = statement(&text, 100 + random.below(900), &[]);
        // A number that was folded has no part in the fingerprint: each is a shape of its own here.
        observed.fingerprint = u128::from(number) + 1;
        observed
    };
    (0..count).map(&mut one).collect()
}

/// Seconds of the processor: of a process, and of those of its children that have ended.
fn cpu(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it is there");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    // A hundred ticks a second, everywhere that Linux is.
    fields[11..15].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

#[test]
fn of_many_statements_all_are_weighed_with_few_plans() {
    let Some(scene) = Scene::new(&SHELVES.replace("TABLES", "4")) else { return };
    let work = workload(statements(60, 5));
    let advised = scene.advise(&work);
    let found = indexes(&advised).len();
    assert!((5..=25).contains(&found), "{found}: {:?}", indexes(&advised));
    let helped = advised.advice.verdicts.iter().filter(|one| !one.fixes.is_empty()).count();
    assert!(helped >= 40, "{helped} of 60 are helped");
    // As things are, with all candidates, and so many again to choose.
    assert!(advised.plans < 60 * 4 * 5, "{} plans", advised.plans);
    assert!(!advised.advice.notes.iter().any(|note| note.contains("the time for advice")));
}

#[test]
#[ignore = "takes a minute on a quiet machine: `cargo nextest run --release --run-ignored all five_hundred --no-capture`"]
fn five_hundred_statements_take_thirty_seconds_and_a_quarter_of_a_core() {
    let Some(scene) = Scene::new(&SHELVES.replace("TABLES", "49")) else { return };
    let work = workload(statements(500, 50));
    let postmaster = scene.value("select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
    let (mine, servers) = (cpu("self"), cpu(&postmaster));
    let limits = Limits::default();
    let (advised, log) = scene.advise_as(APP, &work, &limits);
    let mine = cpu("self") - mine;
    let (plans, took, found) = (advised.plans, advised.took, indexes(&advised).len());
    let helped = advised.advice.verdicts.iter().filter(|one| !one.fixes.is_empty()).count();
    eprintln!("{plans} plans in {took:?}: {found} indexes that help {helped} of 500 statements");
    eprintln!("processor: {mine:.1} s of pgweir, {:.1} s of the server", cpu(&postmaster) - servers);
    eprintln!("{:#?}", advised.advice.notes);
    assert!(took <= limits.time + Duration::from_secs(2) && mine < 7.5, "{took:?}, {mine} s");
    let times: Vec<Instant> =
        log.iter().filter(|(_, sql)| sql.starts_with("EXPLAIN")).map(|(at, _)| *at).collect();
    for second in times.windows(102) {
        let took = second[101] - second[0];
        assert!(took >= Duration::from_millis(950), "102 plans in {took:?}");
    }
}
