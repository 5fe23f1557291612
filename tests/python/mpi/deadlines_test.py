# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""How long stop and close wait for ranks that live: for ever, for a deadline, until Ctrl-C."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]


def test_two_databases_closed_in_opposite_order_raise_on_both_ranks(good: Good) -> None:
    told = good(
        2,
        """
        alpha = exdb.open("alpha", SCHEMA, comm=comm)
        beta = exdb.open("beta", SCHEMA, comm=comm)
        first, second = (alpha, beta) if rank == 0 else (beta, alpha)
        refused = failure(first.close)
        failure(second.close)  # the other rank has left it, or has closed it too
        tell(refused=refused, open=[alpha.is_open, beta.is_open])
        """,
    )
    for one in told:
        kind, _, text = one["refused"]
        assert kind.startswith("Cluster")
        assert "alpha" in text
        assert "beta" in text
        assert one["open"] == [False, False]


@pytest.mark.parametrize("call", ["con.stop()", "db.close()"])
def test_a_rank_that_lives_and_is_busy_is_waited_for_beyond_the_timeout(
    good: Good, call: str
) -> None:
    told = good(
        2,
        f"""
        with exdb.open("grid", SCHEMA, comm=comm, timeout=1.5) as db:
            con = db.connect()
            put(con, rank)
            comm.Barrier()
            if rank == 1:
                end = time.monotonic() + 5
                while time.monotonic() < end:  # the interpreter, too, is busy
                    sum(range(1000))
                put(con, 10)
            before = time.monotonic()
            refused = failure(lambda: {call})
            after = time.monotonic()
            last = max(comm.allgather(before))  # on one host all clocks are one
            tell(refused=refused, waited=after >= last)
        """,
    )
    assert [one["refused"] for one in told] == [None, None]
    assert [one["waited"] for one in told] == [True, True]


@pytest.mark.parametrize("call", ["con.stop(timeout=1)", "db.close(timeout=1)"])
def test_a_deadline_names_the_nodes_and_the_database_is_closed_all_the_same(
    good: Good, call: str
) -> None:
    told = good(
        3,
        f"""
        db = exdb.open("grid", SCHEMA, comm=comm)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        refused = None
        if rank != 1:
            comm.Barrier()  # rank 1 has given up by then
        else:
            refused = failure(lambda: {call})
            comm.Barrier()
        closed = failure(db.close)
        tell(refused=refused, closed=closed, open=db.is_open, connect=failure(db.connect))
        """,
    )
    kind, code, text = told[1]["refused"]
    assert (kind, code) == ("ClusterTimeoutError", 2003)
    assert "node 0" in text or "nodes 0" in text
    assert "2" in text
    assert [one["closed"] for one in (told[0], told[2])] == [None, None]
    assert [one["open"] for one in told] == [False] * 3
    assert [one["connect"][0] for one in told] == ["InvalidHandleError"] * 3


@pytest.mark.parametrize("call", ["con.stop()", "db.close()"])
@pytest.mark.parametrize("connections", [1, 100])
def test_ctrl_c_ends_the_wait_for_a_rank_that_lives(
    good: Good, call: str, connections: int
) -> None:
    """Also while all connections that there may be are in use."""
    told = good(
        2,
        f"""
        db = exdb.open("grid", SCHEMA, comm=comm, db_max_connections={connections})
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        seen = None
        if rank == 0:
            interrupt_when_waiting()
            try:
                {call}
            except KeyboardInterrupt:
                seen = "interrupted"
        comm.Barrier()  # rank 1 calls no exdb meanwhile, and its node lives
        db.close() if rank == 1 else db.abandon()
        tell(seen=seen, open=db.is_open)
        """,
    )
    assert told[0]["seen"] == "interrupted"
    assert [one["open"] for one in told] == [False, False]
