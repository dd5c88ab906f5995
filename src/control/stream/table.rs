//! What a table is, as far as its changes can be followed, and why it cannot be.

use crate::wire::Fault;

/// A relation whose changes are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its number.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, by their numbers. Those that were dropped are missing.
    pub columns: Vec<Column>,
    /// How its rows are told apart.
    pub identity: Identity,
    /// The columns of its primary key, by their numbers, as the key has them; empty without one.
    pub primary: Vec<i16>,
    /// The tables of which it is a partition or a child, directly or not.
    pub ancestors: Vec<u32>,
    /// Its partitions and children, directly or not. Changes are told of these.
    pub descendants: Vec<u32>,
    /// It holds no rows itself.
    pub partitioned: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its number (`attnum`).
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type (`atttypid`).
    pub type_oid: u32,
    /// It is never NULL.
    pub not_null: bool,
    /// Equal texts are equal byte by byte: its collation is deterministic, or it has none.
    pub deterministic: bool,
    /// Its values are sent: it is not generated.
    pub streamed: bool,
}

/// What is sent of a row as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// These columns: those of the primary key, or of another unique index.
    Key(Vec<i16>),
    /// The whole row.
    Full,
    /// Nothing: it holds no rows itself.
    None,
}

impl Table {
    /// The column of this number.
    pub fn column(&self, number: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.number == number)
    }

    /// Those that are sent, in their order.
    pub fn streamed(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.streamed)
    }
}

/// Why a relation is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none of this number.
    Gone,
    /// It is no table: a view, a materialized view, a foreign table, an index.
    NotATable,
    /// It is a catalog of the server's own.
    System,
    /// It is unlogged or temporary: its changes are in no WAL.
    Unlogged,
    /// It has no replica identity: no primary key, and no other is set. Published, its UPDATEs would fail.
    NoIdentity,
    /// A generated column is in its replica identity; from PostgreSQL 18 on its UPDATEs would fail, were it published.
    GeneratedIdentity,
    /// One of its partitions or children (this one) cannot be followed.
    Descendant(u32),
    /// There are more of them, or more relations are wanted, than are followed.
    TooMany,
    /// The server has refused to publish it: most often because the user does not own it. In its own words.
    Server(Fault),
    /// What it is has changed, and is read again.
    Changed,
}

impl Refusal {
    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::Gone => "relation_gone",
            Refusal::NotATable => "not_a_table",
            Refusal::System => "system_table",
            Refusal::Unlogged => "unlogged",
            Refusal::NoIdentity => "no_replica_identity",
            Refusal::GeneratedIdentity => "generated_replica_identity",
            Refusal::Descendant(_) => "partition_not_followed",
            Refusal::TooMany => "too_many_relations",
            Refusal::Server(fault) if fault.sqlstate == "42501" => "not_owner",
            Refusal::Server(_) => "not_published",
            Refusal::Changed => "definition_changed",
        }
    }

    /// What to do about it, if anything can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Refusal::NoIdentity => {
                Some("give it a primary key, or set REPLICA IDENTITY USING INDEX, or FULL")
            }
            Refusal::GeneratedIdentity => {
                Some("set REPLICA IDENTITY USING INDEX over columns that are stored")
            }
            Refusal::Server(fault) if fault.sqlstate == "42501" => {
                Some("make the user of the stream a member of the role that owns the table")
            }
            _ => None,
        }
    }
}
