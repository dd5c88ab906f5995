//! Every key of PgDog and what becomes of it; by its crate `pgdog-config` (`general.rs`, `database.rs`, `users.rs`, `core.rs`) and its documentation.

use crate::cli::import::table::{Fate, Key, Section, Source, left, own, path, taken};
use crate::cli::import::turn;

/// The table.
pub static SOURCE: Source = Source {
    title: "PgDog",
    version: "0.1, as its repository had it in the middle of 2026",
    about: &[
        "`pgdog.toml`, with `users.toml` beside it. Entries of `[[databases]]` with one name become one database. One with several shards becomes a \
         database per shard, `NAME_shard_0` and so on, so that nothing is written to the wrong one: pgweir reads from PostgreSQL which rows are where, \
         and has no shards of its own.",
        "Where a database has replicas, a rule file sends its reads to them. `[[mirroring]]` becomes a rule too. Rule files are applied as far as [rules.md](rules.md) says.",
    ],
    sections: &[&TOP, &GENERAL, &DATABASE, &USER, &ADMIN, &MIRRORING],
};

/// Sections that are not taken over as a whole.
pub static TOP: Section = Section { name: "pgdog.toml", keys: TOP_KEYS };
/// `[general]`.
pub static GENERAL: Section = Section { name: "[general]", keys: GENERAL_KEYS };
/// `[[databases]]`.
pub static DATABASE: Section = Section { name: "[[databases]]", keys: DATABASE_KEYS };
/// `[[users]]` of `users.toml`.
pub static USER: Section = Section { name: "[[users]]", keys: USER_KEYS };
/// `[admin]`, in either file.
pub static ADMIN: Section = Section { name: "[admin]", keys: ADMIN_KEYS };
/// `[[mirroring]]`.
pub static MIRRORING: Section = Section { name: "[[mirroring]]", keys: MIRRORING_KEYS };

const SHARDS: &str = "pgweir has no shards of its own: tables are partitioned as PostgreSQL declares it, and pgweir reads where the rows are";
const PARSER: &str =
    "not needed: every statement is judged by its words and the catalog, once for each shape";
const LAG: &str = "not needed: a replica serves a session when it has replayed that session's own commits";
const CHECKS: &str =
    "not needed: idle servers are watched, and a statement that a dead one did not get goes to another";
const NO_CLOUD: &str = "logins by a cloud's or a vault's tokens are not there; give a password, or a certificate for the servers";

const TOP_KEYS: &[Key] = &[
    left(
        &[
            "rewrite",
            "sharded_tables",
            "omnisharded_tables",
            "sharded_mappings",
            "sharded_schemas",
            "sharded_functions",
            "manual_queries",
            "query_parser",
            "fdw",
        ],
        SHARDS,
    ),
    left(
        &["tcp"],
        "sockets have the system's settings; idle servers are looked after by keepalive after 60 s",
    ),
    left(
        &["multi_tenant"],
        "no column is demanded; row security of PostgreSQL (CREATE POLICY) holds through pgweir too",
    ),
    left(&["plugins"], "no code is loaded; what a plugin decides may be said by rules"),
    left(&["replica_lag"], LAG),
    left(&["replication", "resharding", "cutover"], "data are not moved between servers"),
    left(&["memory", "stats", "otel"], "buffers are as large as they have to be; figures are at /metrics"),
    left(&["vault"], NO_CLOUD),
    left(&["cache", "query_stats", "control"], "it has no counterpart that could be derived from it"),
];

