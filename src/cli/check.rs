//! `pgweir check`: what will run, and whether its nodes answer. Shows no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::cluster::{are_of_one_cluster, has_one_primary};
use super::files::Files;
use super::hint::what_to_do;
use super::passwords::Passwords;
use super::summary::{show_target, summary};
use crate::catalog::Contents;
use crate::config::settings::{AuthMethod, Database, Host};
use crate::config::{Loaded, Origin, Settings};
use crate::pool::connect::Connected;
use crate::pool::role::{self, Role, Suits};
use crate::session::stand_in;
use crate::store::Fleet;
use crate::store::fleet::what_to_do as what_to_do_there;
use crate::wire::Fault;

/// A node that answered.
#[derive(Debug, Clone)]
pub struct Node {
    /// Such as `PostgreSQL 15.3`.
    pub version: String,
    /// What it is for those who connect to it.
    pub role: Role,
    /// The `system_identifier` of its cluster, if it tells.
    pub system: Option<u64>,
}

impl Node {
    /// What the node at the other end tells of itself.
    ///
    /// # Errors
    /// Those of the question for its role.
    pub async fn ask(connected: &mut Connected) -> Result<Node, Fault> {
        let version = connected.param("server_version").map(String::from_utf8_lossy).unwrap_or_default();
        let version = format!("PostgreSQL {version}");
        let role = role::of(connected).await?;
        Ok(Node { version, role, system: role::system(connected).await })
    }
}

/// What can be tried, one at a time.
pub trait Trial {
    /// Logs in to a host of the database of that name, as one of its `probe_users`.
    fn node(&self, database: &str, host: &Host, user: &str) -> impl Future<Output = Result<Node, Fault>>;

    /// Looks up a user of a database at its server, as for a login; `None` when nobody is ever looked up.
    fn lookup(&self, database: &str) -> impl Future<Output = Option<Result<(), Fault>>>;

    /// Which tables the database of that name has, as the first of its `probe_users` finds them; `None` where nobody is known to log in as, or
    /// it does not answer.
    fn contents(&self, database: &str) -> impl Future<Output = Option<Contents>>;
}

/// Prints what will run and what is wrong with the files, then, unless the files for clients are wrong, tries each node, and
/// whether users can be looked up. True: all is well, and each database has a node that is what it asks for.
pub async fn run(loaded: &Loaded, trial: &impl Trial, out: &mut impl Write) -> io::Result<bool> {
    summary(loaded, out)?;
    if !loaded.notes.is_empty() {
        writeln!(out, "notes")?;
        loaded.notes.iter().try_for_each(|note| writeln!(out, "  warning: {note}"))?;
    }
    let console = console_users(loaded, out)?;
    let files = Files::of(loaded);
    files.tell(out)?;
    if files.shut_clients_out() {
        return Ok(false);
    }
    let mut well = console && files.are_well();
    if nobody_can_log_in(&loaded.settings) {
        let what_to_do = match loaded.settings.databases.keys().all(|name| by_url(loaded, name)) {
            true => URL_WITH_USER,
            false => "add [users], or `auth_user` to [auth] for those whom the server knows",
        };
        writeln!(out, "  error: nobody can log in: {what_to_do}")?;
        well = false;
    }
    writeln!(out, "nodes")?;
    let (mut tried, mut systems) = (BTreeSet::new(), BTreeMap::new());
    let mut passwords = Passwords::new();
    for (name, database) in probe_order(&loaded.settings) {
        if files.shut_out_of(name) {
            writeln!(out, "  database {name}: not tried: see `files` above")?;
            continue;
        }
        let mut roles = vec![];
        for host in database.nodes() {
            if !is_new(&mut tried, name, database, host) {
                continue;
            }
            if database.probe_users.is_empty() {
                let shown = show_host(host);
                let what_to_do =
                    if by_url(loaded, name) { URL_WITH_USER } else { "add `user` and `password`" };
                writeln!(
                    out,
                    "  {shown}: not tried: nobody is known to log in to `{name}` as (users of the console are not \
                     tried); {what_to_do}"
                )?;
                continue;
            }
            let logins = Logins::to(trial, name, host, &database.probe_users).await;
            well &= logins.node.is_some();
            logins.tell(loaded, name, host, out)?;
            logins.try_others(trial, (name, host), &database.probe_users, &mut passwords, out).await?;
            let system = logins.node.as_ref().and_then(|(_, node)| node.system);
            systems.extend(system.map(|system| (host, system)));
            roles.extend(logins.node.map(|(_, node)| (host, node.role)));
        }
        well &= roles.is_empty() || are_of_one_cluster(loaded, name, database, &systems, out)?;
        well &= has_one_primary(loaded, name, database, &roles, out)?;
        well &= suits_some(loaded, name, database, &roles, out)?;
        if !roles.is_empty() {
            well &= looks_up(loaded, (name, database), trial.lookup(name).await, out)?;
        }
    }
    well &= history(loaded, out).await?;
    Ok(passwords.tell(loaded, out)? && well)
}

