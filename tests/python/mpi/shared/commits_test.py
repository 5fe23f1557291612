# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""One replica a host, is_shm=True: what leaders and followers commit, and what all of them see.

Several hosts are pretended on this machine: ranks x hosts.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]

GROUPINGS = pytest.mark.parametrize(
    ("ranks", "hosts"), [(4, 2), (6, 3), (4, 1), (2, 2), (2, 0)], ids=str
)


def pretended(hosts: int) -> dict[str, str]:
    return {"EXDB_PRETENDED_HOSTS": str(hosts)} if hosts else {}


# `everywhere(call)`: what the call gave on each rank, when all are done.
HELPERS = """
SHARED = SCHEMA + "local class Scratch { unsigned<4> key; unique hash<key> by_key; };"

def everywhere(call):
    comm.Barrier()
    return comm.allgather(call())

def read(call, **how):
    with con.startTransaction(exdb.MCO_READ_ONLY, **how):
        return call()

def all_keys():
    return [item.key for item in con.cursor("Item", "by_key")]
"""


@GROUPINGS
def test_all_ranks_commit_and_all_see_it(good: Good, ranks: int, hosts: int) -> None:
    told = good(
        ranks,
        HELPERS
        + """
with exdb.open("grid", SHARED, comm=comm, is_shm=True) as db, db.connect() as con:
    for i in range(20):
        put(con, i * size + rank, rank)
    # Fresh: what any rank was told is committed is seen by all.
    fresh = everywhere(lambda: read(all_keys, fresh=True))
    digests = everywhere(db.digest)
    # A token of any rank is waited for on any other.
    late = []
    for root in range(size):
        token = put(con, 10_000 + root) if rank == root else None
        token = comm.bcast(token, root=root)
        late.append(read(lambda: con.find("Item", "by_key", 10_000 + root) is not None,
                         at_least=token))
    # One's own commit is there in one's next transaction.
    put(con, 20_000 + rank, 5)
    own = read(lambda: con.find("Item", "by_key", 20_000 + rank).value)
    more = everywhere(lambda: read(lambda: con.count("Item"), fresh=True))
    tell(right=[keys == list(range(20 * size)) for keys in fresh], digests=len(set(digests)),
         late=late, own=own, more=more, node=[db.node_id, db.nodes], info=db.describe())
""",
        environment=pretended(hosts),
    )
    for rank, one in enumerate(told):
        assert one["right"] == [True] * ranks
        assert one["digests"] == 1
        assert one["late"] == [True] * ranks
        assert one["own"] == 5
        assert one["more"] == [22 * ranks] * ranks
        assert one["node"] == [rank, ranks]


@pytest.mark.parametrize(("ranks", "hosts"), [(4, 2), (6, 3), (4, 1)], ids=str)
def test_of_ranks_that_write_one_row_one_wins(good: Good, ranks: int, hosts: int) -> None:
    told = good(
        ranks,
        HELPERS
        + """
with exdb.open("grid", SHARED, comm=comm, is_shm=True) as db, db.connect() as con:
    if rank == 0:
        put(con, 1, 0)
    comm.Barrier()
    won = []
    for turn in range(10):
        read(lambda: None, fresh=True)
        comm.Barrier()
        con.startTransaction()
        con.find("Item", "by_key", 1).value += 1
        comm.Barrier()  # all have their snapshot, and nobody has committed
        error = failure(con.commit)
        won.append(error is None)
        assert error is None or error[:2] == ["ConflictError", 87], error
        comm.Barrier()
    # The same unique key on all ranks.
    con.startTransaction()
    con.new("Item", key=77)
    comm.Barrier()
    double = failure(con.commit)
    comm.Barrier()
    tell(won=won, double=double and double[1],
         value=read(lambda: con.find("Item", "by_key", 1).value, fresh=True))
""",
        environment=pretended(hosts),
    )
    for turn in range(10):
        assert [one["won"][turn] for one in told].count(True) == 1
    assert {one["value"] for one in told} == {10}


