# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What is wrong on one rank is an error on every rank, the same one, and nothing hangs."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]

# Where rank 1 does something wrong: its arguments, the error that all get, what the text says.
WRONG = {
    "nodeId of another": ("nodeId=0 if rank == 1 else rank", "DuplicateNodeError", 910, "nodeId 0"),
    "nodeId too large": (
        "nodeId=7 if rank == 1 else rank",
        "ClusterParameterError",
        902,
        "nodeId 7",
    ),
    "nodeId negative": (
        "nodeId=-1 if rank == 1 else rank",
        "ClusterParameterError",
        902,
        "nodeId -1",
    ),
    "nodeId a text": ("nodeId='x' if rank == 1 else rank", "ClusterParameterError", 902, "nodeId"),
    "too few nodes": (
        "nodes=[exdb.ClusterNodeParams('a')] if rank == 1 else []",
        "ClusterParameterError",
        902,
        "1 nodes",
    ),
    "nodes of another kind": (
        "nodes=['a:1'] * size if rank == 1 else []",
        "ClusterParameterError",
        902,
        "'a:1'",
    ),
    "different qranks": (
        "nodes=[exdb.ClusterNodeParams('', 1 + rank)] * size",
        "IncompatibleError",
        907,
        "qrank",
    ),
    "negative qrank": (
        "nodes=[exdb.ClusterNodeParams('', -1)] * size if rank == 1 else []",
        "ClusterParameterError",
        902,
        "qrank",
    ),
    "unknown key": (
        "nwparams={'comm': comm, 'keepAliveTime': 1} if rank == 1 else None",
        "ClusterParameterError",
        902,
        "keepAliveTime",
    ),
    "wrong exchange": (
        "nwparams={'exchange': 'smoke'} if rank == 1 else None",
        "ClusterParameterError",
        902,
        "smoke",
    ),
    "wrong progress": (
        "nwparams={'progress': 3} if rank == 1 else None",
        "ClusterParameterError",
        902,
        "progress",
    ),
    "resilient": (
        "nwparams={'resilient': True} if rank == 1 else None",
        "IncompatibleError",
        907,
        "resilient",
    ),
    "TCP with MPICluster": (
        "nwtype='TCP' if rank == 1 else 'MPI', MPICluster=True",
        "ClusterParameterError",
        902,
        "MPICluster",
    ),
    "unknown nwtype": (
        "nwtype='smoke' if rank == 1 else 'MPI', nwparams={'comm': comm}",
        "ClusterParameterError",
        902,
        "smoke",
    ),
    "TCP with a communicator": (
        "nwtype='TCP' if rank == 1 else 'MPI', nwparams={'comm': comm}",
        "ClusterParameterError",
        902,
        "nwtype='MPI'",
    ),
    "conn_pool_factor": (
        "conn_pool_factor=0 if rank == 1 else 50",
        "ClusterParameterError",
        902,
        "conn_pool_factor",
    ),
    "sync_msg_objects": (
        "sync_msg_objects=0 if rank == 1 else 1",
        "ClusterParameterError",
        902,
        "sync_msg_objects",
    ),
    "sync_msg_size": (
        "sync_msg_size=-1 if rank == 1 else 1",
        "ClusterParameterError",
        902,
        "sync_msg_size",
    ),
    "window": ("window=3 if rank == 1 else None", "ClusterParameterError", 902, "window"),
    "window length": (
        "window=exdb.ClusterWindow(length=-1) if rank == 1 else None",
        "ClusterParameterError",
        902,
        "window.length",
    ),
    "notifyCallback": (
        "notifyCallback=3 if rank == 1 else None",
        "ClusterParameterError",
        902,
        "notifyCallback",
    ),
    "quorumCallback": (
        "quorumCallback='f' if rank == 1 else None",
        "ClusterParameterError",
        902,
        "quorumCallback",
    ),
    "clusterSendBuf": (
        "clusterSendBuf=-5 if rank == 1 else 0",
        "ClusterParameterError",
        902,
        "clusterSendBuf",
    ),
    "clusterRecvBuf": (
        "clusterRecvBuf=1.5 if rank == 1 else 0",
        "ClusterParameterError",
        902,
        "clusterRecvBuf",
    ),
    "mode_mask": ("mode_mask=8 if rank == 1 else 0", "ClusterParameterError", 902, "mode_mask"),
}


def test_wrong_cluster_params_on_one_rank_raise_on_all(good: Good) -> None:
    """All of them one after the other in one job: what failed leaves nothing behind."""
    lines = "\n".join(
        f"        told[{name!r}] = attempt(lambda: params({arguments}))"
        for name, (arguments, *_) in WRONG.items()
    )
    told = good(
        3,
        f"""
        told = {{}}
        def attempt(make):
            return failure(lambda: exdb.open("grid", SCHEMA, clusterParams=make(), timeout=20))
{lines}
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            put(con, rank)
        tell(**told)
        """,
        seconds=110,
    )
    for name, (_, kind, code, text) in WRONG.items():
        seen = [one[name] for one in told]
        assert all(one is not None for one in seen), name
        assert [one[:2] for one in seen] == [[kind, code]] * 3, (name, seen)
        assert seen[0][2] == seen[1][2] == seen[2][2], (name, seen)
        assert text in seen[0][2], (name, seen[0][2])
        # DuplicateNode and the like are found by comparing: they name ranks in their own words.
        assert seen[0][2].count("rank 1: ") <= 1, (name, seen[0][2])


