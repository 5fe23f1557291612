# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Constants and small values of the API, under the names of the document that exdb follows."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

MCO_READ_ONLY = 0
"""Transaction type: reads; a write raises ReadOnlyError. Never aborts."""
MCO_UPDATE = 1
"""Transaction type: reads until its first write, which makes it MCO_READ_WRITE."""
MCO_READ_WRITE = 2
"""Transaction type: reads and writes."""
MCO_EXCLUSIVE = 3
"""Transaction type: commits only if nothing at all was committed since it began; another of this
node waits in startTransaction until this one has ended."""

MCO_DEFAULT_ISOLATION_LEVEL = 0
"""Isolation: MCO_REPEATABLE_READ."""
MCO_READ_COMMITTED = 1
"""Isolation: every find, search, first and last reads the newest snapshot."""
MCO_REPEATABLE_READ = 2
"""Isolation: snapshot isolation; one snapshot, the first committer wins."""
MCO_SERIALIZABLE = 4
"""Isolation: and a transaction aborts when anything that it read, or looked for and did not find,
has changed."""

MCO_CLUSTER_NOTIFY_CONNECT = 0
"""First argument of notifyCallback: a node is there."""
MCO_CLUSTER_NOTIFY_DISCONNECT = 1
"""First argument of notifyCallback: a node has gone."""

MCO_CLUSTER_MODE_DEBUG_OUTPUT = 1
"""Bit of mode_mask: one line on stderr for each event of the cluster."""
MCO_CLUSTER_MODE_EARLY_DATA_SEND = 2
"""Bit of mode_mask: a large transaction's data travels before its commit."""


class Operation(IntEnum):
    """How :meth:`Cursor.search` compares, in the order of the index: LessThan, LessOrEquals,
    Equals, GreaterOrEquals, GreaterThan, and PrefixMatch (texts that begin with the key)."""

    LessThan = 1
    LessOrEquals = 2
    Equals = 3
    GreaterOrEquals = 4
    GreaterThan = 5
    PrefixMatch = 10


class TransactionId(NamedTuple):
    """Names a transaction for good: the node it began at and that node's count. A plain pair, to
    be sent to other ranks and asked for there: :meth:`Database.outcome`."""

    origin: int
    sequence: int


class Outcome(str, Enum):
    """What became of a transaction: COMMITTED, ABORTED (it is certain never to appear), or UNKNOWN.
    See :meth:`Database.outcome`."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class DatabaseState(NamedTuple):
    """What still works in a database: :attr:`Database.state`. ``str()`` says it for people."""

    phase: str
    reads: bool
    writes: bool
    fresh_reads: bool
    text: str

    def __str__(self) -> str:
        kinds = {"reads": self.reads, "writes": self.writes, "fresh reads": self.fresh_reads}
        works = ", ".join(kind for kind, good in kinds.items() if good) or "nothing"
        reason = f": {self.text}" if self.text else ""
        return f"{self.phase} ({works}){reason}"


def _document(kind: type, **texts: str) -> None:
    """Fields of a NamedTuple have "Alias for field number 0" otherwise."""
    for name, text in texts.items():
        getattr(kind, name).__doc__ = text


_document(
    TransactionId,
    origin="The node that the transaction began at.",
    sequence="That node's count; 0 when the transaction never left its node.",
)
_document(
    DatabaseState,
    phase="'open', 'stopping' (this node has called stop), 'stopped' (all have), 'left' (this node "
    "went without the others), 'failed', or 'closed'.",
    reads="Reads work, of what this node has.",
    writes="Commits are accepted here.",
    fresh_reads="``startTransaction(fresh=True)`` works.",
    text="Why not more, for people; '' when everything works.",
)


class NodeInfo:
    """A node, as a notification tells of it: ``addr`` (as in ClusterNodeParams; may be ''),
    ``qrank``, its weight in the quorum, and ``nodeId``, its index; ``node_id`` is another name of
    it."""

    __slots__ = ("addr", "nodeId", "qrank")

    def __init__(self, addr: str, qrank: int, nodeId: int) -> None:
        self.addr = addr
        self.qrank = qrank
        self.nodeId = nodeId

    @property
    def node_id(self) -> int:
        """``nodeId``."""
        return self.nodeId

    def __repr__(self) -> str:
        return f"node {self.nodeId} ({self.addr or 'MPI'}, qrank {self.qrank})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeInfo):
            return NotImplemented
        return (self.addr, self.qrank, self.nodeId) == (other.addr, other.qrank, other.nodeId)

    def __hash__(self) -> int:
        return hash((self.addr, self.qrank, self.nodeId))
