# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What :meth:`Database.cluster_info` gives: a cluster as one of its nodes sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .types import NodeInfo


@dataclass(frozen=True)
class ClusterTraffic:
    """Frames (messages of exdb) and their bytes, each way, before encryption and without what the
    network adds: ``frames_sent``, ``frames_received``, ``bytes_sent``, ``bytes_received``."""

    frames_sent: int
    frames_received: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True)
class ClusterNodeInfo:
    """One node in a :class:`ClusterInfo`.

    ``node``: a :class:`NodeInfo`. ``self``: it is the one that was asked. ``active``: it takes part
    in the rounds; all are False while the node that was asked does not. ``reached``: it is heard,
    whether it takes part or not. ``traffic``: between it and the node that was asked.
    ``rounds_behind``: rounds that are complete here and that it has not applied, by its own last
    word.
    """

    node: NodeInfo
    self: bool
    active: bool
    reached: bool
    traffic: ClusterTraffic
    rounds_behind: int


@dataclass(frozen=True, repr=False)
class ClusterInfo:
    """A cluster as one node sees it at one moment; nothing is asked of the others. ``print`` shows
    it for people.

    ``node_id``: the node that was asked. ``transport``: for people. ``nodes``: a tuple of
    :class:`ClusterNodeInfo`, by number. ``quorum``: the nodes that are active and reached may
    write.

    ``members_change``: nodes may come and go (False: who is gone stays away). ``view``: number of
    the newest agreed set of members that this node was in, 0 before the first and where members
    never change; ``view_by``: the node that formed it; ``views``: how many since open;
    ``states_taken``: how often this node got the rows from another one.

    ``traffic``: a :class:`ClusterTraffic` over all nodes. ``rounds``, ``rounds_empty``: exchanges
    since open; ``round``: number of the newest one applied here. ``remote_commits``,
    ``remote_aborts``: transactions of other nodes, as they ended here.

    ``slowest``: the active node that is furthest behind, by ``slowest_rounds_behind``; None when
    all have what is complete here.

    ``published``: csn of the newest commit that this node shows. ``oldest_snapshot``: csn of the
    oldest state that a transaction, cursor or NumPy view holds here (``published`` when there is
    none), ``oldest_snapshot_age`` commits old. ``snapshots``: how many states are held;
    ``versions_pinned``: versions of rows and index entries that can go only when they do.
    """

    node_id: int
    transport: str
    nodes: tuple[ClusterNodeInfo, ...]
    quorum: bool
    members_change: bool
    view: int
    view_by: int
    views: int
    states_taken: int
    traffic: ClusterTraffic
    rounds: int
    rounds_empty: int
    round: int
    remote_commits: int
    remote_aborts: int
    slowest: int | None
    slowest_rounds_behind: int
    published: int
    oldest_snapshot: int
    oldest_snapshot_age: int
    snapshots: int
    versions_pinned: int

    @property
    def active_nodes(self) -> list[int]:
        """Numbers of the nodes that take part."""
        return [each.node.nodeId for each in self.nodes if each.active]

    def __repr__(self) -> str:
        return (
            f"<exdb.ClusterInfo node {self.node_id} of {len(self.nodes)}, {self.transport}, "
            f"active {self.active_nodes}, {'' if self.quorum else 'no '}quorum, "
            f"round {self.round}, csn {self.published}>"
        )

    def __str__(self) -> str:
        lines = [
            f"node {self.node_id} of {len(self.nodes)}, {self.transport}, "
            f"{'' if self.quorum else 'no '}quorum",
            f"view {self.view} by node {self.view_by}; round {self.round}, csn {self.published}, "
            f"oldest snapshot {self.oldest_snapshot} (pins {self.versions_pinned} versions)",
            f"remote commits {self.remote_commits}, aborts {self.remote_aborts}",
        ]
        for each in self.nodes:
            state = "active" if each.active else "reached" if each.reached else "gone"
            sent, received = each.traffic.bytes_sent, each.traffic.bytes_received
            what = (
                "this one"
                if each.self
                else f"{sent} bytes sent, {received} received, {each.rounds_behind} rounds behind"
            )
            lines.append(f"  {each.node}: {state}, {what}")
        return "\n".join(lines)


def make(seen: dict[str, Any]) -> ClusterInfo:
    """From what the engine gives."""
    nodes = tuple(
        ClusterNodeInfo(
            NodeInfo(*each["node"]),
            each["self"],
            each["active"],
            each["reached"],
            ClusterTraffic(*each["traffic"]),
            each["rounds_behind"],
        )
        for each in seen["nodes"]
    )
    return ClusterInfo(**{**seen, "nodes": nodes, "traffic": ClusterTraffic(*seen["traffic"])})
