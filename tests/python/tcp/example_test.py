# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The document's sample over TCP, as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nodes import free_addresses

EXAMPLE = Path(__file__).parents[3] / "python/examples/tcp_cluster.py"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(*processes: subprocess.Popen[str]) -> str:
    """What they print together. All must end well, and leave nothing of their sessions behind."""
    outputs = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=90)
            assert process.returncode == 0, err + out
            outputs.append(out)
    finally:
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
                left = process.returncode is not None
            except ProcessLookupError:
                left = False
    assert not left, "it has left processes behind"
    return "".join(outputs)


def check(output: str) -> None:
    found = re.findall(r"Node (\d): 300 rows in [\d.]+ s, digest ([0-9a-f]{16})", output)
    assert sorted(node for node, _ in found) == ["0", "1", "2"], output
    assert len({digest for _, digest in found}) == 1
    assert output.count("Cluster notification: connect, node") >= 6


def addresses() -> str:
    return ",".join(f"{host}:{port}" for host, port in free_addresses(3))


@pytest.mark.parametrize("options", [[], ["--tls"]], ids=["plain", "TLS"])
def test_all_nodes_from_one_command(options: list[str]) -> None:
    check(finish(start("all", "--addresses", addresses(), *options)))


def test_each_node_by_a_command_of_its_own() -> None:
    where = addresses()
    check(finish(*(start(str(node), "--addresses", where) for node in (2, 0, 1))))


def test_the_command_ends_when_a_node_fails() -> None:
    host = addresses().split(",")
    process = start("all", "--addresses", ",".join([host[0], host[1], "nowhere"]))
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "nodes[2]" in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
