# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Nodes that do not belong to a cluster: they are told why, the others go on, nobody gets in."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, Callable

import pytest
from certificates import Authority
from nodes import NodeError

Make = Callable[..., Any]
OTHER_SCHEMA = "class Item { unsigned<8> key; unique tree<key> by_key; };"


def refused(cluster: Any, node: int, **changes: Any) -> NodeError:
    """What a node raises that the others, who are open, do not take; and they go on."""
    others = [other for number, other in cluster.nodes.items() if number != node]
    stranger = cluster.spawn(node)
    with pytest.raises(NodeError) as caught:
        stranger.do(cluster.opening(node, **changes))
    cluster.nodes.pop(node).end()
    for key, other in enumerate(others):
        other.do(f"put(db, {1000 * cluster.lives + key})")
        assert other.do("db.nodes") == 3
    return caught.value


def test_another_schema_is_907_whoever_dials(cluster: Make) -> None:
    three = cluster(3)
    three.start(0, 1)
    error = refused(three, 2, schema=OTHER_SCHEMA)
    assert (error.kind, error.code) == ("IncompatibleError", 907)
    assert "the dictionaries differ: open the same schema on all nodes" in error.text
    three.start(2)  # and with the right one it is taken in
    assert three.must_agree()
    three.nodes.pop(0).kill()
    three.nodes[1].do("put(db, 1)")
    # Node 0 dials nobody: it learns it from those who come.
    error = refused(three, 0, schema=OTHER_SCHEMA)
    assert (error.kind, error.code) == ("IncompatibleError", 907)
    assert "the dictionaries differ" in three.nodes[1].errors()


def test_other_qranks_are_907(cluster: Make) -> None:
    three = cluster(3)
    three.start(0, 1)
    error = refused(three, 2, qranks=[2, 1, 1])
    assert error.code == 907
    assert "qranks" in error.text


def test_two_nodes_of_which_each_has_its_own_schema_both_hear_it(cluster: Make) -> None:
    two = cluster(2, nwparams={"connectTimeout": 1500})
    two.spawn(0).send(two.opening(0))
    two.spawn(1).send(two.opening(1, schema=OTHER_SCHEMA))
    for node in two.nodes.values():
        with pytest.raises(NodeError) as caught:
            node.receive()
        assert caught.value.code == 907


SECRET = "0123456789abcdef" * 3 + "0123456789abcde"


def secret_file(folder: Path, digit: str) -> str:
    file = folder / f"secret{digit}"
    file.write_text(SECRET + digit, encoding="ascii")
    file.chmod(0o600)
    return str(file)


def test_another_secret_and_none_do_not_get_in(cluster: Make, tmp_path: Path) -> None:
    three = cluster(3, nwparams={"cluster_secret_file": secret_file(tmp_path, "a")})
    three.start(0, 1)
    other = {"cluster_secret_file": secret_file(tmp_path, "b")}
    error = refused(three, 2, nwparams=other)
    assert "give the same cluster_secret_file to all nodes" in error.text
    error = refused(three, 2, nwparams={})
    assert "the peer has a cluster secret and this node none" in error.text
    # One line of each kind in ten seconds, which does not tell the secret.
    lines = [line for line in three.nodes[0].errors().splitlines() if "secret" in line]
    assert 1 <= len(lines) <= 2, lines
    assert SECRET not in three.logs()


def test_certificates_that_are_not_right_do_not_get_in(cluster: Make, tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path / "ca"), Authority(tmp_path / "foreign")
    three = cluster(3)
    for number in (0, 1):
        ours = {"ssl_params": authority.issue(f"node{number}")}
        three.spawn(number).send(three.opening(number, nwparams=ours))
    for node in three.nodes.values():
        node.receive()
    expired = authority.issue("expired", expired=True)
    of_another = {**foreign.issue("node2"), "ca_file": str(authority.file)}
    for name, nwparams, word in (
        ("expired", {"ssl_params": expired}, "expired"),
        ("of another CA", {"ssl_params": of_another}, "certificate"),
    ):
        error = refused(three, 2, nwparams=nwparams)
        assert word in error.text, (name, error)
        assert "no link with node 0" in error.text or "no link with node 1" in error.text
    lines = [line for line in three.nodes[0].errors().splitlines() if "certificate" in line]
    assert lines, three.logs()
    # Without TLS it understands nobody: it cannot tell that from a network that ends connections.
    (plain,) = three.start(2, nwparams={"connectTimeout": 1000})
    assert plain.do("(db.state.reads, db.state.writes)") == [True, False]
    assert "is TLS on there, by ssl_params?" in plain.errors()
    plain.do("db.close()")
    plain.end()
    three.start(2, nwparams={"ssl_params": authority.issue("node2")})
    assert three.must_agree()
    three.close()


def test_who_has_no_certificate_does_not_get_in(cluster: Make, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificates = [authority.issue(f"node{number}") for number in (0, 1)]
    two = cluster(2)
    for number in (0, 1):
        two.spawn(number).send(two.opening(number, nwparams={"ssl_params": certificates[number]}))
    for node in two.nodes.values():
        node.receive()
    # exdb itself does not try: the file is needed before anybody is dialled.
    stranger = two.spawn(2)
    with pytest.raises(NodeError, match="cert_file_pem"):
        only_ca = {"ssl_params": {"ca_file": str(authority.file)}}
        stranger.do(two.opening(1, nwparams=only_ca))
    stranger.end()
    two.nodes.pop(2)
    # So a client of another make, which believes the same CA and shows nothing.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.file)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.maximum_version = version
        address = two.addresses[0]
        got = b""
        plain = socket.create_connection(address, timeout=20)
        with contextlib.suppress(ssl.SSLError, OSError), context.wrap_socket(plain) as tls:
            tls.sendall(b"exdb-tcp" + bytes(128))
            got = tls.recv(1)
        plain.close()
        assert got == b"", version
    for key, node in enumerate(two.nodes.values()):
        node.do(f"put(db, {key})")
    assert "the peer showed no certificate: it needs cert_file_pem" in two.nodes[0].errors()
    assert two.must_agree()
    two.close()


def test_a_node_that_is_dialled_is_warned_of_its_wrong_secret(
    cluster: Make, tmp_path: Path
) -> None:
    """Who comes has not said who it is, so it may be anybody: that fails no open."""
    three = cluster(3, nwparams={"cluster_secret_file": secret_file(tmp_path, "a")})
    three.start(1, 2)
    other = {"cluster_secret_file": secret_file(tmp_path, "b"), "connectTimeout": 1500}
    (node,) = three.start(0, nwparams=other)
    assert node.do("(db.state.reads, db.state.writes)") == [True, False]
    assert "give the same cluster_secret_file to all nodes" in node.errors()
    node.do("db.close()")
    node.end()
