# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Opening, using and closing nodes over TCP, without mpi4py; and what ends an open."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Callable

import pytest
from certificates import Authority
from nodes import NodeError, wait_until

Make = Callable[..., Any]


def test_three_nodes_commit_and_end_together(cluster: Make) -> None:
    three = cluster(3)
    three.start()
    assert [node.do("(db.node_id, db.nodes, db.clustered)") for node in three.nodes.values()] == [
        [number, 3, True] for number in range(3)
    ]
    tokens = [three.nodes[n].do(f"put(db, {n}, text='x' * 100_000)") for n in range(3)]
    assert len(set(tokens)) == 3
    assert three.must_agree() == {0, 1, 2}
    assert three.nodes[1].do("str(db.state)") == "open (reads, writes, fresh reads)"
    assert three.nodes[1].do("db.describe()").startswith("TCP (127.")
    maps = three.nodes[0].do("open('/proc/self/maps').read()")
    assert "libexdb_tcp" in maps
    assert "libmpi" not in maps
    three.close()


def test_the_window_can_be_read_and_changed(cluster: Make) -> None:
    two = cluster(2)
    two.start()
    node = two.nodes[0]
    assert node.do("repr(db.window)") == "ClusterWindow(bsize=0, length=0, timeout=1)"
    node.do("\ndb.window.length = 20\ndb.window.timeout = 300\n")
    assert node.do("repr(db.window)") == "ClusterWindow(bsize=0, length=20, timeout=300)"
    slow = "\nstart = time.monotonic()\nput(db, 1)\nseconds = time.monotonic() - start\n"
    node.do(slow)
    assert node.do("seconds") > 0.29  # held for the whole window
    two.close()


def test_notifications_of_nodes_that_come_and_go(cluster: Make) -> None:
    two = cluster(3)
    two.spawn(0).send(
        "\nseen = []\n"
        "def notify(code, info):\n"
        "    seen.append((code, info.nodeId, str(info)))\n"
        "extra['notifyCallback'] = notify\n" + two.opening(0)
    )
    two.start(1)
    two.nodes[0].receive()
    node, other = two.nodes[0], two.nodes[1]
    addresses = two.addresses_of(0)
    assert node.do("wait_for(lambda: len(seen) == 1)")
    other.do("db.abandon()")
    assert node.do("wait_for(lambda: len(seen) == 2)")
    text = f"node 1 ({addresses[1]}, qrank 1)"
    assert node.do("seen") == [[0, 1, text], [1, 1, text]]


def test_without_a_quorum_it_opens_reads_and_refuses_writes(cluster: Make) -> None:
    three = cluster(3, nwparams={"connectTimeout": 500})
    (node,) = three.start(0)
    assert "warning: database 'grid' is open and can be read" in node.errors()
    assert "(gone: node 1, 2)" in node.errors()
    assert node.do("keys(db)") == []
    state = node.do("db.state")
    assert state[:4] == ["open", True, False, False]
    assert "gone: node 1, 2" in state[4]
    with pytest.raises(NodeError) as caught:
        node.do("put(db, 1)")
    assert (caught.value.kind, caught.value.code) == ("NoQuorumError", 905)
    assert node.do("issubclass(exdb.NoQuorumError, exdb.OperationalError)")
    # It becomes a member by itself when there is a majority.
    three.start(1, nwparams={"connectTimeout": 20_000})
    assert node.do("wait_for(lambda: db.state.writes)")
    assert node.do("wait_for(lambda: put(db, 1))")
    assert three.must_agree() == {1}
    three.close()


def test_a_node_that_comes_late_gets_what_is_there_and_waits_for_nothing_else(
    cluster: Make,
) -> None:
    bounds = {"sync_msg_objects": 7, "sync_msg_size": 4096}
    three = cluster(3, **bounds)
    three.start(0, 1)
    three.nodes[0].do("[put(db, key, text='x' * 5000) for key in range(200)]")
    three.start(2)
    assert three.nodes[2].do("len(keys(db))") == 200  # it has the state when open returns
    assert three.must_agree() == set(range(200))
    three.close()


def test_a_node_alone_is_a_cluster_too(cluster: Make) -> None:
    one = cluster(1)
    one.start()
    one.nodes[0].do("put(db, 1)")
    one.close()


def test_close_ends_while_others_work_on_and_stop_waits_for_all(cluster: Make) -> None:
    three = cluster(3)
    three.start()
    with pytest.raises(NodeError) as caught:
        three.nodes[2].do("db.close(timeout=0.5)")
    assert caught.value.kind == "ClusterTimeoutError"
    assert "for nodes 0, 1 (of 3)" in caught.value.text
    assert three.nodes.pop(2).do("db.state.phase") == "closed"
    three.nodes[0].do("put(db, 1)")
    # The document's way: stop() in a connection returns when all have called it.
    for node in three.nodes.values():
        node.send("\nwith db.connect() as con:\n    con.stop()\nphase = db.state.phase\n")
    for node in three.nodes.values():
        node.receive()
        assert node.do("phase") == "stopped"
    three.close()


def test_ctrl_c_ends_an_open_and_frees_the_port(cluster: Make) -> None:
    three = cluster(3, nwparams={"connectTimeout": 3_600_000})
    node = three.spawn(0)
    opening = three.opening(0).replace("\n", "\n    ")
    node.send(f"\ntry:\n{opening}\nexcept KeyboardInterrupt:\n    interrupted = True\n")
    wait_until(lambda: _listens(three.addresses[0]))
    node.signal(signal.SIGINT)
    node.receive()
    assert node.do("interrupted")
    # The same process may try again at once.
    node.do(three.opening(0, nwparams={"connectTimeout": 300}))
    assert node.do("db.state.reads")
    node.do("db.close()")
    node.end()


def _listens(address: tuple[str, int]) -> bool:
    """By what the system says: a connection of the test's own would be a stranger to the node."""
    wanted = "".join(f"{int(part):02X}" for part in reversed(address[0].split(".")))
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return any(f"{wanted}:{address[1]:04X} 00000000:0000 0A" in line for line in lines)


def test_a_taken_port_is_an_error_at_once(cluster: Make) -> None:
    two = cluster(2, nwparams={"connectTimeout": 300})
    two.start(0)
    other = two.spawn(0)
    with pytest.raises(NodeError) as caught:
        other.do(two.opening(0))
    assert two.addresses_of(0)[0] in caught.value.text


@pytest.mark.parametrize("protection", ["secret", "TLS", "TLS and secret"])
def test_protected_clusters_work(cluster: Make, tmp_path: Path, protection: str) -> None:
    three = cluster(3)
    authority = Authority(tmp_path / "ca")
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4, encoding="ascii")
    secret.chmod(0o600)
    for number in range(3):
        nwparams: dict[str, Any] = {}
        if "TLS" in protection:
            nwparams["ssl_params"] = authority.issue(f"node{number}")
        if "secret" in protection:
            nwparams["cluster_secret_file"] = str(secret)
        three.spawn(number).send(three.opening(number, nwparams=nwparams))
    for node in three.nodes.values():
        node.receive()
    assert ("TLS" in three.nodes[0].do("db.describe()")) == ("TLS" in protection)
    for number, node in three.nodes.items():
        node.do(f"[put(db, {number} + 3 * i) for i in range(50)]")
    assert three.must_agree() == set(range(150))
    three.close()
