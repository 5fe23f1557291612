# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Fields of every type: what they take, what they give, where they end."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

import exdb

UTC = dt.timezone.utc


@pytest.fixture
def row(con: exdb.Connection) -> exdb.Object:
    con.startTransaction()
    return con.new("Row", id=1)


def test_a_new_row_has_defaults(row: exdb.Object) -> None:
    assert (row.s1, row.u8, row.real, row.flag, row.text, row.blob) == (0, 0, 0.0, False, "", b"")
    assert (row.code, row.four) == ("", b"\0\0\0\0")
    assert row.color.name == "red"
    assert (row.maybe, row.maybe_day, row.target) == (None, None, None)
    assert (row.legs, row.names, list(row.samples)) == ((), ("", ""), [])
    assert row.day == dt.date(1970, 1, 1)


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("s1", -(2**7), 2**7 - 1),
        ("s2", -(2**15), 2**15 - 1),
        ("s4", -(2**31), 2**31 - 1),
        ("s8", -(2**63), 2**63 - 1),
        ("u1", 0, 2**8 - 1),
        ("u2", 0, 2**16 - 1),
        ("id", 0, 2**32 - 1),
        ("u8", 0, 2**64 - 1),
    ],
)
def test_integers_hold_their_range_and_no_more(
    row: exdb.Object, field: str, low: int, high: int
) -> None:
    for value in (low, high, np.int16(5), True):
        setattr(row, field, value)
        assert getattr(row, field) == value
        assert type(getattr(row, field)) is int
    for value in (low - 1, high + 1, 2**70, -(2**70), 1.5, "1", None, b"1", [1]):
        with pytest.raises(exdb.DataError, match=field) as caught:
            setattr(row, field, value)
        assert caught.value.code == 99
    assert getattr(row, field) == 1


@pytest.mark.parametrize(
    ("field", "value", "given"),
    [
        ("single", 0.5, 0.5),
        ("real", 3, 3.0),
        ("real", np.float32(0.25), 0.25),
        ("real", float("inf"), float("inf")),
        ("flag", True, True),
        ("flag", np.bool_(True), True),
        ("code", "JFK", "JFK"),
        ("code", "äöüß", "äöüß"),
        ("text", "naïve ☃", "naïve ☃"),
        ("text", "x" * 900, "x" * 900),
        ("four", b"ab", b"ab\0\0"),
        ("blob", bytearray(b"\0\1\2"), b"\0\1\2"),
        ("blob", memoryview(b"abc"), b"abc"),
        ("blob", np.arange(3, dtype="u1"), b"\0\1\2"),
        ("day", dt.date(2013, 2, 28), dt.date(2013, 2, 28)),
        ("day", np.datetime64("1969-12-31"), dt.date(1969, 12, 31)),
        ("clock", dt.time(23, 59, 59, 999_999), dt.time(23, 59, 59, 999_999)),
        ("stamp", dt.datetime(2013, 1, 1, 5, 15), dt.datetime(2013, 1, 1, 5, 15, tzinfo=UTC)),
        (
            "stamp",
            dt.datetime(1960, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            dt.datetime(1960, 1, 1, tzinfo=UTC),
        ),
        ("maybe", 7, 7),
        ("maybe", None, None),
        ("maybe_day", dt.date(1, 1, 1), dt.date(1, 1, 1)),
    ],
)
def test_values_come_back_as_written(
    con: exdb.Connection, row: exdb.Object, field: str, value: Any, given: Any
) -> None:
    setattr(row, field, value)
    assert getattr(row, field) == given
    con.commit()
    con.startTransaction(exdb.MCO_READ_ONLY)
    again = con.find("Row", "by_id", 1)
    assert getattr(again, field) == given
    assert type(getattr(again, field)) is type(given)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("real", "1.5"),
        ("flag", 2),
        ("flag", "yes"),
        ("code", "123456789"),
        ("code", "ääääß"),
        ("code", b"abc"),
        ("text", 5),
        ("text", "\ud800"),
        ("text", None),
        ("four", b"12345"),
        ("four", "text"),
        ("day", dt.datetime(2013, 1, 1)),
        ("day", "2013-01-01"),
        ("day", 1.5),
        ("clock", dt.date(2013, 1, 1)),
        ("clock", 86_400_000_000_000),
        ("clock", -1),
        ("stamp", dt.datetime(1500, 1, 1)),
        ("stamp", dt.date(2013, 1, 1)),
        ("stamp", np.datetime64("NaT")),
        ("color", "purple"),
        ("color", 3),
        ("triple", [1, 2]),
        ("triple", [1, 2, 2**31]),
        ("triple", 5),
        ("names", "ab"),
        ("names", ["a", 5]),
        ("samples", ["x"]),
        ("words", [1]),
        ("legs", [{"airport": "JFKX"}]),
        ("origin", {"nope": 1}),
        ("origin", 5),
        ("legs", 5),
    ],
)
def test_values_that_do_not_fit_are_refused_and_change_nothing(
    row: exdb.Object, field: str, value: Any
) -> None:
    before = row.to_dict()
    with pytest.raises(
        exdb.ProgrammingError if field == "origin" and value != 5 else exdb.DataError
    ):
        setattr(row, field, value)
    after = row.to_dict()
    assert repr(after) == repr(before)


