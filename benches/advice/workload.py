"""What is asked of a database: cases, their statements, and the values that they come with."""

import dataclasses
import pathlib
import tomllib

HERE = pathlib.Path(__file__).parent
# Types that cases name, as the wire has them.
OIDS = {"numeric": 1700, "text": 25, "bigint": 20, "date": 1082}


@dataclasses.dataclass
class Statement:
    """A statement, the values of some of its calls, and how often a day it comes."""

    name: str
    sql: str
    samples: list
    types: list
    calls: float
    loop: int = 1

    @property
    def writes(self):
        """Whether it changes rows."""
        return self.sql.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE")


@dataclasses.dataclass
class Case:
    """A statement with what is right for it."""

    name: str
    pattern: str
    kind: str
    statement: Statement
    others: list
    indexes: list
    also: list
    codes: list
    rewritten: str | None

    @property
    def statements(self):
        """All that runs."""
        return [self.statement, *self.others]


def cases(connection):
    """The cases of `cases/`, in the order of files and lines; values that are SQL are asked of the database."""
    found = []
    for path in sorted((HERE / "cases").glob("*.toml")):
        for case in tomllib.loads(path.read_text())["case"]:
            found.append(_case(case, connection))
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "two cases have one name"
    return found


def _case(case, connection):
    types = [OIDS[name] for name in case.get("types", [])]
    statement = Statement(
        case["name"], case["sql"], _samples(case["params"], connection), types, case["calls"], case.get("loop", 1)
    )
    others = [
        Statement(f"{case['name']} {number}", other["sql"], _samples(other["params"], connection), [], other["calls"])
        for number, other in enumerate(case.get("others", []), 1)
    ]
    assert case["kind"] in ("index", "silence", "remedy"), case["name"]
    assert (case["kind"] == "index") == ("indexes" in case), case["name"]
    assert (case["kind"] == "remedy") == ("codes" in case), case["name"]
    return Case(
        name=case["name"],
        pattern=case["pattern"],
        kind=case["kind"],
        statement=statement,
        others=others,
        indexes=case.get("indexes", []),
        also=case.get("also", []),
        codes=case.get("codes", []),
        rewritten=case.get("rewritten"),
    )


def _samples(params, connection):
    return [[_value(value, connection) for value in values] for values in params]


def _value(value, connection):
    if value == "\\N":
        return None
    if value.startswith("= "):
        return str(connection.execute(f"SELECT {value[2:]}").fetchone()[0])
    return value


def statements(path):
    """The statements of an SQL file without parameters, each behind a line `-- name`."""
    found = []
    for part in ("\n" + path.read_text()).split("\n-- ")[1:]:
        name, sql = part.split("\n", 1)
        if sql.strip() and not name.startswith(" "):
            found.append(Statement(name.strip(), sql.strip().rstrip(";"), [[]], [], 10))
    return found
