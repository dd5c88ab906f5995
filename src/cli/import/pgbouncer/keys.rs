//! Every key of PgBouncer and what becomes of it; by its `doc/config.md`, `src/main.c` and `src/loader.c`.

use crate::cli::import::table::{Fate, Key, Section, Source, left, own, path, taken};
use crate::cli::import::turn;

/// The table.
pub static SOURCE: Source = Source {
    title: "PgBouncer",
    version: "1.18 to 1.24, and what was added up to 1.26",
    about: &[
        "`pgbouncer.ini`, with the files that `%include`, `auth_file` and `auth_hba_file` name. Relative names are looked for beside the file that \
         has them, then where the import runs.",
        "Where a key is not written, PgBouncer's default is: the pool mode `session`, for one.",
    ],
    sections: &[&PGBOUNCER, &DATABASES, &USERS, &PEERS],
};

/// `[pgbouncer]`.
pub static PGBOUNCER: Section = Section { name: "[pgbouncer]", keys: PGBOUNCER_KEYS };
/// A line of `[databases]`.
pub static DATABASES: Section = Section { name: "[databases]", keys: DATABASES_KEYS };
/// A line of `[users]`.
pub static USERS: Section = Section { name: "[users]", keys: USERS_KEYS };
/// A line of `[peers]`.
pub static PEERS: Section = Section { name: "[peers]", keys: PEERS_KEYS };

const SYSTEM: &str =
    "the process stays in the foreground and logs to standard error; systemd or a container does the rest";
const NOT_BOUNDED: &str =
    "there is no such bound; limits.max_servers bounds all pools together, pool_size each of them";
const RUSTLS: &str =
    "TLS is 1.2 and 1.3 with the defaults of rustls; older clients and servers have to be updated";
const SOCKETS: &str =
    "sockets have the system's settings; idle servers are looked after by keepalive after 60 s";
const NAMES: &str =
    "the system is asked for a name at each connect; RECONNECT on the console ends servers of an old address";

