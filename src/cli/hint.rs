//! What to do about a node that cannot be logged in to, and where: the place of the key to correct.

use crate::config::Loaded;
use crate::config::settings::Host;
use crate::wire::Fault;

/// The place of the key, and what to do with it, when a login as `user` has failed.
pub fn what_to_do(loaded: &Loaded, name: &str, host: &Host, user: &str, fault: &Fault) -> String {
    let (key, advice) = advice(host, user, fault);
    let path = match key {
        Key::User => format!("users.{user}.password"),
        Key::Database(key) => format!("databases.{name}.{key}"),
    };
    format!("{}: {advice}", loaded.origins.of(&path))
}

#[derive(Debug, PartialEq)]
enum Key {
    /// The password of the user whom pgweir logs in as.
    User,
    /// A key of the database.
    Database(&'static str),
}

/// By SQLSTATE; by the message only where one SQLSTATE stands for several things.
fn advice(host: &Host, user: &str, fault: &Fault) -> (Key, String) {
    let says = |words: &[&str]| words.iter().any(|word| fault.message.contains(word));
    let of = |key, text: &str| (Key::Database(key), text.to_owned());
    match fault.sqlstate.as_str() {
        "28000" if says(&["no encryption", "SSL off"]) => {
            of("sslmode", "the server wants TLS: set `sslmode` to `require`, or correct its pg_hba.conf")
        }
        "28000" if says(&["certificate"]) => {
            of("sslcert", "name a client certificate in `sslcert` and `sslkey` whose name is the user's")
        }
        "28000" if says(&["pg_hba.conf"]) => {
            let text = format!("let `{user}` in by the server's pg_hba.conf, or correct the user");
            (Key::Database("user"), text)
        }
        code if code.starts_with("28") => (Key::User, format!("correct the user `{user}` or its password")),
        "3D000" => of("database", "correct the name of the database"),
        "42501" => of("user", "grant CONNECT on the database to this user, or name another one"),
        "42704" | "22023" => of("options", "correct the setting in `options`"),
        "53300" | "53400" => of("pool_size", "raise max_connections of the server, or lower `pool_size`"),
        "57P03" => of("hosts", "the server is starting or stopping; try again, or see its log"),
        _ if says(&["does not speak TLS"]) => {
            of("sslmode", "turn on TLS at the server, or set `sslmode` to `prefer` or `disable`")
        }
        _ if fault.message.starts_with("TLS with") => {
            of("sslmode", "correct `sslmode`, `sslrootcert` and the other files, or the server's certificate")
        }
        _ if fault.message.starts_with("cannot resolve") => {
            of("hosts", "correct the host's name, or see why it cannot be resolved from here")
        }
        _ if matches!(host, Host::Unix(..)) => of(
            "hosts",
            "see that PostgreSQL runs and has its socket in this folder (unix_socket_directories), or correct the host",
        ),
        _ => of("hosts", "see that PostgreSQL runs there and can be reached from here, or correct the host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_to_correct_is_named() {
        let tcp = Host::Tcp("db".into(), 5432);
        let check = |host: &Host, sqlstate: &str, message: &str, key: Key, begins: &str| {
            let (found, text) = advice(host, "app", &Fault::error(sqlstate, message));
            assert_eq!(found, key, "{message}");
            assert!(text.starts_with(begins), "{message}: {text}");
        };
        let of = Key::Database;
        check(&tcp, "28P01", "password authentication failed", Key::User, "correct the user `app`");
        check(&tcp, "28000", "role \"app\" does not exist", Key::User, "correct the user `app`");
        check(
            &tcp,
            "28000",
            "no pg_hba.conf entry for host, no encryption",
            of("sslmode"),
            "the server wants",
        );
        check(&tcp, "28000", "no pg_hba.conf entry for host, SSL on", of("user"), "let `app` in");
        check(
            &tcp,
            "28000",
            "connection requires a valid client certificate",
            of("sslcert"),
            "name a client",
        );
        check(&tcp, "3D000", "database \"shop\" does not exist", of("database"), "correct the name");
        check(
            &tcp,
            "53300",
            "too many connections for role \"app\"",
            of("pool_size"),
            "raise max_connections",
        );
        check(&tcp, "57P03", "the database system is starting up", of("hosts"), "the server is starting");
        check(&tcp, "08001", "TLS with db:5432 failed: expired", of("sslmode"), "correct `sslmode`");
        let plain = "TLS with db:5432 failed: the server does not speak TLS, which sslmode asks for";
        check(&tcp, "08001", plain, of("sslmode"), "turn on TLS");
        check(&tcp, "08001", "cannot resolve db:5432: no such host", of("hosts"), "correct the host's name");
        check(
            &tcp,
            "08001",
            "cannot connect to db:5432: refused",
            of("hosts"),
            "see that PostgreSQL runs there",
        );
        let unix = Host::Unix("/tmp".into(), 5432);
        check(&unix, "08001", "no such file", of("hosts"), "see that PostgreSQL runs and has its socket");
    }
}
