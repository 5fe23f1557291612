# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Where processes run: :func:`topology`."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from typing import Any

from . import _cluster, _core, _mpi
from ._check import milliseconds


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "unknown"


@dataclass(frozen=True)
class Host:
    """One host in a :class:`Topology`.

    ``number``: by its lowest rank. ``name``: of the machine. ``nodes``: its ranks. ``leader``: the
    rank that writes the replica with ``is_shm=True``: the one whose processing units are shared
    with the fewest others. ``units``: processing units that its ranks may run on, all together;
    ``numa_nodes``: where these are (empty: hwloc is not there). ``ranks_on_machine``: as
    ``len(nodes)``, but for hosts that are pretended (EXDB_PRETENDED_HOSTS).
    """

    number: int
    name: str
    nodes: tuple[int, ...]
    leader: int
    units: int
    numa_nodes: tuple[int, ...]
    ranks_on_machine: int

    @property
    def oversubscribed(self) -> bool:
        """More ranks than processing units: threads that wait give way instead of spinning, and a
        commit takes as long as the system takes to let the others run."""
        return self.ranks_on_machine > self.units

    def __str__(self) -> str:
        load = _counted(self.ranks_on_machine, "rank") + " on " + _counted(self.units, "unit")
        if self.oversubscribed:
            load += ", oversubscribed: waiting threads give way"
        return (
            f"host {self.number} ({self.name}): ranks {_listed(self.nodes)}; rank {self.leader} "
            f"leads; NUMA nodes {_listed(self.numa_nodes)}; {load}"
        )


@dataclass(frozen=True)
class Topology:
    """Where this process runs, and with a communicator where all ranks do. ``print`` shows it for
    people.

    ``units``: processing units that this process may run on, a container's quota counted in;
    ``bound``: fewer than ``machine_units``. ``machine_cores``, ``machine_numa_nodes``: 0 where
    hwloc is not there. ``numa_nodes``: those of its units. ``memory_nodes``: NUMA nodes that it may
    have memory on. ``placement``: where the pages of a shared segment go (``is_shm=True``).
    ``huge_pages``: whether the kernel has them for shared memory. ``hosts``: a tuple of
    :class:`Host`; empty without a communicator.
    """

    units: int
    machine_units: int
    machine_cores: int
    machine_numa_nodes: int
    bound: bool
    numa_nodes: tuple[int, ...]
    memory_nodes: tuple[int, ...]
    placement: str
    huge_pages: str
    hosts: tuple[Host, ...] = ()

    def lines(self) -> list[tuple[str, str]]:
        """What ``print`` shows, in pairs of name and text. Does not block."""
        found = [
            (
                "this process",
                f"{self.units} of {_counted(self.machine_units, 'processing unit')}"
                f"{' (bound)' if self.bound else ''}"
                + (f", {_counted(self.machine_cores, 'core')}" if self.machine_cores else "")
                + f"; NUMA nodes {_listed(self.numa_nodes)} of {self.machine_numa_nodes or '?'}",
            ),
            (
                "listener",
                f"on any of the {_counted(self.units, 'unit')} of its process; not bound, as it "
                "would wait behind a busy thread there, or take a unit from the program",
            ),
            ("shared segment", self.placement),
            ("huge pages", self.huge_pages),
        ]
        return found + [("host", str(host)) for host in self.hosts]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self.lines())


def topology(comm: Any | None = None, *, timeout: float | None = 60.0) -> Topology:
    """Where this process runs. Local, some milliseconds at first; needs no MPI.

    comm: an mpi4py communicator: also who is with whom on a host, and who would lead it with
        ``is_shm=True``. COLLECTIVE over it then, with the checks of :func:`open`, blocks without
        the GIL; the same ``hosts`` on all ranks. Hosts are ranks that can share memory: containers
        with process numbers of their own count as hosts of their own.
    timeout: seconds that this waits for ranks that do not come; None: for ever.

    With ``comm`` raises LauncherError, ClusterParameterError, ClusterTimeoutError.
    """
    seen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in _core.topology().items()
    }
    if comm is None:
        return Topology(**seen)
    request = _cluster.request(_mpi.communicator(comm))
    try:
        request.timeout_ms = milliseconds(timeout) or 0
    except Exception as error:
        request.set_failure(*_cluster.failure_of(error))
    mine = {
        "name": platform.node(),
        "units": sorted(os.sched_getaffinity(0)),
        "usable": seen["units"],
        "numa_nodes": seen["numa_nodes"],
    }
    hosts, leaders, told, _ = _core.group_by_host(request, json.dumps(mine).encode())
    return Topology(**seen, hosts=_hosts(hosts, leaders, [json.loads(each) for each in told]))


def _hosts(hosts: list[int], leaders: list[int], told: list[dict[str, Any]]) -> tuple[Host, ...]:
    """`hosts`: of each rank; `leaders`: of each host; `told`: of each rank, what it said."""
    found = []
    for number, leader in enumerate(leaders):
        nodes = tuple(node for node, host in enumerate(hosts) if host == number)
        units = {unit for node in nodes for unit in told[node]["units"]}
        numa = {numa_node for node in nodes for numa_node in told[node]["numa_nodes"]}
        # A container's quota is in what one process may use; it is not known of several sets.
        one_set = all(told[node]["units"] == told[leader]["units"] for node in nodes)
        name = told[leader]["name"]
        found.append(
            Host(
                number,
                name,
                nodes,
                leader,
                told[leader]["usable"] if one_set else len(units),
                tuple(sorted(numa)),
                sum(each["name"] == name for each in told),
            )
        )
    return tuple(found)
