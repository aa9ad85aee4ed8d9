// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <snappy-c.h>
