# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""From ClusterParams to what the engine takes, with every argument checked.

What is wrong here is wrong on one rank only as a rule, so nothing here may end in an exception on
that rank alone: ``open`` hands the failure to the collective part, and every rank raises it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _core, _mpi
from ._callbacks import CallbackThreads
from ._check import boolean, integer, shown
from .errors import ClusterParameterError, Error, NotSupportedError
from .params import ClusterNodeParams, ClusterParams, ClusterWindow

EXCHANGES = {"auto": 0, "p2p": 1, "collective": 2}
PROGRESSES = {"adaptive": 0, "spin": 1, "cooperative": 2}
MPI_KEYS = ("comm", "exchange", "progress", "resilient")
TCP_KEYS = (
    "connectTimeout",
    "connectInterval",
    "socketSendBuf",
    "socketRecvBuf",
    "socketDomain",
    "keepAliveTime",
    "keepAliveProbes",
    "ssl_params",
    "cluster_secret_file",
    "insecure_network",
)
TCP_LATER = (
    "nwtype='TCP' comes in a later release; use nwtype='MPI' (mpiexec -n N python ..., with "
    "nodes=[] and nodeId=None)"
)


def communicator_of(params: object) -> _mpi.Communicator:
    """The communicator by which a failure on one rank can be told to all.

    There is one when MPI is asked for in any way, however wrong the rest may be. Raises, locally,
    when there is none.
    """
    if not isinstance(params, ClusterParams):
        raise ClusterParameterError(
            f"clusterParams must be an exdb.ClusterParams, not {shown(params)}"
        )
    nwparams = params.nwparams
    has_comm = isinstance(nwparams, Mapping) and nwparams.get("comm") is not None
    wants_mpi = isinstance(params.nwtype, str) and params.nwtype.upper() == "MPI"
    if not (wants_mpi or has_comm or params.MPICluster):
        if isinstance(params.nwtype, str) and params.nwtype.upper() == "TCP":
            raise NotSupportedError(TCP_LATER)
        raise ClusterParameterError(f"nwtype must be 'MPI' or 'TCP', not {shown(params.nwtype)}")
    return _mpi.communicator(nwparams["comm"] if has_comm and nwparams is not None else None)


def failure_of(error: Exception) -> tuple[int, str]:
    """An exception as the engine carries it to the other ranks; the engine says which rank's."""
    code = error.code if isinstance(error, Error) and error.code else ClusterParameterError.code
    return code, str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"


def _integer(value: Any, name: str, low: int, high: int) -> int:
    return integer(value, name, low, high, ClusterParameterError)


def _function(value: Any, name: str) -> Any:
    if value is not None and not callable(value):
        raise ClusterParameterError(f"{name} must be a function, not {shown(value)}")
    return value


def _choice(value: Any, name: str, choices: dict[str, int]) -> int:
    if not isinstance(value, str) or value not in choices:
        raise ClusterParameterError(
            f"nwparams {name!r} is {value!r}; it must be one of {', '.join(map(repr, choices))}"
        )
    return choices[value]


def _check_nwtype(params: ClusterParams) -> None:
    if not isinstance(params.nwtype, str) or params.nwtype.upper() not in ("MPI", "TCP"):
        raise ClusterParameterError(f"nwtype must be 'MPI' or 'TCP', not {shown(params.nwtype)}")
    boolean(params.MPICluster, "MPICluster", ClusterParameterError)
    if params.nwtype.upper() == "TCP":
        if params.MPICluster:
            raise ClusterParameterError("MPICluster=True goes with nwtype='MPI', not with 'TCP'")
        raise NotSupportedError(TCP_LATER)


def _nwparams(params: ClusterParams) -> dict[str, Any]:
    given = {} if params.nwparams is None else params.nwparams
    if not isinstance(given, Mapping):
        raise ClusterParameterError(f"nwparams must be a dict, not {shown(given)}")
    for key in given:
        if key in MPI_KEYS:
            continue
        hint = " (a key of nwtype='TCP')" if key in TCP_KEYS else ""
        raise ClusterParameterError(
            f"nwparams has an unknown key {key!r}{hint}; known with nwtype='MPI' are: "
            + ", ".join(MPI_KEYS)
        )
    if boolean(given.get("resilient", False), "nwparams 'resilient'", ClusterParameterError):
        raise NotSupportedError(
            "nwparams resilient=True (ranks that live on when one dies) comes in a later release; "
            "without it the end of a rank ends the job, which can be started again"
        )
    return dict(given)


