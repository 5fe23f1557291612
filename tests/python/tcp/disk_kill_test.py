# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""kill -9 of nodes under load, one, two or all of three, again and again on the same folders:
nothing acknowledged is lost, nothing refused comes back, nothing is half there, and all nodes come
to the same.

EXDB_KILLS=300 does more of it; EXDB_KILLS_SEED another; EXDB_KILLS_OF=one, two or all."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any, Callable

import kills
import pytest
from nodes import PATIENCE, Cluster

KILLS = int(os.environ.get("EXDB_KILLS", "3"))
SEED = int(os.environ.get("EXDB_KILLS_SEED", "11"))
OF = {"one": (1,), "two": (2,), "all": (3,)}.get(os.environ.get("EXDB_KILLS_OF", ""), (1, 2, 3))
CHECK_EVERY = 5 if KILLS > 5 else 1
NODES = 3

BEGIN = """
import sys
sys.path.insert(0, {lib!r})
import kills
say = kills.sayer({said!r})
kills.over.clear()
threads = [threading.Thread(target=kills.work, args=(exdb, db, say, {node} * 2 + i, {life}),
                            daemon=True) for i in (0, 1)]
for thread in threads:
    thread.start()
"""
END = """
kills.over.set()
for thread in threads:
    thread.join(90)
    assert not thread.is_alive(), 'a commit does not return'
"""


class Lives:
    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.chance = random.Random(SEED)
        self.outcomes = kills.Outcomes()
        self.lives = 0
        self.heard: dict[Path, int] = {}

    def begin(self, *nodes: int) -> None:
        for node in nodes:
            self.lives += 1
            said = str(self.folder / f"said-{node}-{self.lives}")
            lib = str(Path(kills.__file__).parent)
            code = BEGIN.format(lib=lib, said=said, node=node, life=self.lives)
            self.cluster.nodes[node].do(code)

    def lines(self) -> int:
        return sum(file.read_bytes().count(b"\n") for file in self.folder.glob("said-*"))

    def wait_for_lines(self, more: int) -> None:
        wanted, until = self.lines() + more, time.monotonic() + PATIENCE
        while self.lines() < wanted:
            assert time.monotonic() < until, self.cluster.logs()
            time.sleep(0.005)

    def kill_and_start(self) -> None:
        self.wait_for_lines(self.chance.randrange(1, 120))
        chosen = self.chance.sample(range(NODES), self.chance.choice(OF))
        pause = self.chance.choice((0.0, 0.0, 0.002, 0.03))
        for node in chosen:
            self.cluster.nodes[node].process.kill()
            time.sleep(pause)
        if self.chance.random() < 0.3:
            time.sleep(self.chance.random())  # the others go on without them
        for node in chosen:
            self.cluster.nodes[node].process.wait(PATIENCE)
        self.cluster.start(*chosen)
        self.begin(*chosen)

    def check(self) -> None:
        """Nobody writes: all nodes have the same, and what was said is so."""
        for node in self.cluster.nodes.values():
            node.send(END)
        for node in self.cluster.nodes.values():
            node.receive()
        until = time.monotonic() + PATIENCE
        while True:
            seen = [node.do("(db.digest(), db.published)") for node in self.cluster.nodes.values()]
            if all(one == seen[0] for one in seen):
                break
            assert time.monotonic() < until, (seen, self.cluster.logs())
            time.sleep(0.02)
        for said in sorted(self.folder.glob("said-*")):
            self.outcomes.hear(said.read_text(encoding="ascii").splitlines())
            said.unlink()
        for node in self.cluster.nodes.values():
            pairs, counts = node.do("kills.found_in(exdb, db)")
            self.outcomes.check(pairs, counts, settled=False, told=node.do("db.recovered"))


@pytest.mark.timeout(120 + 6 * KILLS)
def test_kill_9_of_nodes_loses_no_commit_and_brings_back_none(
    tmp_path: Path, cluster: Callable[..., Cluster]
) -> None:
    on_disk: dict[str, Any] = {"is_disk": True, "path": str(tmp_path / "grid")}
    on_disk |= {"checkpoint_bytes": 100_000, "db_segment_size": 1 << 20}
    three = cluster(NODES, schema=kills.SCHEMA, opening=on_disk)
    three.start()
    lives = Lives(tmp_path, three)
    lib = str(Path(kills.__file__).parent)
    three.nodes[0].do(
        f"\nimport sys\nsys.path.insert(0, {lib!r})\nimport kills\n"
        "with db.connect() as con:\n    kills.make_shared(con)\n"
    )
    lives.begin(*range(NODES))
    for kill in range(1, KILLS + 1):
        lives.kill_and_start()
        if kill % CHECK_EVERY == 0 or kill == KILLS:
            lives.check()
            lives.begin(*range(NODES))
    lives.check()
    three.close()
    three.start()
    lives.begin(*range(NODES))
    lives.check()
    told = lives.outcomes
    print(
        f"{KILLS} kills: {len(told.acknowledged)} acknowledged, {len(told.refused)} refused, lost 0"
    )
    assert len(told.acknowledged) > KILLS
    assert told.refused, "some are to be refused"
