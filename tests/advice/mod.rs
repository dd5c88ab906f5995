//! Advice on a real PostgreSQL: what is proposed is really built and used, what needs nothing is left alone, and nothing is touched.

mod bounds;
mod command;
mod found;
mod moments;
mod reading;
mod running;
mod speed;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgweir::advice::ask::{Asked, Refused, Row, Server};
use pgweir::advice::{
    Action, Advised, Fix, Limits, Nodes, Observed, Origin, Sample, Verdict, Workload, advise,
};
use pgweir::cli::advise::asking::Login;
use pgweir::config::{self, Sources};
use pgweir::control::advising::connection::Connection;

use crate::harness::cluster::{APP, Cluster, Database};

/// A shop: accounts, some of which have most of the orders.
const SHOP: &str = "
    create table accounts (id bigint primary key, email text not null, plan text not null);
    insert into accounts select i, 'User' || i || '@example.com', (array['free', 'pro'])[1 + i % 2] from generate_series(1, 5000) i;
    create table orders (id bigint primary key, account_id bigint not null, state text not null, created_at timestamptz not null, amount int not null);
    insert into orders select i, 1 + (i % 211) * (i % 23), (array['new', 'open', 'done', 'done', 'done', 'done'])[1 + i % 6],
        timestamptz '2024-01-01' + i * interval '7 minutes', i % 977 from generate_series(1, 60000) i;
    create table tiny (a int, b text);
    insert into tiny select i, 'x' from generate_series(1, 40) i;
    analyze;";

/// A database to advise on.
struct Scene {
    database: Database<'static>,
}

/// What is sent to a server, and when.
type Log = Rc<RefCell<Vec<(Instant, String)>>>;

/// Passes everything on, and keeps it; after so many questions it is as gone as a server whose machine is.
struct Logged<S> {
    server: S,
    log: Log,
    left: usize,
}

impl<S: Server> Server for Logged<S> {
    async fn ask(&mut self, begin: &str, asked: Asked<'_>, end: &str) -> Result<Vec<Row>, Refused> {
        let Some(left) = self.left.checked_sub(1) else {
            let (sqlstate, message) = ("08006".to_owned(), "connection refused".to_owned());
            return Err(Refused { sqlstate, message, lost: true });
        };
        self.left = left;
        let now = Instant::now();
        let sent = [begin, asked.text, end].map(|sql| (now, sql.to_owned()));
        self.log.borrow_mut().extend(sent);
        self.server.ask(begin, asked, end).await
    }
}

impl Scene {
    /// With HypoPG; `None` where that is not installed, which is said.
    fn new(setup: &str) -> Option<Scene> {
        let scene = Scene::bare(setup);
        let mut server = Cluster::shared().superuser(&scene.database.name);
        if server.value("select count(*) from pg_available_extensions where name = 'hypopg'") != "1" {
            eprintln!("skipped: HypoPG is not installed for this PostgreSQL");
            return None;
        }
        server.run("create extension hypopg");
        Some(scene)
    }

    fn bare(setup: &str) -> Scene {
        let database = Cluster::shared().database();
        database.setup(setup);
        Scene { database }
    }

    fn url(&self, user: (&str, &str)) -> String {
        Cluster::shared().url(user, &self.database.name, "")
    }

    /// What one value is, as the owner sees it.
    fn value(&self, sql: &str) -> String {
        Cluster::shared().superuser(&self.database.name).value(sql)
    }

    fn advise(&self, workload: &Workload) -> Advised {
        self.advise_as(APP, workload, &limits()).0
    }

    fn advise_as(
        &self,
        user: (&str, &str),
        workload: &Workload,
        limits: &Limits,
    ) -> (Advised, Vec<(Instant, String)>) {
        self.advise_by(user, workload, limits, usize::MAX, None)
    }

