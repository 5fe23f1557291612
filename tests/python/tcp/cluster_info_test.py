# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""db.cluster_info() of nodes that come and go."""

from __future__ import annotations

from typing import Any, Callable

import pytest

import exdb

Make = Callable[..., Any]


def test_it_says_who_takes_part_and_what_was_done(cluster: Make) -> None:
    three = cluster(3)
    three.start()
    node = three.nodes[0]
    node.do("put(db, 1, text='x' * 10_000)")
    three.nodes[1].do("put(db, 2)")
    three.must_agree()
    node.do(
        """
info = db.cluster_info()
other = info.nodes[1]
"""
    )
    assert node.do("(info.node_id, info.active_nodes, len(info.nodes))") == [0, [0, 1, 2], 3]
    assert node.do("(info.quorum, info.members_change, info.published)") == [True, True, 2]
    assert node.do("(info.remote_commits, info.remote_aborts)") == [1, 0]
    assert node.do("info.view") >= 1
    assert node.do("info.views") >= 1
    assert node.do("(other.self, other.active, other.reached)") == [False, True, True]
    assert node.do("str(other.node)") == f"node 1 ({three.addresses_of(0)[1]}, qrank 1)"
    assert node.do("other.traffic.bytes_sent") > 10_000
    assert node.do("info.traffic.bytes_received") > 0
    assert node.do("info.transport").startswith("TCP (")
    text = node.do("repr(info)")
    assert text.startswith("<exdb.ClusterInfo node 0 of 3, TCP (")
    assert "active [0, 1, 2], quorum" in text
    assert len(node.do("str(info)").splitlines()) == 6
    three.nodes.pop(2).kill()
    assert node.do("wait_for(lambda: db.cluster_info().active_nodes == [0, 1])")
    assert ": gone," in node.do("str(db.cluster_info())").splitlines()[-1]
    three.close()


def test_it_says_what_a_snapshot_pins(cluster: Make) -> None:
    one = cluster(1)
    one.start()
    node = one.nodes[0]
    node.do(
        """
put(db, 1)
con = db.connect()
con.startTransaction(exdb.MCO_READ_ONLY)
item = con.find("Item", "by_key", 1)
with db.connect() as other:
    for value in range(10):
        with other.startTransaction():
            other.find("Item", "by_key", 1).value = value
held = db.cluster_info()
con.rollback()
con.close()
"""
    )
    assert node.do("(held.oldest_snapshot, held.oldest_snapshot_age, held.snapshots)") == [1, 10, 1]
    assert node.do("held.versions_pinned") > 0
    assert node.do("db.cluster_info().oldest_snapshot_age") == 0
    one.close()


def test_without_a_cluster_it_is_an_error() -> None:
    with exdb.open("x", "class T { int4 a; };") as db, pytest.raises(exdb.NotClusteredError):
        db.cluster_info()
