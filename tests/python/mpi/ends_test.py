# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Ends in every order: stop, close, exceptions, Ctrl-C, no close at all. None hangs."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]
Run = Callable[..., Any]


def test_stop_returns_after_all_have_called_it(good: Good) -> None:
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            put(con, rank)
            time.sleep(0.15 * rank)
            before = time.monotonic()
            con.stop()
            after = time.monotonic()
            # On one host all clocks are one.
            last = max(comm.allgather(before))
            tell(late=after >= last, again=failure(lambda: put(con, 10 + rank)),
                 twice=failure(con.stop), rows=db.statistics()["rows"])
        """,
    )
    assert all(one["late"] for one in told)
    assert all(one["again"][:2] == ["ClusterStoppedError", 903] for one in told)
    assert all(one["twice"] is None for one in told)
    assert all(one["rows"] == 3 for one in told)


def test_a_commit_while_another_rank_is_already_stopping(good: Good) -> None:
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            failures = []
            if rank != 0:
                time.sleep(0.2)  # rank 0 is in stop() by now
                for key in range(10):
                    failures.append(failure(lambda: put(con, key * 10 + rank)))
            con.stop()
            tell(failures=[f for f in failures if f], rows=db.statistics()["rows"],
                 digest=db.digest())
        """,
    )
    assert [one["failures"] for one in told] == [[], [], []]
    assert [one["rows"] for one in told] == [20] * 3
    assert len({one["digest"] for one in told}) == 1


def test_listeners_of_the_program_come_back_after_stop(good: Good) -> None:
    told = good(
        2,
        """
        db = exdb.open_database("grid", exdb.load_dictionary(SCHEMA), params())
        back = []
        def listen():
            with db.connect() as con:
                back.append(failure(con.listen))
        thread = threading.Thread(target=listen)
        thread.start()
        with db.connect() as con:
            put(con, rank)
            con.stop()
        thread.join()
        db.close()
        tell(back=back)
        """,
    )
    assert [one["back"] for one in told] == [[None], [None]]


def test_close_in_any_order_and_twice(good: Good) -> None:
    told = good(
        2,
        """
        import gc
        db = exdb.open("grid", SCHEMA, comm=comm)
        con = db.connect()
        con.startTransaction()
        row = con.new("Item", key=rank)
        db.close()
        db.close()
        told = [failure(con.commit), failure(db.connect), failure(lambda: row.key)]
        con.close()
        del db, con, row
        gc.collect()
        with exdb.open("again", SCHEMA, comm=comm) as db:
            pass
        tell(told=told)
        """,
    )
    assert all([entry[1] for entry in one["told"]] == [51, 51, 51] for one in told)


@pytest.mark.parametrize("own_thread", [False, True])
def test_a_program_that_never_closes_ends_all_the_same(run: Run, own_thread: bool) -> None:
    job = run(
        3,
        f"""
        db = exdb.open("grid", SCHEMA, comm=comm, own_listener={not own_thread})
        if {own_thread}:
            listener = db.connect()
            threading.Thread(target=listener.listen).start()  # not a daemon
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        tell(done=True)
        """,
    )
    assert job.code == 0, job.err
    assert [one["done"] for one in job.told] == [True] * 3
    assert job.err == ""


@pytest.mark.parametrize("how", ["open", "listener of its own", "never caught"])
def test_an_exception_on_one_rank_does_not_hang_the_others(run: Run, how: str) -> None:
    body = {
        "open": """
        try:
            with exdb.open("grid", SCHEMA, comm=comm, timeout=6) as db, db.connect() as con:
                put(con, rank)
                if rank == 1:
                    raise ZeroDivisionError("on purpose")
        except ZeroDivisionError:
            tell(left=True)
        else:
            tell(closed=True)
        """,
        "listener of its own": """
        db = exdb.open("grid", SCHEMA, comm=comm, own_listener=False, timeout=6)
        listener = db.connect()
        thread = threading.Thread(target=lambda: tell(listened=failure(listener.listen)))
        thread.start()
        with db.connect() as con:
            put(con, rank)
            if rank == 1:
                raise ZeroDivisionError("on purpose")
            con.stop()
        thread.join()
        db.close()
        tell(closed=True)
        """,
        "never caught": """
        db = exdb.open("grid", SCHEMA, comm=comm, timeout=6)
        con = db.connect()
        put(con, rank)
        if rank == 1:
            raise ZeroDivisionError("on purpose")
        db.close()
        tell(closed=True)
        """,
    }[how]
    job = run(3, body)
    assert (job.code == 0) == (how == "open")
    assert [bool(one and one.get("closed")) for one in job.told] == [True, False, True], job.err
    assert ("ZeroDivisionError: on purpose" in job.err) == (how != "open")


