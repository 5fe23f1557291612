# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The isolation levels, each with the anomaly that it has or has not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import exdb
from exdb import MCO_READ_COMMITTED, MCO_READ_ONLY, MCO_REPEATABLE_READ, MCO_SERIALIZABLE, Operation


@pytest.fixture
def two(db: exdb.Database) -> Iterator[tuple[exdb.Connection, exdb.Connection]]:
    """Two connections; items 1 and 2 with value 1 are there."""
    with db.connect() as one, db.connect() as other:
        with one.startTransaction():
            one.new("Item", key=1, value=1)
            one.new("Item", key=2, value=1)
        yield one, other


def item(con: exdb.Connection, key: int) -> exdb.Object:
    row = con.find("Item", "by_key", key)
    assert row is not None
    return row


@pytest.mark.parametrize("isolation", [MCO_READ_COMMITTED, MCO_REPEATABLE_READ, MCO_SERIALIZABLE])
def test_no_update_is_lost(two: tuple[exdb.Connection, exdb.Connection], isolation: int) -> None:
    one, other = two
    one.startTransaction(isolation=isolation)
    other.startTransaction(isolation=isolation)
    item(one, 1).value += 1
    item(other, 1).value += 1
    one.commit()
    with pytest.raises(exdb.ConflictError, match=r"Item") as caught:
        other.commit()
    assert caught.value.code == 87
    assert "1" in str(caught.value)
    with one.startTransaction(MCO_READ_ONLY):
        assert item(one, 1).value == 2
    assert other.statistics()["conflicts"] == 1


def write_skew(two: tuple[exdb.Connection, exdb.Connection], isolation: int) -> None:
    one, other = two
    one.startTransaction(isolation=isolation)
    other.startTransaction(isolation=isolation)
    assert item(one, 1).value + item(one, 2).value == 2
    assert item(other, 1).value + item(other, 2).value == 2
    item(one, 1).value = 0
    item(other, 2).value = 0
    one.commit()
    other.commit()


def test_snapshot_isolation_lets_write_skew_pass(
    two: tuple[exdb.Connection, exdb.Connection],
) -> None:
    write_skew(two, MCO_REPEATABLE_READ)


def test_serializable_refuses_write_skew(two: tuple[exdb.Connection, exdb.Connection]) -> None:
    with pytest.raises(exdb.ConflictError):
        write_skew(two, MCO_SERIALIZABLE)


def test_serializable_refuses_phantoms(two: tuple[exdb.Connection, exdb.Connection]) -> None:
    one, other = two
    one.startTransaction(isolation=MCO_SERIALIZABLE)
    cursor = one.cursor("Item", "by_value")
    cursor.search(Operation.GreaterThan, 100)
    assert list(cursor) == []
    with other.startTransaction():
        other.new("Item", key=9, value=500)
    one.new("Item", key=10, value=0)
    with pytest.raises(exdb.ConflictError):
        one.commit()


def test_a_snapshot_stays_and_a_statement_does_not(
    two: tuple[exdb.Connection, exdb.Connection],
) -> None:
    one, other = two
    for isolation, seen in ((MCO_REPEATABLE_READ, 1), (MCO_READ_COMMITTED, 7)):
        one.startTransaction(MCO_READ_ONLY, isolation=isolation)
        assert item(one, 1).value == 1
        with other.startTransaction():
            item(other, 1).value = 7
        assert item(one, 1).value == seen
        one.rollback()
        with other.startTransaction():
            item(other, 1).value = 1


def test_what_is_not_committed_is_not_seen(two: tuple[exdb.Connection, exdb.Connection]) -> None:
    one, other = two
    one.startTransaction()
    one.new("Item", key=3)
    other.startTransaction(MCO_READ_ONLY)
    assert other.find("Item", "by_key", 3) is None
    other.rollback()
    one.rollback()


def test_update_transactions_read_until_they_write(con: exdb.Connection) -> None:
    with con.startTransaction(exdb.MCO_UPDATE):
        assert con.count("Item") == 0
        con.new("Item", key=1)
    with con.startTransaction(exdb.MCO_READ_ONLY):
        assert con.count("Item") == 1


def test_exclusive_transactions_wait_for_each_other(db: exdb.Database) -> None:
    with db.connect() as one, db.connect() as other:
        one.startTransaction(exdb.MCO_EXCLUSIVE)
        one.new("Item", key=1, value=1)
        started = threading.Event()

        def second() -> None:
            other.startTransaction(exdb.MCO_EXCLUSIVE)  # waits without the GIL
            started.set()
            item(other, 1).value += 1
            other.commit()

        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert not started.wait(0.2)
        one.commit()
        thread.join(30)
        assert started.is_set()
        with one.startTransaction(MCO_READ_ONLY):
            assert item(one, 1).value == 2


def test_many_threads_count_together(db: exdb.Database) -> None:
    threads, rounds = 4, 50
    with db.connect() as con, con.startTransaction():
        con.new("Item", key=1, value=0)
    failures: list[BaseException] = []

    def count() -> None:
        try:
            with db.connect() as con:
                done = 0
                while done < rounds:
                    con.startTransaction()
                    item(con, 1).value += 1
                    try:
                        con.commit()
                        done += 1
                    except exdb.ConflictError:
                        pass
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=count, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    with db.connect() as con, con.startTransaction(MCO_READ_ONLY):
        assert item(con, 1).value == threads * rounds


def test_views_of_one_thread_survive_the_writes_of_another(db: exdb.Database) -> None:
    with db.connect() as con, con.startTransaction():
        con.new("Row", id=1, samples=[1.0] * 1000)
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with db.connect() as con:
                number = 1.0
                while not stop.is_set():
                    number += 1
                    with con.startTransaction():
                        con.find("Row", "by_id", 1).samples = [number] * 1000  # type: ignore[union-attr]
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with db.connect() as con:
        for _ in range(200):
            with con.startTransaction(MCO_READ_ONLY):
                view = con.find("Row", "by_id", 1).samples  # type: ignore[union-attr]
            assert view.min() == view.max()
    stop.set()
    writer.join(30)
    assert failures == []