OPEN_WRONG = {
    "another dictionary": (
        'schema=SCHEMA if rank != 1 else "class Other { int4 a; };"',
        "IncompatibleError",
        907,
        "different dictionaries",
    ),
    "a schema error": (
        'schema=SCHEMA if rank != 1 else "class T {"',
        "SchemaError",
        1005,
        "line 1, column",
    ),
    "a schema of another type": (
        "schema=SCHEMA if rank != 1 else 5",
        "ClusterParameterError",
        902,
        "schema",
    ),
    "an empty name": ('dbname="grid" if rank != 1 else ""', "DataError", 99, "dbname"),
    "a tiny segment": (
        "db_segment_size=1 if rank == 1 else 1 << 24",
        "DataError",
        99,
        "db_segment_size",
    ),
    "no connections": (
        "db_max_connections=0 if rank == 1 else 5",
        "DataError",
        99,
        "db_max_connections",
    ),
    "on disk": ("is_disk=rank == 1", "IncompatibleError", 907, "is_disk"),
    "in shared memory": ("is_shm=rank == 1", "IncompatibleError", 907, "is_shm"),
    "a timeout of no length": ("timeout=-1 if rank == 1 else 20", "DataError", 99, "timeout"),
}


def test_wrong_arguments_of_open_on_one_rank_raise_on_all(good: Good) -> None:
    lines = "\n".join(
        f"        told[{name!r}] = attempt(lambda: dict({arguments}))"
        for name, (arguments, *_) in OPEN_WRONG.items()
    )
    told = good(
        3,
        f"""
        told = {{}}
        def attempt(make):
            given = {{"dbname": "grid", "schema": SCHEMA, "comm": comm, "timeout": 20, **make()}}
            return failure(lambda: exdb.open(**given))
{lines}
        tell(**told)
        """,
    )
    for name, (_, kind, code, text) in OPEN_WRONG.items():
        seen = [one[name] for one in told]
        assert all(one is not None for one in seen), name
        assert [one[:2] for one in seen] == [[kind, code]] * 3, (name, seen)
        assert text in seen[0][2], (name, seen[0][2])
        if code != 907:
            assert seen[0][2].count("rank 1") == 1, seen[0][2]


def test_the_long_way_tells_a_wrong_argument_to_all(good: Good) -> None:
    told = good(
        2,
        """
        exdb.init_runtime(cluster=True)
        dictionary = exdb.load_dictionary(SCHEMA)
        told = failure(lambda: exdb.open_database(
            "grid", dictionary if rank == 0 else None, params(), timeout=20))
        tell(told=told)
        """,
    )
    assert [one["told"][:2] for one in told] == [["DataError", 99]] * 2
    assert "load_dictionary" in told[0]["told"][2]


def test_a_runtime_without_a_cluster_is_refused(good: Good) -> None:
    told = good(
        2,
        """
        exdb.init_runtime(cluster=rank == 0)
        tell(told=failure(lambda: exdb.open_database(
            "grid", exdb.load_dictionary(SCHEMA), params(), timeout=20)))
        """,
    )
    assert all("init_runtime(cluster=True)" in one["told"][2] for one in told)


def test_a_rank_that_never_comes_is_missed_after_the_timeout(good: Good) -> None:
    told = good(
        2,
        """
        told = None
        if rank == 0:
            told = failure(lambda: exdb.open("grid", SCHEMA, comm=comm, timeout=1))
            tell(told=told)
        else:
            tell(told=None)
        MPI.COMM_WORLD.Barrier()
        sys.stdout.flush()
        os._exit(0)  # an open that one rank has given up cannot be finalized
        """,
    )
    assert told[0]["told"][0] == "ClusterTimeoutError"


@pytest.mark.parametrize(
    ("given", "text"),
    [("3", "mpi4py communicator"), ("MPI.COMM_NULL", "COMM_NULL"), ("inter", "intercommunicator")],
)
def test_what_is_no_communicator_is_refused(good: Good, given: str, text: str) -> None:
    told = good(
        2,
        f"""
        own = comm.Split(rank, 0)
        inter = own.Create_intercomm(0, comm, 1 - rank)
        tell(told=failure(lambda: exdb.open("grid", SCHEMA, comm={given})))
        """,
    )
    for one in told:
        assert one["told"][0] in ("ClusterParameterError", "LauncherError")
        assert text in one["told"][2]


def test_bad_use_in_a_cluster_is_refused_and_nothing_is_lost(good: Good) -> None:
    told = good(
        2,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            told = []
            if rank == 0:
                con.startTransaction()
                item = con.new("Item", key=1)
                told.append(failure(lambda: con.startTransaction()))
                told.append(failure(lambda: setattr(item, "nope", 1)))
                told.append(failure(lambda: setattr(item, "key", -1)))
                told.append(failure(lambda: con.stop()))
                con.commit()
                told.append(failure(lambda: put(con, 1)))
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                tell(told=told, count=con.count("Item"))
        """,
    )
    assert [one[1] for one in told[0]["told"]] == [1023, 803, 99, 1023, 13]
    assert all(word in told[0]["told"][4][2] for word in ("Item", "by_key", "1"))
    assert [one["count"] for one in told] == [1, 1]
