# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Every public call with arguments of the wrong kind: the error names the argument, what was given
and what is wanted, and never shows the signatures of the private module."""

from __future__ import annotations

import datetime as dt
from typing import Any, Callable, NamedTuple

import pytest

import exdb

Call = Callable[[Any, Any], Any]


class Anything:
    """An object that is nothing."""


VALUES: dict[str, Any] = {
    "None": None,
    "str": "smoke",
    "float": 1.5,
    "list": [1],
    "huge": 2**70,
    "bool": True,
    "object": Anything(),
    "negative": -1,
}


class Row(NamedTuple):
    """One argument of one call. `takes`: the values of the table that are right, or that another
    test is for. `wanted`: what the text says is wanted."""

    argument: str
    call: Call
    wanted: str
    takes: tuple[str, ...] = ()


SCHEMA = "class T { int4 a; };"
DICTIONARY = exdb.load_dictionary(SCHEMA)


def opened(**arguments: Any) -> None:
    exdb.open(**{"dbname": "x", "schema": DICTIONARY, **arguments}).close()


def windowed(**arguments: Any) -> Call:
    return lambda con, value: setattr(
        con.database, "window", exdb.ClusterWindow(**dict.fromkeys(arguments, value))
    )


ROWS: dict[str, Row] = {
    "open dbname": Row("dbname", lambda con, v: opened(dbname=v), "a str", ("str",)),
    "open schema": Row("schema", lambda con, v: opened(schema=v), "a str", ("str",)),
    "open clusterParams": Row(
        "clusterParams", lambda con, v: opened(clusterParams=v), "ClusterParams", ("None",)
    ),
    "open is_disk": Row("is_disk", lambda con, v: opened(is_disk=v), "True or False", ("bool",)),
    "open fsync": Row(
        "fsync", lambda con, v: opened(is_disk=True, fsync=v), "True or False", ("bool",)
    ),
    "open checkpoint_seconds": Row(
        "checkpoint_seconds",
        lambda con, v: opened(is_disk=True, checkpoint_seconds=v),
        "seconds above 0, or None",
        ("None", "float", "huge"),
    ),
    "open durable_copies": Row(
        "durable_copies",
        lambda con, v: opened(is_disk=True, durable_copies=v),
        "an integer",
        ("None",),
    ),
    "checkpoint wait": Row(
        "wait", lambda con, v: con.database.checkpoint(wait=v), "True or False", ("bool",)
    ),
    "open checkpoint_bytes": Row(
        "checkpoint_bytes",
        lambda con, v: opened(is_disk=True, checkpoint_bytes=v),
        "an integer of 0 to",
    ),
    "open is_shm": Row("is_shm", lambda con, v: opened(is_shm=v), "True or False", ("bool",)),
    "open shm": Row("shm", lambda con, v: opened(shm=v), "True or False", ("None", "bool")),
    "open own_listener": Row(
        "own_listener", lambda con, v: opened(own_listener=v), "True or False", ("bool",)
    ),
    "open db_segment_size": Row(
        "db_segment_size", lambda con, v: opened(db_segment_size=v), "an integer of 65536 to"
    ),
    "open db_max_connections": Row(
        "db_max_connections", lambda con, v: opened(db_max_connections=v), "an integer of 1 to"
    ),
    "open path": Row("path", lambda con, v: opened(path=v), "a path", ("None", "str")),
    "open timeout": Row(
        "timeout", lambda con, v: opened(timeout=v), "seconds above 0", ("None", "float", "huge")
    ),
    "open_database dictionary": Row(
        "dictionary", lambda con, v: exdb.open_database("x", v), "load_dictionary()"
    ),
    "init_runtime tmgr": Row("tmgr", lambda con, v: exdb.init_runtime(tmgr=v), "one of mvcc"),
    "load_dictionary schema": Row(
        "schema", lambda con, v: exdb.load_dictionary(v), "a str", ("str",)
    ),
    "Dictionary schema": Row("schema", lambda con, v: exdb.Dictionary(v), "a str", ("str",)),
    "load_dictionary persistent": Row(
        "persistent",
        lambda con, v: exdb.load_dictionary(SCHEMA, persistent=v),
        "True or False",
        ("bool",),
    ),
    "load_dictionary debug": Row(
        "debug", lambda con, v: exdb.load_dictionary(SCHEMA, debug=v), "True or False", ("bool",)
    ),
    "classes": Row("class", lambda con, v: DICTIONARY.classes[v], "there are: T"),
    "indexes": Row("index", lambda con, v: DICTIONARY.indexes[v], "there are: none"),
    "startTransaction type": Row(
        "type", lambda con, v: con.startTransaction(v), "one of MCO_READ_ONLY 0"
    ),
    "startTransaction priority": Row(
        "priority",
        lambda con, v: con.startTransaction(0, v),
        "an integer of -2147483648 to",
        ("negative",),
    ),
    "startTransaction isolation": Row(
        "isolation",
        lambda con, v: con.startTransaction(isolation=v),
        "one of MCO_READ_COMMITTED 1",
    ),
    "startTransaction at_least": Row(
        "at_least", lambda con, v: con.startTransaction(at_least=v), "an integer of 0 to", ("None",)
    ),
    "startTransaction fresh": Row(
        "fresh", lambda con, v: con.startTransaction(fresh=v), "True or False", ("bool",)
    ),
    "stop timeout": Row(
        "timeout", lambda con, v: con.stop(v), "seconds above 0", ("None", "float", "huge")
    ),
    "close timeout": Row(
        "timeout",
        lambda con, v: con.database.close(v),
        "seconds above 0",
        ("None", "float", "huge"),
    ),
    "outcome txid": Row("txid", lambda con, v: con.database.outcome(v), "a TransactionId"),
    "outcome origin": Row(
        "txid.origin", lambda con, v: con.database.outcome((v, 1)), "an integer of 0 to"
    ),
    "outcome sequence": Row(
        "txid.sequence", lambda con, v: con.database.outcome((0, v)), "an integer of 0 to"
    ),
    "window": Row(
        "window",
        lambda con, v: setattr(con.database, "window", v),
        "an exdb.ClusterWindow",
        ("None",),
    ),
    "window bsize": Row("window.bsize", windowed(bsize=0), "an integer of 0 to"),
    "window length": Row("window.length", windowed(length=0), "an integer of 0 to"),
    "window timeout": Row("window.timeout", windowed(timeout=0), "an integer of 0 to"),
}

WITHIN: dict[str, Row] = {
    "new cls": Row("cls", lambda con, v: con.new(v), "the name of a class", ("str",)),
    "snapshot name": Row("name", lambda con, v: con.database.snapshot(v), "a str", ("str",)),
    "at name": Row("name", lambda con, v: con.database.at(v), "a str", ("str",)),
    "drop_snapshot name": Row(
        "name", lambda con, v: con.database.drop_snapshot(v), "a str", ("str",)
    ),
    "insert_many cls": Row(
        "cls", lambda con, v: con.insert_many(v, {}), "the name of a class", ("str",)
    ),
    "insert_many columns": Row(
        "columns", lambda con, v: con.insert_many("Item", v), "names of fields to columns"
    ),
    "remove obj": Row("obj", lambda con, v: con.remove(v), "an object of the database"),
    "deleteAll cls": Row("cls", lambda con, v: con.deleteAll(v), "the name of a class", ("str",)),
    "count cls": Row("cls", lambda con, v: con.count(v), "the name of a class", ("str",)),
    "count index": Row(
        "index", lambda con, v: con.count("Item", v), "the name of an index", ("None", "str")
    ),
    "count low": Row(
        "key",
        lambda con, v: con.count("Item", "by_key", v),
        "unsigned<4>",
        ("None", "bool"),
    ),
    "range cls": Row("cls", lambda con, v: con.range(v, "by_key"), "the name of a class", ("str",)),
    "range index": Row(
        "index", lambda con, v: con.range("Item", v), "the name of an index", ("str",)
    ),
    "range low": Row(
        "key", lambda con, v: con.range("Item", "by_key", v), "unsigned<4>", ("None", "bool")
    ),
    "range high": Row(
        "key", lambda con, v: con.range("Item", "by_key", 1, v), "unsigned<4>", ("None", "bool")
    ),
    "range limit": Row(
        "limit",
        lambda con, v: con.range("Item", "by_key", limit=v),
        "an integer of 0 to",
        ("None",),
    ),
    "cursor cls": Row("cls", lambda con, v: con.cursor(v), "the name of a class", ("None", "str")),
    "cursor index": Row(
        "index", lambda con, v: con.cursor("Item", v), "the name of an index", ("None", "str")
    ),
    "find cls": Row(
        "cls", lambda con, v: con.find(v, "by_key", 1), "the name of a class", ("str",)
    ),
    "find index": Row(
        "index", lambda con, v: con.find("Item", v, 1), "the name of an index", ("str",)
    ),
    "find key": Row("key", lambda con, v: con.find("Item", "by_key", v), "unsigned<4>", ("bool",)),
    "find_many keys": Row(
        "keys", lambda con, v: con.find_many("Item", "by_key", v), "a list of keys", ("list",)
    ),
    "find_many key": Row(
        "key", lambda con, v: con.find_many("Item", "by_key", [v]), "unsigned<4>", ("bool",)
    ),
    "Cursor.find key": Row(
        "key", lambda con, v: con.cursor("Item", "by_key").find(v), "unsigned<4>", ("bool",)
    ),
    "Cursor.find cls": Row(
        "cls", lambda con, v: con.cursor().find(v, "by_key", 1), "the name of a class", ("str",)
    ),
    "Cursor.search op": Row(
        "op", lambda con, v: con.cursor("Item", "by_key").search(v, 1), "exdb.Operation"
    ),
    "Cursor.search key": Row(
        "key",
        lambda con, v: con.cursor("Item", "by_key").search(exdb.Operation.Equals, v),
        "unsigned<4>",
        ("bool",),
    ),
    "raw path": Row("path", lambda con, v: con.new("Row").raw(v), "a str", ("str",)),
    "integer field": Row(
        "s4", lambda con, v: con.new("Row", s4=v), "signed<4>", ("bool", "negative")
    ),
    "boolean field": Row("flag", lambda con, v: con.new("Row", flag=v), "boolean", ("bool",)),
    "text field": Row("text", lambda con, v: con.new("Row", text=v), "string", ("str",)),
    "bytes field": Row("blob", lambda con, v: con.new("Row", blob=v), "blob"),
    "date field": Row("day", lambda con, v: con.new("Row", day=v), "date", ("bool", "negative")),
    "datetime field": Row(
        "stamp", lambda con, v: con.new("Row", stamp=v), "datetime", ("bool", "negative")
    ),
    "enum field": Row("color", lambda con, v: con.new("Row", color=v), "Color"),
    "array field": Row("triple", lambda con, v: con.new("Row", triple=v), "signed<4>"),
    "vector field": Row("samples", lambda con, v: con.new("Row", samples=v), "double", ("list",)),
    "struct field": Row("origin", lambda con, v: con.new("Row", origin=v), "Place"),
}

for flag in ("is_disk", "is_shm", "is_debug", "cluster"):
    ROWS[f"init_runtime {flag}"] = Row(
        flag,
        lambda con, v, flag=flag: exdb.init_runtime(**{flag: v}),  # type: ignore[misc]
        "True or False",
        ("bool",),
    )
for flag in ("disk", "shm", "debug"):
    ROWS[f"init_runtime {flag}"] = Row(
        flag,
        lambda con, v, flag=flag: exdb.init_runtime(**{flag: v}),  # type: ignore[misc]
        "True or False",
        ("bool", "None"),
    )


def told(call: Call, con: exdb.Connection, value: Any) -> str:
    with pytest.raises((exdb.Error, TypeError)) as caught:
        call(con, value)
    return str(caught.value)


def check(row: Row, given: str, text: str) -> None:
    value = VALUES[given]
    assert row.argument in text, text
    assert row.wanted in text, text
    # The engine's own word for None is null, in C++ as in Python.
    names = (repr(value), type(value).__name__, "null" if value is None else repr(value))
    assert any(name in text for name in names), text
    for leak in ("incompatible function arguments", "_core", "Invoked with", "std::"):
        assert leak not in text, text


@pytest.mark.parametrize("given", VALUES)
@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_argument_is_named(con: exdb.Connection, name: str, given: str) -> None:
    row = ROWS[name]
    if given not in row.takes:
        check(row, given, told(row.call, con, VALUES[given]))
    assert not con.in_transaction


@pytest.mark.parametrize("given", VALUES)
@pytest.mark.parametrize("name", WITHIN)
def test_a_wrong_argument_within_a_transaction_is_named(
    con: exdb.Connection, name: str, given: str
) -> None:
    row = WITHIN[name]
    con.startTransaction()
    if given not in row.takes:
        check(row, given, told(row.call, con, VALUES[given]))
    assert con.in_transaction


def test_every_public_call_is_in_the_tables() -> None:
    """A new method or argument needs its row here."""
    tested = {name.split()[0].rsplit(".", 1)[-1] for name in (*ROWS, *WITHIN)}
    no_argument = {
        *("commit", "commit_later", "wait", "rollback", "listen", "statistics", "connect"),
        *(
            "abandon",
            "digest",
            "progress",
            "describe",
            "cluster_info",
            "snapshots",
            "first",
            "last",
            "next",
            "prev",
            "current",
        ),
    }
    aliases = {"start_transaction", "delete_all"}
    for kind in (exdb.Connection, exdb.Database, exdb.Cursor):
        for name, thing in vars(kind).items():
            if callable(thing) and not name.startswith("_"):
                assert name in tested | no_argument | aliases, name


@pytest.mark.parametrize(("field", "value"), [("s4", 1.0), ("s4", 3.0), ("u8", 2.5)])
def test_a_float_for_an_integer_is_told_by_its_type(
    con: exdb.Connection, field: str, value: float
) -> None:
    con.startTransaction()
    text = told(lambda con, v: con.new("Row", **{field: v}), con, value)
    assert "float" in text or "floating" in text or "real" in text, text
    assert "range" not in text, text


def test_an_integer_beyond_64_bits_is_told_by_the_range(con: exdb.Connection) -> None:
    con.startTransaction()
    text = told(lambda con, v: con.new("Row", s4=v), con, 2**70)
    assert "-2147483648" in text or "64 bits" in text, text


def test_use_after_the_end_says_what_ended(con: exdb.Connection) -> None:
    with con.startTransaction():
        row = con.new("Item", key=1)
        cursor = con.cursor("Item", "by_key")
    ended = "an object of a transaction that has ended: .*find it again"
    with pytest.raises(exdb.TransactionNotActiveError, match=ended):
        _ = row.key
    with pytest.raises(exdb.TransactionNotActiveError, match=ended):
        row.key = 2
    with pytest.raises(exdb.CursorClosedError, match="transaction"):
        cursor.next()
    with con.startTransaction():
        with pytest.raises(exdb.InvalidHandleError, match=ended):
            _ = row.key
        with pytest.raises(exdb.InvalidHandleError, match=ended):
            row.key = 2


def test_a_naive_datetime_is_utc_and_the_refusal_says_so(con: exdb.Connection) -> None:
    con.startTransaction()
    row = con.new("Row", stamp=dt.datetime(2020, 5, 17, 12, 30))
    assert row.stamp == dt.datetime(2020, 5, 17, 12, 30, tzinfo=dt.timezone.utc)
    with pytest.raises(exdb.DataError, match=r"1500.*taken as UTC"):
        row.stamp = dt.datetime(1500, 1, 1)


def test_repr_shows_dates_as_people_write_them(con: exdb.Connection) -> None:
    con.startTransaction()
    row = con.new(
        "Row",
        stamp=dt.datetime(2020, 5, 17, 12, 30),
        day=dt.date(2020, 5, 17),
        clock=dt.time(1, 2, 3),
        origin={"airport": "JFK", "since": dt.datetime(2013, 1, 1)},
        samples=range(100),
        days=[0, 1],
    )
    text = repr(row)
    for part in (
        "stamp=2020-05-17 12:30:00+00:00",
        "day=2020-05-17",
        "clock=01:02:03",
        "since=2013-01-01 00:00:00+00:00",
        "days=(1970-01-01, 1970-01-02)",
        "... 100 in all)",
    ):
        assert part in text, text
    assert "since=2013-01-01 00:00:00+00:00" in repr(row.origin)
    row.day = 2**31 - 1  # beyond what datetime can show
    assert str(2**31 - 1) in repr(row)


def test_an_index_kind_that_is_refused_says_so() -> None:
    with pytest.raises(exdb.SchemaError, match="rtree"):
        exdb.load_dictionary("class T { int4 a[4]; rtree<a> i; };")