const GENERAL_KEYS: &[Key] = &[
    own(&["host", "port"], Fate::Taken, &["listen"], ""),
    left(&["listen_backlog"], "sockets have the system's settings"),
    left(
        &["workers", "background_workers"],
        "one worker does more here, and more than needed cost CPU; workers sets their number",
    ),
    taken(&["default_pool_size", "max_pool_size"], &["pool.pool_size"], turn::positive).or("10"),
    taken(&["min_pool_size"], &["pool.min_idle"], turn::count)
        .but("a pool begins with its first client")
        .or("1"),
    taken(&["pooler_mode"], &["pool.pool_mode"], turn::pool_mode).or("transaction"),
    left(
        &[
            "healthcheck_interval",
            "idle_healthcheck_interval",
            "idle_healthcheck_delay",
            "healthcheck_timeout",
            "require_healthcheck_on_discovery",
        ],
        CHECKS,
    ),
    left(&["healthcheck_port"], "/health and /ready are at http"),
    left(
        &["ban_timeout"],
        "a host that does not answer is passed over at each connect; there is no time for which it is shut out",
    ),
    left(
        &[
            "ban_replica_lag",
            "ban_replica_lag_bytes",
            "lsn_check_interval",
            "lsn_check_timeout",
            "lsn_check_delay",
            "read_after_write_ms",
        ],
        LAG,
    ),
    left(
        &["rollback_timeout", "connection_recovery", "client_connection_recovery"],
        "a server in an unknown state is closed; one in a transaction is rolled back before it serves another",
    ),
    left(
        &["load_balancing_strategy"],
        "not by itself: with `reads = \"replicas\"`, `balance` of the database says how a replica is chosen",
    ),
    left(&["read_write_strategy"], "a transaction is a read only if it says READ ONLY"),
    left(&["read_write_split"], "a replica answers reads where one is fit to, and the primary where none is"),
    left(
        &["primary_functions", "route_unknown_functions_to_primary"],
        "not needed: the catalog says what a function does, and what is not known goes to the primary",
    ),
    path(&["tls_certificate"], &["tls.cert_file"]),
    path(&["tls_private_key"], &["tls.key_file"]),
    path(&["tls_client_ca_certificate"], &["tls.ca_file"]),
    own(&["tls_client_required"], Fate::Taken, &["tls.mode"], ""),
    own(&["tls_verify"], Fate::Taken, &["databases.NAME.sslmode"], ""),
    own(&["tls_server_ca_certificate"], Fate::Taken, &["databases.NAME.sslrootcert"], ""),
    own(&["tls_server_certificate"], Fate::Taken, &["databases.NAME.sslcert"], ""),
    own(&["tls_server_private_key"], Fate::Taken, &["databases.NAME.sslkey"], ""),
    taken(&["shutdown_timeout"], &["limits.drain_timeout"], turn::millis_or_zero).or("60000"),
    left(&["shutdown_termination_timeout"], "what has not ended by limits.drain_timeout is ended"),
    left(&["broadcast_address", "broadcast_port"], "processes do not talk with each other"),
    left(
        &["query_log", "query_log_stdout", "log_min_duration_parse", "log_query_sample_length"],
        "statements are logged by rule: then = { log = \"info\" }",
    ),
    left(
        &["query_size_limit", "query_size_limit_action"],
        "limits.max_held_message bounds what is held in memory",
    ),
    own(
        &["openmetrics_port", "openmetrics_host"],
        Fate::Changed,
        &["http"],
        "figures are at /metrics, under other names: see metrics.md",
    ),
    left(&["openmetrics_namespace"], "names of metrics begin with pgweir_"),
    left(&["prepared_statements"], "prepared statements always work, those of SQL too"),
    taken(&["prepared_statements_limit"], &["limits.prepared_per_server"], turn::prepared),
    left(
        &["prepared_statements_ttl", "prepared_statements_ttl_jitter"],
        "the least recently used is closed where there are too many",
    ),
    left(
        &[
            "query_parser_enabled",
            "query_parser",
            "regex_parser_limit",
            "query_parser_engine",
            "query_cache_limit",
        ],
        PARSER,
    ),
    left(
        &["passthrough_auth"],
        "passwords are not passed on: with auth.auth_user, users are proven against the verifier that the server holds (auth.pass_through)",
    ),
    taken(&["connect_timeout"], &["limits.connect_timeout"], turn::millis).or("5000"),
    left(
        &["connect_attempts", "connect_attempt_delay"],
        "connecting is tried again until the wait is over (limits.queue_timeout)",
    ),
    own(
        &["query_timeout"],
        Fate::Changed,
        &["databases.NAME.options"],
        "it is PostgreSQL's statement_timeout: the server ends the statement and keeps the connection, and a client may SET it otherwise",
    ),
    taken(&["checkout_timeout"], &["limits.queue_timeout"], turn::millis).or("5000"),
    taken(&["client_login_timeout"], &["limits.login_timeout"], turn::millis).or("60000"),
    left(&["dry_run"], "a rule with mode = \"shadow\" only counts what it would do"),
    taken(&["idle_timeout"], &["pool.idle_timeout"], turn::millis).or("60000"),
    taken(&["client_idle_timeout"], &["limits.client_idle_timeout"], turn::millis_or_never),
    taken(
        &["client_idle_in_transaction_timeout"],
        &["limits.idle_in_transaction_timeout"],
        turn::millis_or_never,
    ),
    taken(&["server_lifetime"], &["pool.lifetime"], turn::millis).or("86400000"),
    left(
        &["server_lifetime_jitter"],
        "servers of one age are not spread; set different lifetimes by database",
    ),
    left(
        &["mirror_queue", "mirror_exposure"],
        "the share of a mirror is its rule's; what the mirror cannot take is dropped",
    ),
    own(&["auth_type"], Fate::Taken, &["auth.method"], ""),
    left(
        &[
            "cross_shard_disabled",
            "two_phase_commit",
            "two_phase_commit_auto",
            "two_phase_commit_wal_dir",
            "two_phase_commit_wal_segment_size",
            "two_phase_commit_wal_fsync_interval",
            "two_phase_commit_wal_checkpoint_interval",
            "expanded_explain",
            "unique_id_min",
            "unique_id_function",
            "system_catalogs",
            "omnisharded_sticky",
            "sharding_lookup_cache_size",
            "sharding_lookup_timeout",
        ],
        SHARDS,
    ),
    left(
        &[
            "resharding_copy_format",
            "resharding_parallel_copies",
            "resharding_copy_retry_max_attempts",
            "resharding_copy_retry_min_delay",
            "resharding_replication_retry_max_attempts",
            "resharding_replication_retry_min_delay",
            "cutover_traffic_stop_threshold",
            "cutover_replication_lag_threshold",
            "cutover_last_transaction_delay",
            "cutover_timeout",
            "cutover_timeout_action",
            "cutover_save_config",
        ],
        "data are not moved between servers",
    ),
    left(
        &["reload_schema_on_ddl", "load_schema", "canonicalize_type_information"],
        "not needed: the catalog is read where it counts, and again when DDL passes through",
    ),
    left(
        &["dns_ttl"],
        "the system is asked for a name at each connect; RECONNECT on the console ends servers of an old address",
    ),
    left(&["pub_sub_channel_size"], "LISTEN always works: one server listens for all sessions of a database"),
    taken(&["log_format"], &["log.format"], turn::log_format),
    taken(&["log_level"], &["log.level"], turn::log_level),
    left(
        &["log_connections", "log_disconnections"],
        "refused logins are logged; log.level debug logs the end of each session",
    ),
    left(&["log_dedup_window", "log_dedup_threshold"], "messages are not put together"),
    left(&["stats_period"], "averages are of the last 60 s"),
    left(&["sts_server_id"], NO_CLOUD),
];

