# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Nodes on disk that are killed and come back with their folders, lose them, or find them full."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from nodes import PATIENCE, Cluster, NodeError, wait_until

import exdb

Make = Callable[..., Cluster]


@pytest.fixture
def on_disk(cluster: Make, tmp_path: Path) -> Callable[[], Cluster]:
    """Three nodes below one path."""
    opening: dict[str, Any] = {"is_disk": True, "path": str(tmp_path / "grid")}
    opening |= {"checkpoint_bytes": 0, "db_segment_size": 1 << 20}
    return lambda: cluster(3, opening=opening)


def put(cluster: Cluster, node: int, *keys: int) -> None:
    for key in keys:
        cluster.nodes[node].do(f"put(db, {key})")


def test_nodes_that_come_back_keep_their_votes_and_what_was_acknowledged(
    on_disk: Callable[[], Cluster],
) -> None:
    three = on_disk()
    three.start()
    put(three, 0, 1, 2, 3)
    three.nodes[1].kill()
    put(three, 0, 4, 5)
    three.nodes[2].kill()
    # Two of three, one of which was away: a majority again, as it has forgotten nothing.
    three.start(1)
    put(three, 1, 6)
    put(three, 0, 7)
    assert three.nodes[1].do("db.statistics()['states_taken']") == 0
    assert "rounds of the log" in three.nodes[1].do("db.recovered")
    for node in (0, 1):
        three.nodes[node].process.kill()
    three.start()
    assert set(range(1, 8)) <= three.must_agree()
    put(three, 2, 8)
    three.close()
    three.start()
    assert three.must_agree() == set(range(1, 9))


def test_a_folder_that_is_lost_is_filled_from_the_others(
    on_disk: Callable[[], Cluster], tmp_path: Path
) -> None:
    three = on_disk()
    three.start()
    put(three, 0, *range(20))
    # Who was started again keeps the rounds since its checkpoint for others: a state is given.
    for node in (0, 1):
        three.nodes[node].do("db.checkpoint()")
    three.close()
    shutil.rmtree(tmp_path / "grid" / "node-2")
    three.start()
    assert three.nodes[2].do("db.statistics()['states_taken']") == 1
    put(three, 2, 20)
    assert three.must_agree() == set(range(21))
    three.nodes[2].kill()
    report = inspected(tmp_path / "grid" / "node-2")
    assert "checkpoint-" in report
    assert "whole: every checksum" in report
    three.start(2)
    assert "the checkpoint of round" in three.nodes[2].do("db.recovered")
    assert three.must_agree() == set(range(21))
    three.nodes[0].do("db.checkpoint()")
    put(three, 0, 21)
    three.close()


