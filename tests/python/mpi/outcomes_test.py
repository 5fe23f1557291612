# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What became of a transaction: asked on any rank, and said in the exception of Ctrl-C."""

from __future__ import annotations

from typing import Any, Callable

Good = Callable[..., list[Any]]


def test_the_outcome_is_told_on_every_rank(good: Good) -> None:
    """Two that write one row leave in one batch of rank 0: the order alone decides between them."""
    told = good(
        3,
        """
        window = exdb.ClusterWindow(1 << 40, 2, 20_000)
        txid = None
        with exdb.open("grid", SCHEMA, clusterParams=params()) as db, db.connect() as con:
            if rank == 0:
                put(con, 1)
                db.window = window
                with db.connect() as other:
                    for each in (con, other):
                        each.startTransaction()
                        each.find("Item", "by_key", 1).value = 2
                    con.commit_later()
                    other.commit_later()
                    con.wait()
                    try:
                        other.wait()
                    except exdb.ConflictError as error:
                        txid = error.txid
            txid = comm.bcast(txid)
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                pass
            tell(txid=txid, outcomes=[db.outcome((txid.origin, txid.sequence + more)).value
                                      for more in (-1, 0, 1)])
        """,
    )
    assert told[0]["txid"][0] == 0
    assert [one["outcomes"] for one in told] == [["committed", "aborted", "unknown"]] * 3


def test_ctrl_c_in_a_commit_that_the_window_holds_says_what_all_ranks_say(good: Good) -> None:
    """It never left rank 0, and never will once rank 0 has left: certain there, and then here."""
    told = good(
        2,
        """
        db = exdb.open("grid", SCHEMA, clusterParams=params())
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        txid = said = None
        if rank == 0:
            db.window = exdb.ClusterWindow(1 << 40, 1_000, 3_600_000)
            interrupt_when_waiting()
            try:
                put(con, 10)
            except exdb.CommitInterrupted as error:
                txid, said = error.txid, error.outcome.value
        txid = comm.bcast(txid)
        if rank == 1:
            failure(lambda: put(con, 11))  # after rank 0's last; without it there is no quorum
            with con.startTransaction(exdb.MCO_READ_ONLY):
                row = con.find("Item", "by_key", 10) is not None
            while db.outcome(txid).value == "unknown":  # until the leave of rank 0 is applied
                time.sleep(0.01)
            said = db.outcome(txid).value
            db.close()
        else:
            db.abandon()
        comm.Barrier()
        tell(said=said, txid=txid, row=rank == 1 and row)
        db.abandon()
        """,
    )
    assert told[0]["txid"][0] == 0
    assert told[0]["txid"][1] > 0
    assert told[0]["said"] == "aborted"
    assert told[1]["said"] == "aborted"
    assert told[1]["row"] is False


def test_ctrl_c_in_a_commit_that_ends_by_itself_is_committed_on_all_ranks(good: Good) -> None:
    """The window lets it go while the interrupt is given its grace."""
    told = good(
        2,
        """
        with exdb.open("grid", SCHEMA, clusterParams=params()) as db, db.connect() as con:
            txid = said = None
            if rank == 0:
                db.window = exdb.ClusterWindow(1 << 40, 1_000, 3_600_000)
                interrupt_when_waiting(lambda: setattr(db, "window", exdb.ClusterWindow(0, 0, 0)))
                try:
                    put(con, 10)
                except exdb.CommitInterrupted as error:
                    txid, said = error.txid, error.outcome.value
            txid = comm.bcast(txid)
            if rank == 1:
                with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                    assert con.find("Item", "by_key", 10) is not None
            tell(said=said, outcome=db.outcome(txid).value)
            comm.Barrier()
        """,
    )
    assert told[0]["said"] == "committed"
    assert [one["outcome"] for one in told] == ["committed", "committed"]
