// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Channel of TLS. OpenSSL reads what received() is given, and writes into wire(): there is no
// socket and no copy but its own and one of the decrypted bytes.
//
// Invariants
//   I1  established() only after the peer showed the certificates that verify_mode asks for, and, where
//       it was dialled and is verified, one for the host that was dialled (tls_names.hpp). With TLS 1.3
//       the dialling side is established before the other has judged its certificate: the
//       WELCOME of hello.hpp is what tells.
//   I2  Decrypted bytes are only those that came whole and unchanged.
//   I3  After the peer's goodbye nothing more is read.
// Threads: one at a time. Failure and the rest: channel.hpp.
#pragma once
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "channel.hpp"
#include "tls_byte_queue.hpp"
#include "tls_params.hpp"

namespace exdb::tcp {

class TlsChannel final : public Channel {
 public:
  /// `host`: of the node dialled; empty: this side accepts.
  static Result<std::unique_ptr<TlsChannel>> make(SSL_CTX* context,
                                                  std::shared_ptr<const TlsParams> params,
                                                  std::string host);
  ~TlsChannel() override;
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  Status received(std::span<const std::byte> wire) override;
  std::size_t take(std::span<std::byte> plain) override;
  Status send(std::span<const std::byte> plain) override;
  [[nodiscard]] std::span<const std::byte> wire() const override { return out_.front(); }
  void written(std::size_t bytes) override { out_.drop(bytes); }
  [[nodiscard]] bool established() const override { return established_ && failure_.ok(); }
  void shut() override;
  [[nodiscard]] std::string peer() const override;
  [[nodiscard]] std::array<std::byte, 32> binding() const override;

  /// The peer's certificate; none before established(), or when it showed none.
  [[nodiscard]] X509* certificate() const { return SSL_get0_peer_certificate(ssl_.get()); }
  /// For tests and descriptions: what was agreed.
  [[nodiscard]] const SSL* ssl() const { return ssl_.get(); }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  TlsChannel(std::shared_ptr<const TlsParams> params, std::string host);

  static BIO_METHOD* bio_method();
  static int on_read(BIO* bio, char* bytes, int length);
  static int on_write(BIO* bio, const char* bytes, int length);
  static long on_control(BIO* bio, int command, long number, void* pointer);
  static int on_verify(int good, X509_STORE_CTX* store);

  Status start(SSL_CTX* context);
  Status shake_hands();
  Status decrypt();
  /// After a call of OpenSSL that did not do all: waits for more bytes, or has failed.
  Status judge(int result);
  Status fail(const std::string& why);

  const std::shared_ptr<const TlsParams> params_;
  const std::string host_;
  std::span<const std::byte> in_;  ///< of the received() under way
  ByteQueue out_, plain_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::string verify_failure_;
  Status failure_;
  bool established_ = false;
};

}  // namespace exdb::tcp
