# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""db.cluster_info() where membership is fixed."""

from __future__ import annotations

from typing import Any, Callable


def test_it_says_who_takes_part_and_what_was_done(good: Callable[..., list[Any]]) -> None:
    told = good(
        3,
        """
        with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
            put(con, rank, text="x" * 10_000)
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                assert con.count("Item") == 3
            info = db.cluster_info()
            comm.Barrier()
            left = None
            if rank == 2:
                db.abandon()
            else:
                deadline = time.monotonic() + 20
                while len(db.cluster_info().active_nodes) > 2 and time.monotonic() < deadline:
                    put(con, 1000 + rank + 10 * db.published)
                left = db.cluster_info().active_nodes
            tell(node=info.node_id, active=info.active_nodes, change=info.members_change,
                 quorum=info.quorum, commits=info.remote_commits, view=info.view, left=left,
                 sent=info.traffic.bytes_sent, text=repr(info), lines=str(info).splitlines(),
                 self=[each.self for each in info.nodes])
        """,
    )
    for rank, one in enumerate(told):
        assert (one["node"], one["active"], one["change"]) == (rank, [0, 1, 2], False)
        assert one["quorum"]
        assert one["commits"] == 2
        assert one["view"] == 0
        assert one["sent"] > 20_000
        assert one["text"].startswith(f"<exdb.ClusterInfo node {rank} of 3, MPI (")
        assert len(one["lines"]) == 6
        assert one["self"] == [number == rank for number in range(3)]
    assert [one["left"] for one in told] == [[0, 1], [0, 1], None]
