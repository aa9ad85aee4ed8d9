// A library that is opened when it is first called, and functions that go there.
#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

// Defines `const char *fault_name(void)`, which opens the library, and `find`, which looks a function up in it.
#define LATE_LIBRARY(fault_name, file)                                                \
    static void *library;                                                             \
    static char fault[512];                                                           \
    static pthread_once_t once = PTHREAD_ONCE_INIT;                                   \
    static void load(void) {                                                          \
        library = dlopen(file, RTLD_NOW | RTLD_LOCAL);                                \
        if (library == NULL) {                                                        \
            const char *reason = dlerror();                                           \
            snprintf(fault, sizeof fault, "%s", reason == NULL ? "unknown" : reason); \
        }                                                                             \
    }                                                                                 \
    const char *fault_name(void) {                                                    \
        pthread_once(&once, load);                                                    \
        return library == NULL ? fault : NULL;                                        \
    }                                                                                 \
    static void *find(const char *name) { return fault_name() == NULL ? dlsym(library, name) : NULL; }

// A function of the library: looks itself up once, and goes there. Two threads may both look; they find the same.
// Without the library it does `absent`.
#define FORWARD(result, name, absent, parameters, arguments) \
    result name parameters {                                 \
        static _Atomic(void *) address;                      \
        void *found = address;                               \
        if (found == NULL) address = found = find(#name);    \
        if (found == NULL) absent;                           \
        return ((result(*) parameters)found)arguments;       \
    }
