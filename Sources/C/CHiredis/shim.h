// The only place where this header is included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <hiredis/hiredis.h>
