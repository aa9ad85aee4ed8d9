// A C view of simdjson's DOM parser: no exception and no C++ type crosses this line.
//
// DOM and not On-Demand: On-Demand accepts faults in the parts of a document that nobody reads, and the lake embeds
// payloads verbatim.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum csj_kind {
    CSJ_ABSENT = 0,
    CSJ_NULL,
    CSJ_BOOL,      // integer is 0 or 1
    CSJ_INTEGER,   // integer
    CSJ_UNSIGNED,  // above INT64_MAX: integer holds the bits
    CSJ_DOUBLE,    // number
    CSJ_STRING,    // text, length: unescaped UTF-8
    CSJ_ARRAY,     // length: elements
    CSJ_OBJECT     // length: members
};

typedef struct {
    uint8_t kind;
    uint32_t length;
    const uint8_t *text;  // not NUL-terminated; valid until the parser's next use
    int64_t integer;
    double number;
} csj_value;

// Statuses below 0 are this shim's; those above are simdjson's error codes.
enum { CSJ_OK = 0, CSJ_NOT_AN_OBJECT = -1, CSJ_OUT_OF_MEMORY = -2, CSJ_TOO_LARGE = -3 };

typedef struct csj_parser csj_parser;

// NULL when out of memory. A parser belongs to one thread at a time.
csj_parser *csj_parser_new(size_t depth_max, size_t document_bytes_max);
void csj_parser_free(csj_parser *parser);

// Adds one dotted path ("meta.id") to extract; returns its slot, or -1 when out of memory.
int csj_parser_add_path(csj_parser *parser, const char *path, size_t length);

// Parses one document and fills values[slot] for every path; a later member of the same name wins.
// CSJ_NOT_AN_OBJECT when it is valid JSON of another kind.
int csj_parse_object(csj_parser *parser, const uint8_t *bytes, size_t length, csj_value *values);

// Parses any document into a flat preorder list: a container is followed by its members, an object's as
// key (a string) and value. The list is valid until the parser's next use.
int csj_parse_tree(csj_parser *parser, const uint8_t *bytes, size_t length, const csj_value **nodes, size_t *count);

// The message of a status; static text.
const char *csj_status_message(int status);

#ifdef __cplusplus
}
#endif
