// The only place where this header is included; see the Swift wrapper in Sources/Domain/Text.
#pragma once
#include <libstemmer.h>
