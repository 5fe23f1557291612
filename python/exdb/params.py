# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""ClusterParams and what it is made of, argument by argument as in the document that exdb follows.

The constructors only keep what they are given. All is checked by ``open_database`` and ``open``,
where what is wrong on one rank of an MPI job can be told to all of them: a constructor that raised
would leave the others waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from .types import NodeInfo

NotifyCallback = Callable[[int, NodeInfo], None]
QuorumCallback = Callable[[list[int]], bool]


class ClusterNodeParams:
    """One node: ``addr`` (TCP ``host:port``; not used with MPI) and ``qrank``, its weight in the
    quorum (0: it takes part but has no vote)."""

    def __init__(self, addr: str = "", qrank: int = 1) -> None:
        self.addr = addr
        self.qrank = qrank

    def __repr__(self) -> str:
        return f"ClusterNodeParams({self.addr!r}, qrank={self.qrank!r})"


class ClusterWindow:
    """How local commits are grouped into one exchange: whichever bound comes first closes the
    window.

    ``bsize``: bytes, ``length``: transactions (0 = this bound is off), ``timeout``: milliseconds.
    With ``bsize`` and ``length`` both 0 nothing is held back: a batch leaves as soon as the
    exchange is free, with all that is pending by then.
    """

    def __init__(self, bsize: int = 0, length: int = 0, timeout: int = 1) -> None:
        self.bsize = bsize
        self.length = length
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"ClusterWindow(bsize={self.bsize}, length={self.length}, timeout={self.timeout})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClusterWindow):
            return NotImplemented
        mine = (self.bsize, self.length, self.timeout)
        return mine == (other.bsize, other.length, other.timeout)

    __hash__ = None  # type: ignore[assignment]


