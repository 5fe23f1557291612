# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""init_runtime, open_database, and open, the short way."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import _cluster, _core, _lifetime, _preempt
from ._callbacks import CallbackThreads
from ._check import boolean, integer, milliseconds, shown
from ._mpi import Communicator
from .database import Database
from .dictionary import Dictionary, load_dictionary
from .errors import ClusterParameterError, DataError, Error, NotSupportedError, ProgrammingError
from .params import ClusterParams

DEFAULT_SEGMENT = 128 * 1024 * 1024
DEFAULT_CHECKPOINT = 256 * 1024 * 1024
SHM_ALONE = (
    "is_shm=True is one replica for all ranks of a host, so it needs a cluster over MPI: give "
    "comm=MPI.COMM_WORLD, or clusterParams with nwtype='MPI'; a database of one process shares its "
    "memory with nobody: leave is_shm out"
)
MANAGERS = ("mvcc", "mursiw", "exclusive")

log = logging.getLogger("exdb")


@dataclass(frozen=True)
class _Settings:
    is_disk: bool
    tmgr: str
    is_shm: bool
    is_debug: bool
    cluster: bool


_settings: _Settings | None = None


def init_runtime(
    is_disk: bool = False,
    tmgr: str = "mvcc",
    is_shm: bool = False,
    is_debug: bool = False,
    cluster: bool = False,
    *,
    disk: bool | None = None,
    shm: bool | None = None,
    debug: bool | None = None,
) -> None:
    """Chooses what the runtime can do. Local; does not block; not needed before ``exdb.open``.

    tmgr: transaction manager. exdb has one, ``'mvcc'``; ``'mursiw'`` and ``'exclusive'`` are taken
        and mean it too, but not with ``cluster=True``.
    is_disk: all databases are durable, as with ``is_disk=True`` of open.
    is_shm: databases are opened with ``is_shm=True``: one replica a host.
    is_debug: logs what is opened (logger ``exdb``, level DEBUG).
    cluster: databases may be opened with ``clusterParams``.
    disk, shm, debug: other names of is_disk, is_shm, is_debug.

    Raises ProgrammingError when a database is open and the values differ from those before,
    ClusterParameterError for a transaction manager that a cluster cannot have, DataError for what
    is no bool.
    """
    global _settings
    wanted = _Settings(
        _either(is_disk, "is_disk", disk, "disk"),
        _manager(tmgr),
        _either(is_shm, "is_shm", shm, "shm"),
        _either(is_debug, "is_debug", debug, "debug"),
        boolean(cluster, "cluster"),
    )
    if wanted.cluster and wanted.tmgr != "mvcc":
        raise ClusterParameterError(f"a cluster needs the transaction manager 'mvcc', not {tmgr!r}")
    if _settings is not None and wanted != _settings and _lifetime.open_databases():
        raise ProgrammingError(
            f"init_runtime was called with other values ({_settings}) and a database is open: "
            "close it first"
        )
    _settings = wanted


def _either(value: object, name: str, other: object, other_name: str) -> bool:
    return boolean(value, name) if other is None else boolean(other, other_name)


def _manager(tmgr: object) -> str:
    if not isinstance(tmgr, str) or tmgr.lower() not in MANAGERS:
        raise ProgrammingError(f"tmgr must be one of {', '.join(MANAGERS)}, not {shown(tmgr)}")
    return tmgr.lower()


@dataclass
class _Opening:
    """The arguments of both ways to open, before they are checked."""

    name: Any
    dictionary: Callable[[], Any]
    params: ClusterParams | None
    is_disk: Any
    is_shm: Any
    shm: Any
    segment: Any
    connections: Any
    path: Any
    fsync: Any
    checkpoint_bytes: Any
    checkpoint_seconds: Any
    durable_copies: Any
    own_listener: Any
    timeout: Any
    needs_cluster_runtime: bool
    on_preempt: Any


# path, fsync, checkpoint_bytes, ms between checkpoints, copies (0: all)
_Disk = tuple[str, bool, int, int, int]


