// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <curl/curl.h>

// libcurl's setters and getters are variadic, which Swift does not import. One function per type of argument; the
// option decides which of them is right (the last letters of its entry in curl.h).
static inline CURLcode medallion_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode medallion_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode medallion_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode medallion_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}
static inline CURLcode medallion_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}
typedef size_t (*medallion_curl_data_callback)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode medallion_curl_set_data_callback(
    CURL *easy, CURLoption option, medallion_curl_data_callback callback) {
    return curl_easy_setopt(easy, option, callback);
}
typedef int (*medallion_curl_seek_callback)(void *context, curl_off_t offset, int origin);
static inline CURLcode medallion_curl_set_seek_callback(CURL *easy, medallion_curl_seek_callback callback) {
    return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, callback);
}
static inline CURLcode medallion_curl_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}
// CURLMsg has a union; the result of a finished transfer, or CURLE_OK with *is_done = 0 where there is none yet.
static inline CURLcode medallion_curl_result(CURLM *multi, int *is_done) {
    int left = 0;
    CURLMsg *message;
    *is_done = 0;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            *is_done = 1;
            return message->data.result;
        }
    }
    return CURLE_OK;
}
