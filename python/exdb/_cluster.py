# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""From ClusterParams to what the engine takes, with every argument checked.

What is wrong here is wrong on one rank only as a rule, so nothing here may end in an exception on
that rank alone: ``open`` hands the failure to the collective part, and every rank raises it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from . import _mpi
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
            f"clusterParams must be an exdb.ClusterParams, not {type(params).__name__}"
        )
    nwparams = params.nwparams
    has_comm = isinstance(nwparams, Mapping) and nwparams.get("comm") is not None
    wants_mpi = isinstance(params.nwtype, str) and params.nwtype.upper() == "MPI"
    if not (wants_mpi or has_comm or params.MPICluster):
        if isinstance(params.nwtype, str) and params.nwtype.upper() == "TCP":
            raise NotSupportedError(TCP_LATER)
        raise ClusterParameterError(f"nwtype {params.nwtype!r} is not 'MPI' or 'TCP'")
    return _mpi.communicator(nwparams["comm"] if has_comm and nwparams is not None else None)


def failure_of(error: Exception, rank: int) -> tuple[int, str]:
    """An exception as the engine carries it to the other ranks."""
    code = error.code if isinstance(error, Error) and error.code else ClusterParameterError.code
    text = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
    return code, f"rank {rank}: {text}"


def _integer(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool):
        raise ClusterParameterError(f"{name} must be an integer, not {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise ClusterParameterError(f"{name} must be an integer, not {value!r}") from None
    if not low <= number <= high:
        raise ClusterParameterError(f"{name} {number} is not within {low}..{high}")
    return number


def _function(value: Any, name: str) -> Any:
    if value is not None and not callable(value):
        raise ClusterParameterError(f"{name} must be a function, not {value!r}")
    return value


def _choice(value: Any, name: str, choices: dict[str, int]) -> int:
    if not isinstance(value, str) or value not in choices:
        raise ClusterParameterError(
            f"nwparams {name!r} is {value!r}; it must be one of {', '.join(map(repr, choices))}"
        )
    return choices[value]


def _check_nwtype(params: ClusterParams) -> None:
    if not isinstance(params.nwtype, str) or params.nwtype.upper() not in ("MPI", "TCP"):
        raise ClusterParameterError(f"nwtype {params.nwtype!r} is not 'MPI' or 'TCP'")
    if not isinstance(params.MPICluster, bool):
        raise ClusterParameterError(f"MPICluster must be a bool, not {params.MPICluster!r}")
    if params.nwtype.upper() == "TCP":
        if params.MPICluster:
            raise ClusterParameterError("MPICluster=True goes with nwtype='MPI', not with 'TCP'")
        raise NotSupportedError(TCP_LATER)


def _nwparams(params: ClusterParams) -> dict[str, Any]:
    given = {} if params.nwparams is None else params.nwparams
    if not isinstance(given, Mapping):
        raise ClusterParameterError(f"nwparams must be a dict, not {type(given).__name__}")
    for key in given:
        if key in MPI_KEYS:
            continue
        hint = " (a key of nwtype='TCP')" if key in TCP_KEYS else ""
        raise ClusterParameterError(
            f"nwparams has an unknown key {key!r}{hint}; known with nwtype='MPI' are: "
            + ", ".join(MPI_KEYS)
        )
    resilient = given.get("resilient", False)
    if not isinstance(resilient, bool):
        raise ClusterParameterError(f"nwparams 'resilient' must be a bool, not {resilient!r}")
    if resilient:
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
        raise ClusterParameterError(f"nodes must be a list, not {params.nodes!r}") from None
    for node in nodes:
        if not isinstance(node, ClusterNodeParams):
            raise ClusterParameterError(f"nodes must hold ClusterNodeParams, not {node!r}")
        if not isinstance(node.addr, str):
            raise ClusterParameterError(f"addr must be a str, not {node.addr!r}")
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
            raise ClusterParameterError(f"window must be an exdb.ClusterWindow, not {window!r}")
    return (
        _integer(window.bsize, "window.bsize", 0, 2**62),
        _integer(window.length, "window.length", 0, 2**62),
        _integer(window.timeout, "window.timeout", 0, 3_600_000),
    )


def request(comm: _mpi.Communicator, timeout_ms: int) -> dict[str, Any]:
    """What the engine takes, with the default of every argument."""
    return {
        "node_id": None,
        "nodes": [],
        "window": (0, 0, 1),
        "conn_pool_factor": 50,
        "sync_msg_objects": 100,
        "sync_msg_bytes": 0,
        "mode_mask": 0,
        "progress": 0,
        "exchange": 0,
        "send_buffer_bytes": 0,
        "receive_buffer_bytes": 0,
        "timeout_ms": timeout_ms,
        "notify": None,
        "quorum": None,
        "handle": comm.handle,
        "rank": comm.rank,
        "size": comm.size,
        "failure": None,
    }


def arguments(params: ClusterParams, comm: _mpi.Communicator) -> dict[str, Any]:
    """The checked arguments, to be put over :func:`request`. Raises what is wrong."""
    _check_nwtype(params)
    nwparams = _nwparams(params)
    return {
        "node_id": _node_id(params, comm),
        "nodes": _nodes(params, comm),
        "window": check_window(params.window),
        "conn_pool_factor": _integer(params.conn_pool_factor, "conn_pool_factor", 1, 1000),
        "sync_msg_objects": _integer(params.sync_msg_objects, "sync_msg_objects", 1, 2**62),
        "sync_msg_bytes": _integer(params.sync_msg_size, "sync_msg_size", 0, 2**62),
        "mode_mask": _integer(params.mode_mask, "mode_mask", 0, 3),
        "progress": _choice(nwparams.get("progress", "adaptive"), "progress", PROGRESSES),
        "exchange": _choice(nwparams.get("exchange", "auto"), "exchange", EXCHANGES),
        "send_buffer_bytes": _integer(params.clusterSendBuf, "clusterSendBuf", 0, 2**30),
        "receive_buffer_bytes": _integer(params.clusterRecvBuf, "clusterRecvBuf", 0, 2**30),
        "notify": _function(params.notifyCallback, "notifyCallback"),
        "quorum": _function(params.quorumCallback, "quorumCallback"),
    }
