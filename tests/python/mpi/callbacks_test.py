# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The program's own functions cannot hold up the database: slow ones, such that never return."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]

# Rank 0 has no vote: when rank 1 has left, only its quorumCallback can let it write.
LOST = """
        nodes = [exdb.ClusterNodeParams("", 0), exdb.ClusterNodeParams("", 1)]
        called, never = threading.Event(), threading.Event()
        def quorum(neighbours):
            called.set()
            never.wait()
        def lose(timeout=None, **more):
            cluster = params(nodes=nodes, quorumCallback=quorum, **more)
            db = exdb.open("grid", SCHEMA, clusterParams=cluster, timeout=timeout)
            if rank == 1:
                db.abandon()
                comm.Barrier()
                tell(left=True)
                sys.exit(0)
            return db
        def until_refused(con):
            key = 0
            while True:
                key += 1
                put(con, key)
"""


@pytest.mark.parametrize("end", ["db.close()", "db.abandon()", "pass"])
def test_a_notify_callback_that_never_returns_holds_up_no_end(good: Good, end: str) -> None:
    told = good(
        2,
        f"""
        called = threading.Event()
        def notify(code, node):
            called.set()
            threading.Event().wait()
        db = exdb.open("grid", SCHEMA, clusterParams=params(notifyCallback=notify))
        assert called.wait(30)
        with db.connect() as con:
            put(con, rank)
        comm.Barrier()
        {end}
        tell(done=True)
        """,
    )
    assert [one["done"] for one in told] == [True, True]


@pytest.mark.parametrize("end", ["close", "abandon"])
def test_the_end_of_the_database_ends_the_wait_for_a_quorum_callback(good: Good, end: str) -> None:
    told = good(
        2,
        LOST
        + f"""
        db = lose()
        con = db.connect()
        seen = []
        thread = threading.Thread(target=lambda: seen.append(failure(lambda: until_refused(con))))
        thread.start()
        assert called.wait(30)
        db.{end}()
        thread.join(30)
        comm.Barrier()
        tell(ended=seen[0])
        """,
    )
    assert told[0]["ended"][1] in (903, 905)


def test_a_quorum_callback_that_does_not_answer_in_time_has_said_no(good: Good) -> None:
    told = good(
        2,
        LOST
        + """
        db = lose(timeout=2)
        con = db.connect()
        refused = failure(lambda: until_refused(con))
        comm.Barrier()
        tell(refused=refused)
        # Not closed: the program ends with its callback still running.
        """,
    )
    assert told[0]["refused"][:2] == ["NoQuorumError", 905]


def test_ctrl_c_ends_a_commit_that_waits_for_a_quorum_callback(good: Good) -> None:
    told = good(
        2,
        LOST
        + """
        import signal
        db = lose()
        con = db.connect()
        def interrupt():
            called.wait(30)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        seen = None
        try:
            until_refused(con)
        except exdb.CommitInterrupted as error:
            seen = [error.outcome.value, error.txid.sequence]
        comm.Barrier()
        tell(seen=seen)
        """,
    )
    assert told[0]["seen"] == ["aborted", 0]


def test_a_quorum_callback_may_read_but_not_commit(good: Good) -> None:
    told = good(
        2,
        LOST
        + """
        told = {}
        def quorum(neighbours):
            with db.connect() as own:
                told["write"] = failure(lambda: put(own, 10**6))
                with own.startTransaction(exdb.MCO_READ_ONLY):
                    told["rows"] = own.count("Item")
            return "rows" in told
        db = lose(timeout=20)
        with db.connect() as con:
            key = 0
            while "rows" not in told:
                key += 1
                put(con, key)
        db.close()
        comm.Barrier()
        tell(**told)
        """,
    )
    assert told[0]["write"][:2] == ["NoQuorumError", 905]
    assert told[0]["rows"] >= 0


def test_an_exception_in_a_quorum_callback_is_printed_and_means_no(
    run: Callable[..., Any],
) -> None:
    job = run(
        2,
        LOST
        + """
        def quorum(neighbours):
            raise ZeroDivisionError("on purpose")
        with lose(timeout=20) as db, db.connect() as con:
            refused = failure(lambda: until_refused(con))
        comm.Barrier()
        tell(refused=refused)
        """,
    )
    assert job.code == 0, job.err
    assert job.told[0]["refused"][:2] == ["NoQuorumError", 905]
    assert "on purpose" in job.err
