//! The hit ratio where keys are of unequal weight and are written to, half of it around the proxy.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, ensure};

use super::Contestant;
use super::cases::{KEYS, Scripts};
use crate::lab::Lab;
use crate::measure::{self, Load};
use crate::peers::{DATABASE, Kind, Peer, client_command};
use crate::report::Records;

/// The name of the case.
pub const CASE: &str = "cache zipf prepared 64";
/// Sessions, as in the simulation that the target comes from.
const CLIENTS: usize = 64;
/// Operations a second, all together; of a hundred, five write.
const RATE: usize = 10_000;
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
    let mut script = scripts.file("zipf-read", READS_PER_WRITE);
    script.extend(scripts.file("zipf-write", 1));
    script.extend(["-R".to_owned(), (RATE - WRITES).to_string()]);
    let load = Load { case: CASE, mode: "prepared", clients: CLIENTS, seconds, script: &script };

    let mut around = client_command(lab, "pgbench", server);
    around.args(["-n", "-M", "prepared", "-c", "2", "-T", &seconds.to_string()]);
    around.args(["-R", &WRITES.to_string()]).args(scripts.file("zipf-write", 1)).arg(DATABASE);
    let around = around.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let before = contestant.hits(lab)?.context("no cache")?;
    let done = measure::run(lab, peer, &load, records);
    let around = around.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&around.stderr).into_owned();
    ensure!(around.status.success(), "pgbench on the server:\n{complaint}");

    let (done, hits) = (done?, contestant.hits(lab)?.context("no cache")? - before);
    let mut of_scripts = done.scripts();
    let (reads, writes) = (of_scripts.next().context("reads")?, of_scripts.next().context("writes")?);
    let written = writes + measure::transactions(&String::from_utf8_lossy(&around.stdout))?;
    records.add(CASE, "hits %", peer, hits / reads * 100.0);
    records.add(CASE, "writes %", peer, written / (reads + written) * 100.0);
    Ok(())
}
