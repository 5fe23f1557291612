# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""``python -m exdb log``: who wrote what, in which round."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from . import folders, state


def same_key(wanted: str, key: str) -> bool:
    """Whether K of the command line names this key: as it is printed, or without brackets, spaces
    and quotes: ``17``, ``2013,UA``."""
    return key != "" and (wanted == key or _bare(wanted) == _bare(key))


def _bare(key: str) -> str:
    return re.sub(r"[()\s'\"]", "", key)


class Printer:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.shown = 0

    def __call__(self, logged: dict[str, Any]) -> None:
        wanted = self.arguments.key
        writes = [
            write
            for write in logged["writes"]
            if wanted is None or any(same_key(wanted, key) for key in write[3:])
        ]
        if not writes and (wanted is not None or self.arguments.cls):
            return
        self.shown += 1
        if self.arguments.json:
            names = ("operation", "class", "index", "key", "key_before")
            logged["writes"] = [dict(zip(names, write)) for write in writes]
            print(json.dumps(logged, ensure_ascii=False))
            return
        end = f"csn {logged['csn']}" if logged["committed"] else f"ABORTED: {logged['why_not']}"
        head = (
            f"round {logged['round']} member {logged['member']} "
            f"txn {logged['origin']}:{logged['sequence']} {end}"
        )
        if logged["parts_missing"]:
            head += " (parts of it came before the checkpoint: their writes are not shown)"
        for kind, cls, index, key, before in writes:
            was = f" was {before}" if before else ""
            what = f"{cls} {index}{key}" if cls else repr(key)
            print(f"{head}  {kind} {what}{was}")
        if not writes:
            print(f"{head}  (no writes)")


def run(arguments: argparse.Namespace) -> int:
    path = folders.furthest(Path(arguments.path))
    folders.say_open(path)
    if arguments.key is not None and not arguments.cls:
        raise SystemExit("exdb log: --key needs --class: keys are those of one of its indexes")
    if arguments.index and not arguments.cls:
        raise SystemExit("exdb log: --index needs --class")
    db, _ = state.load(
        path,
        upto=arguments.to,
        since=arguments.since,
        class_name=arguments.cls or "",
        index_name=arguments.index or "",
        each=Printer(arguments),
    )
    db.close()
    return 0


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "log",
        help="who wrote what: round, node, transaction, operation, class and key",
        description="Lists the writes of the log, oldest first, one a line: round, member whose "
        "batch brought it, transaction (node:number), its csn or why it was aborted, "
        "operation, class and key. The log is replayed for that, since a record "
        "names rows by their place: it reaches back to the oldest checkpoint that is "
        "there (rounds before it are gone, or are not shown), and takes the memory "
        "that the database takes. Changes nothing.",
    )
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--class", dest="cls", metavar="C", help="its writes only")
    parser.add_argument("--key", metavar="K", help="as printed, or bare: 17 or 2013,UA")
    parser.add_argument(
        "--index", metavar="I", help="whose keys; without it the first unique one of the class"
    )
    parser.add_argument(
        "--from", dest="since", type=int, default=1, metavar="R", help="first round"
    )
    parser.add_argument("--to", type=int, metavar="R")
    parser.add_argument("--json", action="store_true", help="a line of JSON a transaction")
    parser.set_defaults(run=run)
