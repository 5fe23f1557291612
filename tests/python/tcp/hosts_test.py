# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Nodes on hosts of their own (hosts.py), whose cables are pulled under load. The same partitions
over proxies are those of partitions_test.py; here it is the kernel that says nothing."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from hosts import Hosts
from partitions_test import goes_on, stops

Make = Callable[..., Any]
# Silent for 1.5 s is gone.
NWPARAMS = {"insecure_network": True, "keepAliveTime": 100, "keepAliveProbes": 15}


def together(cluster: Any) -> None:
    cluster.network.heal()
    goes_on(cluster, *cluster.nodes)


def test_hosts_whose_cables_are_pulled_and_one_that_dies(cluster: Make) -> None:
    try:
        hosts = Hosts(3)
    except OSError as error:
        pytest.skip(f"there are no network namespaces: {error}")
    three = cluster(3, network=hosts, nwparams=NWPARAMS)
    three.start()
    three.write()
    goes_on(three, 0, 1, 2)

    hosts.cut((0, 2), (1, 2))
    stops(three, 2)
    goes_on(three, 0, 1)
    together(three)

    hosts.cut((0, 1), (0, 2), (1, 2))
    stops(three, 0, 1, 2)
    together(three)

    hosts.cut((0, 1))
    node = three.nodes[2]
    assert node.do("wait_for(lambda: len(db.cluster_info().active_nodes) == 2)"), three.logs()
    inside = node.do("db.cluster_info().active_nodes")
    goes_on(three, *inside)
    together(three)

    # A host that dies sends nothing more, not even that its process has ended.
    hosts.cut((0, 1), (1, 2))
    three.nodes.pop(1).kill()
    goes_on(three, 0, 2)
    hosts.heal()
    three.start(1)
    three.write(1)
    together(three)
    three.end_writers()
    assert three.must_agree()
    three.close()
