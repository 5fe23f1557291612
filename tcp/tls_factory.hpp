// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Makes the TLS channels of a node. One set of files, read once: a certificate that is renewed is
// used by nodes opened afterwards.
//
// Threads: any.
// Failure: make(): that of make_tls_context(). accept(), connect(): no_memory.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "channel.hpp"
#include "tls_params.hpp"

namespace exdb::tcp {

class TlsFactory {
 public:
  /// `hosts`: of all nodes, by number, as in their addresses and without brackets or port.
  static Result<std::unique_ptr<ChannelFactory>> make(TlsParams params,
                                                      std::vector<std::string> hosts);
};

}  // namespace exdb::tcp
