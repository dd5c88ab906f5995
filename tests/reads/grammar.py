"""What PostgreSQL's own grammar says of statements: a JSON list of texts on standard input, one of objects or nulls on standard output."""

import json
import sys

from pglast import parser

WRITES = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}
CLASSES = {
    "select": "Select",
    "insert": "Insert",
    "update": "Update",
    "delete": "Delete",
    "merge": "Merge",
    "truncate": "Truncate",
    "copy": "Copy",
    "call": "Call Do",
    "transaction": "Transaction",
    "session": "VariableSet Discard Listen Unlisten Notify Load Prepare Execute Deallocate DeclareCursor ClosePortal ConstraintsSet",
    "explain": "Explain",
    "utility": "VariableShow Fetch Vacuum Lock Reindex Cluster CheckPoint Repack",
}
CLASS_OF = {f"{name}Stmt": kind for kind, names in CLASSES.items() for name in names.split()}
DROPPED = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"}


class Walk:
    """Written against PostgreSQL's parse analysis (parse_cte.c, parse_relation.c), not against the code that it checks."""

    def __init__(self):
        self.tables = {}
        self.functions = set()
        self.writes = False
        self.locks = False

    def table(self, rel, access):
        name = (rel.get("schemaname"), rel["relname"])
        if self.tables.get(name) != "write":
            self.tables[name] = access

    def function(self, call):
        names = [part["String"]["sval"] for part in call["funcname"]]
        schema = names[-2] if len(names) > 1 and names[-2] != "pg_catalog" else None
        self.functions.add((schema, names[-1]))

    def any(self, node, ctes):
        if isinstance(node, list):
            for one in node:
                self.any(one, ctes)
        elif isinstance(node, dict):
            for kind, value in node.items():
                self.node(kind, value, ctes)

    def node(self, kind, value, ctes):
        if kind == "RangeVar":
            if "schemaname" in value or value["relname"] not in ctes:
                self.table(value, "read")
            return
        if kind == "FuncCall":
            self.function(value)
        elif kind in WRITES:
            self.writes = True
            self.table(value["relation"], "write")
        elif kind == "lockingClause":
            self.locks = self.writes = True
            return
        elif kind in ("intoClause", "into") and isinstance(value, dict):
            self.writes = True
            self.table(value["rel"], "write")
            return
        elif kind == "CopyStmt" and "relation" in value:
            self.table(value["relation"], "write" if value.get("is_from") else "read")
        elif kind == "TruncateStmt":
            for rel in value["relations"]:
                self.table(rel["RangeVar"], "write")
            return
        elif kind == "ViewStmt":
            self.table(value["view"], "write")
        elif kind == "CallStmt":
            self.function(value["funccall"])
        elif kind == "DropStmt":
            self.dropped(value)
        if isinstance(value, dict):
            ctes = self.with_clause(value.get("withClause"), ctes)
            value = {key: inner for key, inner in value.items() if key != "withClause"}
        self.any(value, ctes)

    def with_clause(self, clause, ctes):
        if not clause:
            return ctes
        entries = [entry["CommonTableExpr"] for entry in clause["ctes"]]
        if clause.get("recursive"):
            ctes = ctes | {entry["ctename"] for entry in entries}
        for entry in entries:
            self.any(entry["ctequery"], ctes)
            ctes = ctes | {entry["ctename"]}
        return ctes

    def dropped(self, statement):
        if statement["removeType"] in DROPPED:
            for entry in statement["objects"]:
                names = [part["String"]["sval"] for part in entry["List"]["items"]]
                self.tables[(names[-2] if len(names) > 1 else None, names[-1])] = "write"


def outermost(kind, node):
    """The statement whose rows the text is about."""
    while kind in ("ExplainStmt", "CreateTableAsStmt", "CopyStmt", "ViewStmt") and "query" in node:
        [(kind, node)] = node["query"].items()
    return kind, node


def describe(text):
    try:
        statements = json.loads(parser.parse_sql_json(text)).get("stmts", [])
    except parser.ParseError:
        return None
    if len(statements) != 1:
        return {"class": "several", "writes": True}
    [(kind, node)] = statements[0]["stmt"].items()
    walk = Walk()
    walk.node(kind, node, frozenset())
    inner, rows = outermost(kind, node)
    has_rows = inner in ("SelectStmt", "UpdateStmt", "DeleteStmt")
    limit = rows.get("limitCount") if inner == "SelectStmt" else None
    return {
        "class": CLASS_OF.get(kind, "define"),
        "tables": sorted([schema or "", name, access] for (schema, name), access in walk.tables.items()),
        "functions": sorted([schema or "", name] for schema, name in walk.functions),
        "writes": walk.writes or kind != "SelectStmt",
        "locks": walk.locks,
        "filtered": has_rows and "whereClause" in rows,
        "limited": limit is not None and not limit.get("A_Const", {}).get("isnull", False),
        "ordered": inner == "SelectStmt" and "sortClause" in rows,
    }


json.dump([describe(text) for text in json.load(sys.stdin)], sys.stdout)
