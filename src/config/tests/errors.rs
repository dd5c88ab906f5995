//! Each kind of error, with its place and text.

use super::*;

const DATABASE: &str = "[databases.shop]\nhosts = [\"db\"]\n";

/// What is wrong with a file, whole.
fn check(text: &str, expected: &[&str]) {
    let errors = load_file(text).err().unwrap_or_default();
    assert_eq!(errors, expected, "in\n{text}");
    assert!(!errors.concat().contains("sekret"), "{errors:?}");
}

/// What is wrong with the lines that follow a good database.
fn check_more(text: &str, expected: &[&str]) {
    check(&format!("{DATABASE}{text}"), expected);
}

#[test]
fn not_toml() {
    check("listen = [\n", &["f.toml:1:11: not TOML: unclosed array, expected `]`"]);
    check(
        "[databases.shop]\npassword = sekret\n",
        &["f.toml:2:12: not TOML: string values must be quoted, expected literal string"],
    );
    check("[tls]\n[tls]\n", &["f.toml:2:2: not TOML: duplicate key"]);
}

#[test]
fn unknown_keys() {
    check_more(
        "pool_sise = 3\n",
        &["f.toml:3:1: unknown key `pool_sise` in [databases.shop]; did you mean `pool_size`?"],
    );
    check_more("zebra = 3\n", &["f.toml:3:1: unknown key `zebra` in [databases.shop]; remove it"]);
    check_more(
        "[pool]\nsize = 3\n",
        &["f.toml:4:1: unknown key `size` in [pool]; did you mean `pool_size`?"],
    );
    check_more(
        "[pool]\nmax_clients = 3\n",
        &["f.toml:4:1: unknown key `max_clients` in [pool]; it belongs in [limits]"],
    );
    check_more(
        "listen = []\n",
        &["f.toml:3:1: unknown key `listen` in [databases.shop]; it belongs at the top, before any section"],
    );
    check_more("[user.app]\n", &["f.toml:3:2: unknown key `user` at the top level; did you mean `users`?"]);
    check_more(
        "[limits]\nmax_client_conn = 3\n[pool]\nserver_lifetime = 3\nquery_wait_timeout = 3\n",
        &[
            "f.toml:4:1: unknown key `max_client_conn` in [limits]; it is `max_clients` here",
            "f.toml:6:1: unknown key `server_lifetime` in [pool]; it is `lifetime` here",
            "f.toml:7:1: unknown key `query_wait_timeout` in [pool]; it is `queue_timeout` of [limits]",
        ],
    );
    check_more(
        "dbname = \"x\"\nquery_wait_timeout = 3\n[pgbouncer]\nlisten_port = 6432\n",
        &[
            "f.toml:3:1: unknown key `dbname` in [databases.shop]; it is `database` here",
            "f.toml:4:1: unknown key `query_wait_timeout` in [databases.shop]; it is `queue_timeout` here",
            "f.toml:5:2: unknown key `pgbouncer` at the top level; remove it",
        ],
    );
    check_more(
        "[auth]\nlisten_port = 6432\nauth_type = \"md5\"\n",
        &[
            "f.toml:4:1: unknown key `listen_port` in [auth]; it is `listen` at the top, before any section",
            "f.toml:5:1: unknown key `auth_type` in [auth]; it is `method` here",
        ],
    );
    check_more("[limit]\n", &["f.toml:3:2: unknown key `limit` at the top level; did you mean `limits`?"]);
    check_more(
        "[users.app]\npasword = \"sekret\"\n",
        &["f.toml:4:1: unknown key `pasword` in [users.app]; did you mean `password`?"],
    );
    check("limits = 3\n", &["f.toml:1:1: `limits` is a section; write [limits] on a line of its own"]);
    check(
        "[users]\napp = \"sekret\"\n",
        &["f.toml:2:1: `app` must be a section; write [users.app] on a line of its own"],
    );
}