def _node_id(params: ClusterParams, comm: _mpi.Communicator) -> int | None:
    if params.nodeId is None:
        return None
    number = _integer(params.nodeId, "nodeId", -(2**31), 2**31)
    if not 0 <= number < comm.size:
        raise ClusterParameterError(
            f"nodeId {number} is not one of the {comm.size} ranks (0..{comm.size - 1})"
        )
    return number  # whether it is the rank, and nobody else's, is seen when all have said theirs


def _nodes(params: ClusterParams, comm: _mpi.Communicator) -> list[tuple[str, int]]:
    try:
        nodes = list(params.nodes if params.nodes is not None else ())
    except TypeError:
        raise ClusterParameterError(f"nodes must be a list, not {shown(params.nodes)}") from None
    for node in nodes:
        if not isinstance(node, ClusterNodeParams):
            raise ClusterParameterError(f"nodes must hold ClusterNodeParams, not {shown(node)}")
        if not isinstance(node.addr, str):
            raise ClusterParameterError(f"addr must be a str, not {shown(node.addr)}")
    if nodes and len(nodes) != comm.size:
        raise ClusterParameterError(
            f"nodes lists {len(nodes)} nodes, but the communicator has {comm.size} ranks"
        )
    result = [(node.addr, _integer(node.qrank, "qrank", 0, 2**31 - 1)) for node in nodes]
    if result and sum(qrank for _, qrank in result) == 0:
        raise ClusterParameterError("all qranks are 0: there could never be a quorum")
    return result


def check_window(window: ClusterWindow | None) -> tuple[int, int, int]:
    """bytes, transactions, milliseconds; raises ClusterParameterError."""
    if window is None:
        window = ClusterWindow()
    for name in ("bsize", "length", "timeout"):
        if not hasattr(window, name):
            raise ClusterParameterError(
                f"window must be an exdb.ClusterWindow, not {shown(window)}"
            )
    return (
        _integer(window.bsize, "window.bsize", 0, 2**62),
        _integer(window.length, "window.length", 0, 2**62),
        _integer(window.timeout, "window.timeout", 0, 3_600_000),
    )


def request(comm: _mpi.Communicator) -> _core.ClusterRequest:
    """What the engine takes, with the default of every argument."""
    return _core.ClusterRequest(comm.handle, comm.rank, comm.size)


def fill(request: _core.ClusterRequest, params: ClusterParams, comm: _mpi.Communicator) -> None:
    """Checks the arguments and puts them into the request. Raises what is wrong."""
    _check_nwtype(params)
    nwparams = _nwparams(params)
    request.node_id = _node_id(params, comm)
    for addr, qrank in _nodes(params, comm):
        request.add_node(addr, qrank)
    request.window = check_window(params.window)
    request.conn_pool_factor = _integer(params.conn_pool_factor, "conn_pool_factor", 1, 1000)
    request.sync_msg_objects = _integer(params.sync_msg_objects, "sync_msg_objects", 1, 2**62)
    request.sync_msg_bytes = _integer(params.sync_msg_size, "sync_msg_size", 0, 2**62)
    request.mode_mask = _integer(params.mode_mask, "mode_mask", 0, 3)
    request.progress = _choice(nwparams.get("progress", "adaptive"), "progress", PROGRESSES)
    request.exchange = _choice(nwparams.get("exchange", "auto"), "exchange", EXCHANGES)
    request.send_buffer_bytes = _integer(params.clusterSendBuf, "clusterSendBuf", 0, 2**30)
    request.receive_buffer_bytes = _integer(params.clusterRecvBuf, "clusterRecvBuf", 0, 2**30)
    if _function(params.notifyCallback, "notifyCallback") is not None:
        request.use_notify()
    if _function(params.quorumCallback, "quorumCallback") is not None:
        request.use_quorum()


def start_callbacks(request: _core.ClusterRequest, params: ClusterParams) -> CallbackThreads:
    """The threads that serve the callbacks of checked params."""
    return CallbackThreads(request.callbacks, params.notifyCallback, params.quorumCallback)