const DATABASE_KEYS: &[Key] = &[
    own(&["name"], Fate::Taken, &["databases.NAME"], ""),
    own(
        &["role"],
        Fate::Changed,
        &["databases.NAME.target_session_attrs"],
        "roles are found out from the servers themselves: the primary is whichever is it, after a failover too",
    ),
    own(&["host", "port"], Fate::Taken, &["databases.NAME.hosts"], ""),
    own(
        &["shard"],
        Fate::Changed,
        &["databases.NAME"],
        "each shard of several is a database of its own, whose name clients have to give",
    ),
    own(&["database_name"], Fate::Taken, &["databases.NAME.database"], ""),
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
    taken(&["pool_size"], &["databases.NAME.pool_size"], turn::positive)
        .but("it is for all hosts of the database together"),
    taken(&["min_pool_size"], &["databases.NAME.min_idle"], turn::count)
        .but("a pool begins with its first client"),
    taken(&["pooler_mode"], &["databases.NAME.pool_mode"], turn::pool_mode),
    own(&["statement_timeout", "lock_timeout", "read_only"], Fate::Taken, &["databases.NAME.options"], ""),
    taken(&["idle_timeout"], &["databases.NAME.idle_timeout"], turn::millis),
    taken(&["server_lifetime"], &["databases.NAME.lifetime"], turn::millis),
    left(
        &["server_lifetime_jitter"],
        "servers of one age are not spread; set different lifetimes by database",
    ),
    left(
        &["lb_weight"],
        "not by itself: with `reads = \"replicas\"`, `weights` of the database say how much a host gets",
    ),
    own(&["resharding_only"], Fate::Left, &[], "data are not moved between servers; the host is left out"),
    left(
        &[
            "pool_size_primary",
            "pool_size_replica",
            "min_pool_size_primary",
            "min_pool_size_replica",
            "idle_timeout_primary",
            "idle_timeout_replica",
        ],
        "there is one size for all hosts of a database: databases.NAME.pool_size",
    ),
    taken(&["tls_verify"], &["databases.NAME.sslmode"], turn::tls_verify),
    path(&["tls_server_ca_certificate"], &["databases.NAME.sslrootcert"]),
    path(&["tls_server_certificate"], &["databases.NAME.sslcert"]),
    path(&["tls_server_private_key"], &["databases.NAME.sslkey"]),
];