/// Whether the history can be kept in its database, if it has one. Nothing is made there.
async fn history(loaded: &Loaded, out: &mut impl Write) -> io::Result<bool> {
    let Some(fleet) = loaded.settings.history.url.as_ref().and_then(|url| Fleet::of(&url.0).ok()) else {
        return Ok(true);
    };
    writeln!(out, "history")?;
    match fleet.try_out().await {
        Ok(what) => writeln!(out, "  {fleet}: ok: {what}").map(|()| true),
        Err(trouble) => {
            writeln!(out, "  {fleet}: error: {}", trouble.reason())?;
            writeln!(out, "    {}: {}", loaded.origins.of("history.url"), what_to_do_there(&trouble))?;
            Ok(false)
        }
    }
}

/// What to do about a URL that names nobody.
const URL_WITH_USER: &str = "write user:password@ before the host in the URL";

/// Whether a URL says where this database is.
fn by_url(loaded: &Loaded, name: &str) -> bool {
    let origins = &loaded.origins;
    matches!(origins.of(&format!("databases.{name}")), Origin::Url(_))
        || origins.exact(&format!("databases.{name}.url")).is_some()
}

/// How users fared at a node, up to the one whom it let in.
struct Logins<'a> {
    refused: Vec<(&'a str, Fault)>,
    node: Option<(&'a str, Node)>,
}

impl<'a> Logins<'a> {
    /// Tries one user after the other, until one is let in or something else is wrong than the user.
    async fn to(trial: &impl Trial, name: &str, host: &Host, users: &'a [String]) -> Logins<'a> {
        let mut logins = Logins { refused: vec![], node: None };
        for user in users {
            match trial.node(name, host, user).await {
                Ok(node) => {
                    logins.node = Some((user, node));
                    break;
                }
                Err(fault) => {
                    let of_this_user = fault.sqlstate.starts_with("28") || fault.sqlstate == "42501";
                    logins.refused.push((user, fault));
                    if !of_this_user {
                        break;
                    }
                }
            }
        }
        logins
    }

    /// Where somebody was let in, tries the others too.
    async fn try_others(
        &self,
        trial: &impl Trial,
        at: (&'a str, &'a Host),
        users: &'a [String],
        passwords: &mut Passwords<'a>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Some((let_in, _)) = &self.node else { return Ok(()) };
        self.refused.iter().for_each(|(user, fault)| passwords.note(at, user, Some(fault)));
        passwords.note(at, let_in, None);
        let others = users.iter().map(String::as_str).skip(self.refused.len() + 1);
        passwords.try_others(trial, at, others, out).await
    }

    fn tell(&self, loaded: &Loaded, name: &str, host: &Host, out: &mut impl Write) -> io::Result<()> {
        write!(out, "  {}, database {name}, ", show_host(host))?;
        match (&self.node, self.refused.as_slice()) {
            (Some((user, node)), refused) => {
                writeln!(out, "as {user}: ok: {}, {}", node.version, show_role(node.role))?;
                refused.iter().try_for_each(|(user, fault)| writeln!(out, "    not as {user}: {fault}"))
            }
            (None, [(user, fault), others @ ..]) => {
                writeln!(out, "as {user}: error: {fault}")?;
                writeln!(out, "    {}", what_to_do(loaded, name, host, user, fault))?;
                others.iter().try_for_each(|(user, fault)| writeln!(out, "    nor as {user}: {fault}"))
            }
            (None, []) => writeln!(out, "error: nobody to log in as"),
        }
    }
}

/// Whether every client has to prove who it is, and nobody is known who could.
fn nobody_can_log_in(settings: &Settings) -> bool {
    let auth = &settings.auth;
    let looks_up = auth.auth_user.is_some() && (auth.pass_through || auth.auth_query.is_some());
    !looks_up && nobody_has_a_password(settings)
}

/// Whether every client has to prove who it is, and the settings know of nobody who could.
fn nobody_has_a_password(settings: &Settings) -> bool {
    settings.auth.asks_for_passwords() && settings.users.values().all(|user| user.password.is_none())
}

/// Says whether users can be looked up at a server that answered.
fn looks_up(
    loaded: &Loaded,
    (name, database): (&str, &Database),
    found: Option<Result<(), Fault>>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let auth = &loaded.settings.auth;
    let asker = auth.auth_user.as_deref().unwrap_or_default();
    let way = if auth.auth_query.is_some() { "auth_query" } else { "pass-through" };
    match found {
        Some(Ok(())) if auth.auth_query.is_some() => {
            writeln!(out, "  database {name}: auth_query as {asker}: ok")?;
            Ok(true)
        }
        Some(Ok(())) => {
            writeln!(out, "  database {name}: pass-through: ok: {asker} may read pg_authid")?;
            Ok(true)
        }
        None => Ok(true),
        Some(Err(fault))
            if fault.sqlstate == "42501"
                && auth.auth_query.is_none()
                && nobody_has_a_password(&loaded.settings) =>
        {
            writeln!(
                out,
                "  database {name}: error: nobody can log in through pgweir: no user above has a password, and {asker} may not read pg_authid to \
                 look others up"
            )?;
            let origin = loaded.origins.of(&format!("users.{asker}"));
            writeln!(
                out,
                "    {origin}: write user:password@ before the host in the URL, add [users] with passwords, or set `method` in [auth] to \"trust\""
            )?;
            Ok(false)
        }
        Some(Err(fault)) if fault.sqlstate == "42501" && auth.auth_query.is_none() => {
            writeln!(
                out,
                "  database {name}: no pass-through: {asker} may not read pg_authid, so that only users above who have a password can log in"
            )?;
            let named = loaded.origins.exact("auth.auth_user").cloned();
            let origin = named.unwrap_or_else(|| loaded.origins.of(&format!("users.{asker}")));
            writeln!(
                out,
                "    {origin}: well if nobody else is to; for others name a user who may (a superuser), or add [users] with passwords, or `auth_query` in [auth]"
            )?;
            Ok(true)
        }
        Some(Err(fault)) => {
            writeln!(out, "  database {name}: {way} as {asker}: error: {fault}")?;
            writeln!(out, "    {}", correct_lookup(loaded, (name, database), asker, &fault))?;
            Ok(false)
        }
    }
}

/// What to do about a look-up that failed: by itself, or because its user was not let in.
fn correct_lookup(
    loaded: &Loaded,
    (name, database): (&str, &Database),
    asker: &str,
    fault: &Fault,
) -> String {
    let of_the_query = loaded.settings.auth.auth_query.is_some() && !fault.sqlstate.starts_with("28");
    match database.hosts.first().filter(|_| !of_the_query) {
        Some(host) => what_to_do(loaded, name, host, asker, fault),
        None => {
            let origin = loaded.origins.of("auth.auth_query");
            format!(
                "{origin}: correct `auth_query`, or `auth_user`, so that it gives a name and a verifier for $1"
            )
        }
    }
}

/// Whether one of the nodes that answered is what the database asks for; says so where none is.
fn suits_some(
    loaded: &Loaded,
    name: &str,
    database: &Database,
    roles: &[(&Host, Role)],
    out: &mut impl Write,
) -> io::Result<bool> {
    if roles.is_empty() || roles.iter().any(|(_, role)| role.suits(database.target) != Suits::No) {
        return Ok(true);
    }
    let origin = loaded.origins.of(&format!("databases.{name}.target_session_attrs"));
    let wanted = show_target(database.target);
    writeln!(out, "  database {name}: error: it asks for {wanted}, and no host is one")?;
    writeln!(out, "    {origin}: correct `target_session_attrs`, or name more hosts")?;
    Ok(false)
}

/// The fallback last: it is tried only where no other database has the same node.
fn probe_order(settings: &Settings) -> impl Iterator<Item = (&str, &Database)> {
    let named = settings.databases.iter().filter(|(name, _)| *name != "*");
    named.chain(settings.databases.get_key_value("*")).map(|(name, database)| (name.as_str(), database))
}

type Tried<'a> = BTreeSet<(&'a Host, &'a [String], &'a str)>;

fn is_new<'a>(tried: &mut Tried<'a>, name: &'a str, database: &'a Database, host: &'a Host) -> bool {
    let users = database.probe_users.as_slice();
    let on_server = database.server_database.as_deref().unwrap_or(name);
    if on_server == "*" && tried.iter().any(|(other, like, _)| *other == host && *like == users) {
        return false;
    }
    // The same node may be reached in other ways.
    tried.insert((host, users, on_server));
    true
}

