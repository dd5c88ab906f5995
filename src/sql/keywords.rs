//! Keywords that are not names everywhere.
//!
//! Source: `pg_get_keywords()` of PostgreSQL 15, and what 16 and 17 added. Manual: appendix C.

/// Whether a folded unquoted identifier may name a column, table, cursor, setting or prepared statement
/// (`ColId` in the grammar).
pub(super) fn is_col_id(word: &[u8]) -> bool {
    !is_in(RESERVED, word) && !is_in(TYPE_FUNC_NAME, word)
}

/// Whether a folded unquoted identifier is a reserved word, which no plain name or value may be.
pub(super) fn is_reserved(word: &[u8]) -> bool {
    is_in(RESERVED, word)
}

/// Whether a folded unquoted identifier may be the name of a function that is called (`type_function_name`).
pub(super) fn is_function_name(word: &[u8]) -> bool {
    !is_in(RESERVED, word) && !is_in(COL_NAME, word)
}

/// Whether `quote_identifier` of the server puts this word in quotes because it is a keyword.
pub(super) fn needs_quotes(word: &[u8]) -> bool {
    is_in(COL_NAME, word) || !is_col_id(word)
}

/// The lists are sorted.
fn is_in(words: &[&str], word: &[u8]) -> bool {
    words.binary_search_by(|candidate| candidate.as_bytes().cmp(word)).is_ok()
}

/// Category R.
static RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "system_user",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Category T: only names of functions and types.
static TYPE_FUNC_NAME: &[&str] = &[
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
];

/// Category C: not names of functions and types.
static COL_NAME: &[&str] = &[
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "least",
    "merge_action",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];
