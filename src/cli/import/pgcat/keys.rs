//! Every key of PgCat and what becomes of it; by its `src/config.rs` and `CONFIG.md`.

use crate::cli::import::table::{Fate, Key, Section, Source, left, own, path, taken};
use crate::cli::import::turn;

/// The table.
pub static SOURCE: Source = Source {
    title: "PgCat",
    version: "up to 1.2.0, and what its CONFIG.md added since",
    about: &[
        "`pgcat.toml`. A pool becomes a database. One with several shards becomes a database per shard, `NAME_shard_0` and so on, so that nothing is \
         written to the wrong one: pgweir reads from PostgreSQL which rows are where, and has no shards of its own.",
        "Where reads are split from writes, a rule file sends the reads of that database to replicas. Rule files are applied as far as [rules.md](rules.md) says.",
    ],
    sections: &[&GENERAL, &POOL, &USER, &SHARD, &PLUGINS],
};

/// `[general]`.
pub static GENERAL: Section = Section { name: "[general]", keys: GENERAL_KEYS };
/// `[pools.NAME]`.
pub static POOL: Section = Section { name: "[pools.NAME]", keys: POOL_KEYS };
/// `[pools.NAME.users.N]`.
pub static USER: Section = Section { name: "[pools.NAME.users.N]", keys: USER_KEYS };
/// `[pools.NAME.shards.N]`.
pub static SHARD: Section = Section { name: "[pools.NAME.shards.N]", keys: SHARD_KEYS };
/// `[plugins]` and `[pools.NAME.plugins]`.
pub static PLUGINS: Section = Section { name: "[plugins]", keys: PLUGINS_KEYS };

const ONE_WAIT: &str =
    "PgCat's one time is for waiting and connecting together; here each of the two may take it";
const SHARDS: &str = "pgweir has no shards of its own: tables are partitioned as PostgreSQL declares it, and the name of a shard's database is chosen";
const ROUTED: &str = "reads are told apart from the catalog, not by a parser that can be turned off";
const NO_BANS: &str =
    "a host that does not answer is passed over at each connect; there is no time for which it is shut out";

const GENERAL_KEYS: &[Key] = &[
    own(&["host", "port"], Fate::Taken, &["listen"], ""),
    own(
        &["enable_prometheus_exporter", "prometheus_exporter_port"],
        Fate::Changed,
        &["http"],
        "figures are at /metrics too, under other names: see metrics.md",
    ),
    taken(&["connect_timeout"], &["limits.queue_timeout", "limits.connect_timeout"], turn::millis)
        .but(ONE_WAIT)
        .or("1000"),
    taken(&["idle_timeout"], &["pool.idle_timeout"], turn::millis).or("600000"),
    taken(&["server_lifetime"], &["pool.lifetime"], turn::millis).or("3600000"),
    taken(
        &["idle_client_in_transaction_timeout"],
        &["limits.idle_in_transaction_timeout"],
        turn::millis_or_never,
    ),
    left(&["server_round_robin"], "the server that was given back last is taken first"),
    left(
        &["healthcheck_timeout", "healthcheck_delay"],
        "not needed: idle servers are watched, and a statement that a dead one did not get goes to another",
    ),
    taken(&["shutdown_timeout"], &["limits.drain_timeout"], turn::millis_or_zero).or("60000"),
    left(&["ban_time"], NO_BANS),
    left(
        &["log_client_connections", "log_client_disconnections"],
        "refused logins are logged; log.level debug logs the end of each session",
    ),
    left(&["autoreload"], "settings are read again on SIGHUP or RELOAD, all or nothing"),
    left(
        &["worker_threads"],
        "one worker does more here, and more than needed cost CPU; workers sets their number",
    ),
    left(
        &["tcp_keepalives_idle", "tcp_keepalives_count", "tcp_keepalives_interval", "tcp_user_timeout"],
        "sockets have the system's settings; idle servers are looked after by keepalive after 60 s",
    ),
    path(&["tls_certificate"], &["tls.cert_file"]),
    path(&["tls_private_key"], &["tls.key_file"]),
    own(&["server_tls", "verify_server_certificate"], Fate::Taken, &["databases.NAME.sslmode"], ""),
    left(
        &["validate_config", "verify_config"],
        "pgweir check tries every node; starting does not wait for them",
    ),
    own(&["admin_username"], Fate::Taken, &["admin.admin_users"], ""),
    own(
        &["admin_password"],
        Fate::Changed,
        &["users.NAME.password"],
        "users of the console are users like the others: by name and password, not in the database of the console only",
    ),
    left(&["admin_auth_type"], "users of the console prove themselves as the others do"),
    own(
        &["auth_query"],
        Fate::Changed,
        &["auth.auth_query"],
        "$1 is a parameter, so quotes around it are taken away",
    ),
    own(&["auth_query_user"], Fate::Taken, &["auth.auth_user"], ""),
    own(
        &["auth_query_password"],
        Fate::Changed,
        &["users.NAME.password"],
        "it is the password of this user for clients too",
    ),
    left(
        &["dns_cache_enabled", "dns_max_ttl"],
        "the system is asked for a name at each connect; RECONNECT on the console ends servers of an old address",
    ),
    left(
        &["prepared_statements", "prepared_statements_cache_size"],
        "prepared statements always work; limits.prepared_per_server bounds them",
    ),
];