@dataclass
class _Checked:
    name: str
    dictionary: Dictionary
    segment: int
    connections: int
    own_listener: bool
    timeout_ms: int  # 0: for ever
    is_shm: bool = False
    disk: _Disk | None = None


def _check(opening: _Opening) -> _Checked:
    global _settings
    if not isinstance(opening.name, str) or not opening.name:
        raise DataError(f"dbname must be a str that is not empty, not {shown(opening.name)}")
    clustered = opening.params is not None
    is_disk = boolean(opening.is_disk, "is_disk")
    is_disk = is_disk or (_settings is not None and _settings.is_disk)
    is_shm = _either(opening.is_shm, "is_shm", opening.shm, "shm")
    if opening.path is not None and not isinstance(opening.path, (str, os.PathLike)):
        raise DataError(f"path must be a path, not {shown(opening.path)}")
    if _settings is None:
        _settings = _Settings(False, "mvcc", False, False, clustered)
    elif clustered and _settings.tmgr != "mvcc":
        raise ClusterParameterError("a cluster needs init_runtime(tmgr='mvcc', cluster=True)")
    elif clustered and opening.needs_cluster_runtime and not _settings.cluster:
        raise ClusterParameterError(
            "the runtime was initialised without a cluster: call init_runtime(cluster=True) first"
        )
    is_shm = is_shm or _settings.is_shm
    if is_shm and not clustered:
        raise NotSupportedError(SHM_ALONE)
    _preempt.check(opening.on_preempt)
    copies = opening.durable_copies
    if copies is not None:
        copies = integer(copies, "durable_copies", 1, 1 << 31)
        if not is_disk:
            raise ClusterParameterError(
                "durable_copies is of databases on disk: give is_disk=True too"
            )
    dictionary = opening.dictionary()
    if not isinstance(dictionary, Dictionary):
        raise DataError(f"dictionary must be what load_dictionary() gives, not {shown(dictionary)}")
    return _Checked(
        opening.name,
        dictionary,
        integer(opening.segment, "db_segment_size", 1 << 16, 1 << 46),
        integer(opening.connections, "db_max_connections", 1, 100_000),
        boolean(opening.own_listener, "own_listener"),
        milliseconds(opening.timeout) or 0,
        is_shm,
        _disk(opening, copies) if is_disk else None,
    )


def _disk(opening: _Opening, copies: int | None) -> _Disk:
    path = os.fspath(opening.path) if opening.path is not None else f"{opening.name}.exdb"
    if opening.path is None and "/" in path:
        raise DataError(
            f"dbname {shown(opening.name)} cannot name a folder: give path, where it shall be"
        )
    if not isinstance(path, str) or not path:
        raise DataError(f"path must be a path that is not empty, not {shown(opening.path)}")
    return (
        str(Path.cwd() / path),
        boolean(opening.fsync, "fsync"),
        integer(opening.checkpoint_bytes, "checkpoint_bytes", 0, 1 << 62),
        milliseconds(opening.checkpoint_seconds, "checkpoint_seconds") or 0,
        copies or 0,
    )


def _open(opening: _Opening) -> Database:
    """Both ways to open, and what is to be done before the end of the job."""
    database = _open_any(opening)
    if (preempt := _preempt.check(opening.on_preempt)) is not None:
        params = opening.params
        by_node = params is not None and _cluster.communicator_of(params) is None
        _preempt.install(database, preempt, by_node=by_node)
    return database


