# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""nwparams of ``nwtype='TCP'``: names and types are checked here, ranges by libexdb_tcp.so, which
names the key and the remedy.

A cluster over TCP needs no communicator, so all of this is raised at once, and by this node only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import _core
from ._check import boolean, integer, shown
from .errors import ClusterParameterError, NotSupportedError

# Key of nwparams: attribute of TcpParams.
NUMBERS = {
    "connectTimeout": "connect_timeout_ms",
    "connectInterval": "connect_interval_ms",
    "socketSendBuf": "socket_send_buf_bytes",
    "socketRecvBuf": "socket_recv_buf_bytes",
    "socketDomain": "socket_domain",
    "keepAliveTime": "keep_alive_time_ms",
    "keepAliveProbes": "keep_alive_probes",
}
KEYS = (*NUMBERS, "ssl_params", "cluster_secret_file", "insecure_network")
SSL_NUMBERS = ("max_cert_list", "verify_mode", "verify_depth")
SSL_TEXTS = ("cipher_list", "cert_file_pem", "pkey_file_pem", "ca_file", "ca_path")
# What a key may hold before the library looks at its range.
LARGEST = {"socketDomain": 2**31 - 1}


def library_path() -> Path:
    return Path(__file__).with_name("libexdb_tcp.so")


def load() -> None:
    """Binds libexdb_tcp.so, and OpenSSL with it. Raises NotSupportedError."""
    path = library_path()
    if not path.exists():
        raise NotSupportedError(
            f"exdb was installed without its TCP transport ({path.name} is not in {path.parent}): "
            "install it where OpenSSL 3 is found (Debian: apt-get install libssl-dev), or use "
            "nwtype='MPI'"
        )
    _core.load_tcp_library(str(path))


def _path(value: Any, name: str) -> str:
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        if isinstance(path, str):
            return path
    raise ClusterParameterError(f"{name} must be the path of a file, not {shown(value)}")


def _ssl_params(given: Any) -> dict[str, int | str]:
    if not isinstance(given, Mapping):
        raise ClusterParameterError(
            f"nwparams 'ssl_params' must be a dict (an empty one is TLS with the defaults), not "
            f"{shown(given)}"
        )
    result: dict[str, int | str] = {}
    for key, value in given.items():
        name = f"ssl_params {key!r}"
        if key in SSL_NUMBERS:
            result[key] = integer(value, name, -(2**63), 2**63 - 1, ClusterParameterError)
        elif key == "cipher_list":
            if not isinstance(value, str):
                raise ClusterParameterError(f"{name} must be a str, not {shown(value)}")
            result[key] = value
        elif key in SSL_TEXTS:
            result[key] = _path(value, name)
        else:
            raise ClusterParameterError(
                f"ssl_params has an unknown key {key!r}; known are: "
                + ", ".join((*SSL_TEXTS, *SSL_NUMBERS))
            )
    return result


def fill(tcp: _core.TcpParams, nwparams: Mapping[str, Any]) -> None:
    """Puts nwparams, whose keys are known, into TcpParams. Raises ClusterParameterError."""
    for key, attribute in NUMBERS.items():
        if key in nwparams:
            most = LARGEST.get(key, 2**63 - 1)
            number = integer(nwparams[key], f"nwparams {key!r}", -most, most, ClusterParameterError)
            setattr(tcp, attribute, number)
    if nwparams.get("ssl_params") is not None:
        tcp.ssl_params = _ssl_params(nwparams["ssl_params"])
    if nwparams.get("cluster_secret_file") is not None:
        tcp.cluster_secret_file = _path(
            nwparams["cluster_secret_file"], "nwparams 'cluster_secret_file'"
        )
    tcp.insecure_network = boolean(
        nwparams.get("insecure_network", False),
        "nwparams 'insecure_network'",
        ClusterParameterError,
    )


def cluster_id(qranks: list[int]) -> int:
    """64 bits of what nodes of one cluster must agree on beside the schema. (Addresses need not be
    the same everywhere: a node may be reached through another one.)"""
    digest = hashlib.blake2b(repr(qranks).encode(), digest_size=8, person=b"exdb qranks")
    return int.from_bytes(digest.digest(), "little")
