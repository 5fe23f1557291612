# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Cursors: both ways, all operations, own changes."""

from __future__ import annotations

import pytest

import exdb
from exdb import Operation


@pytest.fixture
def items(con: exdb.Connection) -> exdb.Connection:
    """Ten items with even values 0 … 18, in an open transaction of their own."""
    with con.startTransaction():
        for key in (3, 7, 1, 9, 0, 5, 2, 8, 6, 4):
            con.new("Item", key=key, value=2 * key, tag="abcde"[key // 2] + str(key))
    con.startTransaction()
    return con


def keys(rows: object) -> list[int]:
    return [row.key for row in rows]  # type: ignore[attr-defined]


def test_iteration_goes_in_the_order_of_the_index(items: exdb.Connection) -> None:
    assert keys(items.cursor("Item", "by_key")) == list(range(10))
    assert sorted(keys(items.cursor("Item"))) == list(range(10))


def test_first_last_next_prev_current(items: exdb.Connection) -> None:
    cursor = items.cursor("Item", "by_key")
    assert cursor.first().key == 0  # type: ignore[union-attr]
    assert cursor.prev() is None
    assert cursor.last().key == 9  # type: ignore[union-attr]
    assert cursor.current().key == 9  # type: ignore[union-attr]
    assert cursor.next() is None
    assert cursor.prev().key == 9  # type: ignore[union-attr]
    down = [9]
    while (row := cursor.prev()) is not None:
        down.append(row.key)
    assert down == list(range(9, -1, -1))


@pytest.mark.parametrize(
    ("operation", "value", "found"),
    [
        (Operation.Equals, 6, [3]),
        (Operation.Equals, 7, []),
        (Operation.GreaterThan, 14, [8, 9]),
        (Operation.GreaterOrEquals, 14, [7, 8, 9]),
        (Operation.GreaterOrEquals, 15, [8, 9]),
        (Operation.LessThan, 4, [1, 0]),
        (Operation.LessOrEquals, 4, [2, 1, 0]),
        (Operation.LessThan, 0, []),
        (Operation.GreaterThan, 18, []),
    ],
)
def test_search_then_next_gives_the_match_itself_first(
    items: exdb.Connection, operation: Operation, value: int, found: list[int]
) -> None:
    cursor = items.cursor()
    assert cursor.search("Item", "by_value", operation, value) == bool(found)
    assert keys(cursor) == found
    bound = items.cursor("Item", "by_value")
    bound.search(operation, value)
    assert keys(bound) == found
    bound.search(cls="Item", index="by_value", op=operation, key=value)
    first = bound.next()
    assert (first.key if first else None) == (found[0] if found else None)


def test_prefix_match(items: exdb.Connection) -> None:
    cursor = items.cursor()
    cursor.search("Item", "by_tag", Operation.PrefixMatch, "c")
    assert keys(cursor) == [4, 5]


def test_cursor_find(items: exdb.Connection) -> None:
    cursor = items.cursor()
    assert cursor.find("Item", "by_tag_hash", "a1").key == 1  # type: ignore[union-attr]
    assert cursor.find("Item", "by_key", 99) is None
    assert items.cursor("Item", "by_key").find(4).value == 8  # type: ignore[union-attr]


def test_keys_of_several_parts_are_tuples(con: exdb.Connection) -> None:
    with con.startTransaction():
        for id_, (number, text) in enumerate([(1, "b"), (1, "a"), (2, "a")]):
            con.new("Row", id=id_, s4=number, text=text)
        cursor = con.cursor("Row", "by_s4_text")
        assert [(row.s4, row.text) for row in cursor] == [(1, "a"), (1, "b"), (2, "a")]
        cursor.search(Operation.Equals, (1, "b"))
        assert [row.id for row in cursor] == [0]
        cursor.search(Operation.Equals, (1,))
        assert [row.id for row in cursor] == [1, 0]
        with pytest.raises(exdb.DataError, match="has 2 part"):
            cursor.search(Operation.Equals, (1, "b", 3))
        for find in (con.find, con.cursor().find):
            assert find("Row", "by_s4_text", 1).id == 1
            assert find("Row", "by_s4_text", (2,)).id == 2
            assert find("Row", "by_s4_text", 3) is None
        with pytest.raises(exdb.DataError, match="has 2 part"):
            con.find("Row", "by_s4_text", (1, "b", 3))


def test_a_nested_field_is_indexed(con: exdb.Connection) -> None:
    with con.startTransaction():
        con.new("Row", id=1, origin={"airport": "JFK"})
        found = con.find("Row", "by_airport", "JFK")
        assert found is not None
        found.origin.airport = "LGA"
        assert con.find("Row", "by_airport", "JFK") is None
        assert con.find("Row", "by_airport", "LGA") == found


def test_a_cursor_gives_the_rows_that_were_there_when_it_was_opened(
    items: exdb.Connection,
) -> None:
    cursor = items.cursor("Item", "by_key")
    assert cursor.next().key == 0  # type: ignore[union-attr]
    items.find("Item", "by_key", 1).remove()  # type: ignore[union-attr]
    items.new("Item", key=50)
    items.find("Item", "by_key", 5).value = 1000  # type: ignore[union-attr]
    rest = [(row.key, row.value) for row in cursor]
    assert rest == [(key, 1000 if key == 5 else 2 * key) for key in range(2, 10)]
    assert keys(items.cursor("Item", "by_key")) == [0, *range(2, 10), 50]


def test_a_loop_that_moves_rows_ahead_of_its_cursor_ends(items: exdb.Connection) -> None:
    seen = []
    for row in items.cursor("Item", "by_value"):
        seen.append(row.key)
        row.value += 1
        assert len(seen) <= 10
    assert seen == list(range(10))
    for row in items.range("Item", "by_value", 3, 7):
        row.value += 2  # into the range again, or out of it
    moved = [1, 5, 7, 9, 9, *range(11, 20, 2)]
    assert [row.value for row in items.cursor("Item", "by_value")] == moved
    for row in items.cursor("Item", "by_value"):
        items.new("Item", key=row.key + 100, value=row.value)
    assert items.count("Item") == 20


def values(rows: object) -> list[int]:
    return [row.value for row in rows]  # type: ignore[attr-defined]


def test_a_range_includes_both_ends(items: exdb.Connection) -> None:
    for low, high, found in (
        (4, 8, [4, 6, 8]),
        (3, 9, [4, 6, 8]),
        (None, 4, [0, 2, 4]),
        (16, None, [16, 18]),
        (8, 4, []),
        (None, None, list(range(0, 20, 2))),
    ):
        assert values(items.range("Item", "by_value", low, high)) == found
        assert items.count("Item", "by_value", low, high) == len(found)
    rows = items.range("Item", "by_value", 4, limit=2)
    assert next(rows).value == 4
    assert values(rows) == [6]
    assert values(items.range("Item", index="by_value", high=6, limit=0)) == []
    items.new("Item", key=77, value=5)
    assert values(items.range("Item", "by_value", 4, 6)) == [4, 5, 6]
    assert items.count("Item", "by_value", 4, 6) == 3


DAYS = """class Day { int4 year; int4 month; nullable int4 day;
                     tree<year, month, day> by_day; tree<year, month desc> newest;
                     nonunique hash<year> of_year; };"""


def test_a_range_takes_leading_parts() -> None:
    def dates(rows: object) -> list[tuple[int, int, int | None]]:
        return [(row.year, row.month, row.day) for row in rows]  # type: ignore[attr-defined]

    with exdb.open("days", DAYS) as db, db.connect() as con, con.startTransaction():
        for month in (1, 2, 3):
            for day in (None, 5):
                con.new("Day", year=2013, month=month, day=day)
        con.new("Day", year=2014, month=1, day=9)
        whole = dates(con.cursor("Day", "by_day"))
        assert dates(con.range("Day", "by_day", 2013, 2013)) == whole[:6]
        assert dates(con.range("Day", "by_day", (2013, 2), (2013, 3))) == whole[2:6]
        assert dates(con.range("Day", "by_day", (2013, 2), 2014)) == whole[2:]
        assert dates(con.range("Day", "by_day", (2013, 1, None), (2013, 1, None))) == whole[:1]
        assert dates(con.range("Day", "by_day", (2013, 1, 5), (2013, 2, None))) == whole[1:3]
        assert con.count("Day", "by_day", (2013, 2), (2013, 3)) == 4
        # low is the smaller one, and the rows come as the index runs.
        months = [row.month for row in con.range("Day", "newest", (2013, 1), (2013, 2))]
        assert months == [2, 2, 1, 1]
        assert con.count("Day", "newest", (2013, 2), (2013, 1)) == 0


def test_what_a_range_cannot_be_is_told() -> None:
    with exdb.open("days", DAYS) as db, db.connect() as con:
        with pytest.raises(exdb.TransactionNotActiveError):
            con.range("Day", "by_day")
        con.startTransaction()
        with pytest.raises(exdb.NotSupportedError, match="of_year"):
            con.range("Day", "of_year", 1, 2)
        with pytest.raises(exdb.NotSupportedError, match="of_year"):
            con.count("Day", "of_year", 1, 2)
        with pytest.raises(exdb.DataError, match="index="):
            con.count("Day", low=1)
        with pytest.raises(exdb.DataError, match="has 3 part"):
            con.range("Day", "by_day", (1, 2, 3, 4))
        with pytest.raises(exdb.DataError, match="has 3 part"):
            con.range("Day", "by_day", high=())
        rows = con.range("Day", "by_day")
        con.rollback()
        with pytest.raises(exdb.CursorClosedError):
            next(rows)


def test_a_cursor_ends_with_its_transaction(items: exdb.Connection) -> None:
    cursor = items.cursor("Item", "by_key")
    row = cursor.next()
    items.rollback()
    with pytest.raises(exdb.CursorClosedError):
        cursor.next()
    with pytest.raises(exdb.Error):
        _ = row.key  # type: ignore[union-attr]
    items.startTransaction()
    with pytest.raises(exdb.InvalidHandleError, match="ended"):
        _ = row.key  # type: ignore[union-attr]
    with items.cursor("Item") as closed:
        pass
    with pytest.raises(exdb.CursorClosedError):
        closed.next()


def test_misuse_of_cursors(items: exdb.Connection) -> None:
    with pytest.raises(exdb.CursorClosedError, match="search"):
        items.cursor().next()
    with pytest.raises(exdb.NotSupportedError):
        items.cursor("Item").search(Operation.Equals, 1)
    with pytest.raises(exdb.NotSupportedError, match="hash"):
        items.cursor("Item", "by_tag_hash").search(Operation.LessThan, "a")
    with pytest.raises(exdb.DataError, match=r"op must be an exdb\.Operation, not 6"):
        items.cursor("Item", "by_key").search(6, 1)
    with pytest.raises(TypeError, match="search"):
        items.cursor("Item", "by_key").search(1)  # type: ignore[call-overload]
