#include "late.h"
#include "late_libraries.h"

// The header's own checks of types are macros over the two functions that take any argument.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdarg.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo

// The name that Debian's packages and curl's own build give it since 2006.
LATE_LIBRARY(libcurl_fault, "libcurl.so.4")

// Without the library there are no handles, so what takes one is never called, and what frees has nothing to free.
FORWARD(CURLcode, curl_global_init, return CURLE_FAILED_INIT, (long flags), (flags))
FORWARD(CURL *, curl_easy_init, return NULL, (void), ())
FORWARD(void, curl_easy_cleanup, return, (CURL * easy), (easy))
FORWARD(void, curl_easy_reset, return, (CURL * easy), (easy))
FORWARD(const char *, curl_easy_strerror, return "libcurl is not there", (CURLcode code), (code))
FORWARD(time_t, curl_getdate, return -1, (const char *text, const time_t *unused), (text, unused))
FORWARD(CURLM *, curl_multi_init, return NULL, (void), ())
FORWARD(CURLMcode, curl_multi_cleanup, return CURLM_BAD_HANDLE, (CURLM * multi), (multi))
FORWARD(CURLMcode, curl_multi_add_handle, return CURLM_BAD_HANDLE, (CURLM * multi, CURL *easy), (multi, easy))
FORWARD(CURLMcode, curl_multi_remove_handle, return CURLM_BAD_HANDLE, (CURLM * multi, CURL *easy), (multi, easy))
FORWARD(CURLMcode, curl_multi_perform, return CURLM_BAD_HANDLE, (CURLM * multi, int *running), (multi, running))
FORWARD(CURLMcode, curl_multi_poll, return CURLM_BAD_HANDLE,
        (CURLM * multi, struct curl_waitfd *extra, unsigned int extra_count, int timeout_ms, int *ready),
        (multi, extra, extra_count, timeout_ms, ready))
FORWARD(CURLMcode, curl_multi_wakeup, return CURLM_BAD_HANDLE, (CURLM * multi), (multi))
FORWARD(CURLMsg *, curl_multi_info_read, return NULL, (CURLM * multi, int *left), (multi, left))
FORWARD(const char *, curl_multi_strerror, return "libcurl is not there", (CURLMcode code), (code))
FORWARD(struct curl_slist *, curl_slist_append, return NULL, (struct curl_slist * list, const char *text), (list, text))
FORWARD(void, curl_slist_free_all, return, (struct curl_slist * list), (list))

typedef CURLcode (*any_option)(CURL *, CURLoption, ...);
typedef CURLcode (*any_information)(CURL *, CURLINFO, ...);

_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *),
               "the one argument is passed on as a pointer, whatever the option makes of it");

CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...) {
    static _Atomic(void *) address;
    void *found = address;
    if (found == NULL) address = found = find("curl_easy_setopt");
    if (found == NULL) return CURLE_FAILED_INIT;
    va_list arguments;
    va_start(arguments, option);
    void *value = va_arg(arguments, void *);
    va_end(arguments);
    return ((any_option)found)(easy, option, value);
}

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO information, ...) {
    static _Atomic(void *) address;
    void *found = address;
    if (found == NULL) address = found = find("curl_easy_getinfo");
    if (found == NULL) return CURLE_FAILED_INIT;
    va_list arguments;
    va_start(arguments, information);
    void *value = va_arg(arguments, void *);
    va_end(arguments);
    return ((any_information)found)(easy, information, value);
}
