# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""quorumCallback between live processes: who consents goes on without a majority, under load; of
two that did, one history survives."""

from __future__ import annotations

import re
from typing import Any, Callable

import pytest
from nodes import NodeError, wait_until

Make = Callable[..., Any]

# `extra` are further arguments of ClusterParams in worker.py.
CALLBACK = """
asked = []
def quorum(neighbours):
    asked.append(neighbours)
    {body}
extra["quorumCallback"] = quorum
"""


def loaded(cluster: Make, bodies: list[str], *, proxied: bool = True) -> Any:
    made = cluster(len(bodies), proxied=proxied)
    for number, body in enumerate(bodies):
        open_one(made, number, body)
    for number in range(len(bodies)):
        made.nodes[number].receive()
    made.write()
    goes_on(made, *range(len(bodies)))
    return made


def open_one(cluster: Any, number: int, body: str) -> None:
    """To be received."""
    node = cluster.spawn(number)
    node.do(CALLBACK.format(body=body))
    node.send(cluster.opening(number))


def goes_on(cluster: Any, *which: int) -> None:
    before = {number: cluster.nodes[number].do("writer.commits") for number in which}
    for number in which:
        waited = f"wait_for(lambda: writer.commits > {before[number]} + 3 or writer.failure)"
        assert cluster.nodes[number].do(waited), cluster.logs()
        assert cluster.nodes[number].do("writer.failure") is None, cluster.logs()


def alone(cluster: Any, number: int) -> None:
    others = [other for other in range(len(cluster.addresses)) if other != number]
    gone = f"not any(db.cluster_info().nodes[i].reached for i in {others})"
    assert cluster.nodes[number].do(f"wait_for(lambda: {gone})"), cluster.logs()


def same_view(cluster: Any) -> None:
    """All nodes are members of one view."""
    count = len(cluster.nodes)
    for node in cluster.nodes.values():
        together = f"wait_for(lambda: len(db.cluster_info().active_nodes) == {count})"
        assert node.do(together), cluster.logs()


def same(cluster: Any) -> set[int]:
    """Nobody writes, and all nodes come to one state; its keys."""
    seen: list[Any] = []

    def agree() -> bool:
        seen[:] = [node.do("(db.digest(), db.published)") for node in cluster.nodes.values()]
        return all(one == seen[0] for one in seen)

    wait_until(agree, lambda: f"{seen} {cluster.logs()}")
    return set(cluster.nodes[0].do("keys(db)"))


def test_of_two_equal_nodes_the_one_that_says_yes_goes_on_and_the_other_follows(
    cluster: Make,
) -> None:
    two = loaded(cluster, ["return True", "return False"])
    two.network.cut((0, 1))
    alone(two, 0)
    alone(two, 1)
    goes_on(two, 0)
    assert two.nodes[1].do("wait_for(lambda: not db.state.writes)"), two.logs()
    with pytest.raises(NodeError) as caught:
        two.nodes[1].do("put(db, 1)")
    assert caught.value.code == 905
    two.network.heal()
    goes_on(two, 0, 1)
    two.end_writers()
    assert two.must_agree()  # with all that was acknowledged by either
    assert two.nodes[0].do("asked") == [[]]
    assert two.nodes[1].do("asked")[0] == []  # a no is asked about again
    two.close()


def test_of_two_that_both_go_on_one_history_survives_everywhere(cluster: Make) -> None:
    two = loaded(cluster, ["return True", "return True"])
    two.network.cut((0, 1))
    for number in range(2):
        alone(two, number)
        goes_on(two, number)
    two.network.heal()
    same_view(two)
    goes_on(two, 0, 1)
    ended = two.end_writers()
    there = same(two)
    lost = [two.acknowledged(number) - there for number in range(2)]
    loser = 0 if lost[0] else 1
    assert lost[loser], "each had gone on alone"
    assert not lost[1 - loser]
    lines = [
        line
        for node in two.nodes.values()
        for line in node.errors().splitlines()
        if "is given up for that of" in line
    ]
    assert len(lines) == 1, two.logs()
    assert lines[0].startswith(f"exdb[node {loser} ")
    told = re.search(r"in it (\d+) commits of this node", lines[0])
    assert told is not None, lines
    # One was on its way when the cut came, and may have reached the other node.
    assert 0 <= int(told[1]) - len(lost[loser]) <= 1, (lines, lost)
    assert ended[1 - loser]["conflicts"] == 0
    two.close()


def test_the_last_of_three_goes_on_and_the_others_come_back_to_its_state(cluster: Make) -> None:
    three = loaded(cluster, ["return False", "return False", "return True"], proxied=False)
    three.end_writers(0, 1)
    goes_on(three, 2)  # what the others had committed is everywhere
    for victim in (0, 1):
        three.nodes.pop(victim).kill()
    goes_on(three, 2)
    for victim in (0, 1):
        open_one(three, victim, "return False")
    for victim in (0, 1):
        three.nodes[victim].receive()
    three.write(0, 1)
    goes_on(three, 0, 1, 2)
    three.end_writers()
    assert three.must_agree()
    three.close()


def refuses(cluster: Any, number: int) -> None:
    """It has said no: nothing is written, and all is read."""
    node = cluster.nodes[number]
    assert node.do("wait_for(lambda: asked and not db.state.writes)"), cluster.logs()
    with pytest.raises(NodeError) as caught:
        node.do("put(db, 1)")
    assert caught.value.code == 905
    assert cluster.acknowledged(number) <= set(node.do("keys(db)"))


def come_back(cluster: Any, number: int) -> None:
    """After a kill, without its memory."""
    open_one(cluster, number, "return False")
    cluster.nodes[number].receive()
    cluster.write(number)
    goes_on(cluster, 0, 1)
    cluster.end_writers()
    assert cluster.must_agree()  # with all that was acknowledged by any life of either


def test_a_kill_of_who_said_no_loses_nothing_and_the_other_goes_on(cluster: Make) -> None:
    two = loaded(cluster, ["return True", "return False"])
    two.network.cut((0, 1))
    goes_on(two, 0)
    refuses(two, 1)  # its writer waits for what became of its last commit
    two.nodes.pop(1).kill()
    two.network.heal()
    goes_on(two, 0)
    come_back(two, 1)
    two.close()


def test_who_says_no_after_a_kill_of_the_other_waits_and_is_asked_again_when_it_is_back(
    cluster: Make,
) -> None:
    """The other one has forgotten all, so the two are no majority of nodes with a state."""
    two = loaded(cluster, ["return neighbours == [1]", "return False"], proxied=False)
    two.nodes.pop(1).kill()
    refuses(two, 0)
    come_back(two, 1)
    assert two.nodes[0].do("asked") == [[], [1]]
    two.close()


def test_an_exception_means_no_and_a_callback_that_never_returns_holds_up_no_close(
    cluster: Make,
) -> None:
    two = loaded(cluster, ["raise RuntimeError('no idea')", "time.sleep(10_000)"])
    two.network.cut((0, 1))
    alone(two, 0)
    alone(two, 1)
    with pytest.raises(NodeError) as caught:
        two.nodes[0].do("put(db, 1)")
    assert caught.value.code == 905
    assert "RuntimeError: no idea" in two.nodes[0].errors()
    assert two.nodes[1].do("wait_for(lambda: asked)")
    assert two.nodes[1].do("db.state.writes"), "it is for the callback to say"
    two.close()
