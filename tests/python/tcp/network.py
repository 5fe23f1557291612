# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""A network between nodes that can be cut, pair by pair.

Every link is dialled by the node with the higher number; so each such pair has a proxy of its own,
and the higher node's list of addresses leads there. A cut does what a cable does that is pulled:
nothing gets through any more, and nobody is told.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field

PIECE = 1 << 16


@dataclass
class _Way:
    """One direction of a connection, with what is on its way."""

    source: socket.socket
    sink: socket.socket
    link: _Link
    held: bytes = b""
    ended: bool = False


@dataclass
class _Link:
    """From node `above` to node `below`."""

    listener: socket.socket
    target: tuple[str, int]
    open: bool = True
    ways: list[_Way] = field(default_factory=list)


def _move(way: _Way) -> bool:
    """One piece; False when the connection is over."""
    try:
        if not way.held:
            way.held = way.source.recv(PIECE)
            if not way.held:
                return False
        way.held = way.held[way.sink.send(way.held) :]
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


class Network:
    """Proxies for all pairs of nodes, moved by one thread. To be closed."""

    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self._addresses = addresses
        self._links: dict[tuple[int, int], _Link] = {}
        for above in range(len(addresses)):
            for below in range(above):
                listener = socket.create_server(("127.0.0.1", 0))
                listener.setblocking(False)
                self._links[above, below] = _Link(listener, addresses[below])
        self._wanted: dict[tuple[int, int], bool] = {}
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def addresses(self, node: int) -> list[str]:
        """What `node` is told: its own address, and the way to the others."""
        result = []
        for other, (host, port) in enumerate(self._addresses):
            if other < node:
                host, port = self._links[node, other].listener.getsockname()[:2]
            result.append(f"{host}:{port}")
        return result

    def cut(self, *pairs: tuple[int, int]) -> None:
        self._set(pairs, False)

    def heal(self) -> None:
        self._set(tuple(self._links), True)

    def _set(self, pairs: tuple[tuple[int, int], ...], on: bool) -> None:
        with self._lock:
            for pair in pairs:
                self._wanted[max(pair), min(pair)] = on

    def _run(self) -> None:
        while not self._over:
            with self._lock:
                for pair, on in self._wanted.items():
                    self._links[pair].open = on
                self._wanted.clear()
            with selectors.DefaultSelector() as selector:
                for link in self._links.values():
                    if link.open:
                        self._watch(selector, link)
                ready = [key.data for key, _ in selector.select(0.02)]
            for what in ready:
                if isinstance(what, _Link):
                    self._accept(what)
                elif not what.ended and not _move(what):
                    self._end(what)

    @staticmethod
    def _watch(selector: selectors.BaseSelector, link: _Link) -> None:
        selector.register(link.listener, selectors.EVENT_READ, link)
        for way in link.ways:
            # Two ways of one connection use its two sockets once each: what waits for a sink that
            # is full is tried again with the next turn.
            selector.register(way.source, selectors.EVENT_READ, way)

    @staticmethod
    def _accept(link: _Link) -> None:
        try:
            near, _ = link.listener.accept()
        except OSError:
            return
        try:
            far = socket.create_connection(link.target, timeout=1)
        except OSError:
            near.close()
            return
        for one in (near, far):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.ways += [_Way(near, far, link), _Way(far, near, link)]

    @staticmethod
    def _end(way: _Way) -> None:
        for one in way.link.ways[:]:
            if {one.source, one.sink} == {way.source, way.sink}:
                one.ended = True
                way.link.ways.remove(one)
        for end in (way.source, way.sink):
            with contextlib.suppress(OSError):
                end.close()

    def close(self) -> None:
        self._over = True
        self._thread.join()
        for link in self._links.values():
            link.listener.close()
            for way in link.ways:
                way.source.close()