def _open_any(opening: _Opening) -> Database:
    """Alone, over TCP, or COLLECTIVE over MPI."""
    if opening.params is None:
        return _open_core(_check(opening))
    comm = _cluster.communicator_of(opening.params)
    request = _cluster.request(comm)
    if comm is None:
        return _open_tcp(opening, opening.params, request)
    # From here on nothing is raised before the collective part: what is wrong on this rank goes
    # into it, and comes out on every rank.
    cause: Exception | None = None
    callbacks: CallbackThreads | None = None
    checked = _Checked("failed", Dictionary(""), DEFAULT_SEGMENT, 1, False, 60_000)
    try:
        request.timeout_ms = milliseconds(opening.timeout) or 0
        checked = _check(opening)
        _cluster.fill(request, opening.params, comm, checked.is_shm)
        callbacks = _cluster.start_callbacks(request, opening.params)
    except Exception as error:
        cause = error
        request.set_failure(*_cluster.failure_of(error))
    try:
        return _open_core(checked, comm, request, callbacks)
    except BaseException as error:
        if callbacks is not None:
            callbacks.close()
        if isinstance(error, Error):
            raise error from cause
        raise


def _open_tcp(opening: _Opening, params: ClusterParams, request: _core.ClusterRequest) -> Database:
    """A node among nodes that come and go: what is wrong here is raised here."""
    request.timeout_ms = milliseconds(opening.timeout) or 0
    checked = _check(opening)
    _cluster.fill(request, params, None, checked.is_shm)
    callbacks = _cluster.start_callbacks(request, params)
    try:
        return _open_core(checked, None, request, callbacks)
    except BaseException:
        callbacks.close()
        raise


def _open_core(
    checked: _Checked,
    comm: Communicator | None = None,
    request: _core.ClusterRequest | None = None,
    callbacks: CallbackThreads | None = None,
) -> Database:
    core = _core.open(
        checked.name,
        checked.dictionary._core,
        checked.segment,
        checked.connections,
        checked.own_listener,
        request,
        # Of its own, so that Ctrl-C ends the wait; where MPI does not mind which thread calls.
        comm.serialized if comm is not None else request is not None,
        checked.disk,
    )
    database = Database(core, checked.dictionary, comm and comm.comm, callbacks)
    if _settings is not None and _settings.is_debug:
        log.debug("exdb: database %r opened: %s", database.name, database.describe())
    return database


