//! Every column of ProxySQL's tables for PostgreSQL and what becomes of it; by its `ProxySQL_Admin_Tables_Definitions.h` and the documentation of
//! its main tables.

use crate::cli::import::table::{Fate, Key, Section, Source, left, own, taken};
use crate::cli::import::turn;

/// The table.
pub static SOURCE: Source = Source {
    title: "ProxySQL",
    version: "3.0",
    about: &[
        "A file of `INSERT INTO ... VALUES` statements for `pgsql_query_rules`, and, if they are there, `pgsql_replication_hostgroups`, \
         `pgsql_servers` and `pgsql_users`; other statements are passed over. Rules become a rule file, which is applied as far as \
         [rules.md](rules.md) says.",
        "*Hostgroups.* A rule of ProxySQL sends a statement to a group of servers, which is just a number. pgweir knows a primary and replicas, and which \
         is which from the servers themselves. So a writer's group is `route = \"primary\"`, a reader's `route = \"replica\"`. Which are which is \
         taken from `pgsql_replication_hostgroups`, or said with `--hostgroup 0=primary --hostgroup 1=replica`.",
        "*Order.* In ProxySQL the last rule that matches before one with `apply` decides; here the first does. So a rule without `apply` is written behind \
         those that follow it, and the rules of a chain (`flagOUT`, `flagIN`) get the conditions of the rule that leads into it, and stand before it.",
        "A rule of which a condition cannot be said is left out as a whole, since it would hold for more statements than it should.",
    ],
    sections: &[&RULES, &HOSTGROUPS, &SERVERS, &USERS, &FAST],
};

/// `pgsql_query_rules`, in the order of its columns.
pub static RULES: Section = Section { name: "pgsql_query_rules", keys: RULES_KEYS };
/// `pgsql_replication_hostgroups`, in the order of its columns.
pub static HOSTGROUPS: Section = Section { name: "pgsql_replication_hostgroups", keys: HOSTGROUPS_KEYS };
/// `pgsql_servers`, in the order of its columns.
pub static SERVERS: Section = Section { name: "pgsql_servers", keys: SERVERS_KEYS };
/// `pgsql_users`, in the order of its columns.
pub static USERS: Section = Section { name: "pgsql_users", keys: USERS_KEYS };
/// `pgsql_query_rules_fast_routing`, in the order of its columns.
pub static FAST: Section = Section { name: "pgsql_query_rules_fast_routing", keys: FAST_KEYS };

/// Columns for which a rule is left out: conditions that cannot be said here, and an answer in the server's place.
pub const LEAVE_OUT: [&str; 5] = ["proxy_addr", "proxy_port", "digest", "negate_match_pattern", "ok_msg"];

const RULES_KEYS: &[Key] = &[
    own(&["rule_id"], Fate::Taken, &["rule.name"], ""),
    own(&["active"], Fate::Taken, &[], "rules that are not active are left out"),
    own(&["username"], Fate::Taken, &["rule.when.user"], ""),
    own(&["database"], Fate::Taken, &["rule.when.database"], ""),
    own(
        &["flagIN"],
        Fate::Changed,
        &["rule.when"],
        "the conditions of the rule that leads here are added to its own",
    ),
    own(&["client_addr"], Fate::Taken, &["rule.when.client"], ""),
    own(
        &["proxy_addr"],
        Fate::Left,
        &[],
        "no condition asks for the address at which a client came in; the rule is left out",
    ),
    own(
        &["proxy_port"],
        Fate::Left,
        &[],
        "no condition asks for the port at which a client came in; the rule is left out",
    ),
    own(
        &["digest"],
        Fate::Left,
        &[],
        "shapes have other names here: `pgweir explain` prints the fingerprint of a statement, for when.fingerprint; the rule is left out",
    ),
    own(
        &["match_digest"],
        Fate::Changed,
        &["rule.when.shape_regex"],
        "it is matched against the shape: words in lower case, one blank between words, `?` for values, a list of values being one",
    ),
    own(
        &["match_pattern"],
        Fate::Changed,
        &["rule.when.text_regex"],
        "only the first 64 kB are looked at, and expressions have neither look-around nor back-references",
    ),
    own(
        &["negate_match_pattern"],
        Fate::Left,
        &[],
        "no condition is negated; put a rule for the others before it; the rule is left out",
    ),
    own(&["re_modifiers"], Fate::Taken, &["rule.when.text_regex"], "CASELESS is (?i)"),
    own(
        &["flagOUT"],
        Fate::Changed,
        &["rule.when"],
        "the rules of the chain stand before this one, with its conditions",
    ),
    own(
        &["replace_pattern"],
        Fate::Left,
        &[],
        "statements are not rewritten by expressions; then.rewrite has templates over a shape",
    ),
    own(
        &["destination_hostgroup"],
        Fate::Changed,
        &["rule.then.route"],
        "a replica gets only what is judged a read and what it is fresh enough for; the rest goes to the primary",
    ),
    own(
        &["cache_ttl", "cache_empty_result", "cache_timeout"],
        Fate::Left,
        &[],
        "answers are not kept yet; the rule does the rest",
    ),
    left(&["reconnect", "retries"], "what provably never started is sent again by itself"),
    own(&["timeout"], Fate::Taken, &["rule.then.timeout"], ""),
    own(
        &["delay"],
        Fate::Left,
        &[],
        "statements are not delayed; then.throttle bounds how many come, then.concurrency how many run",
    ),
    left(&["next_query_flagIN"], "a statement is judged without those before it"),
    own(&["mirror_flagOUT"], Fate::Left, &[], "a mirrored statement is not judged by rules again"),
    own(
        &["mirror_hostgroup"],
        Fate::Changed,
        &["rule.then.mirror"],
        "the copy goes to one server of the group; answers are thrown away and errors counted",
    ),
    own(&["error_msg"], Fate::Changed, &["rule.then.block"], "its SQLSTATE is 42501"),
    own(
        &["OK_msg", "ok_msg"],
        Fate::Left,
        &[],
        "no statement is answered in the server's place; the rule is left out",
    ),
    left(
        &["sticky_conn", "multiplex"],
        "what a server must be kept for is found out for each statement: see pins.md",
    ),
    own(&["log"], Fate::Taken, &["rule.then.log"], ""),
    own(
        &["apply"],
        Fate::Changed,
        &[],
        "it orders the rules; rules behind one with apply may still decide on what that one is silent about",
    ),
    own(
        &["attributes"],
        Fate::Left,
        &[],
        "traffic is not spread over chains; when.percent takes a share of the sessions",
    ),
    own(&["comment"], Fate::Taken, &[], "it is a comment here too"),
];

