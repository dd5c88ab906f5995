//! SHOW CONFIG: settings in force, never a secret.

use std::path::PathBuf;
use std::time::Duration;

use super::super::table::{Table, row};
use crate::config::keys::{self, Effect};
use crate::config::settings::{AuthMethod, ClientTlsMode, History, PinPolicy, Pool, Settings, SlowLog};

/// Settings by their place in the file, with the default, and whether a reload changes them. `max_client_conn` and
/// `default_pool_size` are PgBouncer's names for two of them, which exporters look for.
pub fn config(settings: &Settings) -> Table {
    let documented = keys::sections();
    let meta = |section: &str, name: &str| {
        let section = documented.iter().find(|known| known.name == section)?;
        section.keys.iter().find(|key| key.name == name).map(|key| (key.default(), key.effect))
    };
    let row = |(section, name, value): (&str, &str, String)| {
        let key = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        let (default, effect) = meta(section, name).unwrap_or((None, Effect::Reload));
        let default = default.map(plain);
        row![key, value, default, if effect == Effect::Reload { "yes" } else { "no" }]
    };
    let aliases = [
        row!["max_client_conn", settings.limits.max_clients.to_string(), None::<&str>, "yes"],
        row!["default_pool_size", settings.pool.size.to_string(), None::<&str>, "yes"],
    ];
    let history = history(&settings.history);
    let slow = slow_log(&settings.slow_log);
    let values =
        [top(settings), limits(settings), others(settings), history, slow, pool(&settings.pool)].concat();
    Table::new("key value default changeable").with(values.into_iter().map(row)).with(aliases)
}

/// A default as it stands in the file, in the form of the values here: without quotes and brackets.
fn plain(default: &str) -> String {
    let items = default.trim_matches(['[', ']']).split(", ").map(|item| item.trim_matches('"'));
    items.collect::<Vec<_>>().join(",")
}

/// As it may be written in the file, in the largest unit that says it.
fn time(time: Duration) -> String {
    let in_unit = |(unit, name): &(u128, &str)| {
        let whole = time.as_micros().is_multiple_of(*unit) && time.as_micros() >= *unit;
        whole.then(|| format!("{}{name}", time.as_micros() / unit))
    };
    let units = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "m"),
        (1_000_000, "s"),
        (1000, "ms"),
        (1, "us"),
    ];
    units.iter().find_map(in_unit).unwrap_or_else(|| "0s".to_owned())
}