def open_database(
    dbname: str,
    dictionary: Dictionary,
    clusterParams: ClusterParams | None = None,
    is_disk: bool = False,
    db_segment_size: int = DEFAULT_SEGMENT,
    db_max_connections: int = 100,
    path: str | os.PathLike[str] | None = None,
    *,
    is_shm: bool = False,
    shm: bool | None = None,
    own_listener: bool = False,
    timeout: float | None = 60.0,
    fsync: bool = True,
    checkpoint_bytes: int = DEFAULT_CHECKPOINT,
    checkpoint_seconds: float | None = None,
    durable_copies: int | None = None,
    on_preempt: bool | _preempt.OnPreempt | None = None,
) -> Database:
    """Opens a database; with ``clusterParams`` as a node of a cluster.

    Without a cluster it does not block. Over MPI COLLECTIVE over the communicator: blocks, without
    the GIL, until all ranks are there (at most ``timeout``), and whatever is wrong on one rank
    raises the same error on all.

    Over TCP it blocks, without the GIL, until this node is in the cluster and has its state, or
    ``connectTimeout`` has passed. After that the database is there all the same: a line on stderr
    names the nodes that are missing, reads work, writes raise NoQuorumError (905) until the node is
    taken in, which happens by itself; ``db.state`` says what works. When nodes that are there
    refuse this one (another schema: IncompatibleError, 907; another secret; certificates) and it
    has no quorum without them, that is raised. Ctrl-C ends the wait.

    dbname: for people and messages; may differ from node to node.
    dictionary: what :func:`load_dictionary` gave; the same schema on all nodes.
    clusterParams: a :class:`ClusterParams`; None: a database in this process.
    is_disk: durable: what was committed is there when the database is opened again, whatever ended
        the process, or the machine. One process has it open at a time. Rows of classes declared
        ``transient`` are not kept: they are emptied by the next open; all others are, ``local``
        ones too. Over MPI each rank keeps a folder ``node-<rank>`` below ``path`` (with is_shm one
        a host), and open, with any number of ranks, finds the furthest of all that they can see and
        lets the others catch up; commit returns when the disk of this rank has it. There rows of
        ``local`` classes are not kept. Where nodes come and go (TCP, ``resilient=True``) a node has
        its own folder, ``node-<nodeId>``, and opens no other; commit returns when a majority, this
        node with it, has the transaction on disk. Rows of ``local`` classes are not kept there,
        those of ``transient`` ones are; with ``quorumCallback`` it is refused (NotSupportedError),
        and so is a folder of another node, cluster id or number of nodes (IncompatibleError).
    is_shm, shm: two names of one argument; also on when ``init_runtime`` said so. One replica a
        host: the ranks of a host read one shared segment without copies, and one of them, the
        leader, takes part in the exchange and commits for the others. Needs MPI, and the same on
        all ranks; NotSupportedError without a cluster, with TCP and with ``resilient=True``. A rank
        that dies ends the job, as in any plain job. :func:`topology` tells who would lead.
    db_segment_size: bytes; the unit in which memory is reserved and grown.
    db_max_connections: how many connections may be open at once.
    path: the folder of a durable database, made when it is not there; by default ``<dbname>.exdb``
        in the current folder. Over MPI it may be on a shared file system or on disks of the hosts,
        under one name. Unused in memory.
    own_listener: False: a thread of the program runs ``con.listen()``. True: exdb has one.
    timeout: seconds that open over MPI waits for ranks that do not come, and that commit, stop and
        close wait for a node that is silent, before they raise ClusterTimeoutError (commit:
        OutcomeUnknownError) naming it; None: for ever. Nodes that live are not given up: see
        :meth:`Database.close`. Over TCP a silent node is gone after ``keepAliveTime`` times
        ``keepAliveProbes``, and this bounds how long a commit waits for a quorum that was lost.
    fsync: of a durable database. True: commit returns when the device has the transaction; threads
        that commit at once share one fsync. False: when the system has it: it outlives the process
        (kill -9), and a crash of the machine may lose the newest commits.
    checkpoint_bytes: of a durable database: it writes a checkpoint by itself when the log after
        the last one is larger than this, and than that checkpoint; 0: only in
        ``db.checkpoint()``. Bounds what the next open has to read.
    checkpoint_seconds: likewise when so many seconds have passed since the last one and anything
        was committed; None: not by time. In a cluster each node makes those for itself.
    durable_copies: over MPI, with ``is_disk=True``: only so many ranks (with is_shm hosts) keep a
        folder, one each file system before a second on any; the others have the database in memory,
        and take it from those at open. commit returns when all of them have the transaction on
        disk, so what was acknowledged outlives the loss of all copies but one; it takes as long as
        the slowest of their disks. A rank that keeps one and leaves is done without; when none is
        left commits raise. The same on all ranks, ClusterParameterError if there are fewer. None:
        every rank keeps one, and commit returns when its own has it.
    on_preempt: True, or an :class:`OnPreempt`: when SIGTERM or SIGUSR1 comes, as a scheduler sends
        it before the time of a job is over, a thread of exdb's writes a checkpoint (on disk) and
        closes the database, which ends calls that block in it; then SystemExit with exit code 99
        is raised in the main thread, for a requeue. A main thread that does not run Python for
        10 s after that is ended without, and 100 s after the signal (``OnPreempt(seconds=...)``)
        all ends as it is, with that code too. Over MPI one rank that gets the signal tells all that
        have ``on_preempt``, by a commit; ranks that do not close within 20 s are left. Over TCP it
        is a matter of the node that gets it: it leaves, and the others go on. To be opened in the
        main thread; replaces the program's own handlers of these signals.

    On disk it blocks, without the GIL, until all that is there is read and checked
    (``db.recovered`` tells); after a kill a line on stderr says the same. Over MPI all ranks wait,
    without a limit, for the one that reads longest, and what one of them finds wrong is raised on
    all; InconsistentReplicaError: two copies went on without each other, so one of the folders that
    are named has to be moved away.

    Raises ClusterParameterError, IncompatibleError (different dictionaries), DuplicateNodeError,
    LauncherError (wrong MPI), NotSupportedError, DataError; ClusterError (an address that cannot be
    listened on). On disk DatabaseInUseError, SchemaChangedError, DiskFormatError, DiskDamagedError
    (naming file and offset), DiskFullError, DiskError.
    """
    return _open(
        _Opening(
            dbname,
            lambda: dictionary,
            clusterParams,
            is_disk,
            is_shm,
            shm,
            db_segment_size,
            db_max_connections,
            path,
            fsync,
            checkpoint_bytes,
            checkpoint_seconds,
            durable_copies,
            own_listener,
            timeout,
            True,
            on_preempt,
        )
    )