/// Tells who is named for the console and has no password for it. False: somebody can never log in to it.
fn console_users(loaded: &Loaded, out: &mut impl Write) -> io::Result<bool> {
    let settings = &loaded.settings;
    let (auth, admin) = (&settings.auth, &settings.admin);
    let unproven = auth.hba_file.is_none() && matches!(auth.method, AuthMethod::Trust | AuthMethod::Cert);
    let has_password = |name: &String| settings.users.get(name).is_some_and(|user| user.password.is_some());
    let mut well = true;
    for (key, names) in [("admin_users", &admin.admin_users), ("stats_users", &admin.stats_users)] {
        let origin = loaded.origins.of(&format!("admin.{key}"));
        for name in names.iter().filter(|name| !unproven && !has_password(name)) {
            let database = looked_up_at(settings).filter(|_| !settings.users.contains_key(name));
            if let Some(database) = database {
                writeln!(
                    out,
                    "  {name}: warning: named in `{key}`, and not in [users]: looked up at the server of the database `{database}`, tried below ({origin})"
                )?;
            } else if auth.hba_file.is_some() {
                writeln!(
                    out,
                    "  {name}: warning: named in `{key}`, and has no password for the console; add it to [users] ({origin})"
                )?;
            } else {
                well = false;
                writeln!(out, "  {name}: error: named in `{key}`, and can never log in to the console")?;
                writeln!(out, "    {origin}: add [users.{name}] with a password, or remove the name")?;
            }
        }
    }
    Ok(well)
}

