#include "arena.h"
#include "cmarkup.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

// cmark's allocator has no word for whose memory it is.
static _Thread_local struct arena *current;

// The size stands before each piece, since `resize` is not told it.
enum { HEADER_BYTES = 16 };

static void *take_zeroed(size_t count, size_t size) {
    if (size != 0 && count > MARKUP_MEMORY_MAX / size) longjmp(current->end, MARKUP_TOO_COMPLEX);
    size_t bytes = count * size;
    uint8_t *start = arena_allocate(current, bytes + HEADER_BYTES);
    memcpy(start, &bytes, sizeof(bytes));
    memset(start + HEADER_BYTES, 0, bytes);
    return start + HEADER_BYTES;
}

static void *resize(void *pointer, size_t size) {
    size_t known = 0;
    if (pointer != NULL) memcpy(&known, (uint8_t *)pointer - HEADER_BYTES, sizeof(known));
    if (pointer != NULL && size <= known) return pointer;
    uint8_t *start = arena_allocate(current, size + HEADER_BYTES);
    memcpy(start, &size, sizeof(size));
    if (known > 0) memcpy(start + HEADER_BYTES, pointer, known);
    return start + HEADER_BYTES;
}

static void release(void *pointer) { (void)pointer; }

static cmark_mem memory = {take_zeroed, resize, release};

static pthread_once_t once = PTHREAD_ONCE_INIT;

// One parse at a time: cmark-gfm has one table, for the whole process, of the characters that mean something. Parsers add those of their
// extensions to it when they begin with inlines, and take them out again at the end (0.29.0.gfm.6:
// cmark_manage_extensions_special_characters in blocks.c).
static pthread_mutex_t parsing = PTHREAD_MUTEX_INITIALIZER;

static void attach(cmark_parser *parser, const char *name) {
    cmark_syntax_extension *extension = cmark_find_syntax_extension(name);
    if (extension != NULL) cmark_parser_attach_syntax_extension(parser, extension);
}

static int is_tight(cmark_node *paragraph) {
    cmark_node *item = cmark_node_parent(paragraph);
    if (item == NULL || cmark_node_get_type(item) != CMARK_NODE_ITEM) return 0;
    cmark_node *list = cmark_node_parent(item);
    return list != NULL && cmark_node_get_list_tight(list);
}

static void words(struct writer *writer, cmark_node *node) {
    const char *literal = cmark_node_get_literal(node);
    if (literal != NULL) writer_words(writer, literal, strlen(literal));
}

static void block_gap(struct writer *writer, cmark_node *node) {
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_ITEM) return writer_gap(writer, GAP_LINE);
    if (type == CMARK_NODE_PARAGRAPH && is_tight(node)) return writer_gap(writer, GAP_LINE);
    if ((type & CMARK_NODE_TYPE_MASK) != CMARK_NODE_TYPE_BLOCK) return;
    const char *name = cmark_node_get_type_string(node);
    if (strcmp(name, "table_cell") == 0) return writer_gap(writer, GAP_SPACE);
    if (strcmp(name, "table_row") == 0 || strcmp(name, "table_header") == 0) return writer_gap(writer, GAP_LINE);
    writer_gap(writer, GAP_PARAGRAPH);
}

static void visit(struct writer *writer, cmark_node *node) {
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE) return words(writer, node);
    if (type == CMARK_NODE_SOFTBREAK) return writer_gap(writer, GAP_SPACE);
    if (type == CMARK_NODE_LINEBREAK) return writer_gap(writer, GAP_LINE);
    const char *literal = cmark_node_get_literal(node);
    if (literal == NULL) return;
    if (type == CMARK_NODE_CODE_BLOCK) writer_verbatim(writer, literal, strlen(literal));
    if (type == CMARK_NODE_HTML_BLOCK) html_append(writer, literal, strlen(literal), NULL);
}