def open(
    dbname: str,
    schema: str | Dictionary,
    comm: Any | None = None,
    clusterParams: ClusterParams | None = None,
    *,
    is_disk: bool = False,
    is_shm: bool = False,
    shm: bool | None = None,
    db_segment_size: int = DEFAULT_SEGMENT,
    db_max_connections: int = 100,
    path: str | os.PathLike[str] | None = None,
    own_listener: bool = True,
    timeout: float | None = 60.0,
    fsync: bool = True,
    checkpoint_bytes: int = DEFAULT_CHECKPOINT,
    checkpoint_seconds: float | None = None,
    durable_copies: int | None = None,
    on_preempt: bool | _preempt.OnPreempt | None = None,
) -> Database:
    """Runtime, dictionary, database and listener in one call.

    ::

        with exdb.open("grid", schema, comm=MPI.COMM_WORLD) as db:
            with db.connect() as con, con.startTransaction():
                con.new("Item", id=1)

    dbname: for people and messages; may differ from node to node.
    schema: the text of a schema, or a :class:`Dictionary`.
    comm: an mpi4py communicator: COLLECTIVE over it, and every rank of it is a node. Without
        ``comm`` and ``clusterParams``: a database in this process; MPI is not needed and not
        touched.
    clusterParams: a :class:`ClusterParams`, for everything else about the cluster; then ``comm``
        may be in its ``nwparams`` or here.
    is_disk: durable: what was committed is there when the database is opened again, whatever ended
        the process, or the machine. One process has it open at a time. Rows of classes declared
        ``transient`` are not kept: they are emptied by the next open; all others are, ``local``
        ones too. Over MPI each rank keeps a folder ``node-<rank>`` below ``path`` (with is_shm one
        a host), and open, with any number of ranks, finds the furthest of all that they can see and
        lets the others catch up; commit returns when the disk of this rank has it. There rows of
        ``local`` classes are not kept. Where nodes come and go (TCP, ``resilient=True``) a node has
        its own folder, ``node-<nodeId>``, and opens no other; commit returns when a majority, this
        node with it, has the transaction on disk. Rows of ``local`` classes are not kept there,
        those of ``transient`` ones are; with ``quorumCallback`` it is refused (NotSupportedError),
        and so is a folder of another node, cluster id or number of nodes (IncompatibleError).
    is_shm, shm: two names of one argument; also on when ``init_runtime`` said so. One replica a
        host: the ranks of a host read one shared segment without copies, and one of them, the
        leader, takes part in the exchange and commits for the others. Needs MPI, and the same on
        all ranks; NotSupportedError without a cluster, with TCP and with ``resilient=True``. A rank
        that dies ends the job, as in any plain job. :func:`topology` tells who would lead.
    db_segment_size: bytes; the unit in which memory is reserved and grown.
    db_max_connections: how many connections may be open at once.
    path: the folder of a durable database, made when it is not there; by default ``<dbname>.exdb``
        in the current folder. Over MPI it may be on a shared file system or on disks of the hosts,
        under one name. Unused in memory.
    own_listener: True: exdb has a thread that drives the node. False: a thread of the program runs
        ``con.listen()``.
    timeout: seconds that open over MPI waits for ranks that do not come, and that commit, stop and
        close wait for a node that is silent, before they raise ClusterTimeoutError (commit:
        OutcomeUnknownError) naming it; None: for ever. Nodes that live are not given up: see
        :meth:`Database.close`. Over TCP a silent node is gone after ``keepAliveTime`` times
        ``keepAliveProbes``, and this bounds how long a commit waits for a quorum that was lost.
    fsync: of a durable database. True: commit returns when the device has the transaction; threads
        that commit at once share one fsync. False: when the system has it: it outlives the process
        (kill -9), and a crash of the machine may lose the newest commits.
    checkpoint_bytes: of a durable database: it writes a checkpoint by itself when the log after
        the last one is larger than this, and than that checkpoint; 0: only in
        ``db.checkpoint()``. Bounds what the next open has to read.
    checkpoint_seconds: likewise when so many seconds have passed since the last one and anything
        was committed; None: not by time. In a cluster each node makes those for itself.
    durable_copies: over MPI, with ``is_disk=True``: only so many ranks (with is_shm hosts) keep a
        folder, one each file system before a second on any; the others have the database in memory,
        and take it from those at open. commit returns when all of them have the transaction on
        disk, so what was acknowledged outlives the loss of all copies but one; it takes as long as
        the slowest of their disks. A rank that keeps one and leaves is done without; when none is
        left commits raise. The same on all ranks, ClusterParameterError if there are fewer. None:
        every rank keeps one, and commit returns when its own has it.
    on_preempt: True, or an :class:`OnPreempt`: when SIGTERM or SIGUSR1 comes, as a scheduler sends
        it before the time of a job is over, a thread of exdb's writes a checkpoint (on disk) and
        closes the database, which ends calls that block in it; then SystemExit with exit code 99
        is raised in the main thread, for a requeue. A main thread that does not run Python for
        10 s after that is ended without, and 100 s after the signal (``OnPreempt(seconds=...)``)
        all ends as it is, with that code too. Over MPI one rank that gets the signal tells all that
        have ``on_preempt``, by a commit; ranks that do not close within 20 s are left. Over TCP it
        is a matter of the node that gets it: it leaves, and the others go on. To be opened in the
        main thread; replaces the program's own handlers of these signals.

    On disk::

        with exdb.open("grid", schema, is_disk=True) as db:
            ...

    Over TCP::

        nodes = [exdb.ClusterNodeParams(f"127.0.0.1:{port}") for port in (2001, 2002, 2003)]
        with exdb.open("grid", schema, clusterParams=exdb.ClusterParams(0, "TCP", nodes)) as db:
            ...

    Blocks, without the GIL, with a cluster until all ranks are there, or over TCP until this node
    is a member. What is raised: as :func:`open_database`; with MPI a wrong schema on one rank
    raises SchemaError on all.
    """
    params = clusterParams
    if comm is not None:
        params = _with_communicator(clusterParams, comm)

    def dictionary() -> Dictionary:
        return load_dictionary(schema) if not isinstance(schema, Dictionary) else schema

    return _open(
        _Opening(
            dbname,
            dictionary,
            params,
            is_disk,
            is_shm,
            shm,
            db_segment_size,
            db_max_connections,
            path,
            fsync,
            checkpoint_bytes,
            checkpoint_seconds,
            durable_copies,
            own_listener,
            timeout,
            False,
            on_preempt,
        )
    )


def _with_communicator(params: ClusterParams | None, comm: Any) -> ClusterParams:
    result = ClusterParams(None, "MPI")
    if params is not None:
        if not isinstance(params, ClusterParams):
            return params  # refused where everything else is
        result.__dict__.update(params.__dict__)
    if isinstance(result.nwparams, dict) or result.nwparams is None:
        result.nwparams = {**(result.nwparams or {}), "comm": comm}
    else:
        result.nwparams = _Unusable(result.nwparams, comm)
    return result


class _Unusable(dict):  # type: ignore[type-arg]
    """nwparams that are no dict, with a communicator beside: the mistake is told to all ranks."""

    def __init__(self, given: Any, comm: Any) -> None:
        super().__init__({f"(nwparams is {given!r}, not a dict)": None, "comm": comm})
