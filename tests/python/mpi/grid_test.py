# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The grid as a whole: what one rank commits, all have."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("exchange", ["p2p", "collective"])
def test_everybody_has_what_anybody_committed(good: Good, ranks: int, exchange: str) -> None:
    told = good(
        ranks,
        f"""
        cluster = params(nwparams={{"comm": comm, "exchange": {exchange!r}}})
        with exdb.open(f"grid{{rank}}", SCHEMA, clusterParams=cluster) as db, db.connect() as con:
            for i in range(20):
                put(con, i * size + rank, rank)
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                keys = [item.key for item in con.cursor("Item", "by_key")]
            comm.Barrier()
            tell(keys=keys, digest=db.digest(), node=db.node_id, nodes=db.nodes,
                 describe=db.describe(), csn=db.published,
                 collectives=db.statistics()["collectives"])
        """,
    )
    assert all(one["keys"] == list(range(20 * ranks)) for one in told)
    assert len({one["digest"] for one in told}) == 1
    assert [one["node"] for one in told] == list(range(ranks))
    assert all(one["nodes"] == ranks and "MPI" in one["describe"] for one in told)
    assert all(one["csn"] == 20 * ranks for one in told)
    if ranks > 1:
        assert all((one["collectives"] > 0) == (exchange == "collective") for one in told)


def test_no_increment_of_a_shared_counter_is_lost(good: Good) -> None:
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            if rank == 0:
                put(con, 1)
            comm.Barrier()
            conflicts = done = 0
            while done < 30:
                con.startTransaction(fresh=(done == 0))
                con.find("Item", "by_key", 1).value += 1
                try:
                    con.commit()
                    done += 1
                except exdb.ConflictError as error:
                    assert "Item" in str(error)
                    conflicts += 1
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                value = con.find("Item", "by_key", 1).value
            tell(value=value, conflicts=conflicts, counted=db.statistics()["conflicts"])
        """,
    )
    assert [one["value"] for one in told] == [90, 90, 90]
    assert all(one["conflicts"] == one["counted"] for one in told)


def test_a_token_carries_causality_between_ranks(good: Good) -> None:
    told = good(
        2,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            seen = []
            for key in range(50):
                if rank == 0:
                    comm.send(put(con, key), dest=1)
                else:
                    with con.startTransaction(exdb.MCO_READ_ONLY, at_least=comm.recv(source=0)):
                        seen.append(con.find("Item", "by_key", key) is not None)
            tell(seen=seen)
        """,
    )
    assert told[1]["seen"] == [True] * 50


def test_a_fresh_transaction_sees_every_commit_that_returned_before(good: Good) -> None:
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            seen = []
            for turn in range(30):
                if turn % size == rank:
                    put(con, turn)
                comm.Barrier()
                with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                    seen.append(con.find("Item", "by_key", turn) is not None)
            tell(seen=seen)
        """,
    )
    assert all(one["seen"] == [True] * 30 for one in told)


def test_a_unique_key_is_given_once(good: Good) -> None:
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            won = []
            for key in range(10):
                comm.Barrier()
                won.append(failure(lambda: put(con, key, rank)))
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                owners = [item.value for item in con.cursor("Item", "by_key")]
            tell(won=won, owners=owners)
        """,
    )
    assert told[0]["owners"] == told[1]["owners"] == told[2]["owners"]
    for key in range(10):
        winners = [rank for rank in range(3) if told[rank]["won"][key] is None]
        assert winners == [told[0]["owners"][key]]
        for rank in set(range(3)) - set(winners):
            kind, _, text = told[rank]["won"][key]
            assert kind in ("DuplicateKeyError", "ConflictError")
            assert "Item" in text
            assert "by_key" in text


