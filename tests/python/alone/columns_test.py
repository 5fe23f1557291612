# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Rows by columns: insert_many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import exdb

SCHEMA = """
class Wide {
  int4 id; double x; char<5> code; string name; nullable datetime seen; boolean yes;
  int2 triple[3]; vector<double> samples; blob raw; string many[2];
  unique hash<id> by_id;
};
"""


@pytest.fixture
def con() -> Iterator[exdb.Connection]:
    with exdb.open("columns", SCHEMA) as db, db.connect() as con:
        con.startTransaction()
        yield con


def the_row(con: exdb.Connection, key: int) -> Any:
    found = con.find("Wide", "by_id", key)
    assert found is not None
    return found


def test_all_kinds_of_columns(con: exdb.Connection) -> None:
    seen = np.array(["2013-01-01T05:00", "2013-01-02"], "M8[s]")
    columns = {
        "id": np.array([1, 2], np.int16),
        "x": [0.5, 2],
        "code": np.array(["ä", "bcd"]),
        "name": ["one", "zwei"],
        "seen": seen,
        "yes": np.array([True, False]),
        "triple": np.arange(6).reshape(2, 3),
        "samples": [np.ones(2), []],
        "raw": [b"\x00\x01", bytearray(b"z")],
    }
    assert con.insert_many("Wide", columns) == 2
    con.commit()
    con.startTransaction()
    one, two = the_row(con, 1), the_row(con, 2)
    assert (one.x, one.code, one.name, one.yes, one.raw) == (0.5, "ä", "one", True, b"\x00\x01")
    assert (two.x, two.code, two.name, two.yes, two.raw) == (2, "bcd", "zwei", False, b"z")
    assert one.seen.isoformat() == "2013-01-01T05:00:00+00:00"
    assert two.triple.tolist() == [3, 4, 5]
    assert one.samples.tolist() == [1, 1] and two.samples.tolist() == []
    assert list(one.many) == ["", ""]


def test_a_structured_array_and_vectors_in_two_dimensions(con: exdb.Connection) -> None:
    table = np.zeros(1000, [("id", "i4"), ("x", "f8"), ("code", "S5")])
    table["id"] = np.arange(1000)
    table["x"] = table["id"] / 2
    table["code"] = b"abc"
    assert con.insert_many("Wide", table) == 1000
    assert con.insert_many("Wide", {"id": [2000], "samples": np.ones((1, 4))}) == 1
    assert con.insert_many("Wide", {}) == 0
    assert (the_row(con, 999).x, the_row(con, 999).code) == (499.5, "abc")
    assert the_row(con, 2000).samples.tolist() == [1] * 4
    assert con.count("Wide") == 1001


def test_a_data_frame(con: exdb.Connection) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "id": [7, 8, 9],
            "x": [0.5, 1.5, float("nan")],
            "code": ["a", "ä", "c"],
            "name": pandas.Series(["one", "two", "three"], dtype="string"),
            "seen": pandas.date_range("2013-01-01 05:00", periods=3),
            "yes": [True, False, True],
        }
    )
    assert con.insert_many("Wide", table) == 3
    # Rows that were picked: neither dense in memory nor numbered from 0.
    picked = table[table.id > 7].assign(id=[18, 19])
    assert con.insert_many("Wide", picked) == 2
    assert con.insert_many("Wide", table[table.id > 100]) == 0
    one, two = the_row(con, 7), the_row(con, 18)
    assert (one.x, one.code, one.name, one.yes) == (0.5, "a", "one", True)
    assert one.seen.isoformat() == "2013-01-01T05:00:00+00:00"
    assert (two.x, two.code, two.name, two.yes) == (1.5, "ä", "two", False)
    assert np.isnan(the_row(con, 9).x)
    for missing in ("name", "seen", "yes"):
        with pytest.raises(exdb.DataError):
            con.insert_many("Wide", table.assign(id=[27, 28, 29], **{missing: [None] * 3}))
        assert con.find("Wide", "by_id", 27) is None


@pytest.mark.parametrize(
    ("columns", "error", "text"),
    [
        ({"id": [1, 2], "x": [1.0]}, exdb.DataError, "different lengths: id has 2 rows, x 1"),
        ({"id": [1.5]}, exdb.DataError, "takes integers"),
        ({"id": [2**40]}, exdb.DataError, "does not fit"),
        ({"id": [[1]]}, exdb.DataError, "one dimension"),
        ({"triple": [[1, 2]]}, exdb.DataError, "two dimensions"),
        ({"name": [b"x"]}, exdb.DataError, "takes str"),
        ({"name": [None]}, exdb.DataError, "row 0"),
        ({"raw": ["x"]}, exdb.DataError, "takes bytes"),
        ({"raw": np.array(["x"])}, exdb.DataError, "takes bytes"),
        ({"code": ["abcdef"]}, exdb.DataError, "char<5>"),
        ({"many": [["a", "b"]]}, exdb.NotSupportedError, "new"),
        ({"nothing": [1]}, exdb.UnknownFieldError, "nothing"),
        ({"id": [7, 7]}, exdb.DuplicateKeyError, "key \\(7\\)"),
    ],
)
def test_what_does_not_fit(
    con: exdb.Connection, columns: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        con.insert_many("Wide", columns)
    assert con.count("Wide") == 0


def test_a_reader_may_not(con: exdb.Connection) -> None:
    con.rollback()
    con.startTransaction(exdb.MCO_READ_ONLY)
    with pytest.raises(exdb.ReadOnlyError):
        con.insert_many("Wide", {"id": [1]})
