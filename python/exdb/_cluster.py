# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""From ClusterParams to what the engine takes, with every argument checked.

With MPI, what is wrong here is wrong on one rank only as a rule, so nothing here may end in an
exception on that rank alone: ``open`` hands the failure to the collective part, and every rank
raises it. With TCP there is nobody to tell, and it is raised at once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from . import _core, _mpi, _tcp
from ._callbacks import CallbackThreads
from ._check import boolean, integer, shown
from .errors import ClusterParameterError, Error, NotSupportedError
from .params import ClusterNodeParams, ClusterParams, ClusterWindow

EXCHANGES = {"auto": 0, "p2p": 1, "collective": 2}
PROGRESSES = {"adaptive": 0, "spin": 1, "cooperative": 2}
MPI_KEYS = ("comm", "exchange", "progress", "resilient")
RESILIENT_KEYS = {"keepAliveTime": 1000, "keepAliveProbes": 10, "connectTimeout": 5000}
SEND_BOUND_BYTES = 16 << 20
SHM_TCP = (
    "is_shm=True (one replica a host) needs nwtype='MPI': over TCP each node is a program that "
    "comes and goes by itself, and has its own replica. Leave is_shm out, or start the nodes of a "
    "host as ranks of an MPI job"
)
SHM_RESILIENT = (
    "is_shm=True (one replica a host) and resilient=True do not go together: the ranks of a host "
    "live and die with the one that writes their replica. Leave one of them out"
)


def communicator_of(params: object) -> _mpi.Communicator | None:
    """The communicator by which a failure on one rank can be told to all; None with TCP.

    There is one when MPI is asked for in any way, however wrong the rest may be. Raises, locally,
    when it is unknown whether there is one.
    """
    if not isinstance(params, ClusterParams):
        raise ClusterParameterError(
            f"clusterParams must be an exdb.ClusterParams, not {shown(params)}"
        )
    nwparams = params.nwparams
    has_comm = isinstance(nwparams, Mapping) and nwparams.get("comm") is not None
    nwtype = params.nwtype.upper() if isinstance(params.nwtype, str) else None
    # MPICluster beside TCP is a mistake of which other ranks must hear, if this is a job.
    in_job = params.MPICluster and (nwtype != "TCP" or "mpi4py.MPI" in sys.modules)
    if not (nwtype == "MPI" or has_comm or in_job):
        if nwtype == "TCP":
            return None
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
    if params.nwtype.upper() == "TCP" and params.MPICluster:
        raise ClusterParameterError(
            "MPICluster=True goes with nwtype='MPI', not with 'TCP': leave one of them out"
        )


def _nwparams(params: ClusterParams, nwtype: str) -> dict[str, Any]:
    given = {} if params.nwparams is None else params.nwparams
    if not isinstance(given, Mapping):
        raise ClusterParameterError(f"nwparams must be a dict, not {shown(given)}")
    resilient = nwtype == "MPI" and boolean(
        given.get("resilient", False), "nwparams 'resilient'", ClusterParameterError
    )
    mpi_keys = (*MPI_KEYS, *RESILIENT_KEYS) if resilient else MPI_KEYS
    keys_of = {"MPI": mpi_keys, "TCP": _tcp.KEYS}
    for key in given:
        if key in keys_of[nwtype]:
            continue
        other = next((name for name, keys in keys_of.items() if key in keys), None)
        hint = f" (a key of nwtype={other!r})" if other else ""
        raise ClusterParameterError(
            f"nwparams has an unknown key {key!r}{hint}; known with nwtype={nwtype!r} are: "
            + ", ".join(keys_of[nwtype])
        )
    return dict(given)


def _node_id(params: ClusterParams, comm: _mpi.Communicator | None) -> int | None:
    if comm is None:
        if params.nodeId is None:
            raise ClusterParameterError(
                "nodeId must be given with nwtype='TCP': the index of this node in nodes"
            )
        # Whether it is an index of nodes is seen beside them.
        return _integer(params.nodeId, "nodeId", 0, 2**31)
    if params.nodeId is None:
        return None
    number = _integer(params.nodeId, "nodeId", -(2**31), 2**31)
    if not 0 <= number < comm.size:
        raise ClusterParameterError(
            f"nodeId {number} is not one of the {comm.size} ranks (0..{comm.size - 1})"
        )
    return number  # whether it is the rank, and nobody else's, is seen when all have said theirs


