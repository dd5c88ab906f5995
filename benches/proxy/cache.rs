//! What the result cache costs and saves: pgweir with a cache at two levels, beside itself without one, PostgreSQL alone, pgpool-II with its
//! memory cache, and Redis.
//!
//! | case | what is asked |
//! |---|---|
//! | `hot` | 1,000 keys by primary key, all of them kept |
//! | `5ms` | an aggregate that takes PostgreSQL 5 ms, in ten texts, all of them kept |
//! | `miss` | each text once |
//! | `fill` | each text twice, so that it is kept, and never again |
//! | `write` | an UPDATE by primary key of a table of which rows are kept |
//! | `zipf` | 10,000 operations a second on 100,000 keys, Zipf 0.99, of which 5 % write, half of them around the proxy; and by sessions that do not pause |
//!
//! A server of its own, since it writes WAL for logical decoding and is written to, which the replicas of [`crate::routing`] would have to follow.
//! That a hit was one is never taken for granted: whoever caches is asked how often it did, before and after, and where it was not
//! as often as the case is meant, the table says so in the place of a ratio.

pub mod cases;
mod hits;
pub mod pgpool;
pub mod ratio;
pub mod redis;
pub mod table;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::lab::{Lab, Process, free_address};
use crate::measure::{self, Load};
use crate::peers::{self, DATABASE, Kind, PASSWORD, Peer, USER, client_command};
use crate::report::Records;

use self::cases::{Case, Scripts, What};

/// What a hit at any of its levels must be worth.
pub const LEVELS: [Kind; 2] = [Kind::Session, Kind::Strict];
/// How long PostgreSQL takes for the slow statement, seconds.
const SLOW: f64 = 0.005;
/// How long a cache may take until it serves its first hit: the stream has to begin, and the table to be watched.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server, and all that are compared on it.
pub struct Cache {
    contestants: Vec<Contestant>,
    scripts: Scripts,
    server: SocketAddr,
    _process: Process,
}

/// One of them.
pub struct Contestant {
    peer: Peer,
    /// Where a pgweir tells its metrics.
    http: SocketAddr,
}

impl Cache {
    /// Starts all of them; without `rules`, pgweir caches nothing.
    pub fn start(lab: &Lab, rules: bool) -> anyhow::Result<Cache> {
        let server = free_address()?;
        let process = peers::start_server(lab, "cached", server, &["wal_level=logical"])?;
        let mut psql = client_command(lab, "psql", server);
        // Room in the pages for new versions of rows, as in a table that was long written to.
        psql.args([
            "-X",
            "-q",
            "-d",
            DATABASE,
            "-c",
            "CREATE TABLE written (LIKE pgbench_accounts INCLUDING ALL) WITH (fillfactor = 50)",
        ])
        .args([
            "-c",
            "INSERT INTO written SELECT * FROM pgbench_accounts",
            "-c",
            "VACUUM ANALYZE written",
        ]);
        lab.complete(psql)?;
        let scripts = Scripts::write(lab, slow_rows(server)?)?;
        let kinds = [Kind::Direct, Kind::Pgpool, Kind::Redis, Kind::Pgweir, Kind::Session, Kind::Strict];
        let contestants = kinds.map(|kind| Contestant::start(lab, kind, server, rules));
        let contestants = contestants.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let cache = Cache { contestants, scripts, server, _process: process };
        if rules {
            cache.await_hits(lab)?;
        }
        Ok(cache)
    }

    /// Measures each case at all whom it concerns, beginning with another one each time.
    pub fn round(&self, lab: &Lab, seconds: usize, records: &mut Records) -> anyhow::Result<()> {
        let mut order: Vec<&Contestant> = self.contestants.iter().collect();
        order.rotate_left((records.round - 1) % self.contestants.len());
        if records.round.is_multiple_of(2) {
            order.reverse();
        }
        for case in cases::all() {
            for contestant in order.iter().filter(|one| case.what.kinds().contains(&one.peer.kind)) {
                self.measure(lab, contestant, &case, seconds, records)?;
            }
        }
        let cached = self.contestants.iter().find(|one| one.peer.kind == Kind::Session);
        cached.map_or(Ok(()), |one| ratio::measure(lab, one, self.server, &self.scripts, seconds, records))
    }

