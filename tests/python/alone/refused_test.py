# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What is refused where it is assigned: values beyond a limit, unique keys that are taken."""

from __future__ import annotations

import mmap
import resource
from typing import Any

import numpy as np
import pytest

import exdb

SCHEMA = """
struct Part { string text; vector<double> data; };
class Box {
    int4 a; int4 b; int4 c; string name; varbinary blob; vector<double> data;
    vector<int1> octets; vector<string> words; Part part; vector<Part> parts;
    unique hash<a> by_a; unique tree<b, name> by_pair; tree<c> by_c;
};
"""
GIB = 1 << 30
ROW_BYTES_MAX = 4 * GIB - 1


@pytest.fixture
def con() -> Any:
    with exdb.open("box", SCHEMA) as db, db.connect() as connection:
        yield connection


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Memory that is mapped and never touched: 5 GiB cost nothing until somebody reads them.
LARGE = 5 * GIB
PIECE = 4 << 20  # of a text that stands in a list many times


@pytest.mark.parametrize(
    ("field", "value", "size"),
    [
        ("blob", lambda: memoryview(mmap.mmap(-1, LARGE)), LARGE),
        ("data", lambda: np.zeros(LARGE // 8), LARGE),
        ("data", lambda: np.zeros(LARGE // 8, dtype=np.float32), LARGE),  # would be converted
        ("octets", lambda: memoryview(mmap.mmap(-1, LARGE)), LARGE),
        ("words", lambda: ["x" * PIECE] * 2_000, 2_000 * (PIECE + 8)),
        ("part.data", lambda: np.zeros(LARGE // 8), LARGE),
    ],
)
def test_a_value_beyond_a_row_is_refused_before_it_is_copied(
    con: exdb.Connection, field: str, value: Any, size: int
) -> None:
    con.startTransaction()
    row = con.new("Box", a=1)
    target, name = (row.part, "data") if "." in field else (row, field)
    large = value()
    before = peak_bytes()
    with pytest.raises(exdb.TooLargeError) as caught:
        setattr(target, name, large)
    assert peak_bytes() - before < GIB // 4
    text = str(caught.value)
    assert f"Box.{field}: a value of {size} bytes" in text
    assert str(ROW_BYTES_MAX) in text
    assert len(row.blob) == len(row.data) == len(row.words) == len(row.octets) == 0
    assert con.commit() == con.database.published


def test_what_fits_by_itself_and_not_with_the_rest_of_the_row_names_the_field(
    con: exdb.Connection,
) -> None:
    con.startTransaction()
    row = con.new("Box", a=1, name="x" * 100)
    with pytest.raises(exdb.TooLargeError, match=r"Box\.blob: a row holds at most 4 GiB"):
        row.blob = memoryview(mmap.mmap(-1, ROW_BYTES_MAX))
    assert row.blob == b""


def stored(con: exdb.Connection) -> None:
    with con.startTransaction():
        con.new("Box", a=1, b=1, name="one")


def refused(call: Any) -> str:
    with pytest.raises(exdb.DuplicateKeyError) as caught:
        call()
    assert isinstance(caught.value, exdb.IntegrityError)
    assert caught.value.code == 13
    return str(caught.value)


def test_a_taken_key_is_refused_by_new_and_leaves_no_row(con: exdb.Connection) -> None:
    stored(con)
    with con.startTransaction():
        text = refused(lambda: con.new("Box", c=7, a=1))
        assert text == "duplicate key: class Box, index by_a, key (1) is taken by another row"
        assert con.count("Box") == 1
        con.new("Box", a=2)
        text = refused(lambda: con.new("Box", a=2))
        assert text.endswith("key (2) is carried by another row of this transaction")
        assert con.count("Box") == 2
        text = refused(lambda: con.new("Box", a=3, name="one", b=1))
        assert "index by_pair, key (1, 'one') is taken" in text


def test_a_taken_key_is_refused_at_the_assignment_which_changes_nothing(
    con: exdb.Connection,
) -> None:
    stored(con)
    with con.startTransaction():
        row = con.new("Box", a=2)
        refused(lambda: setattr(row, "a", 1))
        assert row.a == 2
        row.a = row.a
        row.a = 3
        con.find("Box", "by_a", 1).remove()
        row.a = 1
    with con.startTransaction(exdb.MCO_READ_ONLY):
        assert con.find("Box", "by_a", 1).name == ""


def test_a_key_that_is_half_set_is_not_refused(con: exdb.Connection) -> None:
    stored(con)
    with con.startTransaction():
        con.new("Box", a=2, b=2, name="two")
    with con.startTransaction():
        row = con.new("Box", a=3)
        row.name = "one"
        refused(lambda: setattr(row, "b", 1))
        assert row.b == 0
        row.b = 2
        row.name = "two"  # on the way from (2, "one") to (5, "two")
        row.b = 5


def test_rows_that_were_there_may_swap_their_keys(con: exdb.Connection) -> None:
    with con.startTransaction():
        for key in (1, 2):
            con.new("Box", a=key, b=key, name="x")
    with con.startTransaction():
        one, two = con.find("Box", "by_a", 1), con.find("Box", "by_a", 2)
        one.a, two.a = two.a, one.a
    with con.startTransaction(exdb.MCO_READ_ONLY):
        assert [con.find("Box", "by_a", key).b for key in (1, 2)] == [2, 1]


def test_a_key_taken_since_the_transaction_began_is_told_at_the_commit(
    con: exdb.Connection,
) -> None:
    con.startTransaction()
    con.new("Box", a=1)
    with con.database.connect() as other:
        stored(other)
    with pytest.raises((exdb.ConflictError, exdb.DuplicateKeyError), match=r"by_a, key \(1\)"):
        con.commit()
