// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rule of exposure: a cluster whose addresses are all loopback needs no protection; one that can
// be reached from elsewhere needs TLS that asks peers for a certificate, or a cluster secret, or the
// word of the user that he wants neither.
//
// Threads: any. Pure: no name is resolved.
// Failure: cluster_invalid_parameter, with the address and the three remedies.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "exdb/errors.hpp"

namespace exdb::tcp {

struct Protection {
  bool tls = false;               ///< ssl_params given
  bool certificates = false;      ///< verify_mode asks for a certificate and verifies it: 1 and 2
  bool secret = false;            ///< cluster_secret_file given
  bool insecure_network = false;  ///< the user said so
};

/// Whether only this host can reach `host`: 127.0.0.0/8, ::1, or the name localhost. Brackets and a
/// zone are allowed, a port is not. Any other name counts as reachable, wherever it may lead.
bool is_loopback(std::string_view host);

/// Whether nodes with these hosts may be opened; one host outside decides.
Status check_exposure(std::span<const std::string> hosts, const Protection& protection);

}  // namespace exdb::tcp