/// As it may be written in the file, in the largest unit that says it.
fn size(bytes: usize) -> String {
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"), (1, "B")];
    let fits = units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

type Value = (&'static str, &'static str, String);

fn top(settings: &Settings) -> Vec<Value> {
    let listen: Vec<_> = settings.listen.iter().map(ToString::to_string).collect();
    vec![
        ("", "listen", listen.join(",")),
        ("", "unix_socket_dir", path(&settings.unix_socket_dir)),
        ("", "http", settings.http_listen.map_or("off".to_owned(), |address| address.to_string())),
        ("", "workers", settings.workers.to_string()),
    ]
}

fn limits(settings: &Settings) -> Vec<Value> {
    let limits = &settings.limits;
    let maybe = |limit: Option<Duration>| limit.map_or("never".to_owned(), time);
    [
        ("login_timeout", time(limits.login_timeout)),
        ("max_unauthenticated", limits.max_unauthenticated.to_string()),
        ("max_clients", limits.max_clients.to_string()),
        ("max_servers", limits.max_servers.to_string()),
        ("max_replication", limits.max_replication.to_string()),
        ("queue_length", limits.queue_length.to_string()),
        ("queue_timeout", time(limits.queue_timeout)),
        ("connect_timeout", time(limits.connect_timeout)),
        ("max_held_message", size(limits.max_held_message)),
        ("prepared_per_server", limits.prepared_per_server.to_string()),
        ("prepared_per_session", limits.prepared_per_session.to_string()),
        ("cache_size", size(limits.cache_size)),
        ("cache_verify", format!("{}%", f64::from(limits.cache_verify) / 100.0)),
        ("client_idle_timeout", maybe(limits.client_idle_timeout)),
        ("idle_in_transaction_timeout", maybe(limits.idle_in_transaction_timeout)),
        ("drain_timeout", time(limits.drain_timeout)),
    ]
    .map(|(name, value)| ("limits", name, value))
    .into()
}

fn path(file: &Option<PathBuf>) -> String {
    file.as_ref().map_or(String::new(), |file| file.display().to_string())
}

fn others(settings: &Settings) -> Vec<Value> {
    let method = match settings.auth.method {
        AuthMethod::Trust => "trust",
        AuthMethod::ScramSha256 => "scram-sha-256",
        AuthMethod::Md5 => "md5",
        AuthMethod::Password => "password",
        AuthMethod::Cert => "cert",
    };
    let tls = match settings.client_tls.mode {
        ClientTlsMode::Disable => "disable",
        ClientTlsMode::Prefer => "prefer",
        ClientTlsMode::Require => "require",
    };
    vec![
        ("auth", "method", method.to_owned()),
        ("auth", "pass_through", settings.auth.pass_through.to_string()),
        ("auth", "hba_file", path(&settings.auth.hba_file)),
        ("auth", "ident_file", path(&settings.auth.ident_file)),
        ("auth", "auth_query", settings.auth.auth_query.clone().unwrap_or_default()),
        ("auth", "auth_user", settings.auth.auth_user.clone().unwrap_or_default()),
        ("tls", "mode", tls.to_owned()),
        ("tls", "cert_file", path(&settings.client_tls.cert_file)),
        ("tls", "key_file", path(&settings.client_tls.key_file)),
        ("tls", "ca_file", path(&settings.client_tls.ca_file)),
        ("admin", "admin_users", settings.admin.admin_users.join(",")),
        ("admin", "stats_users", settings.admin.stats_users.join(",")),
        ("log", "format", if settings.log.json { "json" } else { "text" }.to_owned()),
        ("log", "level", settings.log.level.clone()),
    ]
}

fn history(history: &History) -> Vec<Value> {
    [
        ("store", path(&history.store)),
        ("url", if history.url.is_some() { "(secret)" } else { "" }.to_owned()),
        ("capture", format!("{:?}", history.capture).to_ascii_lowercase()),
        ("interval", time(history.interval)),
        ("statements", history.statements.to_string()),
        ("keep", time(history.keep)),
        ("max_size", size(history.max_size)),
        ("instance", history.instance.clone().unwrap_or_default()),
        ("samples", history.samples.to_string()),
        ("sample_memory", size(history.sample_memory)),
        ("clear_values", history.clear_values.join(",")),
        ("tags", history.tags.join(",")),
        ("advise", history.advise.map_or("never".to_owned(), time)),
    ]
    .map(|(name, value)| ("history", name, value))
    .into()
}

fn slow_log(slow: &SlowLog) -> Vec<Value> {
    [
        ("file", path(&slow.file)),
        ("format", if slow.json { "json" } else { "text" }.to_owned()),
        ("threshold", time(slow.threshold)),
        ("relative", slow.relative.to_string()),
        ("relative_from", time(slow.relative_from)),
        ("rate", slow.rate.to_string()),
        ("max_size", size(slow.max_size)),
        ("max_age", slow.max_age.map_or("never".to_owned(), time)),
        ("keep", slow.keep.to_string()),
    ]
    .map(|(name, value)| ("slow_log", name, value))
    .into()
}

/// What databases start from; SHOW DATABASES tells what each has.
fn pool(pool: &Pool) -> Vec<Value> {
    let pins = if pool.pins == PinPolicy::Pin { "pin" } else { "refuse" };
    [
        ("pool_mode", crate::session::login::mode_name(pool.mode).to_owned()),
        ("pool_size", pool.size.to_string()),
        ("min_idle", pool.min_idle.to_string()),
        ("lifetime", time(pool.lifetime)),
        ("idle_timeout", time(pool.idle_timeout)),
        ("pins", pins.to_owned()),
        ("defer_begin", pool.defer_begin.to_string()),
        ("share_servers", format!("{:?}", pool.share_servers).to_ascii_lowercase()),
    ]
    .map(|(name, value)| ("pool", name, value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::super::super::table::Cell;
    use super::*;

    #[test]
    fn what_nobody_changed_is_shown_as_its_default() {
        let table = config(&Settings::default());
        let mut compared = 0;
        for row in table.rows {
            let [Cell::Text(key), Cell::Text(value), Cell::Text(default), _] = row.as_slice() else {
                continue;
            };
            // What is found out by the machine.
            if key != "workers" {
                assert_eq!(value, default, "{key}");
                compared += 1;
            }
        }
        assert!(compared > 30, "{compared}");
    }

    #[test]
    fn times_and_sizes_can_be_written_back() {
        let millis = Duration::from_millis;
        let times = [(0, "0s"), (1500, "1500ms"), (90_000, "90s"), (7_200_000, "2h"), (172_800_000, "2d")];
        for (given, shown) in times {
            assert_eq!(time(millis(given)), shown);
        }
        assert_eq!(time(Duration::from_micros(7)), "7us");
        assert_eq!(
            (size(1536), size(16 << 20), size(1 << 30)),
            ("1536B".into(), "16MB".into(), "1GB".into())
        );
    }
}
