//! Why a result is not kept.

/// Defines the refusals with their names, and the list of all.
macro_rules! refusals {
    ($($(#[$doc:meta])* $Variant:ident = $name:literal;)+) => {
        /// Why a result must not be kept. Names do not change: programs may compare them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Refusal {
            $($(#[$doc])* $Variant,)+
        }

        /// All of them, in the order of the guide.
        pub const REFUSALS: &[Refusal] = &[$(Refusal::$Variant),+];

        impl Refusal {
            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Refusal::$Variant => $name,)+
                }
            }
        }
    };
}

refusals! {
    /// It may do more than read.
    NotARead = "not_a_read";
    /// It locks rows.
    ForUpdate = "for_update";
    /// It calls a function that gives another result each time.
    VolatileFunction = "volatile_function";
    /// It calls, or reaches through a view or operator, a function whose result may be another one in the next statement: it reads the
    /// clock or tables, or nobody said that it does not.
    StableFunction = "stable_function";
    /// It asks for the moment or the user without calling a function: `CURRENT_DATE`, `CURRENT_USER`.
    SessionValue = "session_value";
    /// A text in it is read as a moment: `'now'`, `'today'`, or a cast of what may be such a text.
    ClockText = "clock_text";
    /// It reads PostgreSQL's own tables, or names of objects.
    SystemCatalog = "system_catalog";
    /// It reads columns that every table has: `xmin`, `ctid`.
    SystemColumn = "system_column";
    /// A temporary table of the session may stand before one of its names.
    TempShadow = "temp_shadow";
    /// It reads a table whose changes are not in the log.
    Unlogged = "unlogged";
    /// It reads a table of another server.
    ForeignTable = "foreign_table";
    /// It reads a table with row security.
    Rls = "rls";
    /// It reads a materialized view, whose refreshing is not in the stream.
    MaterializedView = "materialized_view";
    /// It reads a large object.
    LargeObject = "large_object";
    /// It reads a sample.
    TableSample = "tablesample";
    /// It reads a sequence.
    Sequence = "sequence";
    /// It is not understood by the parser.
    NotUnderstood = "not_understood";
    /// It depends on more tables than an entry may have.
    TooManyTables = "too_many_tables";
    /// A table in it is not known.
    UnknownRelation = "unknown_relation";
    /// What names stand for has not been read yet, is changing, or is too much to tell.
    DefinitionsUnknown = "definitions_unknown";
    /// `pg_catalog` stands behind another schema in the search path.
    SearchPath = "search_path";
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}