    /// Advises; nodes answer so many questions each. (What stands in for a standby is the same database.)
    fn advise_by(
        &self,
        user: (&str, &str),
        workload: &Workload,
        limits: &Limits,
        primary: usize,
        standby: Option<usize>,
    ) -> (Advised, Vec<(Instant, String)>) {
        let sources = Sources { url: Some(self.url(user)), ..Sources::default() };
        let settings = config::load(&sources).expect("good settings");
        let servers = pgweir::app::Servers::of(settings.clone());
        let database = &settings.databases[&self.database.name];
        let log = Log::default();
        let asking = async {
            let (name, host) = (&self.database.name, &database.hosts[0]);
            let mut nodes = vec![];
            for left in [Some(primary), standby].into_iter().flatten() {
                let login = Login { servers: &servers, database: name, host, user: user.0 };
                let opened = Connection::open(login, limits.statement_timeout);
                let (server, in_recovery) = opened.await.expect("a login");
                assert!(!in_recovery);
                nodes.push(Logged { server, log: log.clone(), left });
            }
            let nodes = Nodes { primary: nodes.remove(0), standbys: nodes };
            advise(workload, nodes, limits).await.expect("advice")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let advised = runtime.block_on(asking);
        let log = log.borrow().clone();
        (advised, log)
    }

    /// Does what a fix says, statement by statement.
    fn apply(&self, fix: &Fix) {
        let Action::Sql { run, .. } = &fix.action else { panic!("no SQL: {fix:?}") };
        run.iter().for_each(|sql| self.database.setup(sql));
    }

    /// Undoes it.
    fn undo(&self, fix: &Fix) {
        let Action::Sql { undo, .. } = &fix.action else { panic!("no SQL: {fix:?}") };
        undo.iter().for_each(|sql| self.database.setup(sql));
    }

    fn plan(&self, sql: &str) -> String {
        let mut server = Cluster::shared().superuser(&self.database.name);
        let rows = server.simple(&format!("explain {sql}"));
        let lines = rows.iter().filter(|message| message.tag == b'D').flat_map(|message| message.values());
        lines.flatten().map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
    }
}

/// Fast, for tests that do not look at the rate.
fn limits() -> Limits {
    Limits { plans_per_second: 2000.0, time: Duration::from_secs(60), ..Limits::default() }
}

/// A statement that takes so many seconds a day, with values for its parameters.
fn statement(text: &str, seconds: u64, samples: &[&[&str]]) -> Observed {
    let mut observed = Observed {
        fingerprint: pgweir::sql::shape(text.as_bytes(), true).fingerprint.0,
        text: text.to_owned(),
        ..Observed::default()
    };
    (observed.sums.calls, observed.sums.timed, observed.sums.rows) =
        (seconds * 50, seconds * 50, seconds * 50);
    observed.sums.micros = [0, seconds * 1_000_000, 0, 0, seconds * 1_000_000];
    let sample = |values: &&[&str]| Sample {
        origin: Origin::Frequent,
        text: text.to_owned(),
        values: values.iter().map(|value| Some((*value).to_owned())).collect(),
        types: vec![],
        micros: None,
    };
    observed.samples = samples.iter().map(sample).collect();
    observed
}

/// Of a day.
fn workload(shapes: Vec<Observed>) -> Workload {
    Workload { window: Duration::from_secs(86_400), shapes }
}

/// Titles of the indexes that are proposed.
fn indexes(advised: &Advised) -> Vec<&str> {
    advised.advice.fixes.iter().filter(|fix| fix.code == "index").map(|fix| fix.title.as_str()).collect()
}

#[track_caller]
fn fix<'a>(advised: &'a Advised, title: &str) -> &'a Fix {
    let found = advised.advice.fixes.iter().find(|fix| fix.title == title);
    found.unwrap_or_else(|| panic!("no {title:?} in {:#?}", advised.advice))
}

#[track_caller]
fn verdict<'a>(advised: &'a Advised, observed: &Observed) -> &'a Verdict {
    let found = advised.advice.verdicts.iter().find(|one| one.fingerprint == observed.fingerprint);
    found.unwrap_or_else(|| panic!("no verdict on {}: {:#?}", observed.text, advised.advice))
}
