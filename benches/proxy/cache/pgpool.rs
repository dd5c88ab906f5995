//! Debian's pgpool-II with its memory cache.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::lab::{Lab, Process, free_address};
use crate::peers::{self, PASSWORD, USER};

/// Each client has a process of its own; pgbench opens 16, and some must be free for the one that asks for hits.
const PROCESSES: usize = 20;
/// How long it may take to have them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts it in front of one server. Nothing but pooling and the cache is on; clients come in without a proof, which only their login notices.
pub fn start(lab: &Lab, address: SocketAddr, server: SocketAddr) -> anyhow::Result<Process> {
    let folder = lab.folder.display();
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {}\nsocket_dir = '{folder}'\n\
         pcp_listen_addresses = '127.0.0.1'\npcp_port = {}\npcp_socket_dir = '{folder}'\n\
         backend_clustering_mode = 'raw'\nbackend_hostname0 = '127.0.0.1'\nbackend_port0 = {}\nbackend_weight0 = 1\n\
         enable_pool_hba = on\npool_passwd = 'pool_passwd'\npid_file_name = '{folder}/pgpool.pid'\nlogdir = '{folder}'\n\
         num_init_children = {PROCESSES}\nmax_pool = 1\nchild_life_time = 0\nchild_max_connections = 0\n\
         memory_cache_enabled = on\nmemqcache_method = 'shmem'\nmemqcache_expire = 0\nmemqcache_auto_cache_invalidation = on\n\
         memqcache_oiddir = '{folder}/pgpool-oids'\n",
        address.port(),
        free_address()?.port(),
        server.port(),
    );
    let file = lab.write("pgpool.conf", &settings)?;
    lab.write("pool_passwd", &format!("{USER}:TEXT{PASSWORD}\n"))?;
    let hba = lab.write("pool_hba.conf", "host all all 127.0.0.1/32 trust\n")?;
    let pcp = lab.write("pcp.conf", "")?;
    let mut pgpool = lab.command(peers::program("pgpool"));
    pgpool.arg("-n").arg("-D").arg("-f").arg(file).arg("-a").arg(hba).arg("-F").arg(pcp);
    let process = lab.serve("pgpool", address, pgpool)?;
    // It listens a little before it has them.
    let begin = Instant::now();
    while process.children().len() < PROCESSES {
        ensure!(begin.elapsed() < PATIENCE, "what pgpool's processes cost cannot be seen in /proc");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(process)
}
