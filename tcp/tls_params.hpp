// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ssl_params as the user writes them: names and values, checked as far as that goes without a file.
//
// Threads: any. Pure.
// Failure: cluster_invalid_parameter, with the name of the key and what it may be.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "exdb/errors.hpp"

namespace exdb::tcp {

struct TlsParams {
  // Of verify_mode, added up.
  static constexpr int verify_peer = 1, fail_without_certificate = 2, client_once = 4;

  /// Names of ciphers as OpenSSL has them, separated by colons: suites of TLS 1.3 (TLS_…) and names
  /// or classes of TLS 1.2 ones. What it does not name is not used, so a version of which it names
  /// nothing is off. Empty: both, with forward secrecy and authenticated encryption only.
  std::string cipher_list;
  std::int64_t max_cert_list = 0;  ///< bytes of a peer's certificate chain; 0: OpenSSL's, 100 KiB
  int verify_mode = verify_peer | fail_without_certificate;
  int verify_depth = 9;       ///< intermediate CAs between a peer's certificate and ours
  std::string cert_file_pem;  ///< this node's certificate, then intermediate CAs
  std::string pkey_file_pem;  ///< its key; empty: in cert_file_pem
  std::string ca_file, ca_path;

  [[nodiscard]] bool verifies() const { return (verify_mode & verify_peer) != 0; }
  /// Nobody without a certificate of our CA gets in: Protection::certificates.
  [[nodiscard]] bool needs_certificates() const {
    return verifies() && (verify_mode & fail_without_certificate) != 0;
  }
};

using TlsValue = std::variant<std::int64_t, std::string>;

/// An unknown key, a value of the wrong kind or out of its range is an error that names it.
Result<TlsParams> parse_tls_params(const std::map<std::string, TlsValue>& values);

}  // namespace exdb::tcp
