# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Processes that are killed, restarted and frozen, under load. Nothing acknowledged may be lost."""

from __future__ import annotations

import signal
import time
from typing import Any, Callable

import pytest
from nodes import GONE_SECONDS, NodeError

Make = Callable[..., Any]


def goes_on(cluster: Any, *which: int) -> None:
    """Each of these nodes commits again."""
    before = {number: cluster.nodes[number].do("writer.commits") for number in which}
    for number in which:
        waited = f"wait_for(lambda: writer.commits > {before[number]} + 3 or writer.failure)"
        assert cluster.nodes[number].do(waited), cluster.logs()
        assert cluster.nodes[number].do("writer.failure") is None


def test_each_node_is_killed_and_started_again_in_turn_under_load(cluster: Make) -> None:
    three = cluster(3)
    three.start()
    three.write()
    for victim in range(3):
        others = [number for number in range(3) if number != victim]
        goes_on(three, *others)
        three.nodes.pop(victim).kill()
        goes_on(three, *others)
        three.start(victim)  # without its memory: it gets the state from the others
        three.write(victim)
        goes_on(three, 0, 1, 2)
    ended = three.end_writers()
    assert all(one["commits"] > 0 for one in ended)
    there = three.must_agree()
    assert len(three.acknowledged()) > 30
    # What is there and was not acknowledged: of who was killed, or unknown to its writer.
    assert len(there - three.acknowledged()) <= 3 + sum(one["unknown"] for one in ended)
    three.close()


def test_a_node_that_is_killed_and_comes_back_at_once_is_a_new_one(cluster: Make) -> None:
    """The others need not have missed it: its links are of another process."""
    three = cluster(3)
    three.start()
    three.write(0, 1)
    for _ in range(3):
        three.nodes.pop(2).kill()
        three.start(2)
        goes_on(three, 0, 1)
    three.end_writers(0, 1)
    assert three.must_agree()
    three.close()


@pytest.mark.parametrize("length", ["shorter", "longer"])
def test_a_frozen_node(cluster: Make, length: str) -> None:
    """Shorter than keepAliveTime * keepAliveProbes: everybody waits for it, and nobody notices.
    Longer: the others go on without it, and it is taken in again."""
    three = cluster(3)
    three.start()
    three.write()
    goes_on(three, 0, 1, 2)
    gone = three.nodes[0].log.read_text().count("is gone")
    three.nodes[2].signal(signal.SIGSTOP)
    if length == "shorter":
        time.sleep(GONE_SECONDS / 5)
    else:
        goes_on(three, 0, 1)  # while it is frozen
    three.nodes[2].signal(signal.SIGCONT)
    goes_on(three, 0, 1, 2)
    three.end_writers()
    assert three.must_agree()
    if length == "longer":
        assert three.nodes[0].log.read_text().count("is gone") > gone
        assert three.nodes[0].do("db.cluster_info().views") > 1
    three.close()


def test_without_a_majority_nothing_is_written_and_afterwards_nothing_is_lost(
    cluster: Make,
) -> None:
    three = cluster(3)
    three.start()
    three.write()
    goes_on(three, 0, 1, 2)
    for frozen in (1, 2):
        three.nodes[frozen].signal(signal.SIGSTOP)
    node = three.nodes[0]
    assert node.do("wait_for(lambda: not db.state.writes)")
    with pytest.raises(NodeError) as caught:
        node.do("put(db, 1)")
    assert caught.value.code == 905
    assert "(gone: node 1, 2)" in caught.value.text
    assert node.do("db.state")[:3] == ["open", True, False]
    assert node.do("len(keys(db)) > 0")  # reads go on
    # A commit that had left before waits: nobody knows yet what becomes of it.
    for frozen in (1, 2):
        three.nodes[frozen].signal(signal.SIGCONT)
    goes_on(three, 0, 1, 2)
    three.end_writers()
    assert three.must_agree()
    three.close()
