// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <event2/event.h>
#include <event2/util.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

// prctl(2) is variadic, which Swift does not import; names the calling thread (its first 15 bytes).
static inline int medallion_name_thread(const char *name) {
    return prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0);
}

// accept4(2) takes a transparent union in the GNU headers, which Swift does not convert a pointer to.
static inline int medallion_accept(int listener, struct sockaddr_storage *address, socklen_t *length) {
    return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
