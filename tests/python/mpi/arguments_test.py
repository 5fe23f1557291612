# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Every argument of ClusterParams has an effect that can be seen."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]


def test_window_holds_commits_back_and_can_be_changed(good: Good) -> None:
    told = good(
        2,
        """
        window = exdb.ClusterWindow(bsize=0, length=1000, timeout=100)
        with exdb.open("grid", SCHEMA, clusterParams=params(window=window)) as db:
            with db.connect() as con:
                def seconds(base):
                    start = time.monotonic()
                    for i in range(5):
                        put(con, base + i * size + rank)
                    return time.monotonic() - start
                first = [db.window.bsize, db.window.length, db.window.timeout]
                comm.Barrier()
                slow = seconds(0)
                comm.Barrier()
                db.window = exdb.ClusterWindow()
                fast = seconds(100)
                comm.Barrier()
                db.window.length = 1
                tell(first=first, slow=slow, fast=fast, last=db.window.length,
                     wrong=failure(lambda: setattr(db, "window", exdb.ClusterWindow(timeout=-1))))
        """,
    )
    for one in told:
        assert one["first"] == [0, 1000, 100]
        assert one["slow"] > 5 * 0.09  # each commit waits for the end of its window
        assert one["fast"] < one["slow"]
        assert one["last"] == 1
        assert one["wrong"][1] == 902


def test_window_length_groups_commits_into_one_exchange(good: Good) -> None:
    told = good(
        2,
        """
        window = exdb.ClusterWindow(length=4, timeout=10_000)
        with exdb.open("grid", SCHEMA, clusterParams=params(window=window)) as db:
            before = db.statistics()
            cons = [db.connect() for _ in range(4)]
            def one(number):
                put(cons[number], number * size + rank)
            threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            comm.Barrier()
            after = db.statistics()
            rounds, empty = (after[n] - before[n] for n in ("rounds", "rounds_empty"))
            tell(full=rounds - empty, csn=after["csn"])
        """,
    )
    assert all(one["csn"] == 8 for one in told)
    assert all(one["full"] <= 2 for one in told)  # one batch of each rank


def test_window_bytes_close_it(good: Good) -> None:
    told = good(
        2,
        """
        window = exdb.ClusterWindow(bsize=50_000, timeout=5_000)
        with exdb.open("grid", SCHEMA, clusterParams=params(window=window)) as db:
            with db.connect() as con:
                start = time.monotonic()
                put(con, rank, text="x" * 60_000)
                tell(seconds=time.monotonic() - start)
        """,
    )
    assert all(one["seconds"] < 4 for one in told)


def test_conn_pool_factor_bounds_what_is_in_the_exchange(good: Good) -> None:
    told = good(
        2,
        """
        # Four commits at once, of which one or all of ten connections may be in the exchange.
        def exchanges(factor):
            window = exdb.ClusterWindow(length=4, timeout=1000)
            cluster = params(window=window, conn_pool_factor=factor)
            with exdb.open("grid", SCHEMA, clusterParams=cluster, db_max_connections=10) as db:
                cons = [db.connect() for _ in range(4)]
                threads = [threading.Thread(target=put, args=(con, n * size + rank))
                           for n, con in enumerate(cons)]
                [thread.start() for thread in threads]
                [thread.join() for thread in threads]
                comm.Barrier()
                statistics = db.statistics()
                return statistics["rounds"] - statistics["rounds_empty"]
        tell(one=exchanges(10), all=exchanges(100))
        """,
    )
    for one in told:
        assert one["one"] >= 4
        assert one["all"] <= 2


@pytest.mark.parametrize("argument", ["clusterSendBuf", "clusterRecvBuf"])
def test_a_frame_larger_than_the_buffers_still_arrives(good: Good, argument: str) -> None:
    told = good(
        2,
        f"""
        def long_frames(**buffers):
            cluster = params(nwparams={{"exchange": "p2p"}}, **buffers)
            with exdb.open("grid", SCHEMA, clusterParams=cluster) as db, db.connect() as con:
                put(con, rank, text="x" * 20_000)
                comm.Barrier()
                with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                    assert len(con.find("Item", "by_key", 1 - rank).text) == 20_000
                return db.statistics()["frames_long"]
        both = dict(clusterSendBuf=1 << 20, clusterRecvBuf=1 << 20)
        tell(small=long_frames(**{{**both, {argument!r}: 1024}}), large=long_frames(**both))
        """,
    )
    assert all(one["small"] > 0 and one["large"] == 0 for one in told)


def test_debug_output_is_one_line_an_event(run: Callable[..., Any]) -> None:
    code = """
        cluster = params(mode_mask=%s)
        with exdb.open("grid", SCHEMA, clusterParams=cluster) as db, db.connect() as con:
            put(con, rank)
        tell(done=True)
    """
    traced = run(2, code % "exdb.MCO_CLUSTER_MODE_DEBUG_OUTPUT")
    assert traced.code == 0, traced.err
    assert len(traced.err.splitlines()) > 4
    assert any("round" in line for line in traced.err.splitlines())
    assert run(2, code % "0").err == ""


def test_early_data_send_moves_data_before_the_commit(good: Good) -> None:
    told = good(
        2,
        """
        def received(mask):
            with exdb.open("grid", SCHEMA, clusterParams=params(mode_mask=mask)) as db:
                with db.connect() as con:
                    if rank == 0:
                        con.startTransaction()
                        for key in range(300):
                            con.new("Item", key=key, text="x" * 10_000)
                        time.sleep(0.5)
                    comm.Barrier()
                    early = db.statistics()["bytes_received"]
                    comm.Barrier()
                    if rank == 0:
                        con.commit()
                    comm.Barrier()
                    with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                        assert con.count("Item") == 300
                    return early
        tell(early=received(exdb.MCO_CLUSTER_MODE_EARLY_DATA_SEND), late=received(0))
        """,
    )
    assert told[1]["early"] > 1_000_000
    assert told[1]["late"] < 100_000


