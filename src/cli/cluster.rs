//! Whether the nodes of a database go together: one cluster, with one primary.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::check::show_host;
use crate::config::Loaded;
use crate::config::settings::{Database, Host};
use crate::pool::role::Role;

/// Whether the nodes that answered belong to one cluster; says which do not.
pub(super) fn are_of_one_cluster(
    loaded: &Loaded,
    name: &str,
    database: &Database,
    systems: &BTreeMap<&Host, u64>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut clusters: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for host in database.nodes() {
        systems.get(host).into_iter().for_each(|of| clusters.entry(*of).or_default().push(show_host(host)));
    }
    if clusters.len() < 2 {
        return Ok(true);
    }
    let origin = loaded.origins.of(&format!("databases.{name}.hosts"));
    writeln!(out, "  database {name}: error: its hosts belong to {} clusters", clusters.len())?;
    for (system, hosts) in clusters {
        writeln!(out, "    {}: system identifier {system}", hosts.join(", "))?;
    }
    writeln!(out, "    {origin}: leave out, or make copies of the same, those of another cluster")?;
    Ok(false)
}

/// Whether at most one of the nodes of a cluster that is to be watched says that it is the primary; names them where there are more.
pub(super) fn has_one_primary(
    loaded: &Loaded,
    name: &str,
    database: &Database,
    roles: &[(&Host, Role)],
    out: &mut impl Write,
) -> io::Result<bool> {
    if !database.reads.to_replicas || roles.is_empty() {
        return Ok(true);
    }
    if database.nodes().count() == 1 {
        writeln!(
            out,
            "  database {name}: remark: it has one host, so no read goes elsewhere; that is well where the host's name always leads to \
             the primary, else name the others in `hosts` or `replicas`"
        )?;
    }
    let primaries: Vec<_> =
        roles.iter().filter(|(_, role)| !role.standby).map(|(host, _)| show_host(host)).collect();
    if primaries.len() < 2 {
        return Ok(true);
    }
    let origin = loaded.origins.of(&format!("databases.{name}.hosts"));
    let all = primaries.join(" and ");
    writeln!(out, "  database {name}: error: {all} each say that they are the primary; a cluster has one")?;
    writeln!(
        out,
        "    {origin}: name only nodes of one cluster, or, if they are, stop those that must not be written to before a client is let in"
    )?;
    Ok(false)
}
