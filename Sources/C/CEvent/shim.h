// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
// First, because libevent's headers define _GNU_SOURCE, which renames a member of fd_set: this module's fd_set would differ
// from that of Swift's Glibc and Dispatch modules, and whether that is an error depends on the order of compilation.
#include <sys/select.h>
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

// Declared by hand because it needs _GNU_SOURCE (see above).
int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags);

// accept4(2) takes a transparent union in the GNU headers, which Swift does not convert a pointer to.
static inline int medallion_accept(int listener, struct sockaddr_storage *address, socklen_t *length) {
    return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
