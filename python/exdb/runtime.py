# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""init_runtime, open_database, and open, the short way."""

from __future__ import annotations

import logging
import operator
import os
from dataclasses import dataclass
from typing import Any, Callable

from . import _cluster, _core, _lifetime
from .database import Database
from .dictionary import Dictionary, load_dictionary
from .errors import ClusterParameterError, DataError, Error, NotSupportedError, ProgrammingError
from .params import ClusterParams

DEFAULT_SEGMENT = 128 * 1024 * 1024
DISK_LATER = (
    "is_disk=True (durable databases) comes in a later release; use is_disk=False: the database "
    "lives in memory for as long as the job"
)
SHM_LATER = (
    "is_shm=True (one replica for all ranks of a host) comes in a later release; use is_shm=False: "
    "each rank has its own replica"
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
    """Chooses what the runtime can do. Local; not needed before ``exdb.open``.

    tmgr: transaction manager. exdb has one, ``'mvcc'``; ``'mursiw'`` and ``'exclusive'`` are taken
        and mean it too, but not with ``cluster=True``.
    is_disk, is_shm: refused in this release (NotSupportedError).
    is_debug: logs what is opened (logger ``exdb``, level DEBUG).
    cluster: databases may be opened with ``clusterParams``.
    disk, shm, debug: other names of is_disk, is_shm, is_debug.

    Raises ProgrammingError when a database is open and the values differ from those before.
    """
    global _settings
    wanted = _Settings(
        bool(is_disk if disk is None else disk),
        _manager(tmgr),
        bool(is_shm if shm is None else shm),
        bool(is_debug if debug is None else debug),
        bool(cluster),
    )
    if wanted.cluster and wanted.tmgr != "mvcc":
        raise ClusterParameterError(f"a cluster needs the transaction manager 'mvcc', not {tmgr!r}")
    _refuse_unsupported(wanted.is_disk, wanted.is_shm)
    if _settings is not None and wanted != _settings and _lifetime.open_databases():
        raise ProgrammingError(
            f"init_runtime was called with other values ({_settings}) and a database is open: "
            "close it first"
        )
    _settings = wanted


def _manager(tmgr: object) -> str:
    if not isinstance(tmgr, str) or tmgr.lower() not in MANAGERS:
        raise ProgrammingError(f"tmgr must be one of {', '.join(MANAGERS)}, not {tmgr!r}")
    return tmgr.lower()


def _refuse_unsupported(is_disk: bool, is_shm: bool) -> None:
    if is_disk:
        raise NotSupportedError(DISK_LATER)
    if is_shm:
        raise NotSupportedError(SHM_LATER)


def _number(value: Any, name: str, low: int, high: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise DataError(f"{name} must be an integer, not {value!r}") from None
    if not low <= number <= high:
        raise DataError(f"{name} {number} is not within {low}..{high}")
    return number


def _milliseconds(timeout: float | None) -> int:
    if timeout is None:
        return 0
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise DataError(f"timeout must be seconds above 0, or None, not {timeout!r}")
    return max(1, int(min(timeout, 1e9) * 1000))


@dataclass
class _Opening:
    """The arguments of both ways to open, before they are checked."""

    name: Any
    dictionary: Callable[[], Any]
    params: ClusterParams | None
    is_disk: Any
    is_shm: Any
    segment: Any
    connections: Any
    path: Any
    own_listener: bool
    timeout: float | None
    needs_cluster_runtime: bool


@dataclass
class _Checked:
    name: str
    dictionary: Dictionary
    segment: int
    connections: int


def _check(opening: _Opening) -> _Checked:
    global _settings
    if not isinstance(opening.name, str) or not opening.name:
        raise DataError(f"dbname must be a str that is not empty, not {opening.name!r}")
    _refuse_unsupported(bool(opening.is_disk), bool(opening.is_shm))
    if opening.path is not None and not isinstance(opening.path, (str, os.PathLike)):
        raise DataError(f"path must be a path, not {opening.path!r}")
    clustered = opening.params is not None
    if _settings is None:
        _settings = _Settings(False, "mvcc", False, False, clustered)
    elif clustered and _settings.tmgr != "mvcc":
        raise ClusterParameterError("a cluster needs init_runtime(tmgr='mvcc', cluster=True)")
    elif clustered and opening.needs_cluster_runtime and not _settings.cluster:
        raise ClusterParameterError(
            "the runtime was initialised without a cluster: call init_runtime(cluster=True) first"
        )
    dictionary = opening.dictionary()
    if not isinstance(dictionary, Dictionary):
        raise DataError(
            f"dictionary must be what load_dictionary() gives, not {type(dictionary).__name__}"
        )
    return _Checked(
        opening.name,
        dictionary,
        _number(opening.segment, "db_segment_size", 1 << 16, 1 << 46),
        _number(opening.connections, "db_max_connections", 1, 100_000),
    )


def _open_alone(opening: _Opening) -> Database:
    checked = _check(opening)
    core = _core.open(
        checked.name,
        checked.dictionary._core,
        checked.segment,
        checked.connections,
        opening.own_listener,
        None,
        False,
    )
    return _opened(Database(core, checked.dictionary))


def _open(opening: _Opening) -> Database:
    """COLLECTIVE with a cluster. From the moment a communicator is known, nothing is raised before
    the collective part: what is wrong goes into it, and comes out on every rank."""
    if opening.params is None:
        return _open_alone(opening)
    comm = _cluster.communicator_of(opening.params)
    request = _cluster.request(comm, 60_000)
    cause: Exception | None = None
    checked: _Checked | None = None
    try:
        request["timeout_ms"] = _milliseconds(opening.timeout)
        checked = _check(opening)
        request.update(_cluster.arguments(opening.params, comm))
    except Exception as error:
        cause = error
        request["failure"] = _cluster.failure_of(error, comm.rank)
    if checked is None:
        checked = _Checked("failed", Dictionary(""), DEFAULT_SEGMENT, 1)
    try:
        core = _core.open(
            checked.name,
            checked.dictionary._core,
            checked.segment,
            checked.connections,
            opening.own_listener,
            request,
            comm.serialized,
        )
    except Error as error:
        raise error from cause
    return _opened(Database(core, checked.dictionary, comm.comm))


def _opened(database: Database) -> Database:
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
    own_listener: bool = False,
    timeout: float | None = 60.0,
) -> Database:
    """Opens a database; with ``clusterParams`` as a node of a cluster.

    With a cluster COLLECTIVE over its communicator; blocks, without the GIL, until all ranks are
    there (at most ``timeout``). Whatever is wrong on one rank raises the same error on all.

    dbname: may differ from node to node.
    db_segment_size: bytes; the unit in which memory is reserved and grown.
    db_max_connections: how many connections may be open at once.
    is_disk, is_shm: refused in this release (NotSupportedError).
    path: where a durable database would be; unused in memory.
    own_listener: False: a thread of the program runs ``con.listen()``. True: exdb has one.
    timeout: seconds that open, commit, stop and close wait for a silent node before they raise
        ClusterTimeoutError (commit: OutcomeUnknownError) naming it; None = for ever.

    Raises ClusterParameterError, IncompatibleError (different dictionaries), DuplicateNodeError,
    LauncherError (wrong MPI), NotSupportedError, DataError.
    """
    return _open(
        _Opening(
            dbname,
            lambda: dictionary,
            clusterParams,
            is_disk,
            is_shm,
            db_segment_size,
            db_max_connections,
            path,
            own_listener,
            timeout,
            True,
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
    db_segment_size: int = DEFAULT_SEGMENT,
    db_max_connections: int = 100,
    path: str | os.PathLike[str] | None = None,
    own_listener: bool = True,
    timeout: float | None = 60.0,
) -> Database:
    """Runtime, dictionary, database and listener in one call.

    ::

        with exdb.open("grid", schema, comm=MPI.COMM_WORLD) as db:
            with db.connect() as con, con.startTransaction():
                con.new("Item", id=1)

    schema: the text of a schema, or a :class:`Dictionary`.
    comm: an mpi4py communicator: COLLECTIVE over it, and every rank of it is a node. Without
        ``comm`` and ``clusterParams``: a database in this process; MPI is not needed and not
    touched. clusterParams: for everything else about the cluster; then ``comm`` may be in its
        ``nwparams`` or here.

    The rest and what is raised: as :func:`open_database`; a wrong schema on one rank raises
    SchemaError on all.
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
            db_segment_size,
            db_max_connections,
            path,
            own_listener,
            timeout,
            False,
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
