# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""A cluster over TCP by the calls of the document that exdb follows. Neither MPI nor mpi4py.

In three terminals, in any order:

    python tcp_cluster.py 0
    python tcp_cluster.py 1
    python tcp_cluster.py 2

or all three from one, and the same with TLS (its certificates are made with the tool `openssl`):

    python tcp_cluster.py all
    python tcp_cluster.py all --tls

Each node writes rows, reads everybody's, and all stop together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

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
ADDRESSES = "127.0.0.1:2001,127.0.0.1:2002,127.0.0.1:2003"
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


def start_node(addresses: list[str], node_id: int, certificates: Path | None) -> None:
    nwparams: dict[str, object] = {"connectTimeout": 15000, "keepAliveTime": 600}
    if certificates is not None:
        nwparams["ssl_params"] = {
            "ca_file": certificates / "ca.pem",
            "cert_file_pem": certificates / f"node{node_id}.pem",
            "pkey_file_pem": certificates / f"node{node_id}.key",
        }
    exdb.init_runtime(False, "mvcc", False, False, cluster=True)
    dictionary = exdb.load_dictionary(SCHEMA)
    params = exdb.ClusterParams(
        nodeId=node_id,
        nwtype="TCP",
        nodes=[exdb.ClusterNodeParams(address) for address in addresses],
        nwparams=nwparams,
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
        while not db.state.writes:  # the majority has not been started yet
            time.sleep(0.1)
        with db.connect() as con:
            start = time.perf_counter()
            rows = do_work(con, len(addresses), node_id)
            seconds = time.perf_counter() - start
            con.stop()  # returns when ALL nodes have called it
        listener.join()
        print(
            f"Node {node_id}: {rows} rows in {seconds:.2f} s, digest {db.digest():016x}", flush=True
        )
    finally:
        db.close()


def make_certificates(folder: Path, n_nodes: int) -> None:
    """A CA of this example's own, and a certificate of it for each node."""
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")

    def make(name: str, *options: str) -> None:
        files = ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"))
        command = ["openssl", "req", "-x509", *kind, "-subj", f"/CN=exdb {name}", *files, *options]
        subprocess.run(command, check=True, capture_output=True)

    make("ca")
    signed = ("-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"))
    for node in range(n_nodes):
        make(f"node{node}", *signed, "-addext", "basicConstraints=critical,CA:FALSE")


def start_all(addresses: list[str], tls: bool) -> int:
    """Each node in a process of its own. The exit code of the first that failed, else 0."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--addresses", ",".join(addresses)]
        if tls:
            make_certificates(Path(folder), len(addresses))
            options += ["--certificates", folder]
        processes = [
            subprocess.Popen([sys.executable, __file__, str(node), *options])
            for node in range(len(addresses))
        ]
        try:
            while None in (codes := [process.poll() for process in processes]):
                if any(codes):
                    break  # the others would wait for it
                time.sleep(0.05)
            return next((code for code in codes if code), 0)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("node", help="number of the node to start, or 'all'")
    parser.add_argument("--addresses", default=ADDRESSES, help="host:port of all, comma-separated")
    parser.add_argument("--tls", action="store_true", help="with 'all': encrypted")
    parser.add_argument("--certificates", type=Path, help="folder with ca.pem and node*.pem, .key")
    arguments = parser.parse_args()
    addresses = arguments.addresses.split(",")
    if arguments.node == "all":
        return start_all(addresses, arguments.tls)
    start_node(addresses, int(arguments.node), arguments.certificates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