class ClusterParams:
    """What makes a database a node of a cluster.

    nodeId: index of this node in ``nodes``; with MPI the rank in the communicator, or None.
    nwtype: ``'MPI'`` or ``'TCP'``. Over TCP nodes are started in any order, and may leave, die and
        come again; MPI and mpi4py are not needed. :func:`open_database` says what open waits for.
    nodes: :class:`ClusterNodeParams`. TCP: one a node, ``host:port`` (IPv6 in brackets), in the
        same order and with the same qranks everywhere. MPI: one a rank, or empty: all ranks, qrank
        1.
    nwparams: dict; an unknown key is an error. MPI: ``comm`` (mpi4py communicator, default
        COMM_WORLD), ``exchange`` ``'auto'|'p2p'|'collective'``, ``progress``
        ``'adaptive'|'spin'|'cooperative'``, ``resilient`` (False). TCP: see below. With
        ``resilient=True`` the other ranks go on when one dies, where the launcher lets them
        (``jobs/survivor``), and ``keepAliveTime``, ``keepAliveProbes`` and ``connectTimeout`` are
        taken as with TCP.
    MPICluster: True goes with ``nwtype='MPI'`` only.
    window: :class:`ClusterWindow`; can be changed later by ``db.window``.
    conn_pool_factor: percent of ``db_max_connections`` that may be in the exchange at once; then
        ``commit()`` waits.
    sync_msg_objects, sync_msg_size: bounds of one message of a state transfer, by which a node
        that comes later gets the rows (objects, bytes; 0 = 1 MiB). An object larger than that
        travels alone. A plain MPI job has no state transfer, as no node joins late: there they are
        only checked and shown by ``db.statistics()``.
    notifyCallback(code, node_info): ``MCO_CLUSTER_NOTIFY_CONNECT`` or ``_DISCONNECT``, and a
        :class:`NodeInfo`. Called in a thread of its own. One that does not return holds up nothing
        but the notifications after it; ``close()`` waits a second for it, at most. An exception in
        it is printed and does no harm.
    quorumCallback(neighbour_ids): asked when the reachable qrank does not exceed half of the
        configured total. True: this node may go on writing, on the caller's responsibility. Called
        in a thread of its own, while the commit waits; no answer within the ``timeout`` of open, or
        before the database ends, is a no, as is an exception, which is printed. It may read from
        the database that asks (MCO_READ_ONLY), but not commit to it. With TCP, and with
        resilient=True, it is asked once for each change of the nodes that are reached, when those
        that are not have been silent for ``keepAliveTime * keepAliveProbes``; a no is asked about
        again after 60 ``keepAliveTime``. Commits wait meanwhile (error 905 after a no). A node
        that has no state, as it has just been started, is never asked. Nodes that say yes, and
        reach each other, go on together; who says no reads, and takes their state when it reaches
        them. When two such groups (or one and a majority) meet again, one history survives, the
        same everywhere: that with the newest majority in it, then of the group of more qrank, then
        the newer one. **Commits of the other are lost**: its nodes say so in one line on stderr,
        transactions under way there raise ConflictError, commits in flight OutcomeUnknownError, and
        ``db.outcome(txid)`` says from then on what is true in the history that survived.
    clusterSendBuf, clusterRecvBuf: bytes of exdb's own buffers for each peer (0 = default). A
        larger frame still arrives (``frames_long`` in the statistics counts them).
    mode_mask: ``MCO_CLUSTER_MODE_DEBUG_OUTPUT`` (trace on stderr),
        ``MCO_CLUSTER_MODE_EARLY_DATA_SEND`` (a large transaction's data travels before its commit;
        where nodes come and go, one of which data was lost with a node ends in a ConflictError).

    Keys of ``nwparams`` with TCP:

    - ``connectTimeout`` (5000 ms): how long open waits until this node is in the cluster, and one
      attempt to connect lasts at most; ``connectInterval`` (200 ms): between two attempts.
    - ``socketSendBuf``, ``socketRecvBuf``: bytes of the system's buffers (0 = the system decides).
    - ``socketDomain``: ``socket.AF_INET``, ``socket.AF_INET6``, or 0: both, as names resolve.
    - ``keepAliveTime`` (1000 ms), ``keepAliveProbes`` (10): a node that is silent for time times
      probes is gone; the others go on without it, and take it in again when it speaks.
    - ``ssl_params``: a dict; present, even empty, it means TLS 1.2 or newer, both sides with
      certificates: ``cert_file_pem`` (certificate and chain), ``pkey_file_pem`` (its key, a file
      with mode 0600 or 0400), ``ca_file`` or ``ca_path`` (who may sign; must be given where peers
      are verified), ``verify_mode`` (3: 0 none, 1 verify the peer, 2 fail if it has no certificate,
      4 client once; added up), ``verify_depth``, ``cipher_list``, ``max_cert_list`` (bytes).
    - ``cluster_secret_file``: a file with mode 0600 that holds 64 hexadecimal digits, the same on
      all nodes: nobody without it gets in, and without TLS messages are authenticated (not
      encrypted).
    - ``insecure_network`` (False): True allows addresses beyond the loopback with neither TLS nor a
      secret; they are refused otherwise.

    Nothing is checked here; ``open_database`` and ``open`` raise ClusterParameterError, with MPI on
    every rank alike.
    """

    def __init__(
        self,
        nodeId: int | None = None,
        nwtype: str = "MPI",
        nodes: Sequence[ClusterNodeParams] = (),
        nwparams: Mapping[str, Any] | None = None,
        MPICluster: bool = False,
        window: ClusterWindow | None = None,
        conn_pool_factor: int = 50,
        sync_msg_objects: int = 100,
        sync_msg_size: int = 0,
        notifyCallback: NotifyCallback | None = None,
        quorumCallback: QuorumCallback | None = None,
        clusterSendBuf: int = 0,
        clusterRecvBuf: int = 0,
        mode_mask: int = 0,
    ) -> None:
        self.nodeId = nodeId
        self.nwtype = nwtype
        self.nodes = nodes
        self.nwparams = nwparams
        self.MPICluster = MPICluster
        self.window = window
        self.conn_pool_factor = conn_pool_factor
        self.sync_msg_objects = sync_msg_objects
        self.sync_msg_size = sync_msg_size
        self.notifyCallback = notifyCallback
        self.quorumCallback = quorumCallback
        self.clusterSendBuf = clusterSendBuf
        self.clusterRecvBuf = clusterRecvBuf
        self.mode_mask = mode_mask

    def __repr__(self) -> str:
        return (
            f"ClusterParams(nodeId={self.nodeId!r}, nwtype={self.nwtype!r}, nodes={self.nodes!r})"
        )
