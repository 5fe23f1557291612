# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Clusters of real processes over TCP on the loopback; nothing of them outlives its test."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

from hosts import Hosts
from network import Network

WORKER = Path(__file__).with_name("worker.py")
# A node that is silent for 3 s is gone: long for a machine with two busy processors, and short
# enough to wait for it.
KEEP_ALIVE = {"keepAliveTime": 200, "keepAliveProbes": 15}
GONE_SECONDS = 3.0
PATIENCE = 60.0


class NodeError(Exception):
    """What a node raised: `kind`, the name of the class; `code`; and the text."""

    def __init__(self, kind: str, code: int, text: str) -> None:
        super().__init__(f"{kind} {code}: {text}")
        self.kind, self.code, self.text = kind, code, text


class Node:
    """A process that runs worker.py, after the command `prefix`. Its stderr is in a file."""

    def __init__(self, log: Path, prefix: list[str] | None = None) -> None:
        self.log = log
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [*(prefix or []), sys.executable, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def send(self, code: str) -> None:
        assert self.process.stdin is not None
        key = "code" if "\n" in code else "value"
        self.process.stdin.write(json.dumps({key: code}) + "\n")
        self.process.stdin.flush()

    def receive(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the node has ended ({self.process.wait(10)}): {self.errors()}"
        answer = json.loads(line)
        if "error" in answer:
            raise NodeError(*answer["error"])
        return answer["value"]

    def do(self, code: str) -> Any:
        """The value of an expression, or None of statements (several lines)."""
        self.send(code)
        return self.receive()

    def errors(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self) -> None:
        """Its exit code must be 0."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0, self.errors()


def free_addresses(count: int) -> list[tuple[str, int]]:
    """All of 127/8 is this machine: a host of this test's own, and ports that no outgoing
    connection is given. So nobody else takes them before the nodes do."""
    host = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
    found: list[tuple[str, int]] = []
    while len(found) < count:
        port = random.randint(10_000, 30_000)
        with socket.socket() as one:
            try:
                one.bind((host, port))
            except OSError:
                continue
        if (host, port) not in found:
            found.append((host, port))
    return found


class Cluster:
    """Nodes by their numbers. `params`: further arguments of ClusterParams; nwparams are added to
    those of the keep-alive; `opening`: further arguments of open; `network`: what is between the
    nodes, if it is not the loopback or proxies."""

    def __init__(
        self,
        folder: Path,
        count: int,
        *,
        proxied: bool,
        qranks: list[int],
        network: Hosts | None = None,
        **params: Any,
    ) -> None:
        self.folder = folder
        self.params = params
        self.qranks = qranks
        self.addresses = free_addresses(count)
        self.network = Network(self.addresses) if proxied else network
        self.nodes: dict[int, Node] = {}
        self.lives = 0

    def addresses_of(self, node: int) -> list[str]:
        if self.network is not None:
            return self.network.addresses(node)
        return [f"{host}:{port}" for host, port in self.addresses]

    def opening(self, node: int, **changes: Any) -> str:
        """The code that opens the database `db` of a node; `extra`, of its own, may have further
        arguments."""
        params = {**self.params, **changes}
        schema = params.pop("schema", None)
        opening = params.pop("opening", {})
        nwparams = {**KEEP_ALIVE, "connectTimeout": 20_000, **params.pop("nwparams", {})}
        addresses, qranks = self.addresses_of(node), params.pop("qranks", self.qranks)
        return f"""
nodes = [exdb.ClusterNodeParams(*one) for one in zip({addresses!r}, {qranks!r})]
params = exdb.ClusterParams({node}, 'TCP', nodes, {nwparams!r}, **{params!r}, **extra)
db = exdb.open('grid', {schema!r} or SCHEMA, clusterParams=params, **{opening!r})
"""

    def spawn(self, node: int) -> Node:
        self.lives += 1
        prefix = self.network.prefix(node) if isinstance(self.network, Hosts) else None
        started = Node(self.folder / f"node{node}.log", prefix)
        self.nodes[node] = started
        return started

    def start(self, *which: int, **changes: Any) -> list[Node]:
        """Opens nodes (all unless some are named) at the same time."""
        chosen = which or tuple(range(len(self.addresses)))
        for node in chosen:
            self.spawn(node).send(self.opening(node, **changes))
        for node in chosen:
            self.nodes[node].receive()
        return [self.nodes[node] for node in chosen]

    def write(self, *which: int) -> None:
        """Starts a writer in each of these nodes, with keys of its own in each of its lives."""
        for node in which or tuple(self.nodes):
            first = node + 3_000_000 * self.lives
            file = str(self.folder / f"acknowledged{node}")
            self.nodes[node].do(
                f"\nwriter = Writer(db, {file!r}, {first}, {len(self.addresses)})\nwriter.start()\n"
            )

    def end_writers(self, *which: int) -> list[dict[str, int]]:
        return [self.nodes[node].do("writer.end()") for node in which or tuple(self.nodes)]

    def acknowledged(self, node: int | None = None) -> set[int]:
        """Of all nodes unless one is named."""
        found: set[int] = set()
        for file in self.folder.glob(f"acknowledged{'*' if node is None else node}"):
            content = file.read_bytes()
            found.update(
                int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)
            )
        return found

    def must_agree(self) -> set[int]:
        """Nobody writes any more: all nodes come to one state that has all that was acknowledged.
        Its keys."""
        deadline = time.monotonic() + PATIENCE
        while True:
            seen = [node.do("(db.digest(), db.published)") for node in self.nodes.values()]
            if all(one == seen[0] for one in seen):
                break
            assert time.monotonic() < deadline, (seen, self.logs())
            time.sleep(0.05)
        first = next(iter(self.nodes.values()))
        there = first.do("keys(db)")
        assert len(there) == len(set(there))
        lost = self.acknowledged() - set(there)
        assert not lost, f"{len(lost)} acknowledged commits are lost, as {min(lost)}"
        return set(there)

    def close(self) -> None:
        """All nodes end together, as programs should."""
        for node in self.nodes.values():
            node.send("db.close()")
        for node in self.nodes.values():
            node.receive()
        for node in self.nodes.values():
            node.end()

    def logs(self) -> str:
        return "\n".join(f"node {i}:\n{node.errors()}" for i, node in self.nodes.items())

    def kill_all(self) -> None:
        for node in self.nodes.values():
            node.kill()
        if self.network is not None:
            self.network.close()


def wait_until(condition: Callable[[], Any], what: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)
