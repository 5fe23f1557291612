# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The exceptions of exdb: the tree of the DB-API (PEP 249), and the product's numbers in ``code``.

``CLASS_OF_CODE`` is the one table from a number to a class. ``except exdb.OperationalError`` and
the like work as with any other database; the classes below say more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import Outcome, TransactionId


class Warning(Exception):
    """Kept for the DB-API; exdb itself uses the module :mod:`warnings`."""


class Error(Exception):
    """Base of all errors of exdb.

    ``code`` is the product's published number (0 when there is none), ``txid`` names the
    transaction when one had left this node.
    """

    code: int = 0
    txid: TransactionId | None = None

    def __init__(
        self, text: str = "", code: int | None = None, txid: TransactionId | None = None
    ) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code
        self.txid = txid


class InterfaceError(Error):
    """The program or its environment uses exdb wrongly, whatever is in the database."""


class DatabaseError(Error):
    """What concerns the database itself."""


class DataError(DatabaseError):
    """A value that does not fit its field: its type, range, length or encoding."""

    code = 99


class OperationalError(DatabaseError):
    """What the program cannot help: another transaction, another node, memory."""


class IntegrityError(DatabaseError):
    """A rule of the schema would be broken."""


class InternalError(DatabaseError):
    """A bug of exdb."""

    code = 50


class ProgrammingError(DatabaseError):
    """A wrong call: a name that does not exist, a write in a read-only transaction."""


class NotSupportedError(DatabaseError):
    """Not in this release; the text says what to use."""

    code = 57


class NotFoundError(ProgrammingError, KeyError):
    """A class or an index of that name does not exist. The text names those that do."""

    code = 10
    __str__ = Exception.__str__  # KeyError would show the text in quotes


class CursorEndError(ProgrammingError):
    """The cursor stands on no row."""

    code = 11


class DuplicateKeyError(IntegrityError):
    """A unique key is taken. The text names class, index and key."""

    code = 13


class InvalidHandleError(InterfaceError):
    """Use after close, after remove, after the end of the transaction, or in a forked child."""

    code = 51


class ResourceError(OperationalError):
    """No memory, or as many connections as ``db_max_connections`` are open."""

    code = 52


class ReadOnlyError(ProgrammingError):
    """A write in a read-only transaction."""

    code = 53


class TransactionError(ProgrammingError):
    """The transaction cannot do this."""

    code = 54


class TransactionAbortedError(OperationalError):
    """Nothing of the transaction is or will be anywhere: run it again, from its first read."""


class ConflictError(TransactionAbortedError):
    """Another transaction committed first. The text names the class and the key."""

    code = 87


class CursorClosedError(InterfaceError):
    """Use of a cursor after its close or after the end of its transaction."""

    code = 98


class DiskError(OperationalError):
    """A file of a durable database could not be read or written; the text names it. After one in a
    commit nothing more is committed until the database is opened again."""

    code = 100


class DatabaseInUseError(DiskError):
    """The durable database is open in another process."""

    code = 102


class DiskFullError(DiskError):
    """No room on the device: make some, and open the database again."""

    code = 111


class DiskFormatError(DiskError):
    """The files were written by a newer exdb. The text names both versions."""

    code = 123


class SchemaChangedError(DiskError):
    """The database on disk was made with another schema. The text names the first difference."""

    code = 125


class DiskDamagedError(DiskError):
    """Bytes that were written are not there any more. The text names file and offset."""

    code = 126


class UnknownFieldError(ProgrammingError, AttributeError):
    """A field that the class does not have. The text names those it has."""

    code = 803


class ClusterError(OperationalError):
    """What concerns the cluster as a whole."""

    code = 900


class NotClusteredError(ClusterError):
    """``listen()``, ``stop()`` or ``window`` on a database that was opened without a cluster."""

    code = 901


class ClusterParameterError(ClusterError, ValueError):
    """An argument of ClusterParams or of open is wrong, on this node or on the one the text
    names."""

    code = 902


class ClusterStoppedError(ClusterError):
    """This node has stopped, or all have: nothing can be committed any more."""

    code = 903