#[test]
fn values_that_are_not_of_their_kind() {
    let one = |line: &str, expected: &str| check_more(line, &[expected]);
    one("pool_size = 0\n", "f.toml:3:13: `pool_size` is 0, but takes a whole number from 1");
    one("pool_size = \"4\"\n", "f.toml:3:13: `pool_size` is \"4\", but takes a whole number from 1");
    one(
        "pool_size = 4.5\n",
        "f.toml:3:13: `pool_size` is a number with a fraction, but takes a whole number from 1",
    );
    one("pool_size = 99999999\n", "f.toml:3:13: `pool_size` is 99999999, but at most 10000000 is possible");
    one("defer_begin = \"yes\"\n", "f.toml:3:15: `defer_begin` is \"yes\", but takes true or false");
    one("pool_mode = \"sesion\"\n", "f.toml:3:13: `pool_mode` is \"sesion\"; did you mean `session`?");
    one(
        "pool_mode = \"fast\"\n",
        "f.toml:3:13: `pool_mode` is \"fast\", but takes one of `session`, `transaction`, `statement`",
    );
    one("password = 7\n", "f.toml:3:12: `password` must be text in quotes");
    one(
        "password = \"env:NOBODY\"\n",
        "f.toml:3:12: `password` asks for the environment variable NOBODY, which is not set",
    );
    one(
        "options = \"geqo=off\"\n",
        "f.toml:3:11: `options` holds `geqo=off`; only -c name=value and --name=value are known",
    );
    one(
        "[limits]\ndrain_timeout = false\n",
        "f.toml:4:17: `drain_timeout` is false, but takes a duration with a unit, such as \"30s\" or \"0s\"",
    );
    one("[admin]\nadmin_users = [1]\n", "f.toml:4:15: `admin_users` holds 1; put it in quotes");
    check(
        "[databases.shop]\nhosts = [\"db:x\"]\n",
        &["f.toml:2:9: `hosts` holds `db:x`: a port is not a number from 1 to 65535"],
    );
    check("[databases.shop]\nhosts = []\n", &["f.toml:2:9: `hosts` is empty; name at least one host"]);
    check(
        "listen = [\"*:6432\"]\n",
        &[
            "f.toml:1:10: `listen` holds `*:6432`, which is not an address to listen on; write 0.0.0.0:6432, and \
           [::]:6432 beside it for IPv6",
        ],
    );
    check(
        "http = \"localhost:80\"\n",
        &[
            "f.toml:1:8: `http` holds `localhost:80`, which is not an address to listen on; write 127.0.0.1:80",
        ],
    );
}

#[test]
fn units() {
    let units = "(the units are us, ms, s, m or min, h, d)";
    let one = |line: &str, expected: &str| {
        check_more(&format!("[limits]\n{line}"), &[&format!("f.toml:4:{expected}")])
    };
    one(
        "login_timeout = 15",
        &format!("17: `login_timeout` is 15 without a unit; write for example \"15s\" {units}"),
    );
    one(
        "login_timeout = \"15\"",
        &format!("17: `login_timeout` is 15 without a unit; write for example \"15s\" {units}"),
    );
    one(
        "login_timeout = \"1w\"",
        "17: `login_timeout` has the unit `w`; the units are us, ms, s, m or min, h, d",
    );
    one(
        "login_timeout = \"0s\"",
        "17: `login_timeout` is zero, but must be longer; where there is to be no limit, write a long time, up to \"365d\"",
    );
    one(
        "client_idle_timeout = \"0s\"",
        "23: `client_idle_timeout` is zero, but must be longer; write \"never\" where there is to be no limit",
    );
    one("login_timeout = \"366d\"", "17: `login_timeout` is \"366d\", but the longest possible is \"365d\"");
    one(
        "login_timeout = \"never\"",
        "17: `login_timeout` is \"never\", but takes a duration with a unit, such as \"500ms\", \"5s\" or \"1h\"",
    );
    one(
        "max_held_message = 16",
        "20: `max_held_message` is 16 without a unit; write for example \"16B\" (the units are B, kB, MB, GB)",
    );
    one(
        "max_held_message = \"16mb\"",
        "20: `max_held_message` has the unit `mb`; the units are B, kB, MB, GB, so written",
    );
    one(
        "max_held_message = \"2GB\"",
        "20: `max_held_message` is \"2GB\", but must be from \"1kB\" to \"1GB\"",
    );
}

