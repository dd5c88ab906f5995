//! The servers of the settings, for commands that log in to them.

use crate::auth::scram::MockSecret;
use crate::catalog::{Contents, Names};
use crate::cli::check::{Node, Trial};
use crate::cli::explain::{Catalog, Known};
use crate::cli::upstream::Open;
use crate::config::Settings;
use crate::config::settings::{Host, TargetSessionAttrs};
use crate::pool::ask;
use crate::pool::connect::{self, Connected};
use crate::runtime::definitions;
use crate::session::directory::Directory;
use crate::wire::Fault;

/// What `pgweir check` tries: the real servers.
pub struct Servers {
    settings: Settings,
}

impl Servers {
    /// Those of the settings.
    pub fn of(settings: Settings) -> Servers {
        Servers { settings }
    }

    /// Logins to one host of a database, whatever `target_session_attrs` asks for.
    fn directory(&self, name: &str, hosts: Vec<Host>) -> Result<Directory, Fault> {
        let internal = |error: &dyn std::fmt::Display| Fault::error("XX000", error.to_string());
        let mut settings = self.settings.clone();
        let unknown = || Fault::error("3D000", format!("there is no database `{name}`"));
        let mut single = settings.databases.get(name).ok_or_else(unknown)?.clone();
        (single.hosts, single.target) = (hosts, TargetSessionAttrs::Any);
        // A file of another database that cannot be used is no fault of this one.
        settings.databases = [(on_server(name).to_owned(), single)].into();
        let mock = MockSecret::random().map_err(|error| internal(&error))?;
        Directory::new(settings, mock).map_err(|error| internal(&error))
    }
}

impl Catalog for Servers {
    async fn known(&self, name: &str, user: Option<&str>) -> Result<Known, Fault> {
        let unknown = || Fault::error("3D000", format!("there is no database `{name}`"));
        let database = self.settings.databases.get(name).ok_or_else(unknown)?;
        let nobody = || {
            Fault::error(
                "28000",
                "nobody is known to log in as; name somebody with --user, or write user:password@ before the host in the URL",
            )
        };
        let user = user.or(database.probe_users.first().map(String::as_str)).ok_or_else(nobody)?;
        let directory = self.directory(name, database.hosts.clone())?;
        let target = directory.target(on_server(name), user).ok_or_else(unknown)?;
        let mut connected = ask::open(&target).await?;
        let names = definitions::search(&mut connected).await?.unwrap_or_else(Names::everything);
        Ok(Known { names, contents: definitions::contents(&mut connected).await? })
    }
}

/// A database to try the fallback with.
fn on_server(name: &str) -> &str {
    if name == "*" { "postgres" } else { name }
}

impl Open for Servers {
    async fn open(&self, name: &str, host: &Host, user: &str) -> Result<Connected, Fault> {
        let unknown = || Fault::error("3D000", format!("there is no database `{name}`"));
        let directory = self.directory(name, vec![host.clone()])?;
        let target = directory.target(on_server(name), user).ok_or_else(unknown)?;
        connect::connect(&target).await
    }
}

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
