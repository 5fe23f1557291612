# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Folders that are gone: of one node, and of so many that the rest forms a cluster of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable

import pytest
from nodes import Cluster, NodeError, wait_until

COMMIT = """
with db.connect() as con, con.startTransaction():
    con.new('Item', key={key}, value=1)
"""


@pytest.mark.timeout(120)
def test_who_meets_a_cluster_that_was_formed_without_it_is_refused_and_named(
    tmp_path: Path, cluster: Callable[..., Cluster]
) -> None:
    grid = tmp_path / "grid"
    three = cluster(3, opening={"is_disk": True, "path": str(grid)})
    three.start()
    three.write()
    wait_until(lambda: len(three.acknowledged()) > 20)
    three.end_writers()
    three.must_agree()
    three.close()

    shutil.rmtree(grid / "node-1")
    three.start()
    assert three.must_agree(), "its folder is filled by the others"
    three.close()

    for node in (0, 1):
        shutil.rmtree(grid / f"node-{node}")
    three.nodes.clear()
    three.start(0, 1)
    with pytest.raises(NodeError) as refused:
        three.start(2)
    assert refused.value.kind == "InconsistentReplicaError"
    assert "has a state of a history of its own" in str(refused.value)
    told = "node 2 has a state of a history of its own"
    wait_until(lambda: all(told in three.nodes[node].errors() for node in (0, 1)))
    three.nodes[0].do(COMMIT.format(key=1))
