# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""ClusterParams with nwtype='TCP': each key has its effect, and what is wrong is named at once."""

from __future__ import annotations

import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from nodes import free_addresses, wait_until

import exdb

Make = Callable[..., Any]
SCHEMA = "class Item { unsigned<4> key; unique tree<key> by_key; };"


def nodes(count: int = 1) -> list[exdb.ClusterNodeParams]:
    return [exdb.ClusterNodeParams(f"{host}:{port}") for host, port in free_addresses(count)]


def failure(**arguments: Any) -> exdb.Error:
    given: dict[str, Any] = {"nodeId": 0, "nwtype": "TCP", "nodes": nodes(), **arguments}
    with pytest.raises(exdb.Error) as caught:
        exdb.open("x", SCHEMA, clusterParams=exdb.ClusterParams(**given)).abandon()
    return caught.value


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no nodeId": ({"nodeId": None}, ["nodeId must be given", "index of this node in nodes"]),
    "a nodeId that is none": ({"nodeId": 3}, ["nodeId=3", "give 0 to 0"]),
    "a nodeId below 0": ({"nodeId": -1}, ["nodeId", "0 to", "-1"]),
    "no nodes": ({"nodes": []}, ["nodes must be given", "host:port"]),
    "nodes of another kind": ({"nodes": ["h:1"]}, ["ClusterNodeParams", "'h:1'"]),
    "an address without a port": (
        {"nodes": [exdb.ClusterNodeParams("127.0.0.1")]},
        ["nodes[0]", "127.0.0.1", "port"],
    ),
    "an address twice": (
        {"nodes": [exdb.ClusterNodeParams("127.0.0.1:2001")] * 2},
        ["nodes[0] and nodes[1]", "one of its own"],
    ),
    "no qrank": ({"nodes": [exdb.ClusterNodeParams("127.0.0.1:2001", 0)]}, ["all qranks are 0"]),
    "MPICluster": ({"MPICluster": True}, ["MPICluster=True", "nwtype='MPI'"]),
    "an unknown key": ({"nwparams": {"keepalive": 1}}, ["'keepalive'", "keepAliveTime"]),
    "a key of MPI": ({"nwparams": {"exchange": "p2p"}}, ["'exchange'", "nwtype='MPI'"]),
    "nwparams of another kind": ({"nwparams": 5}, ["nwparams must be a dict"]),
    "connectTimeout": ({"nwparams": {"connectTimeout": 0}}, ["connectTimeout=0", "5000"]),
    "connectInterval": ({"nwparams": {"connectInterval": -1}}, ["connectInterval=-1", "200"]),
    "a text": ({"nwparams": {"keepAliveTime": "1s"}}, ["'keepAliveTime'", "'1s'"]),
    "keepAliveTime": ({"nwparams": {"keepAliveTime": 1}}, ["keepAliveTime", "5 ms"]),
    "keepAliveProbes": ({"nwparams": {"keepAliveProbes": 0}}, ["keepAliveProbes=0"]),
    "socketSendBuf": ({"nwparams": {"socketSendBuf": -5}}, ["socketSendBuf=-5", "0"]),
    "socketRecvBuf": ({"nwparams": {"socketRecvBuf": 2**40}}, ["socketRecvBuf", "bytes"]),
    "socketDomain": ({"nwparams": {"socketDomain": 99}}, ["socketDomain=99", "AF_INET6"]),
    "another domain": (
        {"nwparams": {"socketDomain": socket.AF_INET6}},
        ["socketDomain", "change one of them"],
    ),
    "ssl_params": ({"nwparams": {"ssl_params": True}}, ["ssl_params", "dict"]),
    "a key of ssl_params": (
        {"nwparams": {"ssl_params": {"cafile": "x"}}},
        ["'cafile'", "ca_file", "verify_mode"],
    ),
    "no certificate": ({"nwparams": {"ssl_params": {}}}, ["cert_file_pem", "pkey_file_pem"]),
    "verify_mode": ({"nwparams": {"ssl_params": {"verify_mode": 2}}}, ["verify_mode", "3"]),
    "a certificate that is not there": (
        {"nwparams": {"ssl_params": {"cert_file_pem": "/none.pem"}}},
        ["cert_file_pem", "/none.pem"],
    ),
    "no secret": ({"nwparams": {"cluster_secret_file": "/none"}}, ["cluster_secret_file", "/none"]),
    "insecure_network": ({"nwparams": {"insecure_network": 1}}, ["insecure_network", "True"]),
    "beyond the loopback": (
        {"nodes": [exdb.ClusterNodeParams("192.0.2.1:2001")]},
        ["192.0.2.1", "cluster_secret_file", "ssl_params", "insecure_network"],
    ),
    "a quorumCallback": ({"quorumCallback": 3}, ["quorumCallback", "function"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_remedy(case: str) -> None:
    arguments, words = WRONG[case]
    text = str(failure(**arguments))
    for word in words:
        assert word in text, text


def test_mistakes_have_their_numbers() -> None:
    assert failure(nodeId=None).code == exdb.ClusterParameterError.code == 902
    assert failure(nwparams={"keepAliveProbes": 0}).code == 902


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ab" * 32, encoding="ascii")
    secret.chmod(0o644)
    text = str(failure(nwparams={"cluster_secret_file": secret}))
    assert "chmod 600" in text
    assert "abab" not in text


def test_the_documents_calls_without_a_cluster_in_the_runtime() -> None:
    exdb.init_runtime()
    try:
        with pytest.raises(exdb.ClusterParameterError, match=r"init_runtime\(cluster=True\)"):
            exdb.open_database(
                "x", exdb.load_dictionary(SCHEMA), exdb.ClusterParams(0, "TCP", nodes())
            )
    finally:
        exdb.init_runtime(cluster=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_socket_buffers_connect_interval_and_domain(cluster: Make) -> None:
    """What the system says of a connection of node 1, and how often node 1 dials."""
    sizes = {"socketSendBuf": 70_000, "socketRecvBuf": 90_000, "connectInterval": 300}
    two = cluster(2)
    with socket.create_server(two.addresses[0]) as stranger:
        # It answers nobody: each dial is accepted and ended, and made again.
        stranger.settimeout(20)
        two.spawn(1).send(two.opening(1, nwparams={"connectTimeout": 3000, **sizes}))
        start = time.monotonic()
        for _ in range(4):
            stranger.accept()[0].close()
        assert time.monotonic() - start > 3 * 0.3 * 0.95  # by default 3 * 0.2
    two.nodes[1].receive()
    two.start(0, nwparams={"connectTimeout": 20_000, "socketDomain": int(socket.AF_INET), **sizes})
    two.nodes[0].do("wait_for(lambda: put(db, 1))")
    buffers = two.nodes[0].do("connection_buffers()")
    # Linux keeps twice what it is asked for.
    assert [140_000, 180_000] in buffers, buffers
    two.close()


def test_connect_timeout_is_how_long_open_waits(cluster: Make) -> None:
    two = cluster(2)
    two.spawn(0).do(
        "\nstart = time.monotonic()\n" + two.opening(0, nwparams={"connectTimeout": 900})
    )
    assert two.nodes[0].do("time.monotonic() - start") >= 0.9


def test_a_silent_node_is_gone_after_time_times_probes(cluster: Make) -> None:
    """With 1 s and with 60 s, told apart by a freeze."""
    for probes, goes in ((5, True), (300, False)):
        three = cluster(3, nwparams={"keepAliveTime": 200, "keepAliveProbes": probes})
        three.start()
        three.nodes[2].signal(signal.SIGSTOP)
        # Its batch of one round may have been on its way.
        three.nodes[0].send("\nput(db, 1)\nput(db, 2)\n")
        if goes:
            three.nodes[0].receive()  # the commit goes on without the frozen one
        else:
            ready, _, _ = select.select([three.nodes[0].process.stdout], [], [], 2.5)
            assert not ready  # it waits for it
        three.kill_all()


def test_debug_output_is_one_line_an_event(cluster: Make) -> None:
    two = cluster(2, mode_mask=exdb.MCO_CLUSTER_MODE_DEBUG_OUTPUT)
    two.start()
    two.nodes[0].do("put(db, 1)")
    two.close()
    traced = [line for line in two.nodes[0].errors().splitlines() if line.startswith("exdb[node 0")]
    assert sum("round" in line for line in traced) > 2
    assert all(line.startswith("exdb[") for line in two.nodes[0].errors().splitlines())


def test_early_data_send_sends_rows_before_their_commit(cluster: Make) -> None:
    two = cluster(2, mode_mask=exdb.MCO_CLUSTER_MODE_EARLY_DATA_SEND)
    two.start(0, 1)
    one, other = two.nodes[0], two.nodes[1]
    one.do("con = db.connect()\ncon.startTransaction()")
    one.do("all = [con.new('Item', key=key, text='x' * 1000) for key in range(2000)]\nlen(all)")
    assert other.do("wait_for(lambda: db.statistics()['fragments_received'] > 2)"), two.logs()
    assert other.do("len(keys(db))") == 0
    one.do("con.commit()")
    assert two.must_agree()
    assert other.do("len(keys(db))") == 2000
    two.close()


def test_sync_msg_bounds_and_pool_are_those_that_were_given() -> None:
    params = exdb.ClusterParams(
        0, "TCP", nodes(), sync_msg_objects=7, sync_msg_size=4096, conn_pool_factor=10
    )
    with exdb.open("x", SCHEMA, clusterParams=params) as db:
        counted = db.statistics()
        assert (counted["sync_msg_objects"], counted["sync_msg_bytes"]) == (7, 4096)


def test_frames_larger_than_the_buffer_arrive_and_are_counted(cluster: Make) -> None:
    for size, long in ((1024, True), (1 << 20, False)):
        two = cluster(2, clusterSendBuf=size, clusterRecvBuf=size)
        two.start()
        two.nodes[0].do("put(db, 1, text='x' * 20_000)")
        wait_until(lambda two=two: two.nodes[1].do("keys(db)") == [1])
        assert (two.nodes[0].do("db.statistics()['frames_long']") > 0) == long
        two.close()


def test_ipv6_and_names(cluster: Make) -> None:
    two = cluster(2)
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("there is no IPv6")
    two.addresses = [("[::1]", two.addresses[0][1]), ("localhost", two.addresses[1][1])]
    two.start()
    two.nodes[0].do("put(db, 1)")
    two.close()
