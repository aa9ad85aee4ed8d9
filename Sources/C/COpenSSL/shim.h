// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/err.h>

// These are macros, which Swift does not import.
static inline void medallion_ssl_prepare(SSL_CTX *context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // A write may be repeated from another address with more behind it, and takes part of what it is given; buffers of idle
    // connections are given back.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

// OpenSSL would ask the terminal for a key's password.
static inline int medallion_no_password(char *buffer, int size, int isWriting, void *context) {
    (void)buffer, (void)size, (void)isWriting, (void)context;
    return 0;
}

static inline void medallion_ssl_refuse_passwords(SSL_CTX *context) {
    SSL_CTX_set_default_passwd_cb(context, medallion_no_password);
}
