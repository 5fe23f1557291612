// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The SSL_CTX of a node: its certificate and key, whom it believes, which TLS it speaks.
//
// Invariants
//   I1  TLS 1.2 or newer; no resumption, renegotiation, compression, or anonymous cipher.
//   I2  The key is read only from a file that nobody else may touch (secret_file.hpp); no password is
//       asked for.
//   I3  A context that verifies has a CA of its own: those of the system sign anybody's certificate.
// Threads: any.
// Failure: cluster_invalid_parameter, with the key of ssl_params, the file and the remedy.
#pragma once
#include <openssl/ssl.h>

#include <memory>

#include "tls_params.hpp"

namespace exdb::tcp {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeContext>;

/// Reads files. For both roles; the verify callback is the caller's to set (SSL_set_verify).
Result<TlsContext> make_tls_context(const TlsParams& params);

}  // namespace exdb::tcp