def test_nanoseconds_are_kept(row: exdb.Object) -> None:
    row.stamp = np.datetime64("2013-01-01T05:15:00.123456789", "ns")
    assert row.stamp.microsecond == 123456
    assert row.raw("stamp") % 10**9 == 123456789
    row.stamp = row.raw("stamp") + 1
    assert row.raw("stamp") % 10**9 == 123456790
    row.clock = np.timedelta64(1, "ns")
    assert row.raw("clock") == 1
    row.day = -1
    assert row.day == dt.date(1969, 12, 31)
    row.origin.since = 5
    assert row.raw("origin.since") == 5
    pandas = pytest.importorskip("pandas")
    row.stamp = pandas.Timestamp("2013-01-01T00:00:00.000000007")
    assert row.raw("stamp") % 1000 == 7


def test_a_day_beyond_datetime_can_be_read_raw(row: exdb.Object) -> None:
    row.day = 2**31 - 1
    assert row.raw("day") == 2**31 - 1
    with pytest.raises(exdb.DataError, match="raw"):
        _ = row.day


def test_enums_take_members_names_and_numbers(row: exdb.Object, db: exdb.Database) -> None:
    color = db.dictionary.enums["Color"]
    for value in (color["green"], "green", 5):
        row.color = value
        assert row.color is color["green"]
        assert row.color == 5
        assert row.color.name == "green"
    assert row.raw("color") == 5


def test_an_enum_is_a_key(con: exdb.Connection) -> None:
    with con.startTransaction():
        con.new("Row", id=1, color="blue")
        assert con.find("Row", "by_color", "blue") == con.find("Row", "by_color", 6)


def test_structs_are_views_that_write_through(con: exdb.Connection, row: exdb.Object) -> None:
    origin = row.origin
    origin.airport = "JFK"
    origin.gate = 7
    origin.spots = [1.5, 2.5]
    row.origin.since = dt.datetime(2013, 1, 1, tzinfo=UTC)
    assert (row.origin.airport, origin.gate, list(origin.spots)) == ("JFK", 7, [1.5, 2.5])
    con.commit()
    con.startTransaction()
    again = con.find("Row", "by_id", 1)
    assert again is not None
    assert again.origin.to_dict()["airport"] == "JFK"
    assert again.origin.since == dt.datetime(2013, 1, 1, tzinfo=UTC)
    again.target = {"airport": "LAX"}
    assert again.target.airport == "LAX"
    assert again.target.gate == 0
    again.target = again.origin
    assert again.target.gate == 7
    again.target = None
    assert again.target is None
    with pytest.raises(AttributeError, match="its fields are: airport, gate, since, spots"):
        again.origin.nope = 1


def test_vectors_of_structs_are_tuples_of_views(con: exdb.Connection, row: exdb.Object) -> None:
    row.legs = [{"airport": "JFK", "miles": 5}, {"airport": "LAX", "color": "blue"}]
    assert [leg.airport for leg in row.legs] == ["JFK", "LAX"]
    row.legs[1].miles = 77
    con.commit()
    con.startTransaction(exdb.MCO_READ_ONLY)
    again = con.find("Row", "by_id", 1)
    assert again is not None
    assert [leg.miles for leg in again.legs] == [5, 77]
    assert again.legs[1].color.name == "blue"
    assert again.legs[0].to_dict() == {"airport": "JFK", "miles": 5, "color": 0}
    assert again.raw("legs[1].miles") == 77


def test_vectors_of_text_are_tuples(row: exdb.Object) -> None:
    row.words = ["a", "", "long" * 1000]
    row.names = ("x", "y")
    assert row.words == ("a", "", "long" * 1000)
    assert row.names == ("x", "y")


def test_the_database_gives_the_id_of_an_object(con: exdb.Connection) -> None:
    con.startTransaction()
    one, two = con.new("Auto", text="1"), con.new("Auto", text="2")
    assert 0 < one.autoid < two.autoid


def test_a_field_that_does_not_exist(row: exdb.Object) -> None:
    with pytest.raises(AttributeError, match=r"Row has no field 'nope'; its fields are: id, s1"):
        _ = row.nope
    with pytest.raises(exdb.UnknownFieldError):
        row.nope = 1
    assert not hasattr(row, "nope")
    assert not hasattr(row, "__array__")
    with pytest.raises(TypeError, match="None"):
        del row.maybe
    assert "samples" in dir(row)
    assert getattr(row, "".join(["te", "xt"])) == ""  # a name that is not interned


def test_objects_compare_and_print(con: exdb.Connection, row: exdb.Object) -> None:
    assert row == con.find("Row", "by_id", 1)
    assert row != con.new("Row", id=2)
    assert row != 1
    assert "id=1" in repr(row)
    assert "airport" in repr(row.origin)
    with pytest.raises(TypeError):
        hash(row)
    con.rollback()
    assert "ended" in repr(row)
    assert not row.valid
    with pytest.raises(TypeError):
        type(row)()


def test_long_keys_are_refused(con: exdb.Connection) -> None:
    con.startTransaction()
    with pytest.raises(exdb.KeyTooLongError, match="1024"):
        con.find("Item", "by_tag", "x" * 2000)
