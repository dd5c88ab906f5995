//! How often an answer came out of a cache, as the one that has it counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

use crate::lab::Lab;
use crate::peers::{DATABASE, client_command};

/// pgweir's counter, over all its labels.
const HITS: &str = "pgweir_cache_hits_total";

/// Its counter of what it has kept.
const STORED: &str = "pgweir_cache_stored_total";

/// Why its reads were not answered out of the cache.
const MISSES: &str = "pgweir_cache_misses_total";

/// Of the pgweir that tells its metrics there; 0 if it knows no such counter.
pub fn of_pgweir(http: SocketAddr) -> anyhow::Result<f64> {
    Ok(counted(http, HITS)?.iter().map(|(_, value)| value).sum())
}

/// How many answers it has put into its cache.
pub fn stored_of_pgweir(http: SocketAddr) -> anyhow::Result<f64> {
    Ok(counted(http, STORED)?.iter().map(|(_, value)| value).sum())
}

/// Its misses so far, by reason.
pub fn misses_of_pgweir(http: SocketAddr) -> anyhow::Result<Vec<(String, f64)>> {
    counted(http, MISSES)
}

/// A counter of a pgweir, by the value of its first label.
fn counted(http: SocketAddr, name: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let text = ask(http, "GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut all = vec![];
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' '])) else {
            continue;
        };
        let value = rest.rsplit(' ').next().unwrap_or_default();
        let label = rest.split('"').nth(1).unwrap_or_default();
        all.push((label.to_owned(), value.parse().with_context(|| line.to_owned())?));
    }
    Ok(all)
}

/// Of a pgpool-II.
pub fn of_pgpool(lab: &Lab, address: SocketAddr) -> anyhow::Result<f64> {
    let mut psql = client_command(lab, "psql", address);
    psql.args(["-X", "-A", "-t", "-d", DATABASE, "-c", "SHOW POOL_CACHE"]);
    let answer = lab.complete(psql)?;
    answer.split('|').next().unwrap_or_default().trim().parse().with_context(|| answer.clone())
}

/// Of a Redis.
pub fn of_redis(address: SocketAddr) -> anyhow::Result<f64> {
    let text = ask(address, "INFO stats\r\nQUIT\r\n")?;
    let hits = text.lines().find_map(|line| line.strip_prefix("keyspace_hits:"));
    hits.context("keyspace_hits")?.trim().parse().context("keyspace_hits")
}

/// Sends that, and reads until the other side closes.
pub fn ask(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