const PGBOUNCER_KEYS: &[Key] = &[
    own(&["listen_addr"], Fate::Taken, &["listen"], "")
        .remark("`*` is IPv4 only; add [::]:PORT beside it for IPv6"),
    own(&["listen_port"], Fate::Taken, &["listen"], ""),
    own(&["unix_socket_dir"], Fate::Taken, &["unix_socket_dir"], ""),
    left(
        &["unix_socket_mode", "unix_socket_group"],
        "the socket has mode 0777; bound it by the permissions of its folder",
    ),
    taken(&["pool_mode"], &["pool.pool_mode"], turn::pool_mode).or("session"),
    taken(&["max_client_conn"], &["limits.max_clients"], turn::positive).or("100"),
    taken(&["default_pool_size"], &["pool.pool_size"], turn::positive).or("20"),
    taken(&["min_pool_size"], &["pool.min_idle"], turn::count)
        .but("a pool begins with its first client, also where servers have one user"),
    left(
        &["reserve_pool_size", "reserve_pool_timeout"],
        "there is no reserve; raise pool.pool_size by it if it was needed",
    ),
    left(&["max_db_connections", "max_user_connections"], NOT_BOUNDED),
    left(
        &["max_db_client_connections"],
        "clients are bounded in total (limits.max_clients) and by user (users.NAME.max_clients)",
    ),
    own(
        &["max_user_client_connections"],
        Fate::Changed,
        &["users.NAME.max_clients"],
        "it is written for each user of the settings; users who are looked up have no such bound",
    ),
    left(&["server_round_robin"], "the server that was given back last is taken first"),
    left(&["track_extra_parameters"], "not needed: every setting follows its session"),
    left(
        &["ignore_startup_parameters"],
        "not needed: what a client asks for at login is set on its servers; what PostgreSQL does not know is refused (42704)",
    ),
    left(
        &["peer_id"],
        "not needed: processes at one address that run with --reuse-port find each other's sessions",
    ),
    left(&["disable_pqexec"], "the simple protocol cannot be turned off"),
    left(
        &["application_name_add_host"],
        "the client's address is not added; the log of refused logins and SHOW CLIENTS have it",
    ),
    left(&["conffile"], "the settings file is named by --config"),
    left(
        &[
            "service_name",
            "job_name",
            "pidfile",
            "user",
            "logfile",
            "syslog",
            "syslog_facility",
            "syslog_ident",
        ],
        SYSTEM,
    ),
    left(&["stats_period", "log_stats"], "averages are of the last 60 s; figures are at /metrics"),
    taken(&["max_prepared_statements"], &["limits.prepared_per_server"], turn::prepared)
        .remark("pgweir keeps prepared statements of SQL too"),
    left(
        &["scram_iterations"],
        "passwords are not hashed here; the verifiers of the server have their own number",
    ),
    own(&["auth_type"], Fate::Taken, &["auth.method"], ""),
    own(
        &["auth_hba_file"],
        Fate::Changed,
        &["auth.hba_file"],
        "methods of other services (ldap, pam), roles by +name and host names are refused with file and line: see pgweir check",
    ),
    own(&["auth_ident_file"], Fate::Taken, &["auth.ident_file"], ""),
    own(&["auth_file"], Fate::Taken, &["users.NAME.password"], ""),
    own(&["auth_user"], Fate::Taken, &["auth.auth_user"], ""),
    own(
        &["auth_query"],
        Fate::Changed,
        &["auth.auth_query"],
        "it is run on the database that the client asks for, always; a function that it calls must exist in each",
    ),
    left(&["auth_dbname"], "users are looked up on the database that the client asks for"),
    left(&["auth_ldap_options"], "there is no LDAP; use passwords, SCRAM verifiers or certificates"),
    left(
        &["log_connections", "log_disconnections"],
        "refused logins are logged; log.level debug logs the end of each session",
    ),
    left(&["log_pooler_errors"], "errors are counted by class: pgweir_errors_total at /metrics"),
    taken(&["verbose"], &["log.level"], turn::verbosity),
    taken(&["admin_users"], &["admin.admin_users"], turn::names),
    taken(&["stats_users"], &["admin.stats_users"], turn::names),
    left(
        &["server_reset_query", "server_reset_query_always"],
        "not needed: in session mode a server gets ROLLBACK and DISCARD ALL, in transaction mode it is set to what the next session has",
    ),
    left(
        &["server_check_query", "server_check_delay"],
        "not needed: idle servers are watched, and a statement that a dead one did not get goes to another",
    ),
    left(&["server_fast_close"], "a server in use is replaced when it is given back"),
    taken(&["server_lifetime"], &["pool.lifetime"], turn::seconds_or_once).or("3600"),
    taken(&["server_idle_timeout"], &["pool.idle_timeout"], turn::seconds).or("600"),
    taken(&["server_connect_timeout"], &["limits.connect_timeout"], turn::seconds).or("15"),
    left(
        &["server_login_retry"],
        "the wait after a failed login grows from 0.2 s to 2 s; meanwhile clients are told at once what it failed of",
    ),
    taken(&["client_login_timeout"], &["limits.login_timeout"], turn::seconds).or("60"),
    left(&["autodb_idle_timeout", "pool_idle_timeout"], "servers of unused pools end by pool.idle_timeout"),
    left(&["dns_max_ttl", "dns_nxdomain_ttl", "dns_zone_check_period", "resolv_conf"], NAMES),
    left(
        &["query_wait_notify", "login_notify_message"],
        "clients get no notice that PostgreSQL would not send",
    ),
    taken(&["client_tls_sslmode"], &["tls.mode"], turn::client_sslmode).or("disable"),
    path(&["client_tls_key_file"], &["tls.key_file"]),
    path(&["client_tls_cert_file"], &["tls.cert_file"]),
    path(&["client_tls_ca_file"], &["tls.ca_file"]),
    left(
        &[
            "client_tls_protocols",
            "client_tls_ciphers",
            "client_tls13_ciphers",
            "client_tls_ecdhcurve",
            "client_tls_dheparams",
        ],
        RUSTLS,
    ),
    own(&["server_tls_sslmode"], Fate::Taken, &["databases.NAME.sslmode"], "")
        .remark("it is written for each database"),
    own(&["server_tls_ca_file"], Fate::Taken, &["databases.NAME.sslrootcert"], "")
        .remark("it is written for each database"),
    own(&["server_tls_key_file"], Fate::Taken, &["databases.NAME.sslkey"], "")
        .remark("it is written for each database"),
    own(&["server_tls_cert_file"], Fate::Taken, &["databases.NAME.sslcert"], "")
        .remark("it is written for each database"),
    left(&["server_tls_protocols", "server_tls_ciphers", "server_tls13_ciphers"], RUSTLS),
    own(
        &["query_timeout"],
        Fate::Changed,
        &["databases.NAME.options"],
        "it is PostgreSQL's statement_timeout: the server ends the statement and keeps the connection, and a client may SET it otherwise",
    ),
    taken(&["query_wait_timeout"], &["limits.queue_timeout"], turn::seconds).or("120"),
    left(&["cancel_wait_timeout"], "a cancel waits for 5 s"),
    taken(&["client_idle_timeout"], &["limits.client_idle_timeout"], turn::seconds_or_never),
    taken(&["idle_transaction_timeout"], &["limits.idle_in_transaction_timeout"], turn::seconds_or_never),
    left(
        &["transaction_timeout"],
        "on PostgreSQL 17 and later write \"-c transaction_timeout=...\" in databases.NAME.options",
    ),
    left(&["suspend_timeout"], "there is no SUSPEND; a new process takes over by --reuse-port"),
    left(
        &["pkt_buf", "sbuf_loopcnt"],
        "buffers are as large as they have to be, and no client holds up the others",
    ),
    left(
        &["max_packet_size"],
        "long messages pass in pieces, but for a Parse; limits.max_held_message bounds what is held in memory",
    ),
    left(
        &[
            "listen_backlog",
            "tcp_defer_accept",
            "tcp_socket_buffer",
            "tcp_keepalive",
            "tcp_keepcnt",
            "tcp_keepidle",
            "tcp_keepintvl",
            "tcp_user_timeout",
        ],
        SOCKETS,
    ),
    left(&["so_reuseport"], "the flag --reuse-port; to use more cores, set workers"),
];