const USER_KEYS: &[Key] = &[
    own(&["name"], Fate::Taken, &["users.NAME"], ""),
    own(
        &["database", "databases", "all_databases"],
        Fate::Changed,
        &["users.NAME"],
        "a user may log in to every database, bounded by auth.hba_file",
    ),
    own(&["password"], Fate::Taken, &["users.NAME.password"], ""),
    left(
        &["passwords"],
        "a user has one password; the first of the list is not taken either, write users.NAME.password",
    ),
    own(
        &["password_hash"],
        Fate::Changed,
        &["users.NAME.password"],
        "it proves clients; it logs in to servers only where they hold the same verifier",
    ),
    taken(&["pool_size"], &["users.NAME.pool_size"], turn::positive)
        .but("it is the user's for every database"),
    left(
        &["min_pool_size", "idle_timeout", "server_lifetime", "server_lifetime_jitter"],
        "it is the database's; there is none for one user",
    ),
    taken(&["pooler_mode"], &["users.NAME.pool_mode"], turn::pool_mode)
        .but("it is the user's for every database"),
    own(
        &["server_user"],
        Fate::Changed,
        &["databases.NAME.server_user"],
        "it is the user of the servers for all users of the database",
    ),
    own(
        &["server_password"],
        Fate::Changed,
        &["users.NAME.password"],
        "it is the password of this user for clients too",
    ),
    left(
        &[
            "server_auth",
            "server_iam_region",
            "server_iam_assume_role",
            "server_vault_path",
            "vault_path",
            "vault_refresh_percent",
            "allowed_iam_arns",
        ],
        NO_CLOUD,
    ),
    left(&["identity"], "certificates name their user: auth.method cert, with a map in auth.ident_file"),
    left(
        &["statement_timeout", "lock_timeout", "read_only"],
        "let the server do it: ALTER ROLE ... SET statement_timeout, lock_timeout, default_transaction_read_only",
    ),
    left(
        &["replication_mode", "replication_sharding"],
        "replication is passed through when the client asks for it",
    ),
    left(&["schema_admin", "cross_shard_disabled", "two_phase_commit", "two_phase_commit_auto"], SHARDS),
    left(
        &[
            "pool_size_primary",
            "pool_size_replica",
            "min_pool_size_primary",
            "min_pool_size_replica",
            "idle_timeout_primary",
            "idle_timeout_replica",
        ],
        "there is one size for all hosts: users.NAME.pool_size",
    ),
];

const ADMIN_KEYS: &[Key] = &[
    left(&["name"], "the database of the console is called pgweir, or pgbouncer"),
    own(&["user"], Fate::Taken, &["admin.admin_users"], ""),
    own(
        &["password"],
        Fate::Changed,
        &["users.NAME.password"],
        "users of the console are users like the others: by name and password, not in the database of the console only",
    ),
];

const MIRRORING_KEYS: &[Key] = &[
    own(
        &["source_db", "destination_db", "exposure"],
        Fate::Changed,
        &["rule.then.mirror"],
        "statements are mirrored one by one, not transaction by transaction; answers are thrown away and errors counted",
    ),
    left(&["queue_length", "queue_depth", "level"], "what the mirror cannot take is dropped"),
];