def _nodes(params: ClusterParams, comm: _mpi.Communicator | None) -> list[tuple[str, int]]:
    try:
        nodes = list(params.nodes if params.nodes is not None else ())
    except TypeError:
        raise ClusterParameterError(f"nodes must be a list, not {shown(params.nodes)}") from None
    for node in nodes:
        if not isinstance(node, ClusterNodeParams):
            raise ClusterParameterError(f"nodes must hold ClusterNodeParams, not {shown(node)}")
        if not isinstance(node.addr, str):
            raise ClusterParameterError(f"addr must be a str, not {shown(node.addr)}")
    if comm is None and not nodes:
        raise ClusterParameterError(
            "nodes must be given with nwtype='TCP': one ClusterNodeParams('host:port') a node, the "
            "same list on every node"
        )
    if comm is not None and nodes and len(nodes) != comm.size:
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


def request(comm: _mpi.Communicator | None) -> _core.ClusterRequest:
    """What the engine takes, with the default of every argument."""
    if comm is None:
        return _core.ClusterRequest()
    return _core.ClusterRequest(comm.handle, comm.rank, comm.size)


def fill(
    request: _core.ClusterRequest,
    params: ClusterParams,
    comm: _mpi.Communicator | None,
    is_shm: bool = False,
) -> None:
    """Checks the arguments and puts them into the request. Raises what is wrong."""
    _check_nwtype(params)
    nwparams = _nwparams(params, params.nwtype.upper())
    if is_shm and comm is None:
        raise NotSupportedError(SHM_TCP)
    if is_shm and nwparams.get("resilient"):
        raise NotSupportedError(SHM_RESILIENT)
    request.shared = is_shm
    request.node_id = _node_id(params, comm)
    nodes = _nodes(params, comm)
    for addr, qrank in nodes:
        request.add_node(addr, qrank)
    request.window = check_window(params.window)
    request.conn_pool_factor = _integer(params.conn_pool_factor, "conn_pool_factor", 1, 1000)
    request.sync_msg_objects = _integer(params.sync_msg_objects, "sync_msg_objects", 1, 2**62)
    request.sync_msg_bytes = _integer(params.sync_msg_size, "sync_msg_size", 0, 2**62)
    request.mode_mask = _integer(params.mode_mask, "mode_mask", 0, 3)
    request.progress = _choice(nwparams.get("progress", "adaptive"), "progress", PROGRESSES)
    request.exchange = _choice(nwparams.get("exchange", "auto"), "exchange", EXCHANGES)
    if nwparams.get("resilient"):
        request.resilient = 1
        if comm is not None and request.node_id not in (None, comm.rank):
            raise ClusterParameterError(
                f"nodeId {request.node_id} is not the rank, {comm.rank}: leave it out with MPI"
            )
        request.set_keep_alive(
            *(
                _integer(nwparams.get(key, usual), f"nwparams {key!r}", 1, 3_600_000)
                for key, usual in RESILIENT_KEYS.items()
            )
        )
    request.send_buffer_bytes = _integer(params.clusterSendBuf, "clusterSendBuf", 0, 2**30)
    request.receive_buffer_bytes = _integer(params.clusterRecvBuf, "clusterRecvBuf", 0, 2**30)
    if _function(params.notifyCallback, "notifyCallback") is not None:
        request.use_notify()
    if _function(params.quorumCallback, "quorumCallback") is not None:
        request.use_quorum()
    if request.tcp is not None:
        _fill_tcp(request, request.tcp, nwparams, [qrank for _, qrank in nodes])


def _fill_tcp(
    request: _core.ClusterRequest,
    tcp: _core.TcpParams,
    nwparams: dict[str, Any],
    qranks: list[int],
) -> None:
    _tcp.fill(tcp, nwparams)
    tcp.cluster_id = _tcp.cluster_id(qranks)
    tcp.receive_buffer_bytes = request.receive_buffer_bytes
    # What is on its way to a node: never less than the default, which the engine counts on.
    tcp.send_bound_bytes = max(SEND_BOUND_BYTES, 4 * request.send_buffer_bytes)
    _tcp.load()


def start_callbacks(request: _core.ClusterRequest, params: ClusterParams) -> CallbackThreads:
    """The threads that serve the callbacks of checked params."""
    return CallbackThreads(request.callbacks, params.notifyCallback, params.quorumCallback)
