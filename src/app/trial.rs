//! What `pgweir check` asks of servers.

use super::{Servers, on_server};
use crate::catalog::Contents;
use crate::cli::check::{Node, Trial};
use crate::cli::upstream::Open as _;
use crate::config::settings::Host;
use crate::runtime::definitions;
use crate::wire::Fault;

impl Trial for Servers {
    async fn node(&self, name: &str, host: &Host, user: &str) -> Result<Node, Fault> {
        Node::ask(&mut self.open(name, host, user).await?).await
    }

    async fn lookup(&self, name: &str) -> Option<Result<(), Fault>> {
        let hosts = self.settings.databases.get(name)?.hosts.clone();
        match self.directory(name, hosts) {
            Ok(directory) => directory.try_lookup(on_server(name)).await,
            Err(fault) => Some(Err(fault)),
        }
    }

    async fn contents(&self, name: &str) -> Option<Contents> {
        let database = self.settings.databases.get(name)?;
        let directory = self.directory(name, database.hosts.clone()).ok()?;
        let target = directory.target(on_server(name), database.probe_users.first()?)?;
        definitions::of_tables(&target).await.ok()
    }
}