const DATABASES_KEYS: &[Key] = &[
    own(&["host"], Fate::Taken, &["databases.NAME.hosts"], ""),
    own(&["port"], Fate::Taken, &["databases.NAME.hosts"], ""),
    taken(&["dbname"], &["databases.NAME.database"], turn::text),
    own(
        &["user"],
        Fate::Changed,
        &["databases.NAME.server_user"],
        "each user of clients has a pool of its own, all logged in as this one, who may also log in to pgweir",
    ),
    own(
        &["password"],
        Fate::Changed,
        &["users.NAME.password"],
        "it is the password of this user for clients too",
    ),
    taken(&["pool_size"], &["databases.NAME.pool_size"], turn::positive),
    taken(&["min_pool_size"], &["databases.NAME.min_idle"], turn::count)
        .but("a pool begins with its first client, also where servers have one user"),
    left(
        &["reserve_pool_size", "reserve_pool"],
        "there is no reserve; raise pool_size by it if it was needed",
    ),
    taken(&["pool_mode"], &["databases.NAME.pool_mode"], turn::pool_mode),
    taken(&["query_wait_timeout"], &["databases.NAME.queue_timeout"], turn::seconds),
    taken(&["server_lifetime"], &["databases.NAME.lifetime"], turn::seconds_or_once),
    left(
        &["connect_query"],
        "no statement is run on connecting; settings can be written in databases.NAME.options",
    ),
    own(&["client_encoding", "datestyle", "timezone"], Fate::Taken, &["databases.NAME.options"], ""),
    taken(&["application_name"], &["databases.NAME.application_name"], turn::text)
        .but("it is for clients that give no name of their own"),
    left(&["load_balance_hosts"], "the first host that answers and suits is taken"),
    taken(&["target_session_attrs"], &["databases.NAME.target_session_attrs"], turn::target_session_attrs),
    left(&["max_db_connections"], NOT_BOUNDED),
    left(
        &["max_db_client_connections"],
        "clients are bounded in total (limits.max_clients) and by user (users.NAME.max_clients)",
    ),
    left(
        &["auth_user", "auth_query", "auth_dbname"],
        "users are looked up in one way for all databases: auth.auth_user and auth.auth_query",
    ),
];

const USERS_KEYS: &[Key] = &[
    taken(&["pool_mode"], &["users.NAME.pool_mode"], turn::pool_mode),
    taken(&["pool_size"], &["users.NAME.pool_size"], turn::positive),
    taken(&["max_user_client_connections"], &["users.NAME.max_clients"], turn::positive_or_none),
    left(&["max_user_connections"], NOT_BOUNDED),
    left(&["reserve_pool_size"], "there is no reserve; raise users.NAME.pool_size by it if it was needed"),
    left(
        &["query_timeout", "transaction_timeout", "idle_transaction_timeout"],
        "let the server do it: ALTER ROLE ... SET statement_timeout, transaction_timeout, idle_in_transaction_session_timeout",
    ),
    left(&["query_wait_timeout", "client_idle_timeout"], "there is no such time for one user; see limits"),
];

const PEERS_KEYS: &[Key] = &[left(
    &["host", "port", "pool_size"],
    "not needed for processes at one address that run with --reuse-port; between machines a cancel does not find its session",
)];
