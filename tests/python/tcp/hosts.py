# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Hosts of a test's own on this machine: network namespaces with a cable each to one switch.

A cut is the kernel's: nothing gets through any more, and the nodes are not told. A namespace lives
as long as a process of it that reads from a pipe of the test, so nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess

PORT = 20_001


def _command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


class _Namespace:
    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo there; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != b"there\n":
            self.end()
            raise OSError("unshare --net: not allowed")
        self.prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    def ip(self, *words: str) -> None:
        _command(*self.prefix, "ip", *words)

    def end(self) -> None:
        assert self.holder.stdin is not None
        self.holder.stdin.close()
        self.holder.wait(60)


class Hosts:
    """As network.Network, for two or three hosts. Raises OSError where that is not allowed."""

    def __init__(self, count: int) -> None:
        assert count in (2, 3)
        self._count = count
        self._spaces: list[_Namespace] = []
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        if os.geteuid() != 0:
            raise OSError("only root may make network namespaces")
        self._spaces = [_Namespace() for _ in range(self._count + 1)]
        switch = self._switch
        switch.ip("link", "add", "br0", "type", "bridge")
        switch.ip("link", "set", "br0", "up")
        for number, space in enumerate(self._spaces[:-1]):
            cable, peer = f"port{number}", ("peer", "name", "eth0", "netns")
            switch.ip("link", "add", cable, "type", "veth", *peer, str(space.holder.pid))
            switch.ip("link", "set", cable, "master", "br0", "up")
            space.ip("address", "add", f"10.0.0.{1 + number}/24", "dev", "eth0")
            space.ip("link", "set", "eth0", "up")
            space.ip("link", "set", "lo", "up")

    @property
    def _switch(self) -> _Namespace:
        return self._spaces[-1]

    def addresses(self, node: int) -> list[str]:
        del node
        return [f"10.0.0.{1 + number}:{PORT}" for number in range(self._count)]

    def prefix(self, node: int) -> list[str]:
        """A command after this runs on that host."""
        return self._spaces[node].prefix

    def cut(self, *pairs: tuple[int, int]) -> None:
        """In the place of what was cut before."""
        others = self._count - 1
        gone = {(min(pair), max(pair)) for pair in pairs}
        alone = {n for n in range(self._count) if sum(n in pair for pair in gone) == others}
        apart = {n for pair in gone if not alone.intersection(pair) for n in pair}
        for number in range(self._count):
            self._port(number, up=number not in alone, apart=number in apart)

    def heal(self) -> None:
        self.cut()

    def _port(self, number: int, *, up: bool, apart: bool) -> None:
        """`apart`: ports that are do not hear each other, and hear all others."""
        name = f"port{number}"
        self._switch.ip(
            "link", "set", name, "type", "bridge_slave", "isolated", "on" if apart else "off"
        )
        self._switch.ip("link", "set", name, "up" if up else "down")

    def close(self) -> None:
        for space in self._spaces:
            with contextlib.suppress(OSError):
                space.end()