def test_serializable_holds_across_ranks(good: Good) -> None:
    told = good(
        2,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            if rank == 0:
                put(con, 1, 1), put(con, 2, 1)
            comm.Barrier()
            con.startTransaction(isolation=exdb.MCO_SERIALIZABLE, fresh=True)
            total = sum(con.find("Item", "by_key", key).value for key in (1, 2))
            con.find("Item", "by_key", 1 + rank).value = 0
            comm.Barrier()
            tell(total=total, failed=failure(con.commit))
        """,
    )
    assert [one["total"] for one in told] == [2, 2]
    assert [bool(one["failed"]) for one in told].count(True) == 1


def test_two_grids_on_two_halves_of_the_world(good: Good) -> None:
    told = good(
        4,
        """
        half = comm.Split(rank % 2, rank)
        with exdb.open(f"half{rank % 2}", SCHEMA, comm=half) as db, db.connect() as con:
            for i in range(20):
                put(con, i * 2 + half.rank, rank % 2)
            half.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                values = [item.value for item in con.cursor("Item", "by_key")]
            tell(values=values, nodes=db.nodes, node=db.node_id)
        half.Free()
        """,
    )
    assert [one["nodes"] for one in told] == [2] * 4
    assert [one["node"] for one in told] == [0, 0, 1, 1]
    assert [one["values"] for one in told] == [[rank % 2] * 40 for rank in range(4)]


def test_two_grids_at_once_on_one_world_beside_the_programs_own_messages(good: Good) -> None:
    told = good(
        2,
        """
        with exdb.open("a", SCHEMA, comm=comm) as a, exdb.open("b", SCHEMA, comm=comm) as b:
            with a.connect() as one, b.connect() as two:
                total = 0
                for key in range(20):
                    put(one, key * 2 + rank)
                    put(two, key * 2 + rank)
                    total += comm.allreduce(key)
                    other = comm.sendrecv(rank, dest=1 - rank, source=1 - rank)
                comm.Barrier()
                counts = []
                for con in (one, two):
                    with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                        counts.append(con.count("Item"))
                tell(counts=counts, total=total, other=other)
        """,
    )
    assert [one["counts"] for one in told] == [[40, 40]] * 2
    assert [one["total"] for one in told] == [380, 380]


def test_several_threads_commit_at_once(good: Good) -> None:
    told = good(
        2,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db:
            failures = []
            def work(number):
                try:
                    with db.connect() as con:
                        for i in range(20):
                            put(con, (number * 20 + i) * 2 + rank)
                except BaseException as error:
                    failures.append(repr(error))
            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            comm.Barrier()
            with db.connect() as con, con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                tell(count=con.count("Item"), failures=failures)
        """,
    )
    assert told == [{"count": 160, "failures": []}] * 2


def test_numpy_vectors_travel(good: Good) -> None:
    told = good(
        2,
        """
        import numpy as np
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            put(con, rank, data=np.arange(200_000) + rank)
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                other = con.find("Item", "by_key", 1 - rank).data
            tell(sum=float(other.sum()), frames_long=db.statistics()["frames_long"])
        """,
    )
    base = 200_000 * 199_999 / 2
    assert [one["sum"] for one in told] == [base + 200_000, base]


def test_a_name_means_the_same_state_on_all_ranks(good: Good) -> None:
    """One rank gives it while all commit."""
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            for i in range(40):
                put(con, i * size + rank)
                if rank == 1 and i == 20:
                    db.snapshot("x")
            comm.Barrier()
            con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
            con.rollback()
            with db.at("x") as past, past.startTransaction(exdb.MCO_READ_ONLY):
                keys = [item.key for item in past.cursor("Item", "by_key")]
            csn = db.snapshots()["x"]
            comm.Barrier()
            if rank == 2:
                db.drop_snapshot("x")
            comm.Barrier()
            con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
            con.rollback()
            tell(csn=csn, keys=keys, left=db.snapshots())
        """,
    )
    assert all(one == told[0] for one in told)
    # The name is a commit of its own, and shows nothing but commits before the end of its round.
    assert 21 <= len(told[0]["keys"]) == told[0]["csn"] - 1 < 3 * 40
    assert told[0]["left"] == {}