const POOL_KEYS: &[Key] = &[
    taken(&["pool_mode"], &["databases.NAME.pool_mode"], turn::pool_mode),
    left(
        &["load_balancing_mode"],
        "not by itself: with `reads = \"replicas\"`, `balance` of the database says how a replica is chosen",
    ),
    left(
        &["checkout_failure_limit"],
        "a session whose wait is over gets an error and may try again as often as it likes",
    ),
    own(
        &["default_role"],
        Fate::Changed,
        &["databases.NAME.target_session_attrs"],
        "`replica` is standby; for the others the primary is looked for, wherever it is",
    ),
    own(
        &["query_parser_read_write_splitting"],
        Fate::Changed,
        &["rule.when.class", "rule.then.route"],
        "a rule sends reads to replicas; what calls a function that writes is no read, and a session sees its own writes",
    ),
    left(&["query_parser_enabled", "query_parser_max_length"], ROUTED),
    left(
        &["primary_reads_enabled"],
        "a replica answers reads where one is fit to, and the primary where none is",
    ),
    left(
        &[
            "db_activity_based_routing",
            "db_activity_based_ms_init_delay",
            "db_activity_ttl",
            "table_mutation_cache_ms_ttl",
            "db_activity_init_delay",
            "table_mutation_cache_ttl",
        ],
        "not needed: a replica serves a session when it has replayed that session's own commits",
    ),
    taken(
        &["connect_timeout"],
        &["databases.NAME.queue_timeout", "databases.NAME.connect_timeout"],
        turn::millis,
    )
    .but(ONE_WAIT),
    taken(&["idle_timeout"], &["databases.NAME.idle_timeout"], turn::millis),
    taken(&["server_lifetime"], &["databases.NAME.lifetime"], turn::millis),
    left(
        &[
            "sharding_function",
            "automatic_sharding_key",
            "sharding_key_regex",
            "shard_id_regex",
            "regex_search_limit",
            "default_shard",
            "no_shard_specified_behavior",
        ],
        SHARDS,
    ),
    left(
        &["auth_query", "auth_query_user", "auth_query_password"],
        "users are looked up in one way for all databases: auth.auth_user and auth.auth_query",
    ),
    left(
        &["cleanup_server_connections", "log_client_parameter_status_changes"],
        "not needed: in transaction mode a server is set to what the next session has",
    ),
    left(
        &["prepared_statements_cache_size"],
        "prepared statements always work; limits.prepared_per_server bounds them",
    ),
];

const USER_KEYS: &[Key] = &[
    own(
        &["username"],
        Fate::Changed,
        &["users.NAME"],
        "a user may log in to every database, bounded by auth.hba_file",
    ),
    own(&["password"], Fate::Taken, &["users.NAME.password"], ""),
    left(&["auth_type"], "there is one method for all, auth.method; auth.hba_file has one by user"),
    own(&["server_username"], Fate::Taken, &["databases.NAME.server_user"], ""),
    own(
        &["server_password"],
        Fate::Changed,
        &["users.NAME.password"],
        "it is the password of this user for clients too",
    ),
    own(&["pool_size"], Fate::Taken, &["users.NAME.pool_size"], ""),
    own(
        &["min_pool_size"],
        Fate::Changed,
        &["databases.NAME.min_idle"],
        "it is for all users of the database",
    ),
    taken(&["pool_mode"], &["users.NAME.pool_mode"], turn::pool_mode)
        .but("it is the user's for every database"),
    own(
        &["statement_timeout"],
        Fate::Changed,
        &["databases.NAME.options"],
        "it is PostgreSQL's statement_timeout for all users of the database, and a client may SET it otherwise",
    ),
    left(
        &["connect_timeout", "idle_timeout", "server_lifetime"],
        "there is no such time for one user; the pool's is taken",
    ),
];

const SHARD_KEYS: &[Key] = &[
    own(
        &["servers"],
        Fate::Changed,
        &["databases.NAME.hosts"],
        "roles are found out from the servers themselves: the primary is whichever is it, after a failover too",
    ),
    own(&["mirrors"], Fate::Left, &[], "statements are mirrored by rule: then = { mirror = ... }"),
    own(&["database"], Fate::Taken, &["databases.NAME.database"], ""),
];

const PLUGINS_KEYS: &[Key] = &[
    own(
        &["table_access"],
        Fate::Changed,
        &["rule.when.tables", "rule.then.block"],
        "tables are those that a statement reads or writes by the catalog, through views too",
    ),
    own(
        &["query_logger"],
        Fate::Changed,
        &["rule.then.log"],
        "statements are logged as shapes, without their literals",
    ),
    left(&["intercept"], "no statement is answered in the server's place"),
    left(
        &["prewarmer"],
        "no statement is run on connecting; settings can be written in databases.NAME.options",
    ),
];
