# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Connections to a node's port by others than nodes: commits go on, and memory stays bounded.

tests/tcp has the same for the transport alone, in more cases; here it is a process in its work.
"""

from __future__ import annotations

import contextlib
import random
import resource
import socket
from typing import Any, Callable

import pytest
from nodes import wait_until

Make = Callable[..., Any]
# Another 64 KiB for each of 10,000 would be 640 MB.
MEMORY_BYTES = 64 << 20


@pytest.fixture
def working(cluster: Make) -> Any:
    """Three nodes at work."""
    three = cluster(3)
    three.start()
    assert three.nodes[0].do("wait_for(lambda: db.cluster_info().active_nodes == [0, 1, 2])")
    three.views = three.nodes[0].do("db.cluster_info().views")  # the third may have come later
    three.write()
    return three


def commits_go_on(cluster: Any) -> None:
    for node in cluster.nodes.values():
        before = node.do("writer.commits")
        assert node.do(f"wait_for(lambda: writer.commits > {before} + 20)"), cluster.logs()


def ends_well(cluster: Any) -> None:
    commits_go_on(cluster)
    ended = cluster.end_writers()
    assert all(one["refused"] == one["unknown"] == 0 for one in ended)
    assert cluster.must_agree()
    assert cluster.nodes[0].do("db.cluster_info().views") == cluster.views  # nobody noticed
    cluster.close()


def test_garbage_and_half_a_greeting(working: Any) -> None:
    address = working.addresses[0]
    node = working.nodes[0]
    before = node.do("resident_bytes()")
    noise = random.Random(7)
    greeting = b"exdb-tcp" + bytes(128)
    held = []
    for turn in range(300):
        one = socket.create_connection(address, timeout=10)
        with contextlib.suppress(OSError):  # it may have ended the connection
            if turn % 3 == 0:
                one.sendall(b"GET / HTTP/1.1\r\nHost: exdb\r\n\r\n")
            elif turn % 3 == 1:
                one.sendall(noise.randbytes(noise.randint(1, 100_000)))
            else:
                one.sendall(greeting[: noise.randint(1, 100)])
        held.append(one)
    commits_go_on(working)
    assert node.do("resident_bytes()") - before < MEMORY_BYTES
    for one in held:
        one.close()
    # What happened is in the log, in few lines.
    wait_until(lambda: "no greeting of an exdb node" in node.errors(), node.errors)
    assert len(node.errors().splitlines()) < 30, node.errors()
    ends_well(working)


def test_ten_thousand_connections_that_say_nothing(working: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 10_500:
        pytest.skip("this user may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address = working.addresses[0]
    node = working.nodes[0]
    before = node.do("resident_bytes()")
    held: list[socket.socket] = []
    try:
        for _ in range(10_000):
            one = socket.socket()
            held.append(one)
            one.settimeout(30)
            # A queue that is full is met by the system with a pause, then it tries again.
            one.connect(address)
        commits_go_on(working)
        assert node.do("resident_bytes()") - before < MEMORY_BYTES
        assert node.do("len(list(Path('/proc/self/fd').iterdir()))") < 600
        # The node that is here is not hindered, and one that comes is let in.
        working.nodes.pop(2).kill()
        working.start(2)
        working.write(2)
        commits_go_on(working)
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    working.end_writers()
    assert working.must_agree()
    working.close()


def test_a_port_that_is_scanned(working: Any) -> None:
    """Connected and ended at once, over and over."""
    for _ in range(2_000):
        socket.create_connection(working.addresses[0], timeout=10).close()
    ends_well(working)
