// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/err.h>
