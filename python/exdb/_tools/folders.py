# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Which folders a path names: that of one database, or those of the nodes of a cluster."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _core
from ..errors import DiskError, Error, InconsistentReplicaError

NODE = re.compile(r"node-(\d+)")


def nodes(path: Path) -> list[Path]:
    """The folders of a cluster's nodes below this one, in the order of their numbers."""
    if (path / "database").exists() or not path.is_dir():
        return []
    found = [each for each in path.iterdir() if NODE.fullmatch(each.name) and each.is_dir()]
    return sorted(found, key=lambda each: int(each.name[5:]))


def folders(path: Path) -> list[Path]:
    """Of one database this one; of a cluster those of its nodes. DiskError when it is neither."""
    below = nodes(path)
    if below:
        return below
    if not path.is_dir():
        raise DiskError(f"'{path}': there is no such folder")
    if not (path / "database").exists():
        raise DiskError(
            f"'{path}' is not the folder of a database: it has no file 'database', and no folders "
            "node-0, node-1, … of a cluster"
        )
    return [path]


@dataclass
class Lines:
    """How the copies of a cluster's nodes belong together."""

    furthest: Path  # that an open would take
    epoch: int
    forks: list[str]


def compare(reports: dict[Path, dict[str, Any]]) -> Lines:
    """As an open judges them: by epochs, then by rounds."""
    ends = [(str(path), each["last_round"], each["chain"]) for path, each in reports.items()]
    furthest, epoch, forks = _core.compare_archives(ends)
    return Lines(list(reports)[furthest], epoch, forks)


def furthest(path: Path) -> Path:
    """The folder to read: of a cluster that which an open would take, which a line on stderr names.
    InconsistentReplicaError when they are not all of one history."""
    found = folders(path)
    if len(found) == 1:
        return found[0]
    reports = {}
    for each in found:
        try:
            reports[each] = _core.inspect_archive(str(each))
        except Error as error:
            print(f"exdb: passed over: {error}", file=sys.stderr)
    if not reports:
        raise DiskError(f"'{path}': no folder of a node in it can be read")
    lines = compare(reports)
    if lines.forks:
        raise InconsistentReplicaError(
            "the nodes are not of one history: " + "; ".join(lines.forks) + "; name one of them"
        )
    print(
        f"exdb: of {len(found)} nodes '{lines.furthest}' is furthest: read there", file=sys.stderr
    )
    return lines.furthest


def say_open(path: Path) -> None:
    """Says on stderr that what is read may be behind what its process has."""
    holder = _core.archive_holder(str(path))
    if holder is not None:
        who = f"process {holder}" if holder else "another process"
        print(
            f"exdb: '{path}' is open in {who}: what is read is what its files have now, all that "
            "was acknowledged before this line included",
            file=sys.stderr,
        )