static void collect(struct writer *writer, struct writer *heading, cmark_node *root) {
    cmark_iter *walk = cmark_iter_new(root);
    size_t heading_start = 0;
    cmark_event_type event;
    while ((event = cmark_iter_next(walk)) != CMARK_EVENT_DONE) {
        arena_check(writer->arena);
        cmark_node *node = cmark_iter_get_node(walk);
        int is_heading = cmark_node_get_type(node) == CMARK_NODE_HEADING;
        block_gap(writer, node);
        if (event == CMARK_EVENT_ENTER) {
            if (is_heading) heading_start = writer->length;
            visit(writer, node);
        } else if (is_heading && heading->length == 0) {
            writer_words(heading, (const char *)writer->bytes + heading_start, writer->length - heading_start);
        }
        // Leaves have no event of their own end.
        block_gap(writer, node);
    }
}

// What a line may have cmark do.
struct line {
    size_t length;        // with its end
    size_t containers;    // lists and quotes that it may continue or open
    size_t inlines;       // characters that may begin or end something within a text
    int is_blank;         // but for quote marks
};

static int is_white(char byte) { return byte == ' ' || byte == '\t'; }
static int is_line_end(char byte) { return byte == '\n' || byte == '\r'; }

static struct line look_at_line(const char *bytes, size_t length) {
    struct line line = {0, 0, 0, 1};
    size_t marks = 0, columns = 0;
    int is_head = 1;
    while (line.length < length && !is_line_end(bytes[line.length])) {
        char byte = bytes[line.length++];
        if (byte != '>' && !is_white(byte)) line.is_blank = 0;
        if (byte != 0 && strchr("*_[]!`<&\\~|", byte) != NULL) line.inlines++;
        if (!is_head) continue;
        char next = line.length < length ? bytes[line.length] : '\n';
        int is_mark = byte != 0 && strchr("*-+.)", byte) != NULL;
        if (byte == '>' || (is_mark && (is_white(next) || is_line_end(next)))) marks++;
        else if (is_white(byte)) columns += byte == ' ' ? 1 : 4;
        else if (!is_mark && (byte < '0' || byte > '9')) is_head = 0;
    }
    if (line.length < length && bytes[line.length] == '\r') line.length++;
    if (line.length < length && bytes[line.length] == '\n') line.length++;
    // A list's item goes on where a line is indented by two columns or more.
    line.containers = marks + columns / 2;
    return line;
}

// Line by line. For a blank line cmark goes through all lists that are open, and for a piece of text through all that it lies
// in, and takes no memory for it: without a count, a few thousand of them and a few million such lines take many minutes.
static void feed(struct arena *arena, cmark_parser *parser, const char *bytes, size_t length) {
    size_t depth = 0;
    int was_blank = 1;
    while (length > 0) {
        struct line line = look_at_line(bytes, length);
        // A paragraph's next line may leave its marks out, and all goes on.
        if (!line.is_blank && (was_blank || line.containers > depth)) depth = line.containers;
        arena_step(arena, 1 + depth * (1 + line.inlines));
        arena_check(arena);
        cmark_parser_feed(parser, bytes, line.length);
        was_blank = line.is_blank;
        bytes += line.length;
        length -= line.length;
    }
}

static void convert(struct arena *arena, const uint8_t *bytes, size_t length, markup_document *document) {
    struct writer writer = {arena, NULL, 0, 0, GAP_NONE};
    struct writer heading = writer;
    cmark_parser *parser = cmark_parser_new_with_mem(CMARK_OPT_DEFAULT, &memory);
    attach(parser, "table");
    attach(parser, "strikethrough");
    feed(arena, parser, (const char *)bytes, length);
    collect(&writer, &heading, cmark_parser_finish(parser));
    document->text = (markup_span){writer.bytes, writer.length};
    document->heading = (markup_span){heading.bytes, heading.length};
}

int markup_markdown(const uint8_t *bytes, size_t length, markup_document *document) {
    memset(document, 0, sizeof(*document));
    pthread_once(&once, cmark_gfm_core_extensions_ensure_registered);
    struct arena *arena = arena_new();
    if (arena == NULL) return MARKUP_OUT_OF_MEMORY;
    document->memory = arena;
    pthread_mutex_lock(&parsing);
    current = arena;
    int status = setjmp(arena->end);
    if (status == 0) convert(arena, bytes, length, document);
    current = NULL;
    pthread_mutex_unlock(&parsing);
    return status;
}
