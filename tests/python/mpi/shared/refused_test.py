# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What is_shm=True does not go with, and ranks that differ in it: the same error on every rank."""

from __future__ import annotations

from typing import Any, Callable

Good = Callable[..., list[Any]]


def test_what_it_does_not_go_with_is_refused_on_every_rank(good: Good) -> None:
    told = good(
        4,
        """
        def opened(**how):
            return failure(lambda: exdb.open("grid", SCHEMA, **how).close())
        mpi = lambda **nwparams: params(nwparams={"comm": comm, **nwparams})
        tcp = exdb.ClusterParams(rank, "TCP", [exdb.ClusterNodeParams(f"127.0.0.1:{9000 + i}")
                                               for i in range(size)])
        told = {
            "some": opened(comm=comm, is_shm=rank % 2 == 1),
            "first": opened(comm=comm, shm=rank == 0),
            "no bool": opened(comm=comm, is_shm=True if rank != 2 else "yes"),
            "resilient": opened(clusterParams=mpi(resilient=True), is_shm=True),
            "one resilient": opened(clusterParams=mpi(resilient=rank == 1), is_shm=True),
            "TCP": opened(clusterParams=tcp, is_shm=True),
            "schema": failure(lambda: exdb.open("grid", SCHEMA if rank != 3 else "class X {};",
                                                comm=comm, is_shm=True)),
            "node": opened(clusterParams=params(nodeId=0), is_shm=True),
            "exchange": opened(clusterParams=mpi(exchange="p2p" if rank else "collective"),
                               is_shm=True),
        }
        with exdb.open("grid", SCHEMA, comm=comm, shm=True) as db, db.connect() as con:
            put(con, rank)  # after all that it works
        tell(**told)
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"},
    )
    for name in told[0]:
        assert len({str(one[name]) for one in told}) == 1, (name, [one[name] for one in told])
    one = told[0]
    assert one["some"][:2] == one["first"][:2] == ["IncompatibleError", 907]
    assert "is_shm" in one["some"][2]
    assert one["no bool"][0] == "DataError"
    for name in ("resilient", "one resilient", "TCP"):
        assert one[name][:2] == ["NotSupportedError", 57], one[name]
    assert "resilient=True" in one["resilient"][2]
    assert "nwtype='MPI'" in one["TCP"][2]
    assert one["node"][1] in (902, 910)
    assert one["exchange"][1] == 907


def test_the_runtime_says_it_for_all_databases(good: Good) -> None:
    told = good(
        2,
        """
        exdb.init_runtime(shm=True, cluster=True)
        dictionary = exdb.load_dictionary(SCHEMA)
        db = exdb.open_database("grid", dictionary, params(), own_listener=True)
        with db.connect() as con:
            put(con, rank)
        maps = open("/proc/self/maps").read()
        comm.Barrier()
        alone = failure(lambda: exdb.open("x", SCHEMA))
        db.close()
        tell(shared="memfd:exdb (deleted)" in maps, alone=alone)
        """,
    )
    for one in told:
        assert one["shared"]
        assert one["alone"][:2] == ["NotSupportedError", 57]
        assert "comm=MPI.COMM_WORLD" in one["alone"][2]
