# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""MCO_CLUSTER_MODE_EARLY_DATA_SEND: what goes ahead holds up nobody, whatever else waits."""

from __future__ import annotations

from typing import Any, Callable

Good = Callable[..., list[Any]]


def test_two_threads_that_send_ahead_and_a_quorum_callback(good: Good) -> None:
    """Rank 1 has left: everything that rank 0 writes is for its quorumCallback to allow, which runs
    in Python, as the writes do."""
    told = good(
        2,
        """
        asked = []
        def quorum(neighbours):
            asked.append(1)
            return True
        nodes = [exdb.ClusterNodeParams("", 0), exdb.ClusterNodeParams("", 1)]
        early = params(nodes=nodes, quorumCallback=quorum,
                       mode_mask=exdb.MCO_CLUSTER_MODE_EARLY_DATA_SEND)
        db = exdb.open("grid", SCHEMA, clusterParams=early)
        if rank == 1:
            db.abandon()
            comm.Barrier()
            tell(rows=0)
            sys.exit(0)
        failures = []
        def work(number):
            try:
                with db.connect() as con:
                    for turn in range(3):
                        with con.startTransaction():
                            for i in range(100):
                                key = (number * 3 + turn) * 100 + i
                                con.new("Item", key=key, text="x" * 10_000)
            except BaseException as error:
                failures.append(repr(error))
        threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        with db.connect() as con, con.startTransaction(exdb.MCO_READ_ONLY):
            rows = con.count("Item")
        db.close()
        comm.Barrier()
        tell(rows=rows, failures=failures, asked=len(asked))
        """,
    )
    assert told[0]["failures"] == []
    assert told[0]["rows"] == 600
    assert told[0]["asked"] > 0


def test_a_full_window_holds_up_no_write_and_no_other_thread(good: Good) -> None:
    """One commit may be under way at a node, and it is held by the window for an hour: writes that
    send ahead go on without it, and so do other threads of Python."""
    told = good(
        2,
        """
        early = params(mode_mask=exdb.MCO_CLUSTER_MODE_EARLY_DATA_SEND, conn_pool_factor=1)
        with exdb.open("grid", SCHEMA, clusterParams=early) as db, db.connect() as con:
            put(con, rank)
            comm.Barrier()
            beats, written, done = [], threading.Event(), threading.Event()
            def beat():
                while not done.is_set():
                    beats.append(written.is_set())
                    time.sleep(0.001)
            if rank == 0:
                db.window = exdb.ClusterWindow(1 << 40, 1_000, 3_600_000)
                held = db.connect()
                held.startTransaction()
                held.new("Item", key=10)
                held.commit_later()
                thread = threading.Thread(target=beat)
                thread.start()
                con.startTransaction()
                for key in range(300):
                    con.new("Item", key=100 + key, text="x" * 10_000)
                written.set()
                db.window = exdb.ClusterWindow(0, 0, 0)
                held.wait()
                con.commit()
                done.set()
                thread.join()
                held.close()
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                rows = con.count("Item")
            tell(rows=rows, beats=beats[:1])
        """,
    )
    assert told[0]["beats"] == [False]
    assert [one["rows"] for one in told] == [303, 303]