class ClusterProtocolError(ClusterError):
    """A node said what it must not say."""

    code = 904


class NoQuorumError(ClusterError):
    """The reachable nodes do not exceed half of the configured qrank."""

    code = 905


class IncompatibleError(ClusterError):
    """Nodes have different dictionaries, qranks or versions."""

    code = 907


class SyncError(ClusterError):
    """State could not be transferred to this node."""

    code = 908


class DuplicateNodeError(ClusterError):
    """Two nodes have the same id."""

    code = 910


class SchemaError(ProgrammingError):
    """The schema text is wrong. The text names line, column and what was expected."""

    code = 1005


class KeyTooLongError(DataError):
    """A key of an index has more than 1024 bytes."""

    code = 1010


class OperationInterruptedError(OperationalError):
    """The call was ended before its time."""

    code = 1022


class TransactionActiveError(ProgrammingError):
    """A second transaction on one connection."""

    code = 1023


class TransactionNotActiveError(ProgrammingError):
    """A read or a write without ``startTransaction()``."""

    code = 1024


class OutcomeUnknownError(OperationalError):
    """The node lost the cluster while it waited: the transaction ``txid`` is committed or it is
    not.

    ``db.outcome(err.txid)`` may tell later. Do not simply run it again.
    """

    code = 2000


class SnapshotTooOldError(TransactionAbortedError):
    """The transaction was open for longer than old versions are kept."""

    code = 2001


class TooLargeError(DataError):
    """A row or a transaction beyond the limit that the text names."""

    code = 2002


class ClusterTimeoutError(ClusterError, TimeoutError):
    """Another node did not answer in time. The text names it."""

    code = 2003


class LauncherError(InterfaceError):
    """Wrong MPI, wrong launcher or too low a thread level; the text says what to do."""

    code = 2004


class InconsistentReplicaError(InternalError):
    """This replica differs from the others; the node has stopped."""

    code = 2005


class CommitInterrupted(KeyboardInterrupt):
    """Ctrl-C during ``commit()`` or ``wait()``: a KeyboardInterrupt that says what became of the
    transaction.

    ``outcome``: COMMITTED (it is; ``csn`` is its token), ABORTED (it is not and will not be), or
    UNKNOWN (it was on its way when this node left the cluster). ``txid`` names it; its ``sequence``
    is 0 when it had not left this node.
    """

    def __init__(self, txid: TransactionId, outcome: Outcome, csn: int | None) -> None:
        self.txid = txid
        self.outcome = outcome
        self.csn = csn
        said = {
            "committed": "is committed",
            "aborted": "is not committed, and will not be",
            "unknown": "was on its way: it may be committed or not; this node has left the cluster",
        }[outcome.value]
        which = f"transaction {tuple(txid)}" if txid.sequence else "the transaction"
        super().__init__(f"exdb: {which} {said}")


CLASS_OF_CODE: dict[int, type[Error]] = {
    kind.code: kind
    for kind in (
        InternalError,
        DataError,
        NotSupportedError,
        NotFoundError,
        CursorEndError,
        DuplicateKeyError,
        InvalidHandleError,
        ResourceError,
        ReadOnlyError,
        TransactionError,
        ConflictError,
        CursorClosedError,
        DiskError,
        DatabaseInUseError,
        DiskFullError,
        DiskFormatError,
        SchemaChangedError,
        DiskDamagedError,
        UnknownFieldError,
        ClusterError,
        NotClusteredError,
        ClusterParameterError,
        ClusterStoppedError,
        ClusterProtocolError,
        NoQuorumError,
        IncompatibleError,
        SyncError,
        DuplicateNodeError,
        SchemaError,
        KeyTooLongError,
        OperationInterruptedError,
        TransactionActiveError,
        TransactionNotActiveError,
        OutcomeUnknownError,
        SnapshotTooOldError,
        TooLargeError,
        ClusterTimeoutError,
        LauncherError,
        InconsistentReplicaError,
    )
}


def make(code: int, text: str, txid: TransactionId | None = None) -> Error:
    """The exception for a number of the engine."""
    return CLASS_OF_CODE.get(code, OperationalError)(text, code, txid)
