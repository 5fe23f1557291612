# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Certificates for tests, made with the tool `openssl`.

Not with a package: the tool comes with the library that exdb is built with, and a user makes real
ones with it. Keys are of an elliptic curve, which takes milliseconds.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
CA_CONFIG = """
[ca]
default_ca = one
[one]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


class Authority:
    """A CA with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.file = folder / "ca.pem"
        self.key = folder / "ca.key"
        openssl(
            *("req", "-x509", *KEY, "-keyout", self.key, "-out", self.file),
            *("-days", "2", "-subj", f"/CN=CA {folder.name}"),
        )

    def issue(self, name: str, *, expired: bool = False) -> dict[str, str]:
        """ssl_params with a certificate of this CA, as an owner of it has them."""
        request, key = self.folder / f"{name}.csr", self.folder / f"{name}.key"
        certificate = self.folder / f"{name}.pem"
        openssl("req", *KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        if expired:
            config = self.folder / "ca.conf"
            config.write_text(CA_CONFIG.format(folder=self.folder), encoding="ascii")
            (self.folder / "index").write_text("", encoding="ascii")
            (self.folder / "serial").write_text("1000\n", encoding="ascii")
            openssl(
                *("ca", "-batch", "-config", config, "-cert", self.file, "-keyfile", self.key),
                *("-startdate", "20200101000000Z", "-enddate", "20200102000000Z"),
                *("-in", request, "-out", certificate, "-notext"),
            )
        else:
            openssl(
                *("x509", "-req", "-days", "2", "-in", request, "-out", certificate),
                *("-CA", self.file, "-CAkey", self.key, "-CAcreateserial"),
            )
        return {
            "ca_file": str(self.file),
            "cert_file_pem": str(certificate),
            "pkey_file_pem": str(key),
        }
