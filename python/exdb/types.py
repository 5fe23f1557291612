# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Constants and small values of the API, under the names of the document that exdb follows."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

MCO_READ_ONLY = 0
MCO_UPDATE = 1
MCO_READ_WRITE = 2
MCO_EXCLUSIVE = 3

MCO_DEFAULT_ISOLATION_LEVEL = 0
MCO_READ_COMMITTED = 1
MCO_REPEATABLE_READ = 2
MCO_SERIALIZABLE = 4

MCO_CLUSTER_NOTIFY_CONNECT = 0
MCO_CLUSTER_NOTIFY_DISCONNECT = 1

MCO_CLUSTER_MODE_DEBUG_OUTPUT = 1
MCO_CLUSTER_MODE_EARLY_DATA_SEND = 2


class Operation(IntEnum):
    """How :meth:`Cursor.search` compares."""

    LessThan = 1
    LessOrEquals = 2
    Equals = 3
    GreaterOrEquals = 4
    GreaterThan = 5
    PrefixMatch = 10


class TransactionId(NamedTuple):
    """Names a transaction for good: the node it began at and that node's count."""

    origin: int
    sequence: int


class Outcome(str, Enum):
    """What became of a transaction: see :meth:`Database.outcome`."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class NodeInfo:
    """A node, as a notification tells of it: ``addr``, ``qrank``, ``nodeId``."""

    __slots__ = ("addr", "nodeId", "qrank")

    def __init__(self, addr: str, qrank: int, nodeId: int) -> None:
        self.addr = addr
        self.qrank = qrank
        self.nodeId = nodeId

    def __repr__(self) -> str:
        return f"node {self.nodeId} ({self.addr or 'MPI'}, qrank {self.qrank})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeInfo):
            return NotImplemented
        return (self.addr, self.qrank, self.nodeId) == (other.addr, other.qrank, other.nodeId)

    def __hash__(self) -> int:
        return hash((self.addr, self.qrank, self.nodeId))
