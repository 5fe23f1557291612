// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The other end as somebody else may have written it: OpenSSL with what settings a test wants.
#pragma once
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "channel.hpp"

namespace exdb::tcp {

class RawPeer final : public Channel {
 public:
  explicit RawPeer(bool connecting) : context_(SSL_CTX_new(TLS_method()), &SSL_CTX_free) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    connecting_ = connecting;
  }
  /// To be set up before start().
  SSL_CTX* context() { return context_.get(); }
  void identify(const std::string& cert_file, const std::string& key_file) {
    SSL_CTX_use_certificate_chain_file(context(), cert_file.c_str());
    SSL_CTX_use_PrivateKey_file(context(), key_file.c_str(), SSL_FILETYPE_PEM);
  }
  void start(SSL_SESSION* resumed = nullptr) {
    ssl_.reset(SSL_new(context()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (resumed != nullptr) SSL_set_session(ssl_.get(), resumed);
    connecting_ ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
    (void)received({});
  }
  SSL* ssl() { return ssl_.get(); }
  [[nodiscard]] int alert() const { return alert_; }

  Status received(std::span<const std::byte> wire) override {
    if (!wire.empty())
      BIO_write(SSL_get_rbio(ssl_.get()), wire.data(), static_cast<int>(wire.size()));
    ERR_clear_error();
    char bytes[4096];
    int result = SSL_do_handshake(ssl_.get());
    while (result == 1) {
      const int some = SSL_read(ssl_.get(), bytes, sizeof bytes);
      if (some > 0) {
        plain_.append(bytes, static_cast<std::size_t>(some));
      } else {
        result = some;
      }
    }
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return {};
    const int reason = ERR_GET_REASON(ERR_peek_error());
    if (reason >= SSL_AD_REASON_OFFSET) alert_ = reason - SSL_AD_REASON_OFFSET;
    const char* text = ERR_reason_error_string(ERR_get_error());
    return {ErrorCode::cluster, text != nullptr ? text : "failed"};
  }
  std::size_t take(std::span<std::byte>) override { return 0; }
  Status send(std::span<const std::byte> plain) override {
    const int some = SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
    return some > 0 ? Status() : Status(ErrorCode::cluster, "cannot write");
  }
  [[nodiscard]] std::span<const std::byte> wire() const override {
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &bytes);
    return std::as_bytes(std::span(bytes, static_cast<std::size_t>(length)));
  }
  void written(std::size_t bytes) override {
    std::string gone(bytes, ' ');
    BIO_read(SSL_get_wbio(ssl_.get()), gone.data(), static_cast<int>(bytes));
  }
  [[nodiscard]] bool established() const override { return SSL_is_init_finished(ssl_.get()) == 1; }
  void shut() override { SSL_shutdown(ssl_.get()); }
  [[nodiscard]] std::string peer() const override { return {}; }
  [[nodiscard]] const std::string& plain() const { return plain_; }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::string plain_;
  int alert_ = -1;
  bool connecting_ = false;
};

}  // namespace exdb::tcp