def inspected(path: Path) -> str:
    tool = [sys.executable, "-m", "exdb", "inspect", str(path)]
    return subprocess.run(tool, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_node_whose_disk_is_full_ends_and_the_others_go_on(
    on_disk: Callable[[], Cluster],
) -> None:
    """A limit on the size of files stands for a full disk."""
    three = on_disk()
    three.start()
    put(three, 0, 1)
    three.nodes[1].do(
        "\nimport resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, 1 << 15))\n"
    )
    with pytest.raises(NodeError) as failed:
        for key in range(100, 300):
            three.nodes[1].do(f"put(db, {key}, text='t' * 1000)")
    assert "node-1/log-" in failed.value.text
    assert "File too large" in failed.value.text
    put(three, 0, 2)
    put(three, 2, 3)
    three.nodes[1].kill()
    three.start(1)
    put(three, 1, 4)
    assert {1, 2, 3, 4} <= three.must_agree()


def test_folders_that_are_not_of_this_node_are_refused_by_name(
    on_disk: Callable[[], Cluster], tmp_path: Path
) -> None:
    three = on_disk()
    three.start()
    put(three, 0, 1)
    three.close()
    folder = tmp_path / "grid"
    schema = three.spawn(0).do("SCHEMA")

    def refused(kind: str, text: str, **changes: Any) -> None:
        with pytest.raises(NodeError, match=text) as error:
            three.start(0, **changes)
        assert error.value.kind == kind
        three.nodes[0].kill()

    more = {"opening": {"is_disk": True, "path": str(folder)}}
    refused("IncompatibleError", "another cluster", **more, qranks=[1, 1, 2])
    (folder / "node-0").rename(folder / "kept")
    shutil.copytree(folder / "node-1", folder / "node-0")
    refused("IncompatibleError", "made by node 1", **more)
    shutil.rmtree(folder / "node-0")
    with exdb.open("grid", schema, is_disk=True, path=folder / "plain"):
        pass
    (folder / "plain").rename(folder / "node-0")
    refused("NotSupportedError", "start together", **more)
    with pytest.raises(exdb.NotSupportedError, match="come and go"):
        exdb.open("grid", schema, is_disk=True, path=folder / "kept")
    with pytest.raises(exdb.NotSupportedError, match="database of a cluster"):
        exdb.open("grid", schema, is_disk=True, path=folder)


def test_on_disk_nobody_goes_on_without_a_majority(tmp_path: Path) -> None:
    nodes = [exdb.ClusterNodeParams(f"127.0.0.1:{port}") for port in (1, 2, 3)]
    params = exdb.ClusterParams(0, "TCP", nodes, quorumCallback=lambda neighbours: True)
    schema = exdb.load_dictionary("class T { int4 a; };")
    with pytest.raises(exdb.NotSupportedError, match="quorumCallback"):
        exdb.open("grid", schema, clusterParams=params, is_disk=True, path=tmp_path / "grid")


def test_a_node_alone_reads_what_was_final_and_waits_for_the_others(
    on_disk: Callable[[], Cluster],
) -> None:
    three = on_disk()
    three.start()
    put(three, 0, 1, 2)
    three.close()
    three.start(0, nwparams={"connectTimeout": 300})
    assert three.nodes[0].do("keys(db)") == [1, 2]
    with pytest.raises(NodeError) as error:
        put(three, 0, 3)
    assert error.value.kind == "NoQuorumError"
    three.start(1, 2)
    until = time.monotonic() + PATIENCE

    def goes_on() -> bool:
        try:
            put(three, 0, 4)
        except NodeError as still:
            assert still.kind == "NoQuorumError" and time.monotonic() < until
            return False
        return True

    wait_until(goes_on, three.logs)
    assert three.must_agree() == {1, 2, 4}


def test_a_named_snapshot_is_there_after_all_were_killed(on_disk: Callable[[], Cluster]) -> None:
    three = on_disk()
    three.start()
    put(three, 0, 1)
    three.nodes[0].do("db.snapshot('before') and None")
    put(three, 1, 2)
    three.nodes[2].do("db.checkpoint()")
    three.must_agree()
    for node in three.nodes.values():
        node.process.kill()
    three.start()
    three.must_agree()
    for node in three.nodes.values():
        node.do(
            "\nwith db.at('before') as con:\n    con.startTransaction(exdb.MCO_READ_ONLY)\n"
            "    seen = [item.key for item in con.cursor('Item', 'by_key')]\n    con.rollback()\n"
        )
        assert node.do("seen") == [1]


def test_a_node_that_is_told_to_end_leaves_and_comes_back(on_disk: Callable[[], Cluster]) -> None:
    """on_preempt, node by node: the others are not told, and do not wait for it."""
    three = on_disk()
    three.params["opening"]["on_preempt"] = True
    three.start()
    put(three, 0, 1, 2)
    three.must_agree()
    told = three.nodes[1]
    told.signal(signal.SIGTERM)
    assert told.process.wait(PATIENCE) == 99, told.errors()
    assert "told to end: checkpoint, and close" in told.errors()
    put(three, 0, 3)
    put(three, 2, 4)
    three.start(1)
    assert "the checkpoint of round" in three.nodes[1].do("db.recovered")
    put(three, 1, 5)
    assert three.must_agree() == {1, 2, 3, 4, 5}
    for node in three.nodes.values():  # all at once, as the end of a job
        node.signal(signal.SIGUSR1)
    for node in three.nodes.values():
        assert node.process.wait(PATIENCE) == 99, node.errors()
    three.start()
    assert three.must_agree() == {1, 2, 3, 4, 5}
    three.close()
