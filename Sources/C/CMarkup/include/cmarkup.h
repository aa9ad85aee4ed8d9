// The plain text of HTML (by Gumbo) and of Markdown (by cmark-gfm), with what either says of itself.
//
// Documents are hostile. All memory of a call, the libraries' own included, comes from one arena of bounded size; where it is
// full, or the call has taken too many steps, the call ends there and everything is given back. Neither library is
// asked to free a tree, which Gumbo does by recursion, and trees are walked without recursion.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const uint8_t *start;
    size_t length;
} markup_span;

// What a document says, in UTF-8; a span is empty where it says nothing. It lies in `memory`.
typedef struct {
    markup_span text;     // paragraphs with a blank line between them
    markup_span title;    // HTML's <title>
    markup_span heading;  // the first one with a text
    markup_span lang;     // of <html lang>, as it stands there
    markup_span url;      // the canonical link, as it stands there
    void *memory;
} markup_document;

enum {
    MARKUP_OK = 0,
    MARKUP_TOO_DEEP = 1,
    MARKUP_TOO_COMPLEX = 2,
    MARKUP_OUT_OF_MEMORY = 3
};

// Elements one within the other, where nothing closes them. Gumbo takes time that grows with their square.
enum { MARKUP_DEPTH_MAX = 2048 };

// Bytes of all memory that one call may take.
enum { MARKUP_MEMORY_MAX = 256 << 20 };

// Steps through what lies one within the other that one call may take: for each tag as many as elements are open, for each line
// as many as lists and quotes go on. They are estimated before the libraries take them, so that what becomes of a document does
// not hang on the machine. So many take a second or two.
enum { MARKUP_STEPS_MAX = 1 << 28 };

// The processor's time that one call may take, milliseconds: for what the steps and the memory do not tell.
enum { MARKUP_MILLISECONDS_MAX = 10000 };

// Each fills `document`, which `markup_release` empties whatever was returned. The bytes are UTF-8, at most INT32_MAX of them.
// Nothing is kept between calls; any thread may call them.
int markup_html(const uint8_t *bytes, size_t length, markup_document *document);
int markup_markdown(const uint8_t *bytes, size_t length, markup_document *document);
void markup_release(markup_document *document);

#ifdef __cplusplus
}
#endif