@pytest.mark.parametrize(("ranks", "hosts"), [(4, 2), (4, 1)], ids=str)
def test_isolation_holds_across_ranks_of_a_host_and_of_hosts(
    good: Good, ranks: int, hosts: int
) -> None:
    told = good(
        ranks,
        HELPERS
        + """
with exdb.open("grid", SHARED, comm=comm, is_shm=True) as db, db.connect() as con:
    put(con, rank, 1)
    comm.Barrier()
    read(lambda: None, fresh=True)
    comm.Barrier()
    # Repeatable: what others commit meanwhile is not seen, and is after it.
    con.startTransaction(exdb.MCO_READ_ONLY)
    before = [item.value for item in con.cursor("Item", "by_key")]
    comm.Barrier()
    with db.connect() as other:
        with other.startTransaction():
            other.find("Item", "by_key", rank).value = 2
    comm.Barrier()
    during = [item.value for item in con.cursor("Item", "by_key")]
    con.rollback()
    after = read(lambda: [item.value for item in con.cursor("Item", "by_key")], fresh=True)
    comm.Barrier()
    # Serializable: everybody reads all and writes its own row. One may.
    read(lambda: None, fresh=True)
    comm.Barrier()
    con.startTransaction(exdb.MCO_READ_WRITE, isolation=exdb.MCO_SERIALIZABLE)
    total = sum(item.value for item in con.cursor("Item", "by_key"))
    con.find("Item", "by_key", rank).value = total
    comm.Barrier()
    skew = failure(con.commit)
    comm.Barrier()
    # Read committed: each statement sees the newest.
    con.startTransaction(exdb.MCO_READ_ONLY, isolation=exdb.MCO_READ_COMMITTED)
    first = con.find("Item", "by_key", 900) is not None
    comm.Barrier()
    token = comm.bcast(put(db.connect(), 900) if rank == size - 1 else None, root=size - 1)
    with db.connect() as other:
        other.startTransaction(exdb.MCO_READ_ONLY, at_least=token)
        other.rollback()
    second = con.find("Item", "by_key", 900) is not None
    con.rollback()
    comm.Barrier()
    tell(before=before, during=during, after=after, skew=skew, committed=[first, second])
""",
        environment=pretended(hosts),
    )
    for one in told:
        assert one["before"] == one["during"] == [1] * ranks
        assert one["after"] == [2] * ranks
        assert one["committed"] == [False, True]
    assert [one["skew"] for one in told].count(None) == 1
    assert {one["skew"][1] for one in told if one["skew"]} <= {87}


@pytest.mark.parametrize(("ranks", "hosts"), [(4, 2), (2, 0)], ids=str)
def test_rows_of_local_classes_are_of_their_rank_alone(good: Good, ranks: int, hosts: int) -> None:
    told = good(
        ranks,
        HELPERS
        + """
with exdb.open("grid", SHARED, comm=comm, is_shm=True) as db, db.connect() as con:
    with con.startTransaction():
        con.new("Scratch", key=7)  # the same key on all ranks: it is unique at each
        con.new("Item", key=rank)
    for i in range(rank):
        with con.startTransaction():
            con.new("Scratch", key=100 + i)
    comm.Barrier()
    count = read(lambda: [con.count("Scratch"), con.count("Item")], fresh=True)
    digests = everywhere(db.digest)
    tell(count=count, digests=len(set(digests)))
""",
        environment=pretended(hosts),
    )
    assert [one["count"] for one in told] == [[1 + rank, ranks] for rank in range(ranks)]
    assert {one["digests"] for one in told} == {1}


@pytest.mark.parametrize(("ranks", "hosts"), [(4, 2), (4, 1)], ids=str)
def test_cursors_walk_and_search_the_same_everywhere(good: Good, ranks: int, hosts: int) -> None:
    told = good(
        ranks,
        HELPERS
        + """
with exdb.open("grid", SHARED, comm=comm, is_shm=True) as db, db.connect() as con:
    with con.startTransaction():
        for i in range(200):
            con.new("Item", key=i * size + rank, value=-i, text=f"row {rank}")
    comm.Barrier()
    con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
    keys = all_keys()
    cursor = con.cursor("Item", "by_key")
    cursor.search("Item", "by_key", exdb.Operation.GreaterThan, 100)
    after = [cursor.next().key for _ in range(3)]
    cursor.search("Item", "by_key", exdb.Operation.LessOrEquals, 50)
    last = cursor.last().key
    texts = sorted({item.text for item in con.cursor("Item", "by_value")})
    con.rollback()
    # Own changes are in one's own cursors at once, and nowhere else.
    con.startTransaction()
    con.new("Item", key=5_000 + rank)
    mine = [key for key in all_keys() if key >= 5_000]
    con.rollback()
    tell(keys=keys == list(range(200 * size)), after=after, last=last, texts=texts, mine=mine)
""",
        environment=pretended(hosts),
    )
    for rank, one in enumerate(told):
        assert one["keys"]
        assert one["after"] == [101, 102, 103]
        assert one["texts"] == [f"row {each}" for each in range(ranks)]
        assert one["mine"] == [5_000 + rank]
    assert len({one["last"] for one in told}) == 1


@pytest.mark.parametrize("exchange", ["p2p", "collective"])
def test_large_transactions_go_early_and_whole(good: Good, exchange: str) -> None:
    told = good(
        4,
        HELPERS
        + f"""
early = params(mode_mask=exdb.MCO_CLUSTER_MODE_EARLY_DATA_SEND,
               nwparams={{"exchange": {exchange!r}}})
with exdb.open("grid", SHARED, clusterParams=early, is_shm=True) as db, db.connect() as con:
    with con.startTransaction():
        for i in range(300):
            con.new("Item", key=i * size + rank, text=chr(65 + rank) * 10_000)
    con.startTransaction()
    for i in range(300):
        con.new("Item", key=100_000 + i * size + rank, text="x" * 10_000)
    con.rollback()  # what went ahead never was
    comm.Barrier()
    con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
    right = [item.text == chr(65 + item.key % size) * 10_000
             for item in con.cursor("Item", "by_key")]
    con.rollback()
    tell(right=right.count(True), wrong=right.count(False),
         digests=len(set(everywhere(db.digest))))
""",
        environment=pretended(2),
    )
    assert told == [{"right": 1200, "wrong": 0, "digests": 1}] * 4
