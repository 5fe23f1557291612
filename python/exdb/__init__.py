# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""exdb: a transactional data grid in your MPI job, or an embedded database in one process.

Two levels of one API. The short way::

    with exdb.open("grid", schema, comm=MPI.COMM_WORLD) as db: ...

and the calls of the document that exdb follows: init_runtime, load_dictionary, open_database with
ClusterParams, con.listen() in a thread, con.stop().

Names are those of that document; ``start_transaction``, ``delete_all`` and ``node_id`` are other
names of ``startTransaction``, ``deleteAll`` and ``nodeId``.

Attributes of objects: integers, floats, bool, str, bytes as such; an enum as a member of
``dictionary.enums[name]`` (an IntEnum; its name or number can be written too); date, time and
datetime as objects of the module datetime. Datetimes are read in UTC; one that is written without a
time zone (a "naive" one; also numpy.datetime64 and pandas.Timestamp) is taken as UTC, never as
local time. They know microseconds; ``obj.raw("field")`` gives the integer that is stored (days;
nanoseconds), and integers, numpy.datetime64 and pandas.Timestamp can be written. Arrays and vectors
of numbers are read-only NumPy views without a copy, whose memory stays as it is for as long as the
array lives, also beyond the transaction; datetimes in them are datetime64[ns], times
timedelta64[ns], dates int32 days. Arrays and vectors of anything else are tuples. A struct is a
view: what is written to it goes to its row.

Views that are kept hold the snapshot they were read in; all views of one snapshot share one of its
places, of which a database has 4 a connection of ``db_max_connections`` and 256 more. So about that
many *different* states can be kept at once, each with any number of views; then startTransaction
raises ResourceError.

Of the DB-API (PEP 249) exdb has the tree of exceptions, ``commit``, ``rollback`` and ``close``, and
the constants ``apilevel``, ``threadsafety`` and ``paramstyle``. It has no SQL: no ``connect()`` of
the module, and cursors do not execute statements but walk over rows.
"""

from ._core import Class, Index, Object, Struct
from ._preempt import OnPreempt
from ._topology import Host, Topology, topology
from .checkpoint import Checkpoint
from .cluster_info import ClusterInfo, ClusterNodeInfo, ClusterTraffic
from .connection import Connection, Cursor, Transaction
from .database import Database
from .dictionary import Dictionary, load_dictionary
from .errors import (
    CLASS_OF_CODE,
    ClusterError,
    ClusterParameterError,
    ClusterProtocolError,
    ClusterStoppedError,
    ClusterTimeoutError,
    CommitInterrupted,
    ConflictError,
    CursorClosedError,
    CursorEndError,
    DatabaseError,
    DatabaseInUseError,
    DataError,
    DiskDamagedError,
    DiskError,
    DiskFormatError,
    DiskFullError,
    DuplicateKeyError,
    DuplicateNodeError,
    Error,
    IncompatibleError,
    InconsistentReplicaError,
    IntegrityError,
    InterfaceError,
    InternalError,
    InvalidHandleError,
    KeyTooLongError,
    LauncherError,
    NoQuorumError,
    NotClusteredError,
    NotFoundError,
    NotSupportedError,
    OperationalError,
    OperationInterruptedError,
    OutcomeUnknownError,
    ProgrammingError,
    ReadOnlyError,
    ResourceError,
    SchemaChangedError,
    SchemaError,
    SnapshotTooOldError,
    SyncError,
    TooLargeError,
    TransactionAbortedError,
    TransactionActiveError,
    TransactionError,
    TransactionNotActiveError,
    UnknownFieldError,
    Warning,
)
from .params import ClusterNodeParams, ClusterParams, ClusterWindow
from .runtime import init_runtime, open, open_database
from .types import (
    MCO_CLUSTER_MODE_DEBUG_OUTPUT,
    MCO_CLUSTER_MODE_EARLY_DATA_SEND,
    MCO_CLUSTER_NOTIFY_CONNECT,
    MCO_CLUSTER_NOTIFY_DISCONNECT,
    MCO_DEFAULT_ISOLATION_LEVEL,
    MCO_EXCLUSIVE,
    MCO_READ_COMMITTED,
    MCO_READ_ONLY,
    MCO_READ_WRITE,
    MCO_REPEATABLE_READ,
    MCO_SERIALIZABLE,
    MCO_UPDATE,
    DatabaseState,
    NodeInfo,
    Operation,
    Outcome,
    TransactionId,
)

__version__ = "0.1.0"

apilevel = "2.0"
"""DB-API: the level whose exceptions these are."""
threadsafety = 1
"""DB-API: threads may share the module (and a Database), not a Connection."""
paramstyle = "named"
"""DB-API: required by it; exdb has no statements that would have parameters."""

__all__ = [
    "CLASS_OF_CODE",
    "MCO_CLUSTER_MODE_DEBUG_OUTPUT",
    "MCO_CLUSTER_MODE_EARLY_DATA_SEND",
    "MCO_CLUSTER_NOTIFY_CONNECT",
    "MCO_CLUSTER_NOTIFY_DISCONNECT",
    "MCO_DEFAULT_ISOLATION_LEVEL",
    "MCO_EXCLUSIVE",
    "MCO_READ_COMMITTED",
    "MCO_READ_ONLY",
    "MCO_READ_WRITE",
    "MCO_REPEATABLE_READ",
    "MCO_SERIALIZABLE",
    "MCO_UPDATE",
    "Checkpoint",
    "Class",
    "ClusterError",
    "ClusterInfo",
    "ClusterNodeInfo",
    "ClusterNodeParams",
    "ClusterParameterError",
    "ClusterParams",
    "ClusterProtocolError",
    "ClusterStoppedError",
    "ClusterTimeoutError",
    "ClusterTraffic",
    "ClusterWindow",
    "CommitInterrupted",
    "ConflictError",
    "Connection",
    "Cursor",
    "CursorClosedError",
    "CursorEndError",
    "DataError",
    "Database",
    "DatabaseError",
    "DatabaseInUseError",
    "DatabaseState",
    "Dictionary",
    "DiskDamagedError",
    "DiskError",
    "DiskFormatError",
    "DiskFullError",
    "DuplicateKeyError",
    "DuplicateNodeError",
    "Error",
    "Host",
    "IncompatibleError",
    "InconsistentReplicaError",
    "Index",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "InvalidHandleError",
    "KeyTooLongError",
    "LauncherError",
    "NoQuorumError",
    "NodeInfo",
    "NotClusteredError",
    "NotFoundError",
    "NotSupportedError",
    "Object",
    "OnPreempt",
    "Operation",
    "OperationInterruptedError",
    "OperationalError",
    "Outcome",
    "OutcomeUnknownError",
    "ProgrammingError",
    "ReadOnlyError",
    "ResourceError",
    "SchemaChangedError",
    "SchemaError",
    "SnapshotTooOldError",
    "Struct",
    "SyncError",
    "TooLargeError",
    "Topology",
    "Transaction",
    "TransactionAbortedError",
    "TransactionActiveError",
    "TransactionError",
    "TransactionId",
    "TransactionNotActiveError",
    "UnknownFieldError",
    "Warning",
    "apilevel",
    "init_runtime",
    "load_dictionary",
    "open",
    "open_database",
    "paramstyle",
    "threadsafety",
    "topology",
]
