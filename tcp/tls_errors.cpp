// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_errors.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <memory>

#include "tls_names.hpp"

namespace exdb::tcp {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

std::string time_text(const ASN1_TIME* time) {
  const std::unique_ptr<BIO, FreeBio> out(BIO_new(BIO_s_mem()));
  if (!out || ASN1_TIME_print(out.get(), time) != 1) return "an unreadable date";
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return printable(std::string_view(text, static_cast<std::size_t>(length)));
}

std::string our_ca(const TlsParams& params) {
  std::string where;
  if (!params.ca_file.empty()) where = "ca_file " + params.ca_file;
  if (!params.ca_path.empty())
    where += (where.empty() ? "ca_path " : " or ca_path ") + params.ca_path;
  return where;
}

std::string reason_text(unsigned long error) {
  const char* text = error != 0 ? ERR_reason_error_string(error) : nullptr;
  return text != nullptr ? text : "OpenSSL does not say why";
}

/// What the peer's alert says of this node. Its certificate is what most alerts are about.
std::string alert_text(int alert, const TlsParams& params) {
  const std::string ours =
      "the peer refused this node's certificate (cert_file_pem " + params.cert_file_pem + "): ";
  switch (alert) {
    case SSL_AD_CERTIFICATE_EXPIRED:
      return ours + "it has expired, or is not valid yet";
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_DECRYPT_ERROR:  // a CA of the same name, and another one
      return ours +
             "it, or an intermediate CA that should be in the same file, is of a CA that the "
             "peer does not know";
    case SSL_AD_BAD_CERTIFICATE:
      return ours + "it is not for this node's address, or damaged";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return ours + "its extended key usage must allow both server and client authentication";
    case SSL_AD_CERTIFICATE_REVOKED:
      return ours + "it was revoked";
    case SSL_AD_CERTIFICATE_UNKNOWN:
      return ours + "the peer does not say why; its log does";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "the peer wants a certificate and this node showed none: give cert_file_pem";
    case SSL_AD_PROTOCOL_VERSION:
      return "the peer speaks no version of TLS that this node does (1.2 and 1.3, where "
             "cipher_list "
             "allows them)";
    case SSL_AD_HANDSHAKE_FAILURE:
      return "the peer shares no cipher with this node, or wants a certificate: compare "
             "cipher_list "
             "and verify_mode of both";
    case SSL_AD_ILLEGAL_PARAMETER:
      return "the peer found a message of this node wrong, or larger than its max_cert_list";
    default:
      return std::string("the peer ended it: ") + SSL_alert_desc_string_long(alert);
  }
}

}  // namespace

std::string verify_failure(int error, int depth, X509* certificate, const TlsParams& params,
                           const std::string& host) {
  const std::string name = certificate != nullptr ? names_in(certificate) : "";
  const std::string whose =
      std::string(depth == 0 ? "the peer's certificate" : "a CA of the peer's") +
      (name.empty() ? "" : " (" + name + ")") + " ";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return whose + "expired on " + time_text(X509_get0_notAfter(certificate)) +
             ": issue a new one, or check this node's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return whose + "is not valid before " + time_text(X509_get0_notBefore(certificate)) +
             ": check the clocks of both nodes";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return whose + "is not of a CA in " + our_ca(params) +
             ": use one CA for all nodes, and put intermediate CAs into the peer's cert_file_pem";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
      return "the peer's certificate has more intermediate CAs than verify_depth, " +
             std::to_string(params.verify_depth) + ", allows";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return whose + "is not for " + host +
             ", which was dialled: issue one with that subjectAltName";
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_INVALID_CA:
      return whose + (depth == 0
                          ? "must allow both server and client authentication in its extended "
                            "key usage"
                          : "is no CA certificate");
    default:
      return whose + "was refused: " + X509_verify_cert_error_string(error);
  }
}

std::string openssl_reason() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  return reason_text(error);
}

std::string connection_failure(const TlsParams& params) {
  // Other libraries complain first of what TLS then gives a name.
  const unsigned long first = ERR_get_error();
  unsigned long error = first;
  while (error != 0 && ERR_GET_LIB(error) != ERR_LIB_SSL) error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return reason_text(first);
  const int reason = ERR_GET_REASON(error);
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
    return alert_text(reason - SSL_AD_REASON_OFFSET, params);
  switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "the peer showed no certificate: it needs cert_file_pem";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
      return "the peer offers no version of TLS that this node takes (1.2 and 1.3, where "
             "cipher_list "
             "allows them)";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_UNEXPECTED_MESSAGE:
      return "the peer does not speak TLS: give ssl_params to all nodes, or to none";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_AVAILABLE:
      return "the peer shares no cipher with this node: compare cipher_list of both";
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return "a message of the peer is too long: its certificates may exceed max_cert_list (" +
             (params.max_cert_list > 0 ? std::to_string(params.max_cert_list)
                                       : std::to_string(SSL_MAX_CERT_LIST_DEFAULT)) +
             " bytes)";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      return "what arrived was changed on its way";
    default:
      return reason_text(error);
  }
}

}  // namespace exdb::tcp
