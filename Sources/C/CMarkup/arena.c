#define _POSIX_C_SOURCE 200809L
#include "arena.h"

#include "cmarkup.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct chunk {
    struct chunk *next;
    size_t size;
    size_t used;
    size_t padding;  // to 16 bytes' alignment
};

enum { CHUNK_BYTES = 1 << 18, CALLS_PER_LOOK = 4096 };

static int64_t processor_nanoseconds(void) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct arena *arena_new(void) {
    struct arena *arena = calloc(1, sizeof(struct arena));
    if (arena == NULL) return NULL;
    arena->steps = MARKUP_STEPS_MAX;
    arena->calls = CALLS_PER_LOOK;
    arena->deadline = processor_nanoseconds() + (int64_t)MARKUP_MILLISECONDS_MAX * 1000000;
    return arena;
}

void arena_free(struct arena *arena) {
    if (arena == NULL) return;
    struct chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

void arena_check(struct arena *arena) {
    if (--arena->calls > 0) return;
    arena->calls = CALLS_PER_LOOK;
    if (processor_nanoseconds() > arena->deadline) longjmp(arena->end, MARKUP_TOO_COMPLEX);
}

void arena_step(struct arena *arena, size_t count) {
    if (count > arena->steps) longjmp(arena->end, MARKUP_TOO_COMPLEX);
    arena->steps -= count;
}

void *arena_allocate(struct arena *arena, size_t size) {
    arena_check(arena);
    if (size > MARKUP_MEMORY_MAX) longjmp(arena->end, MARKUP_TOO_COMPLEX);
    size = size == 0 ? 16 : (size + 15) & ~(size_t)15;
    struct chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t wanted = size > CHUNK_BYTES / 4 ? size : CHUNK_BYTES;
        if (arena->taken + wanted > MARKUP_MEMORY_MAX) longjmp(arena->end, MARKUP_TOO_COMPLEX);
        struct chunk *made = malloc(sizeof(struct chunk) + wanted);
        if (made == NULL) longjmp(arena->end, MARKUP_OUT_OF_MEMORY);
        made->size = wanted;
        made->used = 0;
        arena->taken += wanted;
        // A large piece has a chunk of its own, behind the one with room for more.
        if (wanted == size && chunk != NULL) {
            made->next = chunk->next;
            chunk->next = made;
        } else {
            made->next = chunk;
            arena->chunks = made;
        }
        chunk = made;
    }
    void *start = (uint8_t *)(chunk + 1) + chunk->used;
    chunk->used += size;
    return start;
}

void *arena_grow(struct arena *arena, void *old, size_t old_size, size_t size) {
    if (size <= old_size) return old;
    void *start = arena_allocate(arena, size);
    if (old_size > 0) memcpy(start, old, old_size);
    return start;
}

// MARK: Text

static void writer_reserve(struct writer *writer, size_t count) {
    if (writer->capacity - writer->length >= count) return;
    size_t capacity = writer->capacity < 256 ? 256 : writer->capacity * 2;
    while (capacity - writer->length < count) capacity *= 2;
    writer->bytes = arena_grow(writer->arena, writer->bytes, writer->length, capacity);
    writer->capacity = capacity;
}

static int is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || byte == '\v';
}

void writer_gap(struct writer *writer, enum gap gap) {
    if (gap > writer->gap) writer->gap = gap;
}

static void fill_gap(struct writer *writer) {
    writer_reserve(writer, 2);
    if (writer->length > 0) {
        if (writer->gap == GAP_SPACE) writer->bytes[writer->length++] = ' ';
        if (writer->gap >= GAP_LINE) writer->bytes[writer->length++] = '\n';
        if (writer->gap == GAP_PARAGRAPH) writer->bytes[writer->length++] = '\n';
    }
    writer->gap = GAP_NONE;
}

void writer_words(struct writer *writer, const char *text, size_t length) {
    size_t index = 0;
    while (index < length) {
        if (is_space(text[index])) {
            writer_gap(writer, GAP_SPACE);
            index++;
            continue;
        }
        size_t end = index;
        while (end < length && !is_space(text[end])) end++;
        fill_gap(writer);
        writer_reserve(writer, end - index);
        memcpy(writer->bytes + writer->length, text + index, end - index);
        writer->length += end - index;
        index = end;
    }
}

void writer_verbatim(struct writer *writer, const char *text, size_t length) {
    while (length > 0 && is_space(text[length - 1])) length--;
    if (length == 0) return;
    fill_gap(writer);
    writer_reserve(writer, length);
    for (size_t index = 0; index < length; index++) {
        if (text[index] != '\r') writer->bytes[writer->length++] = (uint8_t)text[index];
    }
}

void markup_release(markup_document *document) {
    arena_free(document->memory);
    memset(document, 0, sizeof(*document));
}