@pytest.mark.parametrize("where", ["commit", "stop", "listen", "close"])
def test_ctrl_c_ends_a_call_that_hangs(good: Good, where: str) -> None:
    """Rank 1 does not take part; rank 0 gets SIGINT in its call, and then closes."""
    told = good(
        2,
        f"""
        cooperative = params(nwparams={{"progress": "cooperative"}})
        db = exdb.open("grid", SCHEMA, clusterParams=cooperative)
        con = db.connect()
        if rank == 0:
            interrupt_when_waiting()
            seen = txid = None
            start = time.monotonic()
            try:
                if {where!r} == "commit":
                    put(con, 1)
                elif {where!r} == "close":
                    db.close()
                else:
                    getattr(con, {where!r})()
            except KeyboardInterrupt as error:
                seen = "interrupted"
                txid = getattr(error, "txid", None)
            tell(seen=seen, txid=txid, seconds=time.monotonic() - start, open=db.is_open)
            comm.Barrier()
        else:
            comm.Barrier()  # calls no exdb meanwhile
            tell(seen=None)
        db.abandon()
        """,
    )
    assert told[0]["seen"] == "interrupted"
    assert told[0]["seconds"] < 20
    assert not told[0]["open"]
    if where == "commit":
        assert told[0]["txid"][0] == 0


def test_ctrl_c_to_mpiexec_ends_the_job(run: Run) -> None:
    job = run(
        2,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            put(con, rank)
            comm.Barrier()
            open("ready", "w").close()
            key = 10
            while True:
                put(con, key * size + rank)
                key += 1
        """,
        interrupt_after="ready",
    )
    assert job.code != 0


def test_a_child_of_a_fork_leaves_the_grid_alone(good: Good) -> None:
    told = good(
        2,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            child = os.fork()
            if child == 0:
                refused = failure(lambda: put(con, 1))
                os._exit(0 if refused and refused[1] == 51 else 1)
            status = os.waitpid(child, 0)[1]
            put(con, rank)
            tell(status=status)
        """,
    )
    assert [one["status"] for one in told] == [0, 0]


@pytest.mark.parametrize("told_ranks", ["one", "all"])
def test_a_signal_before_the_end_of_the_job_ends_all_ranks(run: Run, told_ranks: str) -> None:
    job = run(
        2,
        f"""
        db = exdb.open("grid", SCHEMA, comm=comm, on_preempt=True)
        con = db.connect()
        comm.Barrier()
        key = rank
        try:
            while True:
                put(con, key)
                key += size
                if key > 20 and (rank == 1 or {told_ranks!r} == "all"):
                    os.kill(os.getpid(), signal.SIGUSR1)
        except SystemExit as end:
            tell(code=end.code, is_open=db.is_open)
            raise
        """,
    )
    assert job.told == [{"code": 99, "is_open": False}] * 2, job.err
    assert job.code == 99, job.err
    assert job.err.count("told to end: checkpoint, and close") == 2


def test_a_rank_that_never_answers_does_not_hold_up_the_end_of_the_job(run: Run) -> None:
    """One that is told, and one that hears nothing: the first ends when its time is over, with the
    code for a requeue, and the job with it."""
    job = run(
        2,
        """
        settings = exdb.OnPreempt(seconds=1.5)
        db = exdb.open("grid", SCHEMA, comm=comm, on_preempt=settings)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGTERM if rank == 1 else signal.SIGSTOP)
        put(con, 2)
        """,
    )
    assert "the time of on_preempt is over" in job.err
    # mpiexec gives what ended first, or both in one: the 99, and the SIGKILL of the one it kills.
    assert job.code in (99, 9, 99 | 9), job.err