#[test]
fn urls_in_the_file() {
    check(
        "[databases.shop]\nurl = \"postgres://app:sekret@db/shop?pool_sise=3\"\n",
        &["f.toml:2:38: unknown parameter `pool_sise`; did you mean `pool_size`?"],
    );
    check(
        "[databases.shop]\nurl = \"env:BAD_URL\"\n",
        &["f.toml:2:7: unknown parameter `pool_sise`; did you mean `pool_size`?"],
    );
    check(
        "[databases.shop]\nurl = \"postgres://app:sekret/x@db/shop\"\n",
        &[
            "f.toml:2:8: there is an `@` behind the hosts; in a user or password write / as %2F, ? as %3F, # as %23, @ \
           as %40 and % as %25",
        ],
    );
    check(
        "[databases.shop]\nurl = \"postgres://db/shop\"\nhosts = [\"db\"]\n",
        &["f.toml:3:1: `hosts` stands beside `url`, which has hosts too; remove one"],
    );
}

#[test]
fn zero_without_a_unit_is_refused_once() {
    let never = "is zero, but must be longer; write \"never\" where there is to be no limit";
    let long =
        "is zero, but must be longer; where there is to be no limit, write a long time, up to \"365d\"";
    for zero in ["0", "\"0\"", "\"0s\""] {
        check_more(
            &format!("[limits]\nclient_idle_timeout = {zero}\nlogin_timeout = {zero}\n"),
            &[
                &format!("f.toml:4:23: `client_idle_timeout` {never}"),
                &format!("f.toml:5:17: `login_timeout` {long}"),
            ],
        );
    }
    check_more(
        "[limits]\ndrain_timeout = 0\n",
        &[
            "f.toml:4:17: `drain_timeout` is 0 without a unit; write for example \"0s\" (the units are us, ms, s, m or min, h, d)",
        ],
    );
}

#[test]
fn several_errors_come_in_the_order_of_the_file() {
    check(
        "http = 3\nlisten = 4\n[pool]\nlifetime = 5\nx = 6\n",
        &[
            "f.toml:1:8: `http` is 3, but takes an address, such as \"127.0.0.1:6433\", or \"off\"",
            "f.toml:2:10: `listen` is 4, but takes a list of addresses, such as [\"127.0.0.1:6432\"]",
            "f.toml:4:12: `lifetime` is 5 without a unit; write for example \"5s\" (the units are us, ms, s, m or min, h, d)",
            "f.toml:5:1: unknown key `x` in [pool]; remove it",
        ],
    );
}

#[test]
fn contradictions_of_databases() {
    let nothing = "there is no database; add a section [databases.NAME] with a `url`, or take one in whose lines begin with `#`";
    check("", &[&format!("f.toml: {nothing}")]);
    check("#[databases.shop]\n[pool]\npool_size = 3\n", &[&format!("f.toml: {nothing}")]);
    check("[databases]\n", &[&format!("f.toml:1:2: {nothing}")]);
    let errors = crate::config::load(&Sources::default()).expect_err("there is nothing");
    let nothing = "there is no database; give a URL such as postgres://user:password@host/name, or a file with \
                   [databases.NAME]";
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [nothing]);
    check("[databases.shop]\n", &["f.toml:1:12: this database has no host; add `url` or `hosts`"]);
    check(
        "[databases.pgweir]\nhosts = [\"db\"]\n",
        &[
            "f.toml:1:12: this name is the console's; choose another, and keep the server's name in `database`",
        ],
    );
    check_more(
        "min_idle = 20\n",
        &["f.toml:3:1: `min_idle` is 20, more than `pool_size`, which is 16; lower it"],
    );
    check_more(
        "pool_size = 600\n",
        &["f.toml:3:1: `pool_size` is 600, more than `max_servers` of [limits], which is 500"],
    );
    check_more("pool_mode = \"session\"\n[pool]\npins = \"refuse\"\n", &[]);
    check_more(
        "pool_mode = \"session\"\npins = \"refuse\"\n",
        &[
            "f.toml:4:1: `pins` is `refuse`, but in the pool mode `session` every session keeps its server; remove it",
        ],
    );
    let twice = "[databases.a]\nhosts = [\"a\"]\n[pool]\nmin_idle = 20\n";
    check_more(twice, &["f.toml:6:1: `min_idle` is 20, more than `pool_size`, which is 16; lower it"]);
    check_more("password = \"sekret\"\n", &["f.toml:3:1: `password` has no user; add `user`"]);
    check_more(
        "sslnegotiation = \"direct\"\n",
        &[
            "f.toml:3:1: `sslnegotiation` is `direct`, which needs TLS for certain; set `sslmode` to `require` or more",
        ],
    );
    check(
        "[databases.shop]\nurl = \"postgres://u@localhost:6432/d\"\n",
        &["f.toml:2:8: this host is where pgweir itself listens; name PostgreSQL's address and port"],
    );
    check(
        "[databases.a]\nurl = \"postgres://app:sekret1@db/a\"\n[databases.b]\nurl = \"postgres://app:sekret2@db/b\"\n",
        &[
            "f.toml:4:8: the user `app` has another password at f.toml:2:8; a user has one password, so remove one",
        ],
    );
    check_more(
        "server_user = \"app\"\n",
        &["f.toml:3:1: `server_user` is `app`, who is not known here; add [users.app] with a password"],
    );
    check_more(
        "server_user = \"app\"\n[users.app]\npassword = \"SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2E=$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n",
        &[
            "f.toml:3:1: `server_user` is `app`, of whom only a SCRAM verifier is known, which logs in nobody; give the \
           password",
        ],
    );
}

