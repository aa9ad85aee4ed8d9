// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <event2/event.h>
#include <event2/bufferevent.h>
#include <event2/buffer.h>
#include <event2/listener.h>
#include <event2/util.h>
