// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
// Where Debian puts it; no flags of a .pc file, which would link the library.
#include <postgresql/libpq-fe.h>
