//! The result cache, proven from outside: sessions read and write through pgweir and around it while things go wrong, and every answer is
//! checked against what its level promises.
//!
//! `model` knows what was written when, and what an answer may show; `questions` are what is read, `workload`, `reads` and `writes` the sessions,
//! `aim` what they do most, `nemeses` what goes wrong. A short run is part of `make test`; `make check-cache SECONDS=600` runs for as long as one
//! likes, and prints what was checked. `PGWEIR_TEST_SEED` draws the same again; what comes first when two things happen at once it cannot say.
//! `PGWEIR_TEST_LEVELS=strict,session` leaves out other levels.
//! `PGWEIR_TEST_NO_CACHE=1` leaves the rules out: then nothing may be a hit, and all else must hold.

mod aim;
mod model;
mod nemeses;
mod questions;
mod random;
mod reads;
mod register;
mod report;
mod scene;
mod sql;
mod wire;
mod workload;
mod writes;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use self::aim::Aim;
use self::model::{Level, Wrong};
use self::nemeses::{NEMESES, Nemesis, pause};
use self::questions::{LEVELS, Question};
use self::random::Random;
use self::report::Report;
use self::scene::{DATABASE, Scene, make_roles, start_server};
use self::sql::{FORMS, Form, Prepared};
use self::workload::{Shared, Talker};
use crate::harness::cluster::{APP, Cluster};
use crate::harness::message::Message;
use crate::harness::proxy::program;
use crate::harness::raw::{Client, Login};
use crate::harness::{big, direct_only, frontend as msg};

/// A run in which little has happened goes on for so long.
const LONGER: Duration = Duration::from_secs(60);
/// Sessions of each level, and around pgweir.
const SESSIONS: u64 = 2;
/// Runs of `make check-cache RUN=checked_`, which share its time.
const RUNS: u32 = NEMESES.len() as u32 + 4;

/// Whether pgweir gets no rules for its cache.
fn no_cache() -> bool {
    set("PGWEIR_TEST_NO_CACHE")
}

fn set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