#[test]
fn contradictions_of_the_rest() {
    let some_file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    check_more(
        "[tls]\nmode = \"require\"\n",
        &["f.toml:4:1: TLS needs a certificate; add `cert_file` and `key_file`"],
    );
    check_more(
        &format!("[tls]\nmode = \"require\"\ncert_file = {some_file:?}\n"),
        &["f.toml:5:1: the certificate has no key; add `key_file`"],
    );
    check_more(
        &format!("[tls]\ncert_file = {some_file:?}\nkey_file = {some_file:?}\n"),
        &[
            "f.toml:4:1: a certificate is given, but TLS is not turned on; set mode = \"prefer\", \"require\" or \
           \"disable\"",
        ],
    );
    check_more(
        "sslrootcert = \"/nowhere/ca.crt\"\n",
        &[
            "f.toml:3:1: /nowhere/ca.crt cannot be read: No such file or directory (os error 2); correct the path or its \
           permissions",
        ],
    );
    check_more(
        "[auth]\nmethod = \"cert\"\n",
        &["f.toml:4:1: `cert` needs the authorities of client certificates; add `ca_file` to [tls]"],
    );
    check_more(
        "[auth]\nmethod = \"password\"\n",
        &["f.toml:4:1: `password` is for TLS and unix sockets only; set `mode` in [tls]"],
    );
    check_more(
        "[auth]\nauth_query = \"SELECT f($1)\"\n",
        &["f.toml:4:1: `auth_query` needs a user who runs it; add `auth_user`"],
    );
    check_more(
        "[users.a]\npassword = \"x\"\n[auth]\nauth_user = \"a\"\nauth_query = \"SELECT 1\"\n",
        &[
            "f.toml:7:1: `auth_query` does not say whom it looks up, so it would give the same for everybody; write $1 \
           where the name goes, as in: select usename, passwd from pg_shadow where usename = $1",
        ],
    );
    check_more(
        "[auth]\nauth_user = \"a\"\n",
        &["f.toml:4:1: `auth_user` is `a`, who is not known here; add [users.a] with a password"],
    );
    check_more(
        &format!("[auth]\nident_file = {some_file:?}\n"),
        &["f.toml:4:1: `ident_file` is used by rules of `hba_file` only; add that or remove this"],
    );
    check(
        &format!("listen = []\n{DATABASE}"),
        &["f.toml:1:1: nothing is listened on; give an address, or `unix_socket_dir`"],
    );
    check(
        &format!("http = \"127.0.0.1:6432\"\n{DATABASE}"),
        &["f.toml:1:1: 127.0.0.1:6432 is used by `listen` too; choose another port"],
    );
    check(
        &format!("unix_socket_dir = \"/nowhere\"\n{DATABASE}"),
        &["f.toml:1:1: /nowhere is not a folder; create it"],
    );
}

