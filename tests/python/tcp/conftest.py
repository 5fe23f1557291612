# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Clusters that are gone when their test is over, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from nodes import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def make(
        count: int, *, proxied: bool = False, qranks: list[int] | None = None, **params: Any
    ) -> Cluster:
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, count, proxied=proxied, qranks=qranks or [1] * count, **params))
        return made[-1]

    yield make
    for one in made:
        one.kill_all()
