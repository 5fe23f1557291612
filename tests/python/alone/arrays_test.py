# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Arrays and vectors of numbers as NumPy arrays."""

from __future__ import annotations

import datetime as dt
import gc
from typing import Any

import numpy as np
import pytest

import exdb


@pytest.fixture
def row(con: exdb.Connection) -> exdb.Object:
    con.startTransaction()
    return con.new("Row", id=1)


def test_reading_is_a_view_that_cannot_be_written(con: exdb.Connection, row: exdb.Object) -> None:
    row.samples = np.arange(1000.0)
    row.triple = [1, 2, 3]
    con.commit()
    con.startTransaction(exdb.MCO_READ_ONLY)
    again = con.find("Row", "by_id", 1)
    assert again is not None
    one, two = again.samples, again.samples
    assert one.dtype == np.float64
    assert one.ctypes.data == two.ctypes.data  # no copy
    assert one.ctypes.data % 64 == 0
    assert not one.flags.writeable
    assert not one.flags.owndata
    assert (one == np.arange(1000.0)).all()
    assert again.triple.tolist() == [1, 2, 3]
    assert again.triple.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 1


def test_a_view_outlives_its_transaction_and_its_database() -> None:
    schema = "class T { int4 id; vector<double> v; unique hash<id> i; };"
    db = exdb.open("views", schema)
    con = db.connect()
    with con.startTransaction():
        con.new("T", id=1, v=np.full(10_000, 1.0))
    con.startTransaction()
    found = con.find("T", "i", 1)
    assert found is not None
    view = found.v
    found.v = np.full(10_000, 2.0)
    own = found.v
    found.v = np.full(10_000, 3.0)
    con.commit()
    for number in range(4, 40):
        with con.startTransaction():
            con.find("T", "i", 1).v = np.full(10_000, float(number))  # type: ignore[union-attr]
    con.close()
    db.close()
    del found, con, db
    gc.collect()
    assert view.min() == view.max() == 1.0
    assert own.min() == own.max() == 2.0


@pytest.mark.parametrize(
    "value",
    [
        np.arange(4.0),
        np.arange(4, dtype="f4"),
        np.arange(4, dtype="u1"),
        np.arange(8.0)[::2] / 2,
        np.arange(4, dtype=">f8"),
        memoryview(np.arange(4.0)),
        [0, 1.0, 2, np.float32(3)],
        (0, 1, 2, 3),
        range(4),
    ],
)
def test_vectors_take_whatever_holds_numbers(row: exdb.Object, value: Any) -> None:
    row.samples = value
    assert row.samples.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_vectors_take_bytes(row: exdb.Object) -> None:
    for value in (b"\1\2\3", bytearray(b"\1\2\3"), np.array([1, 2, 3]), [1, 2, 3]):
        row.octets = value
        assert row.octets.tolist() == [1, 2, 3]
        assert row.octets.dtype == np.uint8
    row.octets = []
    assert row.octets.shape == (0,)


def test_vectors_of_booleans_and_times(row: exdb.Object) -> None:
    row.flags = np.array([True, False])
    assert row.flags.dtype == np.bool_
    row.flags = [False, True]
    assert row.flags.tolist() == [False, True]
    stamps = np.array(["2013-01-01T05:15", "1960-01-01"], "M8[ns]")
    row.stamps = stamps
    assert row.stamps.dtype == np.dtype("M8[ns]")
    assert (row.stamps == stamps).all()
    row.stamps = stamps.astype("M8[s]")
    assert (row.stamps == stamps).all()
    row.stamps = [dt.datetime(2013, 1, 1, 5, 15), stamps[1]]
    assert (row.stamps == stamps).all()
    row.days = np.array(["1970-01-02"], "M8[D]")
    assert row.days.dtype == np.int32
    assert row.days.tolist() == [1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("octets", np.array([1.5])),
        ("octets", np.array([256])),
        ("octets", np.array([-1])),
        ("octets", np.zeros((2, 2), "u1")),
        ("octets", np.array(["a"])),
        ("samples", np.array([1 + 2j])),
        ("samples", np.zeros((2, 2))),
        ("samples", np.float64(3)),
        ("flags", np.array([2])),
        ("stamps", np.array(["NaT"], "M8[ns]")),
        ("stamps", np.array(["1500-01-01"], "M8[s]")),
        ("triple", np.arange(4, dtype="i4")),
    ],
)
def test_arrays_that_do_not_fit_are_refused(row: exdb.Object, field: str, value: Any) -> None:
    with pytest.raises(exdb.DataError, match=field):
        setattr(row, field, value)


def test_an_array_in_a_struct(row: exdb.Object) -> None:
    row.origin.spots = np.array([1.0, 2.0])
    assert row.origin.spots.tolist() == [1.0, 2.0]
    assert not row.origin.spots.flags.writeable


def test_a_million_elements(con: exdb.Connection, row: exdb.Object) -> None:
    many = np.random.default_rng(1).normal(size=1_000_000)
    row.samples = many
    con.commit()
    con.startTransaction(exdb.MCO_READ_ONLY)
    assert np.array_equal(con.find("Row", "by_id", 1).samples, many)  # type: ignore[union-attr]
