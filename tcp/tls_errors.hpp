// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What OpenSSL says, in plain words: one line, what is wrong and what to do about it.
//
// Threads: any; OpenSSL's queue of errors is the calling thread's.
// Failure: none; what it has no words for is told in OpenSSL's.
#pragma once
#include <openssl/types.h>

#include <string>

#include "tls_params.hpp"

namespace exdb::tcp {

/// Why a peer's certificate was refused by this node: its error, and the certificate it is about.
/// `host`: the node dialled, or "".
std::string verify_failure(int error, int depth, X509* certificate, const TlsParams& params,
                           const std::string& host);

/// Why a connection failed: the oldest entry of OpenSSL's queue, which is emptied.
std::string connection_failure(const TlsParams& params);

/// The last words of OpenSSL about a file: for those that are rare. Empties its queue.
std::string openssl_reason();

}  // namespace exdb::tcp