def test_notify_tells_of_connects_and_disconnects(good: Good) -> None:
    told = good(
        3,
        """
        seen = []
        def notify(code, info):
            seen.append([code, info.nodeId, info.qrank, str(info)])
            raise RuntimeError("does no harm")
        threading.excepthook = lambda hooked: None
        nodes = [exdb.ClusterNodeParams(f"node{n}", n + 1) for n in range(size)]
        cluster = params(nodes=nodes, notifyCallback=notify)
        with exdb.open("grid", SCHEMA, clusterParams=cluster) as db, db.connect() as con:
            put(con, rank)
            comm.Barrier()
            deadline = time.monotonic() + 20
            while len(seen) < size - 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            connected = sorted(entry for entry in seen if entry[0] == 0)
            if rank == 2:
                db.abandon()
            while rank != 2 and not any(e[0] == 1 for e in seen) and time.monotonic() < deadline:
                time.sleep(0.01)
            tell(connected=connected, gone=[entry for entry in seen if entry[0] == 1])
        """,
    )
    for rank in range(3):
        others = [node for node in range(3) if node != rank]
        assert [entry[1] for entry in told[rank]["connected"]] == others
        assert [entry[2] for entry in told[rank]["connected"]] == [node + 1 for node in others]
        assert "node" in told[rank]["connected"][0][3]
    assert [entry[1] for entry in told[0]["gone"]] == [2]
    assert [entry[1] for entry in told[1]["gone"]] == [2]


def test_quorum_is_asked_when_the_reachable_ranks_are_too_few(good: Good) -> None:
    told = good(
        2,
        """
        asked = []
        def run(answer):
            def quorum(neighbours):
                asked.append(neighbours)
                return answer
            nodes = [exdb.ClusterNodeParams("", 0), exdb.ClusterNodeParams("", 1)]
            cluster = params(nodes=nodes, quorumCallback=None if answer is None else quorum)
            db = exdb.open("grid", SCHEMA, clusterParams=cluster, timeout=20)
            result = "left"
            if rank == 1:
                comm.Barrier()
                db.abandon()
                comm.Barrier()
            else:
                with db.connect() as con:
                    before = failure(lambda: put(con, 1))
                    comm.Barrier()
                    comm.Barrier()
                    deadline = time.monotonic() + 20
                    key, after = 2, before
                    while after is None and answer is not True and time.monotonic() < deadline:
                        after = failure(lambda: put(con, key))
                        key += 1
                    while answer is True and not asked and time.monotonic() < deadline:
                        after = failure(lambda: put(con, key))
                        key += 1
                    result = [before, after]
                db.close()
            comm.Barrier()
            return result
        tell(none=run(None), no=run(False), yes=run(True), asked=asked)
        """,
    )
    zero = told[0]
    assert zero["none"][0] is None
    assert zero["none"][1][:2] == ["NoQuorumError", 905]
    assert zero["no"][1][:2] == ["NoQuorumError", 905]
    assert zero["yes"][1] is None
    assert zero["asked"]
    assert all(neighbours == [] for neighbours in zero["asked"])


@pytest.mark.parametrize("exchange", ["auto", "p2p", "collective"])
@pytest.mark.parametrize("progress", ["adaptive", "spin", "cooperative"])
def test_every_exchange_works_with_every_progress(good: Good, exchange: str, progress: str) -> None:
    told = good(
        2,
        f"""
        cluster = params(nwparams=dict(exchange={exchange!r}, progress={progress!r}))
        with exdb.open("grid", SCHEMA, clusterParams=cluster) as db, db.connect() as con:
            if rank == 0:
                put(con, 1)
            else:
                deadline = time.monotonic() + 30
                while db.published == 0 and time.monotonic() < deadline:
                    db.progress()  # needed by the cooperative one only
            request = comm.Ibarrier()
            while not request.Test():
                db.progress()
            statistics = db.statistics()
            tell(csn=db.published, collectives=statistics["collectives"],
                 sleeps=statistics["sleeps"])
        """,
    )
    assert all(one["csn"] == 1 for one in told)
    assert all((one["collectives"] > 0) == (exchange == "collective") for one in told)


def test_a_spinning_listener_does_not_sleep(good: Good) -> None:
    told = good(
        1,
        """
        def sleeps(progress):
            cluster = params(nwparams={"progress": progress})
            with exdb.open("g", SCHEMA, clusterParams=cluster) as db:
                time.sleep(0.3)
                return db.statistics()["sleeps"]
        tell(spin=sleeps("spin"), adaptive=sleeps("adaptive"))
        """,
    )
    assert told[0]["spin"] == 0
    assert told[0]["adaptive"] > 0


def test_bounds_of_state_transfer_are_carried(good: Good) -> None:
    told = good(
        2,
        """
        cluster = params(sync_msg_objects=7, sync_msg_size=4096, MPICluster=True)
        with exdb.open("grid", SCHEMA, clusterParams=cluster) as db:
            statistics = db.statistics()
            tell(objects=statistics["sync_msg_objects"], bytes=statistics["sync_msg_bytes"])
        """,
    )
    assert told == [{"objects": 7, "bytes": 4096}] * 2