#[test]
fn the_command_line() {
    let check = |sources: Sources, expected: &[&str]| {
        let errors = load_text("", &sources).err().unwrap_or_default();
        assert_eq!(errors, expected);
    };
    let url = "postgres://app:sekret@db/shop";
    check(
        with_url("postgres//app:sekret@db"),
        &["URL, character 1: a URL begins with postgres:// or postgresql://"],
    );
    check(
        with_url("postgres://app:5?sekret=1@db/shop"),
        &["URL, character 18: unknown parameter; write `?` in a password as %3F, `@` as %40"],
    );
    check(
        with_url(&format!("{url}?lifetime=5")),
        &[
            "URL, character 31: `lifetime` is 5 without a unit; write for example \"5s\" (the units are us, ms, s, m or \
           min, h, d)",
        ],
    );
    check(
        with_url(&format!("{url}?require_auth=md5")),
        &["URL, character 31: `require_auth` is a parameter of libpq that pgweir does not have; remove it"],
    );
    check(
        with_url(&format!("{url}?gssencmode=require")),
        &["URL, character 31: unknown parameter `gssencmode`; remove it"],
    );
    check(
        with_url(&format!("{url}?server_user=a")),
        &["URL, character 31: unknown parameter `server_user`; did you mean `user`?"],
    );
    check(
        with_url(&format!("{url}?min_idle=17")),
        &["URL, character 31: `min_idle` is 17, more than `pool_size`, which is 16; lower it"],
    );
    let listen = Sources { listen: vec!["6432".to_owned()], ..with_url(url) };
    check(
        listen,
        &[
            "--listen: holds `6432`, which is not an address to listen on; write an IP address and a port, such as \
           127.0.0.1:6432 or [::1]:6432",
        ],
    );
    let missing = Sources { file: Some("/nowhere/f.toml".into()), ..Sources::default() };
    let errors = crate::config::load(&missing).expect_err("no such file");
    let text = "/nowhere/f.toml: cannot be read: No such file or directory (os error 2); --config names the settings file";
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
}

#[test]
fn reads() {
    let with = |more: &str| format!("[databases.shop]\nurl = \"postgres://app:pw@a,b:5433/shop\"\n{more}");
    let check = |more: &str, expected: &[&str]| check(&with(more), expected);
    check(
        "reads = \"replicas\"\nreplicas = [\"c\"]\nweights = [\"c=3\", \"b:5433=2\"]\nzones = [\"a=x\"]\n",
        &[],
    );
    check("reads = \"replica\"\n", &["f.toml:3:9: `reads` is \"replica\"; did you mean `replicas`?"]);
    check(
        "replicas = [\"a\"]\nweights = [\"b=2\"]\nzones = [\"d=x\"]\n",
        &[
            "f.toml:3:1: a:5432 is one of `hosts` too; remove it from one of them",
            "f.toml:4:1: b:5432 is neither in `hosts` nor in `replicas`; correct it, or add it there",
            "f.toml:5:1: d:5432 is neither in `hosts` nor in `replicas`; correct it, or add it there",
        ],
    );
    check(
        "weights = [\"a=0\", \"b=x\"]\nzones = [\"a\"]\n",
        &[
            "f.toml:3:11: `weights` holds `a=0`: the weight is not a whole number from 1 to 1000",
            "f.toml:4:9: `zones` holds `a`, which has no `=`; write the host, `=` and its value",
        ],
    );
    let level =
        "takes \"session\", \"any\", \"primary\", or \"bounded:\" and a duration, such as \"bounded:500ms\"";
    check("consistency = \"strong\"\n", &[&format!("f.toml:3:15: `consistency` is \"strong\", but {level}")]);
    check(
        "consistency = \"bounded:500\"\n",
        &[
            "f.toml:3:15: `consistency` is 500 without a unit; write for example \"500s\" (the units are us, ms, s, m or min, h, d)",
        ],
    );
    check(
        "reads = \"replicas\"\ntarget_session_attrs = \"standby\"\n",
        &[
            "f.toml:4:1: with `reads` as `replicas` this is `primary` or `read-write`: what is no read must go there; for an \
           entry whose statements all go to standbys, remove `reads`",
        ],
    );
    let many: Vec<_> = (0..63).map(|n| format!("\"r{n}\"")).collect();
    check(
        &format!("reads = \"replicas\"\nreplicas = [{}]\n", many.join(",")),
        &["f.toml:4:1: 65 nodes are named, but a database may have 64 at most"],
    );
    check_more(
        "reads = \"replicas\"\n",
        &[
            "f.toml:3:1: `reads` is `replicas`, but nobody is known as whom nodes can be asked; add `user` and `password`, or \
           `auth_user` to [auth]",
        ],
    );
}