const HOSTGROUPS_KEYS: &[Key] = &[
    own(&["writer_hostgroup"], Fate::Taken, &["rule.then.route"], "primary"),
    own(&["reader_hostgroup"], Fate::Taken, &["rule.then.route"], "replica"),
    left(&["check_type"], "a server says itself whether it is in recovery"),
    left(&["comment"], "comments of this table are not kept"),
];

const SERVERS_KEYS: &[Key] = &[
    own(
        &["hostgroup_id"],
        Fate::Changed,
        &["databases.NAME.hosts"],
        "a group has no counterpart: writers stand before readers in the hosts of one database, `*`",
    ),
    own(&["hostname", "port"], Fate::Taken, &["databases.NAME.hosts"], ""),
    own(&["status"], Fate::Taken, &["databases.NAME.hosts"], "servers that are OFFLINE are left out"),
    left(
        &["weight"],
        "not by itself: with `reads = \"replicas\"`, `weights` of the database say how much a host gets",
    ),
    left(&["compression"], "there is no compression"),
    left(
        &["max_connections"],
        "there is no bound for one server; pool.pool_size and limits.max_servers bound them",
    ),
    left(
        &["max_replication_lag"],
        "a replica serves a session when it has replayed that session's own commits; consistency in rules says more",
    ),
    left(&["max_latency_ms"], "no server is passed over for its latency"),
    own(
        &["use_ssl"],
        Fate::Changed,
        &["databases.NAME.sslmode"],
        "it is for all hosts of the database: require, or prefer where no server has it",
    ),
    left(&["comment"], "comments of this table are not kept"),
];

const USERS_KEYS: &[Key] = &[
    own(&["username"], Fate::Taken, &["users.NAME"], ""),
    own(&["password"], Fate::Taken, &["users.NAME.password"], ""),
    own(&["active"], Fate::Taken, &[], "users who are not active are left out"),
    left(&["use_ssl"], "TLS is demanded of all clients (tls.mode), or by hostssl in auth.hba_file"),
    left(&["default_hostgroup"], "what no rule sends elsewhere goes to the primary"),
    left(&["transaction_persistent"], "a transaction always stays on one server"),
    left(&["fast_forward", "backend", "frontend"], "a user is one of clients and of servers"),
    taken(&["max_connections"], &["users.NAME.max_clients"], turn::positive_or_none),
    left(&["attributes", "comment"], "they say nothing that is used"),
];

const FAST_KEYS: &[Key] = &[
    own(&["username"], Fate::Taken, &["rule.when.user"], ""),
    own(&["database"], Fate::Taken, &["rule.when.database"], ""),
    own(&["flagIN"], Fate::Left, &[], "only those with flagIN 0 are taken over"),
    own(
        &["destination_hostgroup"],
        Fate::Changed,
        &["rule.then.route"],
        "a replica gets only what is judged a read and what it is fresh enough for; the rest goes to the primary",
    ),
    left(&["comment"], "comments of this table are not kept"),
];
