//! The hit ratio where keys are of unequal weight and are written to, half of it around the proxy: of sessions that pause between what they do,
//! as applications' do, and of some that do not.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, ensure};

use super::cases::{KEYS, Scripts};
use super::{Contestant, hits};
use crate::lab::Lab;
use crate::measure::{self, Load};
use crate::peers::{DATABASE, Kind, Peer, client_command};
use crate::report::Records;

/// The name of the case that the target is about.
pub const CASE: &str = "cache zipf prepared 64";
/// That of the one without pauses.
pub const BUSY: &str = "cache zipf busy 16";
/// Sessions of each: as many as in the simulation that the target comes from, and as elsewhere.
const CLIENTS: [usize; 2] = [64, 16];
/// Operations a second of all that pause, which are 6 ms apart in each; of a hundred, five write.
const RATE: usize = 10_000;
/// Why reads were not answered from the cache, of a hundred reads: reasons by the names of `SHOW CACHE`, and here.
pub const MISSES: [(&str, &str); 5] = [
    ("floor", "floor %"),
    ("in_doubt", "in_doubt %"),
    ("invalidated", "changed %"),
    ("absent", "absent %"),
    ("first_use", "first_use %"),
];
/// Writes a second on either way.
const WRITES: usize = RATE * 5 / 100 / 2;
/// Between so many percent there must have been.
pub const WRITES_SHARE: std::ops::RangeInclusive<f64> = 4.0..=7.0;
/// Reads for each write through pgweir.
const READS_PER_WRITE: usize = (RATE - 2 * WRITES) / WRITES;

/// Puts all keys into the cache, writes to as many as would be written to by then, and measures.
pub fn measure(
    lab: &Lab,
    contestant: &Contestant,
    server: SocketAddr,
    scripts: &Scripts,
    seconds: usize,
    records: &mut Records,
) -> anyhow::Result<()> {
    let Contestant { peer, .. } = contestant;
    let direct = Peer { kind: Kind::Direct, address: server, process: None };
    scripts.pass(lab, peer, "prepared", "every", (8, 3 * KEYS / 8))?;
    // In the long run a key was last written to, not read, as often as writes are among what is done.
    scripts.pass(lab, &direct, "prepared", "some", (1, KEYS / 20))?;
    for (case, clients) in [(CASE, CLIENTS[0]), (BUSY, CLIENTS[1])] {
        let mut script = scripts.file("zipf-read", READS_PER_WRITE);
        script.extend(scripts.file("zipf-write", 1));
        if case == CASE {
            script.extend(["-R".to_owned(), (RATE - WRITES).to_string()]);
        }
        let load = Load { case, mode: "prepared", clients, seconds, script: &script };
        measure_one(lab, contestant, server, scripts, &load, records)?;
    }
    Ok(())
}

fn measure_one(
    lab: &Lab,
    contestant: &Contestant,
    server: SocketAddr,
    scripts: &Scripts,
    load: &Load,
    records: &mut Records,
) -> anyhow::Result<()> {
    let &Contestant { ref peer, http } = contestant;
    let (case, seconds) = (load.case, load.seconds);
    let mut around = client_command(lab, "pgbench", server);
    around.args(["-n", "-M", "prepared", "-c", "2", "-T", &seconds.to_string()]);
    around.args(["-R", &WRITES.to_string()]).args(scripts.file("zipf-write", 1)).arg(DATABASE);
    let around = around.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let before = contestant.hits(lab)?.context("no cache")?;
    let missed = hits::misses_of_pgweir(http)?;
    let done = measure::run(lab, peer, load, records);
    let around = around.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&around.stderr).into_owned();
    ensure!(around.status.success(), "pgbench on the server:\n{complaint}");

    let now = hits::misses_of_pgweir(http)?;
    let (done, hits) = (done?, contestant.hits(lab)?.context("no cache")? - before);
    let mut of_scripts = done.scripts();
    let (reads, writes) = (of_scripts.next().context("reads")?, of_scripts.next().context("writes")?);
    let written = writes + measure::transactions(&String::from_utf8_lossy(&around.stdout))?;
    records.add(case, "hits %", peer, hits / reads * 100.0);
    records.add(case, "writes %", peer, written / (reads + written) * 100.0);
    let of = |all: &[(String, f64)], name: &str| {
        all.iter().filter(|(label, _)| label == name).map(|(_, value)| value).sum::<f64>()
    };
    for (name, metric) in MISSES {
        records.add(case, metric, peer, (of(&now, name) - of(&missed, name)) / reads * 100.0);
    }
    Ok(())
}
