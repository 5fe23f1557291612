# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Database: this node's replica, alone or in a cluster."""

from __future__ import annotations

from typing import Any, Literal, overload

from . import _core, _lifetime
from ._callbacks import CallbackThreads
from ._check import boolean, milliseconds, shown, text
from ._cluster import check_window
from .checkpoint import Checkpoint
from .cluster_info import ClusterInfo
from .cluster_info import make as make_cluster_info
from .connection import Connection
from .dictionary import Dictionary
from .errors import DataError, InvalidHandleError
from .params import ClusterWindow
from .types import DatabaseState, Outcome, TransactionId


class _LiveWindow(ClusterWindow):
    """The window of an open database: setting an attribute changes it there."""

    def __init__(self, database: Database, values: tuple[int, int, int]) -> None:
        super().__init__(*values)
        self._database = database

    def __setattr__(self, name: str, value: Any) -> None:
        if "_database" not in self.__dict__:
            super().__setattr__(name, value)
            return
        changed = ClusterWindow(self.bsize, self.length, self.timeout)
        setattr(changed, name, value)
        self._database.window = changed
        super().__setattr__(name, value)


class Database:
    """An open database. :func:`exdb.open` and :func:`exdb.open_database` make it.

    Any thread may use it. As a context manager it closes at the end. When an exception leaves the
    block it does not wait for the others, who may never come: it leaves the cluster
    (:meth:`abandon`), and the exception goes on. The other nodes are told, and go on without this
    one as far as the quorum lets them. The three communicators that a database duplicates from the
    one it was given cannot be freed then, as that is collective: they are freed by the next open
    over the same ranks, or with MPI.
    """

    def __init__(
        self,
        core: _core.Database,
        dictionary: Dictionary,
        keep: object = None,
        callbacks: CallbackThreads | None = None,
    ) -> None:
        self._core = core
        self._dictionary = dictionary
        self._keep = keep  # the communicator, which must not be freed under the engine
        self._callbacks = callbacks
        self._name = core.name
        _lifetime.register(self)

    @property
    def name(self) -> str:
        """The ``dbname`` of open."""
        return self._name

    @property
    def dictionary(self) -> Dictionary:
        """The schema."""
        return self._dictionary

    @property
    def is_open(self) -> bool:
        """Neither ``close()`` nor ``abandon()`` was called; :attr:`state` says what works."""
        return self._core.is_open

    @property
    def clustered(self) -> bool:
        """It was opened with ``comm`` or ``clusterParams``."""
        return self._core.clustered

    @property
    def node_id(self) -> int:
        """``nodeId`` of this node; with MPI its rank in the communicator; 0 without a cluster."""
        return self._core.node_id

    @property
    def nodes(self) -> int:
        """How many nodes the cluster has; 1 without a cluster."""
        return self._core.nodes

    @property
    def published(self) -> int:
        """csn of the newest commit that this node shows."""
        return self._core.published

    def connect(self) -> Connection:
        """A new connection. Costs microseconds; does not block. Raises ResourceError when
        ``db_max_connections`` are open, InvalidHandleError after close."""
        return Connection(self, self._core.connect())

    def close(self, timeout: float | None = None) -> None:
        """Ends use; closing twice is fine, and the database is closed however this ends.

        With a cluster COLLECTIVE: says that this node is done, and blocks, without the GIL, until
        all nodes close or stop or are gone. Nodes that live are waited for as long as it takes: one
        may have an hour's work more than the others. A warning on stderr names them after 10 s,
        20 s, 40 s and so on. A notifyCallback that is running is waited for a second at most.

        timeout: seconds after which this gives up and leaves the cluster: ClusterTimeoutError
            names the nodes that have not closed. (A node that says nothing at all is given up
            after the ``timeout`` of open.)

        Over TCP nodes that are gone are not waited for, and without a quorum there is nobody to
        agree with: it ends after the keep-alive at the latest.

        On disk, what waits is committed and the folder is free when this returns; what was
        committed before is safe already, whether this is called or not.

        Ctrl-C ends it. Two databases that one thread closes are closed in the same order on all
        nodes; opposite orders, or a circle, raise ClusterError on those nodes, naming both
        databases. Raises ClusterTimeoutError and what else ended the node before its time.
        """
        deadline = milliseconds(timeout)
        try:
            self._core.close(deadline)
        finally:
            if self._callbacks is not None:
                self._callbacks.close()

    @overload
    def checkpoint(self, *, wait: Literal[True] = True) -> None: ...

    @overload
    def checkpoint(self, *, wait: Literal[False]) -> Checkpoint: ...

    @overload
    def checkpoint(self, *, wait: bool) -> Checkpoint | None: ...

    def checkpoint(self, *, wait: bool = True) -> Checkpoint | None:
        """Of a durable database: writes its state into a file, so that the log before it goes and
        the next open is fast. Nothing is written when nothing was committed since the last. Happens
        by itself too: see ``checkpoint_bytes`` and ``checkpoint_seconds`` of open.

        Over MPI all nodes that keep a copy write the state of one agreed round, and this returns
        when all of them have, wherever it is called: on one node, or on all, which then make one
        checkpoint together (if nobody commits between their calls). Everything that this node
        showed when it was called is in it. Ranks that wait in ``close`` still write theirs. One
        that leaves meanwhile, or fails, is not waited for: a line on stderr names it.
        Where nodes come and go (TCP, resilient) each call writes the copy of its own node.

        wait: True: blocks, without the GIL, for as long as all rows take to be written; other
            threads read and commit meanwhile. False: comes back at once with a
            :class:`Checkpoint`, which is written by a thread of exdb's; ``close`` waits for the one
            that its node has begun, within its timeout.

        One that takes long says each 5 s on stderr how much it has written. Raises
        InvalidHandleError in memory and after close; DiskFullError, after which the database goes
        on; DiskError and DiskDamagedError, after which that node does not: the text names it; in a
        cluster what ``commit`` raises. With ``wait=False`` the :class:`Checkpoint` raises them.
        """
        if boolean(wait, "wait"):
            self._core.checkpoint()
            return None
        return Checkpoint(self._core.begin_checkpoint())

    def snapshot(self, name: str) -> int:
        """Gives the state of now a name, and its csn; :meth:`at` reads there. ::

            db.snapshot("step-1200")
            with db.at("step-1200") as con, con.startTransaction(exdb.MCO_READ_ONLY):
                old = con.find("Cell", "by_id", 17)

        A commit that writes nothing else, so one at a place in the agreed order: every node has the
        name when it returns (or a moment later), and the same state by it. NOT collective: one node
        calls it. A node that joins later, or comes back and takes its state from another, has the
        names of before with their csns, and not what they show: :meth:`at` says so there.

        Costs one commit, and memory for what is changed or removed later: one copy of each row of
        then, at most, for as long as the name is there, on each node. On disk the next checkpoint
        writes it into a file of its own, O(all rows), and it is there after a restart (until then
        the log has it); :meth:`checkpoint` makes that now. Blocks for the commit, without the GIL.

        name: 1 to 200 bytes of UTF-8 without control characters; at most 128 names at once.

        Raises IntegrityError (DuplicateKeyError) for a name that is there, DataError for one that
        cannot be, ResourceError, and what ``commit`` raises.
        """
        return self._core.snapshot(text(name, "name"))

    def at(self, name: str) -> Connection:
        """A connection that reads the state of this name, for as long as it is open: a
        :class:`Connection` whose transactions are read-only, whatever their type, at that one csn.
        Rows and views as of any other; ``local`` classes are those of this node, and are not there
        after a restart of a cluster.

        O(1), without a copy, in a process that has seen the name given, and with ``is_shm=True``
        on all ranks of its host. After a restart all its rows are read from the file first, in
        O(rows), into memory that all connections of this process at that name share, and that is
        freed with the last of them; a node that keeps no copy (``durable_copies``) reads a file of
        one that does, on a file system that both see. Does not block on other nodes; without the
        GIL. Raises NotFoundError, which names those there are, ResourceError, DiskDamagedError,
        DiskError, and NotSupportedError where no file is seen, or at a node that took its state
        from another one after the name was given.
        """
        return Connection(self, self._core.at(text(name, "name")))

    def snapshots(self) -> dict[str, int]:
        """Names and csns of the snapshots that have one here. Does not block; with ``is_shm=True``
        it asks the leader of the host, in some microseconds."""
        return self._core.snapshots()

    def drop_snapshot(self, name: str) -> None:
        """Takes the name away, on all nodes: a commit. Connections at it go on; its memory is free
        when they are closed, its file with the next checkpoint. Blocks for the commit, without the
        GIL. Raises NotFoundError, and what ``commit`` raises."""
        self._core.drop_snapshot(text(name, "name"))

    @property
    def recovered(self) -> str:
        """Of a durable database: what open has found, from where, in how long, and what it cut of
        a commit that was not finished: one line. Empty in memory."""
        return self._core.recovered()

    def abandon(self) -> None:
        """Leaves the cluster without waiting for the others: blocks for about a second at most,
        without the GIL. Local. Ends ``close()`` and ``stop()`` in other threads. What is still open
        when the program ends is abandoned. Raises nothing."""
        self._core.abandon()

    def digest(self) -> int:
        """64 bits over all rows of replicated classes: equal on equal replicas.

        Not collective. To compare nodes, take it on all of them while nobody commits. Cost: small;
        blocks for no other node.
        """
        return self._core.digest()

    def statistics(self) -> dict[str, int]:
        """Everything this node counts, by name: commits, conflicts, rounds, exchange_ns_median,
        exchange_ns_p99, bytes_sent, frames_long, … Names that end in ``_ns`` or contain it are
        nanoseconds, ``_bytes`` bytes. Does not block."""
        return self._core.statistics()

    def cluster_info(self) -> ClusterInfo:
        """The cluster as this node sees it: who takes part, what was exchanged with each, who is
        behind and how far, the oldest snapshot and what it pins.

        Asks nobody; blocks, without the GIL, for the round that is being applied at most. Costs
        some microseconds. Works after close() too. Raises NotClusteredError without a cluster.
        """
        return make_cluster_info(self._core.cluster_info())

    def outcome(self, txid: TransactionId) -> Outcome:
        """What became of a transaction of any node: COMMITTED or ABORTED, agreed state, the same
        wherever it is asked. UNKNOWN when it has not come to this node (yet, or ever: what a node
        that left had not sent is not known elsewhere), or is not among the last 65,536 of its node.

        txid: of an exception, or any pair (origin, sequence). Does not block and asks nobody.
            Raises DataError for what is no txid.
        """
        try:
            origin, sequence = txid
        except (TypeError, ValueError):
            raise DataError(
                f"txid must be the txid of an exception, a TransactionId, not {shown(txid)}"
            ) from None
        return Outcome(self._core.outcome(origin, sequence))

    @property
    def state(self) -> DatabaseState:
        """What still works here: a node may have failed or lost its quorum while ``is_open``. Does
        not block."""
        return DatabaseState(*self._core.state())

    @property
    def window(self) -> ClusterWindow:
        """How local commits are grouped; can be assigned, whole or by attribute
        (``db.window.length = 20``), while the cluster runs. Raises NotClusteredError; with
        ``is_shm=True`` assigning raises NotSupportedError but at the rank that leads its host."""
        return _LiveWindow(self, self._core.window())

    @window.setter
    def window(self, window: ClusterWindow) -> None:
        self._core.set_window(*check_window(window))

    def progress(self) -> bool:
        """With ``progress='cooperative'``: takes part in the exchange now; True when something
        happened. Never blocks."""
        return self._core.progress()

    def describe(self) -> str:
        """For people: "MPI (MPICH 5.0.2, 4 ranks)", or "embedded". Does not block."""
        return self._core.describe()

    def __enter__(self) -> Database:
        if not self._core.is_open:
            raise InvalidHandleError(f"database {self._name!r} is closed")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __repr__(self) -> str:
        state = "open" if self._core.is_open else "closed"
        return f"<exdb.Database {self._name!r}, {state}>"
