# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""A checkpoint that is being written while the program goes on."""

from __future__ import annotations

from . import _core
from ._check import milliseconds


class Checkpoint:
    """What ``db.checkpoint(wait=False)`` gives. ::

        writing = db.checkpoint(wait=False)
        ...
        if not writing.done:
            print(f"{writing.bytes_written / 1e6:.0f} MB so far")
        writing.wait()

    Any thread may use it, also after the database was closed.
    """

    def __init__(self, core: _core.Checkpoint) -> None:
        self._core = core

    @property
    def done(self) -> bool:
        """It is written, on all nodes that keep a copy, or has failed. Does not block."""
        return self._core.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks, without the GIL, until it is done, or ``timeout`` seconds have passed: False
        then. Raises what ``db.checkpoint()`` raises."""
        return self._core.wait(milliseconds(timeout))

    @property
    def bytes_written(self) -> int:
        """Bytes that this node has written so far; 0 where another one does. Does not block."""
        return self._core.bytes_written()

    def __repr__(self) -> str:
        return f"<exdb.Checkpoint, {'done' if self.done else 'being written'}>"
