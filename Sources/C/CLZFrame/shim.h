// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <lz4frame.h>
