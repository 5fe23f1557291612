// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_factory.hpp"

#include <utility>

#include "tls_channel.hpp"
#include "tls_context.hpp"
#include "tls_names.hpp"

namespace exdb::tcp {
namespace {

class Factory final : public ChannelFactory {
 public:
  Factory(TlsContext context, TlsParams params, std::vector<std::string> hosts)
      : context_(std::move(context)),
        params_(std::make_shared<const TlsParams>(std::move(params))),
        hosts_(std::move(hosts)) {}

  Result<std::unique_ptr<Channel>> accept() override { return make({}); }

  Result<std::unique_ptr<Channel>> connect(std::uint32_t node) override {
    if (node >= hosts_.size() || hosts_[node].empty()) return no_such(node);
    return make(hosts_[node]);
  }

  [[nodiscard]] Status allows(const Channel& channel, std::uint32_t node) const override {
    if (node >= hosts_.size()) return no_such(node);
    const auto* const tls = dynamic_cast<const TlsChannel*>(&channel);
    if (tls == nullptr || !tls->established())
      return {ErrorCode::cluster, "TLS: the channel is not established"};
    if (!params_->verifies()) return {};
    X509* const certificate = tls->certificate();
    // verify_mode let it in without one.
    if (certificate == nullptr || certificate_fits(certificate, hosts_[node])) return {};
    return {ErrorCode::cluster_protocol,
            "TLS: the certificate of node " + std::to_string(node) + " (" + names_in(certificate) +
                ") is not for its address, " + printable(hosts_[node]) +
                ": issue one with that subjectAltName"};
  }

 private:
  static Status no_such(std::uint32_t node) {
    return {ErrorCode::cluster_invalid_parameter,
            "TLS: there is no address of node " + std::to_string(node)};
  }

  Result<std::unique_ptr<Channel>> make(std::string host) {
    auto channel = TlsChannel::make(context_.get(), params_, std::move(host));
    if (!channel.ok()) return channel.status();
    return std::unique_ptr<Channel>(std::move(*channel));
  }

  const TlsContext context_;
  const std::shared_ptr<const TlsParams> params_;
  const std::vector<std::string> hosts_;
};

}  // namespace

Result<std::unique_ptr<ChannelFactory>> TlsFactory::make(TlsParams params,
                                                         std::vector<std::string> hosts) {
  auto context = make_tls_context(params);
  if (!context.ok()) return context.status();
  return std::unique_ptr<ChannelFactory>(
      std::make_unique<Factory>(std::move(*context), std::move(params), std::move(hosts)));
}

}  // namespace exdb::tcp