/// The sum of the samples of a metric.
fn counted(page: &str, metric: &str) -> u64 {
    let samples = page.lines().filter(|line| {
        line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

/// What is run.
#[derive(Debug, Clone, Copy)]
struct Run {
    name: &'static str,
    nemeses: &'static [Nemesis],
    time: Duration,
    spoilt: bool,
    /// A cure that is left out.
    without: Option<&'static str>,
    /// What its sessions do most.
    aim: Aim,
    /// There is a second pgweir.
    two: bool,
    /// At the end one of so many questions is compared.
    one_in: u32,
}

/// When it is dropped, also by a panic, sessions end.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

impl Run {
    fn new(name: &'static str, nemeses: &'static [Nemesis]) -> Run {
        let runs = if set("PGWEIR_TEST_ONE") { 1 } else { RUNS };
        let time = match std::env::var("PGWEIR_TEST_SECONDS") {
            Ok(all) => Duration::from_secs(all.parse().expect("PGWEIR_TEST_SECONDS is a number")) / runs,
            Err(_) if big() => Duration::from_secs(60),
            Err(_) => Duration::from_secs(3),
        };
        Run { name, nemeses, time, spoilt: false, without: None, aim: Aim::Everything, two: false, one_in: 4 }
    }

    /// Runs; nothing when the proxy is left out of the tests.
    fn run(self) -> Option<Report> {
        (!direct_only()).then(|| self.run_in(&mut Scene::new(&self)))
    }

    /// The same on a server that runs one after the other share: none of them may break it.
    fn run_on(self, server: &mut Option<Cluster>) -> Report {
        let primary = server.take().unwrap_or_else(|| {
            let primary = start_server();
            make_roles(&primary);
            primary
        });
        let mut scene = Scene::on(primary, &self);
        let report = self.run_in(&mut scene);
        *server = Some(scene.end());
        report
    }

    fn run_in(self, scene: &mut Scene) -> Report {
        let seed = seed();
        let rough = self.nemeses.iter().any(|nemesis| nemesis.breaks_connections());
        let login = Login::new(APP.0, APP.1, DATABASE);
        let (through, around) = (scene.proxy().endpoint(), scene.nodes[0].tcp());
        let mut shared = Shared::new(through, around, login, rough, self.aim);
        shared.spoilt = self.spoilt;
        shared.second = scene.second.as_ref().map(|(proxy, _)| proxy.endpoint());
        self.wait_until_hit(scene, &shared);
        let begun = Instant::now();
        let strikes = std::thread::scope(|scope| {
            let sessions = (0..SESSIONS).flat_map(|_| self.levels().into_iter().chain([Level::Direct]));
            for (n, level) in sessions.enumerate() {
                let talker = Talker::new(&shared, level, seed.wrapping_mul(1000) + n as u64);
                scope.spawn(move || talker.run());
            }
            // At level `strict`, who writes through one pgweir writes around the other.
            let of_second = self.levels().into_iter().filter(|level| !matches!(level, Level::Strict(_)));
            for (n, level) in of_second.enumerate().filter(|_| shared.second.is_some()) {
                let talker = Talker::new(&shared, level, seed.wrapping_mul(1000) + 500 + n as u64);
                scope.spawn(move || talker.at_second().run());
            }
            let _over = Ends(&shared);
            self.strike(scene, &shared, &mut Random::new(seed))
        });
        let seconds = begun.elapsed();
        // Without a cure there is nothing to be said of the end.
        let (compared, different) = match self.without {
            None => converge(scene, &shared, seed, self.one_in),
            Some(_) => (0, vec![]),
        };
        Report {
            run: self,
            seed,
            seconds,
            strikes,
            compared,
            different,
            hits: scene.count_hits(),
            hits_of_second: scene.hits_of_second(),
            misses: scene.misses(),
            surprises: shared.surprises(),
            model: shared.model.into_inner().expect("no session has panicked"),
            tally: shared.tally,
        }
    }

    /// Waits until each pgweir has answered from its cache.
    fn wait_until_hit(self, scene: &Scene, shared: &Shared) {
        let Some(login) = self.levels().first().map(|level| shared.login(*level)).filter(|_| !no_cache())
        else {
            return;
        };
        scene.wait_until_hit(&shared.through, &login, || scene.hits_so_far());
        if let Some(second) = &shared.second {
            scene.wait_until_hit(second, &login, || scene.hits_of_second());
        }
    }

    /// Its levels. Where a run is about races, a hit is one of a level that has to do with them.
    fn levels(&self) -> Vec<Level> {
        let mut levels = levels();
        levels.retain(|level| self.aim == Aim::Everything || !matches!(level, Level::Ttl(_)));
        levels
    }

    /// Whether there is as much to be checked as reports ask for: a machine that has much else to do takes longer.
    fn has_enough(&self, scene: &Scene, shared: &Shared) -> bool {
        let tally = &shared.tally;
        let done = [&tally.written, &tally.undone].map(|count| count.load(Ordering::Relaxed));
        let mixed = self.aim == Aim::Everything;
        let second = !self.two || scene.hits_of_second() > 30;
        no_cache()
            || second && scene.hits_so_far() > 60 && (!mixed || done.into_iter().all(|count| count > 15))
    }

    /// Has everything that may go wrong go wrong until the time is over, or a cure that is left out was missed; gives how often each had something to
    /// strike.
    fn strike(&self, scene: &mut Scene, shared: &Shared, random: &mut Random) -> BTreeMap<Nemesis, u64> {
        let end = Instant::now() + self.time;
        let mut strikes = BTreeMap::new();
        while (Instant::now() < end || Instant::now() < end + LONGER && !self.has_enough(scene, shared))
            && !(self.without.is_some() && shared.model().wrong > 0)
        {
            let Some(nemesis) = self.nemeses.get(random.below(self.nemeses.len().max(1) as u32) as usize)
            else {
                pause(random, 100, 101);
                continue;
            };
            let (from, to) = nemesis.rest();
            pause(random, from, to);
            if nemesis.strike(scene, shared, random) {
                *strikes.entry(*nemesis).or_default() += 1;
            }
        }
        strikes
    }
}

/// The levels that are run: all, or those that `PGWEIR_TEST_LEVELS` names, as in `strict,session`.
fn levels() -> Vec<Level> {
    let named = std::env::var("PGWEIR_TEST_LEVELS").ok();
    let wanted =
        |level: &Level| named.as_ref().is_none_or(|all| all.split(',').any(|one| one == level.name()));
    LEVELS.into_iter().filter(wanted).collect()
}

fn seed() -> u64 {
    if let Ok(text) = std::env::var("PGWEIR_TEST_SEED") {
        return text.parse().expect("PGWEIR_TEST_SEED is a number");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    now.as_micros() as u64 % 1_000_000_000
}

/// Nobody writes any more: what is read through pgweir at each level is what the server says, byte by byte. Gives how many answers were
/// compared, and what was different.
fn converge(scene: &Scene, shared: &Shared, seed: u64, one_in: u32) -> (u64, Vec<String>) {
    levels().into_iter().for_each(|level| scene.wait_until_served(&shared.login(level)));
    scene.barrier();
    // What has only an age may be served until that is over.
    std::thread::sleep(Duration::from_millis(400));
    let around = shared.around.lock().expect("no session has panicked").clone();
    let mut random = Random::new(seed);
    let (mut compared, mut different) = (0, vec![]);
    for level in levels() {
        let mut sides = [&shared.through, &around]
            .map(|endpoint| (Client::connect(endpoint, &shared.login(level)), Prepared::default()));
        let all = Question::all().into_iter().flat_map(|question| FORMS.map(|form| (question.clone(), form)));
        for (question, form) in all.filter(|(question, form)| question.fits(*form)) {
            if !big() && !random.once_in(one_in) {
                continue;
            }
            // The first may store what the others are told.
            for _ in 0..3 {
                let [through, around] =
                    sides.each_mut().map(|(client, prepared)| told(client, prepared, &question, form));
                compared += 1;
                if through != around {
                    different
                        .push(format!("{level:?} {question:?} {form:?}: {through:?} and not {around:?}"));
                }
            }
        }
    }
    (compared, different)
}

/// The answer to a question, as it must be the same on both sides.
fn told(client: &mut Client, prepared: &mut Prepared, question: &Question, form: Form) -> Vec<String> {
    client.send(&question.sql().encode(form, prepared));
    if form != Form::Simple {
        client.send(&msg::sync());
    }
    let same = |message: &&Message| !b"NS".contains(&message.tag);
    let messages = client.until_ready();
    messages.iter().filter(same).map(|message| format!("{message:?} {:?}", message.comparable())).collect()
}

#[test]
fn checked_in_peace() {
    if let Some(report) = Run::new("in peace", &[]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_the_stream_stalls() {
    if let Some(report) = Run::new("stream stalled", &[Nemesis::Stall]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_the_stream_is_killed() {
    if let Some(report) = Run::new("stream killed", &[Nemesis::Kill]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_slot_and_publication_are_dropped() {
    if let Some(report) = Run::new("slot dropped", &[Nemesis::Drop]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_commits_hang() {
    if let Some(report) = Run::new("commits hang", &[Nemesis::Hang]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_pgweir_is_killed() {
    if let Some(report) = Run::new("pgweir killed", &[Nemesis::Proxy]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_the_server_restarts() {
    if let Some(report) = Run::new("server restarted", &[Nemesis::Server]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_answers_are_late() {
    if let Some(report) = Run::new("answers late", &[Nemesis::Late]).run() {
        report.assert_sound();
    }
}

#[test]
fn checked_while_the_standby_is_paused() {
    if let Some(report) = Run::new("standby paused", &[Nemesis::Standby]).run() {
        report.assert_sound();
    }
}

/// Sessions of a second pgweir write around the first, and those of the first around the second.
#[test]
fn checked_with_two_pgweirs() {
    let run = Run { two: true, ..Run::new("two pgweirs", &[Nemesis::Stall, Nemesis::Kill]) };
    let Some(report) = run.run() else { return };
    report.assert_sound();
    assert!(no_cache() || report.hits_of_second > 20, "{report}");
}

#[test]
fn checked_over_a_failover() {
    if let Some(report) = Run::new("failover", &[Nemesis::Failover]).run() {
        report.assert_sound();
    }
}

/// All at once, which takes long to tell what it was; only where there is time.
#[test]
fn checked_while_everything_goes_wrong() {
    if !big() && !set("PGWEIR_TEST_SECONDS") {
        return;
    }
    if let Some(report) = Run::new("everything", &NEMESES).run() {
        report.assert_sound();
    }
}

/// The checker sees it when readers are told, once in fifty times, what they were told before.
#[test]
fn who_is_told_old_things_is_noticed() {
    let run = Run { spoilt: true, time: Duration::from_secs(4), ..Run::new("spoilt", &[]) };
    let Some(report) = run.run() else { return };
    println!("{report}");
    let model = &report.model;
    for level in [LEVELS[0], LEVELS[1], Level::Direct] {
        assert!(model.counts[&level].wrong > 0, "{level:?}\n{report}");
    }
    let kinds: Vec<Wrong> = model.violations.iter().map(|violation| violation.wrong).collect();
    assert!(kinds.contains(&Wrong::Stale), "{kinds:?}");
}

/// What pgweir, in debug builds, leaves out when `PGWEIR_CACHE_WITHOUT` names it, and under what the checker must turn red. Where each is in the
/// program: `docs/design/cache-checker.md`.
const CURES: [(&str, Aim, &[Nemesis]); 12] = [
    ("versions", Aim::Hot, &[]),
    ("role", Aim::Hot, &[]),
    ("versions_before", Aim::Same, &[Nemesis::Late]),
    ("doubt", Aim::Hot, &[Nemesis::Stall]),
    ("bump_before_told", Aim::Hot, &[Nemesis::Stall]),
    ("doubt_before_sent", Aim::Linger, &[Nemesis::Stall]),
    ("shape_known", Aim::Shapes, &[Nemesis::Hang]),
    ("batch", Aim::Transactions, &[]),
    ("limbo", Aim::Around, &[Nemesis::Hang]),
    ("floor", Aim::Around, &[Nemesis::Stall]),
    ("bound", Aim::Around, &[Nemesis::Stall]),
    ("loss", Aim::Around, &[Nemesis::Kill]),
];
/// A cure that is left out is missed within this time; most within a second.
const MISSED_WITHIN: Duration = Duration::from_secs(60);

/// How often that is tried.
const TRIES: u32 = 3;

/// Without these it may take longer than that until something goes wrong: it needs luck, and other load beside it. They are left out only where they are asked for.
const RARE: [&str; 2] = ["shape_known", "limbo"];

/// `PGWEIR_TEST_CURES=floor,shape_known` leaves out these and no others, `all` leaves out each; `PGWEIR_TEST_TIMES=10` repeats it.
#[test]
fn without_a_cure_it_is_noticed() {
    if direct_only() || no_cache() || !cfg!(debug_assertions) {
        return;
    }
    let named = std::env::var("PGWEIR_TEST_CURES").ok();
    let wanted = |cure: &str| match named.as_deref() {
        None => !RARE.contains(&cure),
        Some("all") => true,
        Some(some) => some.split(',').any(|one| one == cure),
    };
    let times = std::env::var("PGWEIR_TEST_TIMES").map_or(1, |times| times.parse().expect("a number"));
    let (mut unnoticed, mut server) = (vec![], None);
    for (cure, aim, nemeses) in CURES.into_iter().filter(|(cure, ..)| wanted(cure)) {
        for _ in 0..times {
            let run = Run { without: Some(cure), time: MISSED_WITHIN, aim, ..Run::new(cure, nemeses) };
            // It is luck that something goes wrong: on a machine that has much else to do there is less of it.
            let noticed = (0..TRIES).any(|_| {
                let report = run.run_on(&mut server);
                let first =
                    report.model.violations.first().map(|one| (one.wrong, one.words.split(' ').next()));
                println!("without {report}  first of all {first:?}");
                report.model.wrong > 0
            });
            if !noticed {
                unnoticed.push(cure);
            }
        }
    }
    assert!(unnoticed.is_empty(), "without these nothing goes wrong, or nobody notices: {unnoticed:?}");
}

/// With all cures, nothing is wrong where each of them was missed.
#[test]
fn checked_where_cures_are_missed() {
    let mut aims: Vec<(Aim, &[Nemesis])> = CURES.map(|(_, aim, nemeses)| (aim, nemeses)).to_vec();
    aims.dedup();
    if direct_only() {
        return;
    }
    let mut server = None;
    for (aim, nemeses) in aims {
        let run = Run::new("where cures are missed", nemeses);
        // Runs without an aim compare more.
        (Run { aim, time: run.time / 2, one_in: 32, ..run }).run_on(&mut server).assert_right();
    }
}

/// What leaves a cure out is in debug builds only.
#[test]
fn a_release_build_has_all_cures() {
    let program = std::fs::read(program()).expect("the program that is tested");
    let has = memchr::memmem::find(&program, b"PGWEIR_CACHE_WITHOUT").is_some();
    assert_eq!(has, cfg!(debug_assertions), "whether this program can leave out a cure");
}

#[test]
fn samples_are_summed() {
    let page = "# HELP a b\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 7\na 9\n";
    assert_eq!((counted(page, "a_total"), counted(page, "a"), counted(page, "b")), (5, 9, 0));
}