/// The database at whose server users of the console are looked up, if anybody is looked up at all.
fn looked_up_at(settings: &Settings) -> Option<String> {
    let auth = &settings.auth;
    let asks = auth.auth_user.is_some() && (auth.pass_through || auth.auth_query.is_some());
    asks.then(|| stand_in::for_console(settings, "pgweir")).flatten()
}

pub(super) fn show_host(host: &Host) -> String {
    match host {
        Host::Tcp(name, port) if name.contains(':') => format!("[{name}]:{port}"),
        Host::Tcp(name, port) => format!("{name}:{port}"),
        Host::Unix(folder, port) => format!("{}:{port}", folder.display()),
    }
}

fn show_role(role: Role) -> &'static str {
    match role {
        Role { standby: true, .. } => "standby",
        Role { read_only_by_default: true, .. } => "primary, read-only by default",
        _ => "primary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load_with_origins};

    fn node(standby: bool) -> Node {
        let role = Role { standby, read_only_by_default: false };
        Node { version: "PostgreSQL 15.3".to_owned(), role, system: None }
    }

    /// Nodes that answer as it says; looking up a user ends like this.
    struct Said<F>(F, Option<Result<(), Fault>>);

    impl<F: AsyncFn(&str, &Host) -> Result<Node, Fault>> Trial for Said<F> {
        async fn node(&self, database: &str, host: &Host, _: &str) -> Result<Node, Fault> {
            (self.0)(database, host).await
        }

        async fn lookup(&self, _: &str) -> Option<Result<(), Fault>> {
            self.1.clone()
        }

        async fn contents(&self, _: &str) -> Option<Contents> {
            None
        }
    }

    /// What is printed for a URL, when the nodes answer as `probe` says.
    async fn printed(url: &str, probe: impl AsyncFn(&str, &Host) -> Result<Node, Fault>) -> (bool, String) {
        let sources = Sources { url: Some(url.to_owned()), ..Sources::default() };
        let mut loaded = load_with_origins(&sources).expect("a good URL");
        loaded.settings.workers = 1;
        let mut out = vec![];
        let well = run(&loaded, &Said(probe, None), &mut out).await.expect("written");
        (well, String::from_utf8(out).expect("text"))
    }

    #[tokio::test]
    async fn what_will_run_is_shown_without_secrets() {
        let url = "postgres://app:sekret@h1,[::1]:5433/shop?pool_size=4";
        let (well, text) = printed(url, async |_, _| Ok(node(false))).await;
        let expected = "\
pgweir VERSION with these settings
  listen     127.0.0.1:6432 (no TLS)
  http       127.0.0.1:6433
  workers    1
  clients    scram-sha-256; users not below by pass-through, if app may read pg_authid (tried below)
  at most    20000 clients, 500 servers
databases
  * -> the database that the client names on h1:5432, [::1]:5433 (URL)
    transaction mode, 4 servers per user, 0 kept idle; any host, sslmode prefer; logs in as the client's user
  shop -> shop on h1:5432, [::1]:5433 (URL)
    transaction mode, 4 servers per user, 0 kept idle; any host, sslmode prefer; logs in as the client's user
users
  app: password (URL)
nodes
  h1:5432, database shop, as app: ok: PostgreSQL 15.3, primary
  [::1]:5433, database shop, as app: ok: PostgreSQL 15.3, primary
";
        assert!(well);
        assert_eq!(text, expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_shown_with_what_to_do() {
        let refused = async |_: &str, _: &Host| Err(Fault::error("08001", "connection refused"));
        let (well, text) = printed("postgres://app:sekret@db/shop", refused).await;
        assert!(!well);
        let expected = "  db:5432, database shop, as app: error: connection refused (08001)\n    \
            URL: see that PostgreSQL runs there and can be reached from here, or correct the host\n";
        assert_eq!(text.split_once("\nnodes\n").expect("nodes").1, expected);
    }

    #[tokio::test]
    async fn one_of_the_nodes_must_be_what_is_asked_for() {
        let check = async |asked: &str, standby_at: &str, expected: bool| {
            let url = format!("postgres://app:sekret@h1,h2/shop?target_session_attrs={asked}");
            let probe = async |_: &str, host: &Host| Ok(node(show_host(host).starts_with(standby_at)));
            let (well, text) = printed(&url, probe).await;
            assert_eq!(well, expected, "{asked}, standby at {standby_at:?}\n{text}");
            let told =
                text.contains("    URL, character 34: correct `target_session_attrs`, or name more hosts\n");
            assert_eq!(told, !expected, "{text}");
        };
        check("primary", "h1", true).await;
        check("primary", "h", false).await;
        check("standby", "h2", true).await;
        check("standby", "nowhere", false).await;
        check("read-write", "h", false).await;
        check("prefer-standby", "nowhere", true).await;
    }

    #[tokio::test]
    async fn hosts_of_another_cluster_are_named() {
        let check = async |url: &str, expected: Option<&str>| {
            let of = |host: &Host| Some(if show_host(host).starts_with('x') { 8 } else { 7 });
            let is_standby = |host: &Host| !show_host(host).starts_with("h1");
            let probe = async |_: &str, host: &Host| Ok(Node { system: of(host), ..node(is_standby(host)) });
            let (well, text) = printed(url, probe).await;
            assert_eq!(well, expected.is_none(), "{text}");
            let told = "  database shop: error: its hosts belong to 2 clusters\n";
            assert_eq!(text.split_once(told).map(|(_, rest)| rest), expected, "{text}");
        };
        check("postgres://app:sekret@h1,h2/shop", None).await;
        let expected = "    h1:5432, h2:5432: system identifier 7\n    x:5432: system identifier 8\n    \
            URL: leave out, or make copies of the same, those of another cluster\n";
        check("postgres://app:sekret@h1,x,h2/shop", Some(expected)).await;
        check("postgres://app:sekret@h1,h2/shop?reads=replicas&replicas=x", Some(expected)).await;
    }

    #[tokio::test]
    async fn a_cluster_has_one_primary() {
        let check = async |hosts: &str, standbys: &[&str], expected: bool, told: &str| {
            let url = format!("postgres://app:sekret@{hosts}/shop?reads=replicas");
            let is_standby =
                |host: &Host| standbys.iter().any(|name| show_host(host) == format!("{name}:5432"));
            let (well, text) = printed(&url, async |_, host| Ok(node(is_standby(host)))).await;
            assert_eq!(well, expected, "{hosts}\n{text}");
            let nodes = text.split_once("\nnodes\n").expect("nodes").1;
            let lines: Vec<_> = nodes.lines().filter(|line| !line.contains(": ok: ")).collect();
            assert_eq!(lines.first().copied().unwrap_or_default(), told, "{text}");
        };
        check("h1,h2", &["h2"], true, "").await;
        check("h1,h2", &["h1"], true, "").await;
        let two = "  database shop: error: h1:5432 and h3:5432 each say that they are the primary; a cluster has one";
        check("h1,h2,h3", &["h2"], false, two).await;
        let one = "  database shop: remark: it has one host, so no read goes elsewhere; that is well where the host's name always leads to \
                   the primary, else name the others in `hosts` or `replicas`";
        check("h1", &[], true, one).await;
        let replica = "h1,h2/shop?reads=replicas&replicas=h3";
        let (well, text) = printed(&format!("postgres://app:sekret@{replica}"), async |_, host| {
            Ok(node(show_host(host).starts_with("h2")))
        })
        .await;
        assert!(!well && text.contains("h1:5432 and h3:5432 each say"), "{text}");
    }

    #[tokio::test]
    async fn a_database_without_a_user_is_not_tried() {
        let (well, text) =
            printed("postgres://db/shop", async |_, _| Err(Fault::error("08001", "tried"))).await;
        let what_to_do = "; write user:password@ before the host in the URL\n";
        assert!(
            !well && text.contains(&format!("error: nobody can log in{}", what_to_do.replace(';', ":"))),
            "{text}"
        );
        let told =
            "db:5432: not tried: nobody is known to log in to `shop` as (users of the console are not tried)";
        assert!(text.contains(&format!("{told}{what_to_do}")), "{text}");
    }
}