    fn measure(
        &self,
        lab: &Lab,
        contestant: &Contestant,
        case: &Case,
        seconds: usize,
        records: &mut Records,
    ) -> anyhow::Result<()> {
        let Contestant { peer, .. } = contestant;
        if peer.kind == Kind::Redis {
            return redis::measure(lab, peer, case, seconds, records);
        }
        let cold = contestant.hits(lab)?;
        self.scripts.warm_up(lab, peer, case)?;
        let (warm, stored) = (contestant.hits(lab)?, contestant.stored()?);
        let script = self.scripts.of(case, records.round);
        let load =
            Load { case: &case.name(), mode: case.mode, clients: case.clients, seconds, script: &script };
        let done = measure::run(lab, peer, &load, records)?;
        if let (Some(before), Some(now)) = (stored, contestant.stored()?) {
            records.add(load.case, "kept %", peer, (now - before) / done.all()? * 100.0);
        }
        if let (Some(cold), Some(warm), Some(hot)) = (cold, warm, contestant.hits(lab)?) {
            records.add(load.case, "warm hits", peer, warm - cold);
            // pgpool-II counts one of the extended protocol when it is bound, and when it is executed.
            let counted = if peer.kind == Kind::Pgpool && case.mode == "prepared" { 2.0 } else { 1.0 };
            records.add(load.case, "hits %", peer, (hot - warm) / counted / done.all()? * 100.0);
        }
        Ok(())
    }

    /// Reads until each that caches has answered out of its cache, from both tables. One that does not is measured all the same, and shown for what it is.
    fn await_hits(&self, lab: &Lab) -> anyhow::Result<()> {
        let caching = || self.contestants.iter().filter(|one| LEVELS.contains(&one.peer.kind));
        for (what, one) in
            [What::Hot, What::Write].into_iter().flat_map(|what| caching().map(move |one| (what, one)))
        {
            let case = Case { what, mode: "simple", clients: 1 };
            let (begin, before) = (Instant::now(), one.hits(lab)?.unwrap_or(0.0));
            while one.hits(lab)?.unwrap_or(0.0) <= before {
                if begin.elapsed() > PATIENCE {
                    eprintln!("{}, {}: no hit within {PATIENCE:?}", one.peer.kind.name(), what.name());
                    break;
                }
                self.scripts.warm_up(lab, &one.peer, &case)?;
            }
        }
        Ok(())
    }
}

impl Contestant {
    fn start(lab: &Lab, kind: Kind, server: SocketAddr, rules: bool) -> anyhow::Result<Contestant> {
        let http = free_address()?;
        if !matches!(kind, Kind::Pgweir | Kind::Session | Kind::Strict) {
            return Ok(Contestant { peer: peers::start(lab, kind, server)?, http });
        }
        let address = free_address()?;
        let url = format!("postgres://{USER}:{PASSWORD}@{server}/{DATABASE}?pool_size={}", peers::POOL);
        let mut more = vec![url, "--http".to_owned(), http.to_string()];
        if rules && kind != Kind::Pgweir {
            let folder = format!("rules-{}", kind.name());
            std::fs::create_dir(lab.folder.join(&folder))?;
            lab.write(&format!("{folder}/cache.toml"), &rule(kind.name()))?;
            // Room for all that is asked, so that it is never eviction that is measured.
            let settings = lab.write("cache.toml", "[limits]\ncache_size = \"256MB\"\n")?;
            more.extend(["--rules".to_owned(), folder]);
            more.extend(["--config".to_owned(), settings.display().to_string()]);
        }
        let process = Some(peers::start_pgweir(lab, &format!("cache-{}", kind.name()), address, &more)?);
        Ok(Contestant { peer: Peer { kind, address, process }, http })
    }

    /// Answers out of its cache so far; `None` for one that has none.
    fn hits(&self, lab: &Lab) -> anyhow::Result<Option<f64>> {
        match self.peer.kind {
            Kind::Session | Kind::Strict => hits::of_pgweir(self.http).map(Some),
            Kind::Pgpool => hits::of_pgpool(lab, self.peer.address).map(Some),
            _ => Ok(None),
        }
    }

    /// Answers that a pgweir has put into its cache so far.
    fn stored(&self) -> anyhow::Result<Option<f64>> {
        match self.peer.kind {
            Kind::Session | Kind::Strict => hits::stored_of_pgweir(self.http).map(Some),
            _ => Ok(None),
        }
    }
}

/// The one rule that a cache needs.
fn rule(level: &str) -> String {
    format!(
        "[[rule]]\nname = \"cached\"\nwhen = {{ class = \"read\" }}\nthen = {{ cache = {{ level = \"{level}\" }} }}\n"
    )
}

/// So many rows must the slow statement read, to take as long as it is meant to.
fn slow_rows(server: SocketAddr) -> anyhow::Result<usize> {
    let rows = 20_000;
    let mut client = Client::connect(server)?;
    // The shortest of some times: whatever else the machine does makes them longer.
    let mut least = f64::INFINITY;
    for _ in 0..30 {
        let begin = Instant::now();
        client.drain(&cases::slow(&format!("aid BETWEEN 1 AND {rows}")))?;
        least = least.min(begin.elapsed().as_secs_f64());
    }
    client.close();
    let fitting = ((rows as f64 * SLOW / least) as usize).clamp(1000, cases::KEYS - 100);
    eprintln!("the slow statement reads {fitting} rows");
    Ok(fitting)
}
