# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""``python -m exdb replay``: the state after a round, made again."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import folders, state


def run(arguments: argparse.Namespace) -> int:
    path = folders.furthest(Path(arguments.path))
    folders.say_open(path)
    db, made = state.load(path, upto=arguments.to)
    with db:
        made["csn"] = db.published
        made["digest"] = f"{db.digest():016x}"
    for why in made["passed_over"]:
        print(f"exdb: passed over a checkpoint: {why}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(made, indent=2))
        return 0
    start = made["checkpoint_round"]
    print(f"from    {f'the checkpoint of round {start}' if start else 'the empty database'}")
    print(f"rounds  {made['rounds']} certified and applied again")
    print(f"digests {made['digests']} in the log, all as they were")
    print(f"round   {made['round']}")
    print(f"csn     {made['csn']}")
    print(f"digest  {made['digest']}")
    return 0


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "replay",
        help="the state after a round, made again from the files: its digest",
        description="Makes the state after a round again, from the newest checkpoint at or "
        "before it and the log: every transaction is certified and applied as it "
        "was, and every digest that nodes have written into the log is compared. "
        "Prints the digest of the state after the round. Changes nothing. Exit code "
        "1 when a digest differs, or a file is damaged; 2 when the files do not "
        "reach the round.",
    )
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--to", type=int, metavar="ROUND", help="the last there is without it")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)
