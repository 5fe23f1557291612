# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""One replica a host: nodeId, notifyCallback and quorumCallback are of each rank, as ever."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]


@pytest.mark.parametrize("hosts", [1, 2])
def test_each_rank_hears_of_each_other_rank(good: Good, hosts: int) -> None:
    told = good(
        4,
        """
        events = []
        def notify(code, node):
            events.append((int(code), node.nodeId))
        def until(wanted):
            end = time.monotonic() + 40
            while not wanted <= set(events) and time.monotonic() < end:
                time.sleep(0.01)
            return wanted <= set(events)
        cluster = params(notifyCallback=notify)
        db = exdb.open("grid", SCHEMA, clusterParams=cluster, is_shm=True)
        others = set(range(size)) - {rank}
        came = until({(0, other) for other in others})
        comm.Barrier()
        if rank == 3:
            db.abandon()
            went = True
        else:
            went = until({(1, 3)})
            con = db.connect()
            put(con, rank)
            comm.Split(0).Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                went = went and con.count("Item") == 3
            con.close()
            db.close()
        if rank == 3:
            comm.Split(1)
        tell(came=came, went=went, events=events)
        """,
        environment={"EXDB_PRETENDED_HOSTS": str(hosts)},
    )
    assert all(one["came"] for one in told), told
    assert all(one["went"] for one in told), told


def test_each_rank_is_asked_for_its_own_writes_when_the_quorum_is_lost(good: Good) -> None:
    """Ranks 2 and 3, the second host, have all the votes, and leave."""
    told = good(
        4,
        """
        asked = []
        def quorum(neighbours):
            asked.append(sorted(neighbours))
            return rank == 0
        nodes = [exdb.ClusterNodeParams("", qrank) for qrank in (0, 0, 1, 1)]
        gone = []
        cluster = params(nodes=nodes, quorumCallback=quorum,
                         notifyCallback=lambda code, node: code == 1 and gone.append(node.nodeId))
        db = exdb.open("grid", SCHEMA, clusterParams=cluster, is_shm=True, timeout=30)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        if rank >= 2:
            db.abandon()
            outcome = None
        else:
            end = time.monotonic() + 40
            while set(gone) != {2, 3} and time.monotonic() < end:
                time.sleep(0.01)
            outcome = failure(lambda: put(con, 100 + rank))
        comm.Barrier()
        tell(outcome=outcome, asked=asked, gone=sorted(gone))
        if rank < 2:
            con.close()
            db.close()
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"},
    )
    assert told[0]["gone"] == told[1]["gone"] == [2, 3]
    assert told[0]["outcome"] is None
    assert told[1]["outcome"] is not None
    assert told[1]["outcome"][1] == 905
    assert [1] in told[0]["asked"]
    assert [0] in told[1]["asked"]


def test_the_quorum_counts_ranks_not_hosts(good: Good) -> None:
    """Rank 1, which leads nobody, has the votes, and leaves: both hosts stay."""
    told = good(
        4,
        """
        gone = []
        nodes = [exdb.ClusterNodeParams("", qrank) for qrank in (1, 4, 1, 1)]
        cluster = params(nodes=nodes,
                         notifyCallback=lambda code, node: code == 1 and gone.append(node.nodeId))
        db = exdb.open("grid", SCHEMA, clusterParams=cluster, is_shm=True, timeout=30)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        if rank == 1:
            db.abandon()
            outcome = counted = None
        else:
            end = time.monotonic() + 40
            while (gone != [1] or db.cluster_info().quorum) and time.monotonic() < end:
                time.sleep(0.01)
            counted = db.cluster_info().quorum
            outcome = failure(lambda: put(con, 100 + rank))
        comm.Barrier()
        tell(outcome=outcome, gone=gone, counted=counted)
        if rank != 1:
            con.close()
            db.close()
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"},
    )
    for rank in (0, 2, 3):
        assert told[rank]["gone"] == [1], told
        assert told[rank]["counted"] is False
        assert told[rank]["outcome"][1] == 905, told
        assert "qrank 3 of 7" in told[rank]["outcome"][2]
        assert "gone: node 1)" in told[rank]["outcome"][2]


def test_node_ids_are_ranks_and_cluster_info_knows_all(good: Good) -> None:
    told = good(
        4,
        """
        with exdb.open("grid", SCHEMA, clusterParams=params(), is_shm=True) as db:
            with db.connect() as con:
                put(con, rank)
            comm.Barrier()
            info = db.cluster_info()
            tell(node=db.node_id, asked=info.node_id, active=info.active_nodes,
                 quorum=info.quorum, text=str(info))
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"},
    )
    assert [one["node"] for one in told] == [one["asked"] for one in told] == [0, 1, 2, 3]
    assert all(one["active"] == [0, 1, 2, 3] for one in told)
    assert all(one["quorum"] for one in told)


def test_the_window_is_set_where_the_host_is_led(good: Good) -> None:
    told = good(
        4,
        """
        def assign():
            db.window = exdb.ClusterWindow(length=10 + rank, timeout=7)
        with exdb.open("grid", SCHEMA, clusterParams=params(), is_shm=True) as db:
            error = failure(assign)
            comm.Barrier()
            tell(error=error and error[:2], window=[db.window.length, db.window.timeout])
            comm.Barrier()
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"},
    )
    refused = ["NotSupportedError", 57]
    assert [one["error"] for one in told] == [None, refused, None, refused]
    assert [one["window"] for one in told] == [[10, 7], [10, 7], [12, 7], [12, 7]]
