# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Networks that are cut between live processes, under load; by proxies (network.py)."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from nodes import NodeError

Make = Callable[..., Any]


def loaded(cluster: Make, count: int, **params: Any) -> Any:
    made = cluster(count, proxied=True, **params)
    made.start()
    made.write()
    goes_on(made, *range(count))
    return made


def goes_on(cluster: Any, *which: int) -> None:
    before = {number: cluster.nodes[number].do("writer.commits") for number in which}
    for number in which:
        waited = f"wait_for(lambda: writer.commits > {before[number]} + 3 or writer.failure)"
        assert cluster.nodes[number].do(waited), cluster.logs()
        assert cluster.nodes[number].do("writer.failure") is None


def stops(cluster: Any, *which: int) -> None:
    """Each of these nodes refuses to write, and reads."""
    for number in which:
        node = cluster.nodes[number]
        assert node.do("wait_for(lambda: not db.state.writes)"), cluster.logs()
        with pytest.raises(NodeError) as caught:
            node.do(f"put(db, {1 + number})")
        assert caught.value.code == 905
        assert node.do("len(keys(db)) > 0")


def heals(cluster: Any) -> None:
    """All go on together, and have the same rows, with all that was acknowledged anywhere."""
    cluster.network.heal()
    goes_on(cluster, *cluster.nodes)
    cluster.end_writers()
    assert cluster.must_agree()
    cluster.close()


def test_two_and_one(cluster: Make) -> None:
    three = loaded(cluster, 3)
    three.network.cut((0, 2), (1, 2))
    stops(three, 2)
    goes_on(three, 0, 1)
    heals(three)


def test_three_times_one(cluster: Make) -> None:
    three = loaded(cluster, 3)
    three.network.cut((0, 1), (0, 2), (1, 2))
    stops(three, 0, 1, 2)
    heals(three)


def test_a_link_between_two_of_which_both_see_the_third(cluster: Make) -> None:
    """Each view needs all its members to hear each other: one of the two goes on with the third,
    and the other one does not take it away."""
    three = loaded(cluster, 3)
    three.network.cut((0, 1))
    goes_on(three, 2)
    node = three.nodes[2]
    assert node.do("wait_for(lambda: len(db.cluster_info().active_nodes) == 2)"), three.logs()
    inside = node.do("db.cluster_info().active_nodes")
    assert 2 in inside
    goes_on(three, *inside)
    heals(three)


def test_two_nodes_of_equal_rank_both_stop(cluster: Make) -> None:
    two = loaded(cluster, 2)
    two.network.cut((0, 1))
    stops(two, 0, 1)
    heals(two)


def test_of_two_nodes_the_heavier_goes_on(cluster: Make) -> None:
    two = loaded(cluster, 2, qranks=[1, 2])
    two.network.cut((0, 1))
    stops(two, 0)
    goes_on(two, 1)
    heals(two)
