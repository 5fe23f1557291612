// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_channel.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "tls_errors.hpp"
#include "tls_names.hpp"

namespace exdb::tcp {
namespace {

/// OpenSSL hands out one record at a time: so much at most.
constexpr std::size_t record_bytes = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr std::string_view binding_label = "EXPORTER-exdb-hello-1";

TlsChannel* channel_of(BIO* bio) { return static_cast<TlsChannel*>(BIO_get_data(bio)); }

}  // namespace

TlsChannel::TlsChannel(std::shared_ptr<const TlsParams> params, std::string host)
    : params_(std::move(params)), host_(std::move(host)) {}

TlsChannel::~TlsChannel() = default;

Result<std::unique_ptr<TlsChannel>> TlsChannel::make(SSL_CTX* context,
                                                     std::shared_ptr<const TlsParams> params,
                                                     std::string host) {
  std::unique_ptr<TlsChannel> channel(new TlsChannel(std::move(params), std::move(host)));
  if (const Status status = channel->start(context); !status.ok()) return status;
  return channel;
}

Status TlsChannel::start(SSL_CTX* context) {
  ERR_clear_error();
  ssl_.reset(SSL_new(context));
  BIO_METHOD* const method = bio_method();
  BIO* const bio = ssl_ && method != nullptr ? BIO_new(method) : nullptr;
  if (bio == nullptr) return {ErrorCode::no_memory, "TLS: " + openssl_reason()};
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // owns it from here on
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_verify(ssl_.get(), params_->verify_mode, &on_verify);
  if (host_.empty()) {
    SSL_set_accept_state(ssl_.get());
    return {};
  }
  SSL_set_connect_state(ssl_.get());
  return shake_hands();  // its first message goes into wire()
}

// --- OpenSSL's idea of a socket ---

BIO_METHOD* TlsChannel::bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "exdb channel");
    if (made == nullptr || BIO_meth_set_read(made, &on_read) != 1 ||
        BIO_meth_set_write(made, &on_write) != 1 || BIO_meth_set_ctrl(made, &on_control) != 1)
      return static_cast<BIO_METHOD*>(nullptr);
    return made;
  }();
  return method;
}

int TlsChannel::on_read(BIO* bio, char* bytes, int length) {
  BIO_clear_retry_flags(bio);
  auto& in = channel_of(bio)->in_;
  if (in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t some = std::min(in.size(), static_cast<std::size_t>(length));
  std::memcpy(bytes, in.data(), some);
  in = in.subspan(some);
  return static_cast<int>(some);
}

int TlsChannel::on_write(BIO* bio, const char* bytes, int length) {
  BIO_clear_retry_flags(bio);
  channel_of(bio)->out_.append(std::as_bytes(std::span(bytes, static_cast<std::size_t>(length))));
  return length;
}

long TlsChannel::on_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// --- whom it believes ---

int TlsChannel::on_verify(int good, X509_STORE_CTX* store) {
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const channel = static_cast<TlsChannel*>(SSL_get_app_data(ssl));
  X509* const certificate = X509_STORE_CTX_get_current_cert(store);
  const int depth = X509_STORE_CTX_get_error_depth(store);
  if (good == 1 && depth == 0 && !channel->host_.empty() &&
      !certificate_fits(certificate, channel->host_)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    good = 0;
  }
  if (good != 1 && channel->verify_failure_.empty())
    channel->verify_failure_ = verify_failure(X509_STORE_CTX_get_error(store), depth, certificate,
                                              *channel->params_, channel->host_);
  // With verify_mode 0 OpenSSL asks too, and goes on whatever the answer.
  return good;
}

// --- bytes ---

Status TlsChannel::received(std::span<const std::byte> wire) {
  if (!failure_.ok()) return failure_;
  in_ = wire;
  Status status = established_ ? Status() : shake_hands();
  if (status.ok() && established_) status = decrypt();
  in_ = {};
  return status;
}

Status TlsChannel::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) return judge(result);
  established_ = true;
  return {};
}

Status TlsChannel::decrypt() {
  while (true) {
    ERR_clear_error();
    const auto room = plain_.room(record_bytes);
    std::size_t some = 0;
    const int result = SSL_read_ex(ssl_.get(), room.data(), room.size(), &some);
    if (result != 1) return judge(result);
    plain_.filled(some);
  }
}

Status TlsChannel::judge(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_ZERO_RETURN:  // the peer's goodbye: OpenSSL reads nothing more
      return {};
    default:
      // With verify_mode 0 there may be an answer that nobody minded.
      return fail(!verify_failure_.empty() && params_->verifies() && !established_
                      ? verify_failure_
                      : connection_failure(*params_));
  }
}

Status TlsChannel::fail(const std::string& why) {
  ERR_clear_error();
  failure_ = {ErrorCode::cluster_protocol, "TLS: " + why};
  return failure_;
}

std::size_t TlsChannel::take(std::span<std::byte> plain) {
  const auto there = plain_.front();
  const std::size_t some = std::min(there.size(), plain.size());
  if (some == 0) return 0;
  std::memcpy(plain.data(), there.data(), some);
  plain_.drop(some);
  return some;
}

Status TlsChannel::send(std::span<const std::byte> plain) {
  if (!failure_.ok()) return failure_;
  if (!established_) return {ErrorCode::cluster, "TLS: not established yet"};
  if (plain.empty()) return {};
  ERR_clear_error();
  std::size_t some = 0;
  // All of it: on_write() takes everything.
  const int result = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &some);
  return result == 1 ? Status() : fail(connection_failure(*params_));
}

void TlsChannel::shut() {
  if (!established()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::string TlsChannel::peer() const {
  X509* const shown = certificate();
  return shown != nullptr ? name_in(shown) : std::string();
}

std::array<std::byte, 32> TlsChannel::binding() const {
  std::array<std::byte, 32> bytes{};
  if (established() && SSL_export_keying_material(
                           ssl_.get(), reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                           binding_label.data(), binding_label.size(), nullptr, 0, 0) != 1) {
    ERR_clear_error();
    return {};
  }
  return bytes;
}

}  // namespace exdb::tcp
