# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""A cluster by the calls of the document that exdb follows, with a listen thread of its own.

    mpiexec -n 3 python cluster.py [--shm]

Every rank is a node. Each writes rows, all read everybody's, and all stop together. (For programs
that start today, ``exdb.open`` does all of the set-up in one call: see quickstart.py.)
With --shm the ranks of a host share one replica.
"""

from __future__ import annotations

import sys
import threading
import time

from mpi4py import MPI

import exdb

SCHEMA = """
declare database clusterdb;

class Record {
    unsigned<4> key;
    unsigned<4> node;
    string      value;

    unique tree<key> by_key;
};
"""
NOTIFICATIONS = ["connect", "disconnect"]
ROWS = 100


class ListenThread(threading.Thread):
    """Takes part in the exchange while the program is busy elsewhere."""

    def __init__(self, db: exdb.Database) -> None:
        super().__init__()
        self.db = db

    def run(self) -> None:
        con = self.db.connect()
        con.listen()  # returns when the cluster has stopped
        con.close()


def on_notify(code: int, info: exdb.NodeInfo) -> None:
    print(f"Cluster notification: {NOTIFICATIONS[code]}, {info}", flush=True)


def do_work(con: exdb.Connection, n_nodes: int, node_id: int) -> int:
    """Every node inserts its share of the rows, then reads until it has those of all."""
    for i in range(ROWS):
        key = i * n_nodes + node_id
        con.startTransaction()
        con.new("Record", key=key, node=node_id, value=f"record {key}")
        token = con.commit()
    while True:
        con.startTransaction(exdb.MCO_READ_ONLY, at_least=token)
        with con.cursor("Record", "by_key") as cursor:
            keys = [record.key for record in cursor]
        con.rollback()
        if len(keys) == ROWS * n_nodes:
            assert keys == list(range(ROWS * n_nodes))
            return len(keys)
        time.sleep(0.005)


def start_node(n_nodes: int, node_id: int) -> None:
    # The third argument: one replica a host.
    exdb.init_runtime(False, "mvcc", "--shm" in sys.argv, False, cluster=True)
    dictionary = exdb.load_dictionary(SCHEMA)
    params = exdb.ClusterParams(
        nodeId=node_id,
        nwtype="MPI",
        nodes=[exdb.ClusterNodeParams("") for _ in range(n_nodes)],
        window=exdb.ClusterWindow(bsize=0, length=0, timeout=1),
        notifyCallback=on_notify,
    )
    db = exdb.open_database(
        dbname=f"clusterdb_{node_id}",
        dictionary=dictionary,
        clusterParams=params,
        db_segment_size=16 * 1024 * 1024,
    )
    try:
        listener = ListenThread(db)
        listener.start()
        with db.connect() as con:
            start = time.perf_counter()
            rows = do_work(con, n_nodes, node_id)
            seconds = time.perf_counter() - start
            con.stop()  # returns when ALL nodes have called it
        listener.join()
        print(
            f"Node {node_id}: {rows} rows in {seconds:.2f} s, digest {db.digest():016x}", flush=True
        )
    finally:
        db.close()


if __name__ == "__main__":
    start_node(MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank)
