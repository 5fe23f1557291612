# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The example programs, as a user runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "python/examples"


def example(
    launcher: str, name: str, ranks: int, *options: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [launcher, "-n", str(ranks), sys.executable, str(EXAMPLES / name), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("--shm",)], ids=["plain", "shm"])
def test_the_documents_sample_on_three_ranks(launcher: str, options: tuple[str, ...]) -> None:
    done = example(launcher, "cluster.py", 3, *options)
    assert done.returncode == 0, done.stderr
    nodes = sorted(
        re.findall(r"Node (\d): 300 rows in [\d.]+ s, digest ([0-9a-f]{16})", done.stdout)
    )
    assert [node for node, _ in nodes] == ["0", "1", "2"]
    assert len({digest for _, digest in nodes}) == 1
    assert done.stdout.count("Cluster notification: connect, node") == 6
    assert done.stderr == ""


@pytest.mark.parametrize("ranks", [1, 4])
def test_quickstart(launcher: str, ranks: int) -> None:
    done = example(launcher, "quickstart.py", ranks)
    assert done.returncode == 0, done.stderr
    # Not by lines: those of several ranks may run into each other.
    seen = sorted(re.findall(r"rank (\d) sees (\[.*?\])", done.stdout))
    assert seen == [(str(rank), str([r**0.5 for r in range(ranks)])) for rank in range(ranks)]
