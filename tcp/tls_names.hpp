// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whom a certificate names, and whether that is the host of a node.
//
// Invariants
//   I1  A host that is a name must be among the certificate's: a DNS name of its subjectAltName, or,
//       when that has none, its common name. A wildcard stands for one whole label.
//   I2  A host that is an IP address must be among the IP addresses of the certificate's
//       subjectAltName. A certificate that has none is not bound to addresses: it fits all hosts
//       that are addresses, and the CA alone decides.
//   I3  Text taken from a certificate is one short line of printable ASCII.
// Threads: any.
// Failure: none; a certificate that cannot be read names nobody.
#pragma once
#include <openssl/types.h>

#include <string>
#include <string_view>

namespace exdb::tcp {

/// `host`: without brackets; a zone is passed over.
bool certificate_fits(X509* certificate, const std::string& host);

/// "node1.example" or "10.0.0.1": the first name, else the common name, else "".
std::string name_in(X509* certificate);

/// All of them, for messages: "node1, node1.example, 10.0.0.1".
std::string names_in(X509* certificate);

/// I3.
std::string printable(std::string_view text);

}  // namespace exdb::tcp
