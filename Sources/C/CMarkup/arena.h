// Memory of one call, given back as a whole, with an end to the call where it, the steps or the processor's time are used up.
#pragma once

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

struct chunk;

struct arena {
    struct chunk *chunks;
    size_t taken;         // of all chunks
    size_t steps;         // that are left
    size_t calls;         // until the next look at the clock
    int64_t deadline;     // the thread's processor time, nanoseconds
    jmp_buf end;          // where a call ends early, with a status of cmarkup.h
};

// NULL where memory is out. Set `end` before the first call of the others.
struct arena *arena_new(void);
void arena_free(struct arena *arena);

// These do not return NULL: they end the call.
void *arena_allocate(struct arena *arena, size_t size);
void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t size);
void arena_check(struct arena *arena);
// Takes steps that a library is about to take.
void arena_step(struct arena *arena, size_t count);

// Collects text. White space between words is one space, or what breaks ask for.
enum gap { GAP_NONE, GAP_SPACE, GAP_LINE, GAP_PARAGRAPH };

struct writer {
    struct arena *arena;
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    enum gap gap;
};

void writer_gap(struct writer *writer, enum gap gap);
// Words: any white space is a space.
void writer_words(struct writer *writer, const char *text, size_t length);
// As it is, but for carriage returns and white space at its end.
void writer_verbatim(struct writer *writer, const char *text, size_t length);

// Appends the text of a document or a part of one. The spans of `document` are filled where it is not NULL.
struct markup_fields;
void html_append(struct writer *writer, const char *bytes, size_t length, struct markup_fields *fields);

struct markup_fields {
    struct writer title;
    struct writer heading;
    struct writer lang;
    struct writer url;
};
