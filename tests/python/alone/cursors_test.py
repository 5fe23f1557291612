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
        with pytest.raises(exdb.DataError):
            con.find("Row", "by_s4_text", 1)


def test_a_nested_field_is_indexed(con: exdb.Connection) -> None:
    with con.startTransaction():
        con.new("Row", id=1, origin={"airport": "JFK"})
        found = con.find("Row", "by_airport", "JFK")
        assert found is not None
        found.origin.airport = "LGA"
        assert con.find("Row", "by_airport", "JFK") is None
        assert con.find("Row", "by_airport", "LGA") == found


def test_own_changes_are_seen_as_the_cursor_passes(items: exdb.Connection) -> None:
    cursor = items.cursor("Item", "by_key")
    assert cursor.next().key == 0  # type: ignore[union-attr]
    items.find("Item", "by_key", 1).remove()  # type: ignore[union-attr]
    items.new("Item", key=50)
    assert keys(cursor) == [*range(2, 10), 50]


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
