#include "arena.h"
#include "cmarkup.h"

#include <gumbo.h>
#include <string.h>
#include <strings.h>

static void *allocate(void *arena, size_t size) { return arena_allocate(arena, size); }
static void release(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

// MARK: Depth

static int is_letter(char byte) { return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'; }

static int is_named(const char *name, size_t length, const char *wanted) {
    return strlen(wanted) == length && strncasecmp(wanted, name, length) == 0;
}

static int is_one_of(const char *const *names, const char *name, size_t length) {
    for (; *names != NULL; names++) {
        if (is_named(name, length, *names)) return 1;
    }
    return 0;
}

// Elements that nothing has to close.
static const char *const closing_themselves[] = {
    "p", "li", "dt", "dd", "tr", "td", "th", "tbody", "thead", "tfoot", "option", "optgroup", "colgroup", "caption",
    "rb", "rp", "rt", "rtc", "body", "head", "html", "a", "nobr", "button", "area", "base", "br", "col", "embed", "hr",
    "img", "image", "input", "keygen", "link", "meta", "param", "source", "track", "wbr", "frame", "basefont", "bgsound",
    NULL,
};

// Elements that end SVG and MathML, wherever they begin in it (HTML 5, 13.2.6.5).
static const char *const ending_foreign[] = {
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
    "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var", NULL,
};

// Elements that the end tag of one of another kind, such as a span, does not close.
static const char *const blocks[] = {
    "address", "article", "aside", "blockquote", "center", "dir", "div", "dl", "fieldset", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "listing", "main", "menu", "nav", "object", "ol", "pre", "section",
    "table", "template", "ul", NULL,
};

// Elements whose text holds no tags.
static const char *const of_text_alone[] = {"script", "style", "title", "textarea", NULL};

// Behind `-->`, or the end of the text. `<!-->` is a whole comment, too.
static const char *behind_comment(const char *place, const char *end) {
    while ((place = memchr(place, '-', (size_t)(end - place))) != NULL) {
        place++;
        if (end - place >= 2 && place[0] == '-' && place[1] == '>') return place + 2;
        if (end - place >= 3 && place[0] == '-' && place[1] == '!' && place[2] == '>') return place + 3;
    }
    return end;
}

// Behind a tag's `>`, which may stand in the quotes of an attribute, or the end of the text.
static const char *behind_tag(const char *place, const char *end) {
    int is_value = 0;
    while (place < end) {
        char byte = *place++;
        if (byte == '>') return place;
        if (is_value && (byte == '"' || byte == '\'')) {
            const char *quote = memchr(place, byte, (size_t)(end - place));
            if (quote == NULL) return end;
            place = quote + 1;
        }
        is_value = byte == '=' || (is_value && (byte == ' ' || (byte >= '\t' && byte <= '\r')));
    }
    return end;
}

// The tag that ends an element of text alone, or the end of the text.
static const char *end_tag(const char *place, const char *end, const char *name, size_t length) {
    while ((place = memchr(place, '<', (size_t)(end - place))) != NULL) {
        if ((size_t)(end - place) >= length + 2 && place[1] == '/' && strncasecmp(place + 2, name, length) == 0) return place;
        place++;
    }
    return end;
}

struct open_element {
    const char *name;
    size_t length;
    size_t hidden;        // when it was opened
    int is_block;
};

struct depth {
    struct open_element elements[MARKUP_DEPTH_MAX];
    size_t count;
    size_t hidden;        // that may be open all the same, because end tags are out of order
};

static void open_element(struct depth *depth, const char *name, size_t length) {
    int is_block = is_one_of(blocks, name, length);
    depth->elements[depth->count++] = (struct open_element){name, length, depth->hidden, is_block};
}

// An end tag closes the innermost element of its name, and all within that. One that closes nothing changes nothing.
static void close_element(struct depth *depth, const char *name, size_t length) {
    size_t index = depth->count, blocks_within = 0;
    while (index > 0) {
        struct open_element *element = &depth->elements[--index];
        int is_wanted = element->length == length && strncasecmp(element->name, name, length) == 0;
        if (is_wanted) {
            depth->count = index;
            depth->hidden = element->is_block ? element->hidden : depth->hidden + blocks_within;
            return;
        }
        blocks_within += (size_t)element->is_block;
    }
}

// A quick look, before any tree is made: how many elements are open at once. Comments, attributes and the text of scripts,
// styles, titles and text areas hold no tags, and what ends with `/>` inside of SVG and MathML is closed. It is exact for what is
// written plainly; what it misses the limits on memory and time stop. For each tag Gumbo may look through all that is open,
// which is what is counted.
static int is_too_deep(struct arena *arena, const char *bytes, size_t length) {
    struct depth depth;
    depth.count = depth.hidden = 0;
    size_t foreign = 0;
    const char *end = bytes + length;
    const char *place = bytes;
    while ((place = memchr(place, '<', (size_t)(end - place))) != NULL) {
        place++;
        if (end - place >= 3 && memcmp(place, "!--", 3) == 0) {
            // The marks of its beginning may be those of its end.
            place = behind_comment(place + 1, end);
            continue;
        }
        int is_end = place < end && *place == '/';
        const char *name = place + is_end;
        const char *stop = name;
        while (stop < end && (is_letter(*stop) || (*stop >= '0' && *stop <= '9'))) stop++;
        if (stop == name || !is_letter(*name)) continue;
        size_t name_length = (size_t)(stop - name);
        place = behind_tag(stop, end);
        arena_step(arena, depth.count + depth.hidden + 1);
        int is_foreign = is_named(name, name_length, "svg") || is_named(name, name_length, "math");
        if (is_end) {
            close_element(&depth, name, name_length);
            if (is_foreign && foreign > 0) foreign--;
            continue;
        }
        if (is_one_of(ending_foreign, name, name_length)) foreign = 0;
        if (is_one_of(closing_themselves, name, name_length)) continue;
        if (foreign > 0 && place - stop >= 2 && place[-1] == '>' && place[-2] == '/') continue;
        if (is_foreign) foreign++;
        if (depth.count == MARKUP_DEPTH_MAX) return 1;
        open_element(&depth, name, name_length);
        if (foreign == 0 && is_one_of(of_text_alone, name, name_length)) place = end_tag(place, end, name, name_length);
    }
    return 0;
}

// MARK: Elements

enum kind { KIND_INLINE, KIND_SKIPPED, KIND_PARAGRAPH, KIND_LINE, KIND_CELL };

static enum kind kind_of(const GumboElement *element) {
    if (element->tag_namespace != GUMBO_NAMESPACE_HTML) return KIND_SKIPPED;
    switch (element->tag) {
    case GUMBO_TAG_HEAD: case GUMBO_TAG_SCRIPT: case GUMBO_TAG_STYLE: case GUMBO_TAG_NAV: case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_TEMPLATE: case GUMBO_TAG_IFRAME: case GUMBO_TAG_OBJECT: case GUMBO_TAG_EMBED: case GUMBO_TAG_SELECT:
    case GUMBO_TAG_BUTTON: case GUMBO_TAG_TEXTAREA: case GUMBO_TAG_DATALIST: case GUMBO_TAG_AUDIO: case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_CANVAS: case GUMBO_TAG_TITLE: case GUMBO_TAG_NOFRAMES:
        return KIND_SKIPPED;
    case GUMBO_TAG_P: case GUMBO_TAG_DIV: case GUMBO_TAG_SECTION: case GUMBO_TAG_ARTICLE: case GUMBO_TAG_HEADER:
    case GUMBO_TAG_FOOTER: case GUMBO_TAG_MAIN: case GUMBO_TAG_ASIDE: case GUMBO_TAG_H1: case GUMBO_TAG_H2:
    case GUMBO_TAG_H3: case GUMBO_TAG_H4: case GUMBO_TAG_H5: case GUMBO_TAG_H6: case GUMBO_TAG_HGROUP: case GUMBO_TAG_UL:
    case GUMBO_TAG_OL: case GUMBO_TAG_DL: case GUMBO_TAG_TABLE: case GUMBO_TAG_BLOCKQUOTE: case GUMBO_TAG_PRE:
    case GUMBO_TAG_FIGURE: case GUMBO_TAG_FORM: case GUMBO_TAG_FIELDSET: case GUMBO_TAG_ADDRESS: case GUMBO_TAG_HR:
    case GUMBO_TAG_DETAILS: case GUMBO_TAG_SUMMARY: case GUMBO_TAG_BODY: case GUMBO_TAG_CENTER: case GUMBO_TAG_CAPTION:
        return KIND_PARAGRAPH;
    case GUMBO_TAG_LI: case GUMBO_TAG_DT: case GUMBO_TAG_DD: case GUMBO_TAG_TR: case GUMBO_TAG_BR:
    case GUMBO_TAG_FIGCAPTION: case GUMBO_TAG_OPTION: case GUMBO_TAG_LEGEND:
        return KIND_LINE;
    case GUMBO_TAG_TD: case GUMBO_TAG_TH:
        return KIND_CELL;
    default:
        return KIND_INLINE;
    }
}

static int is_heading(GumboTag tag) { return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6; }

static void element_gap(struct writer *writer, enum kind kind) {
    switch (kind) {
    case KIND_PARAGRAPH: writer_gap(writer, GAP_PARAGRAPH); break;
    case KIND_LINE: writer_gap(writer, GAP_LINE); break;
    case KIND_CELL: writer_gap(writer, GAP_SPACE); break;
    default: break;
    }
}

static void words_of_attribute(struct writer *writer, const GumboElement *element, const char *name) {
    if (writer->length > 0) return;
    const GumboAttribute *attribute = gumbo_get_attribute(&element->attributes, name);
    if (attribute != NULL) writer_words(writer, attribute->value, strlen(attribute->value));
}

// `rel` is a list of words.
static int is_canonical(const GumboElement *element) {
    const GumboAttribute *rel = gumbo_get_attribute(&element->attributes, "rel");
    if (rel == NULL) return 0;
    const char *word = rel->value;
    while (*word != 0) {
        size_t length = strcspn(word, " \t\n\r\f");
        if (length == 9 && strncasecmp(word, "canonical", 9) == 0) return 1;
        word += length;
        word += strspn(word, " \t\n\r\f");
    }
    return 0;
}

// MARK: Walk

struct place {
    const GumboNode *node;
    unsigned int next;       // of its children
    size_t start;            // of the writer, when it was entered
    int is_verbatim;
};

struct walk {
    struct writer *writer;
    struct markup_fields *fields;
    struct place *places;
    size_t count;
    size_t capacity;
};

static const GumboVector *children_of(const GumboNode *node) {
    if (node->type == GUMBO_NODE_DOCUMENT) return &node->v.document.children;
    return &node->v.element.children;
}

static void enter(struct walk *walk, const GumboNode *node, int is_verbatim) {
    if (walk->count == walk->capacity) {
        size_t capacity = walk->capacity == 0 ? 64 : walk->capacity * 2;
        walk->places = arena_grow(
            walk->writer->arena, walk->places, walk->count * sizeof(struct place), capacity * sizeof(struct place));
        walk->capacity = capacity;
    }
    walk->places[walk->count++] = (struct place){node, 0, walk->writer->length, is_verbatim};
}

// The text of an element that holds nothing but text.
static void plain_text(struct writer *writer, const GumboElement *element) {
    for (unsigned int index = 0; index < element->children.length; index++) {
        const GumboNode *child = element->children.data[index];
        if (child->type == GUMBO_NODE_TEXT || child->type == GUMBO_NODE_WHITESPACE) {
            writer_words(writer, child->v.text.text, strlen(child->v.text.text));
        }
    }
}

static void look_into_head(struct markup_fields *fields, const GumboElement *head) {
    for (unsigned int index = 0; index < head->children.length; index++) {
        const GumboNode *child = head->children.data[index];
        if (child->type != GUMBO_NODE_ELEMENT) continue;
        const GumboElement *element = &child->v.element;
        if (element->tag == GUMBO_TAG_TITLE && fields->title.length == 0) plain_text(&fields->title, element);
        if (element->tag == GUMBO_TAG_LINK && is_canonical(element)) words_of_attribute(&fields->url, element, "href");
    }
}

static void visit(struct walk *walk, const GumboNode *node, int is_verbatim) {
    switch (node->type) {
    case GUMBO_NODE_TEXT: case GUMBO_NODE_CDATA: case GUMBO_NODE_WHITESPACE:
        if (is_verbatim) {
            writer_verbatim(walk->writer, node->v.text.text, strlen(node->v.text.text));
        } else {
            writer_words(walk->writer, node->v.text.text, strlen(node->v.text.text));
        }
        return;
    case GUMBO_NODE_ELEMENT: break;
    default: return;
    }
    const GumboElement *element = &node->v.element;
    if (walk->fields != NULL) {
        if (element->tag == GUMBO_TAG_HTML) words_of_attribute(&walk->fields->lang, element, "lang");
        if (element->tag == GUMBO_TAG_HEAD) look_into_head(walk->fields, element);
    }
    enum kind kind = kind_of(element);
    if (kind == KIND_SKIPPED || gumbo_get_attribute(&element->attributes, "hidden") != NULL) {
        writer_gap(walk->writer, GAP_SPACE);
        return;
    }
    element_gap(walk->writer, kind);
    enter(walk, node, is_verbatim || element->tag == GUMBO_TAG_PRE);
}

static void leave(struct walk *walk) {
    struct place place = walk->places[--walk->count];
    if (place.node->type != GUMBO_NODE_ELEMENT) return;
    const GumboElement *element = &place.node->v.element;
    if (walk->fields != NULL && is_heading(element->tag) && walk->fields->heading.length == 0) {
        writer_words(
            &walk->fields->heading, (const char *)walk->writer->bytes + place.start, walk->writer->length - place.start);
    }
    element_gap(walk->writer, kind_of(element));
}

void html_append(struct writer *writer, const char *bytes, size_t length, struct markup_fields *fields) {
    if (is_too_deep(writer->arena, bytes, length)) longjmp(writer->arena->end, MARKUP_TOO_DEEP);
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = allocate;
    options.deallocator = release;
    options.userdata = writer->arena;
    options.max_errors = 0;
    GumboOutput *output = gumbo_parse_with_options(&options, bytes, length);
    struct walk walk = {writer, fields, NULL, 0, 0};
    enter(&walk, output->document, 0);
    while (walk.count > 0) {
        arena_check(writer->arena);
        struct place *place = &walk.places[walk.count - 1];
        const GumboVector *children = children_of(place->node);
        if (place->next < children->length) {
            const GumboNode *child = children->data[place->next++];
            visit(&walk, child, place->is_verbatim);
        } else {
            leave(&walk);
        }
    }
}

static markup_span span(const struct writer *writer) { return (markup_span){writer->bytes, writer->length}; }

int markup_html(const uint8_t *bytes, size_t length, markup_document *document) {
    memset(document, 0, sizeof(*document));
    struct arena *arena = arena_new();
    if (arena == NULL) return MARKUP_OUT_OF_MEMORY;
    document->memory = arena;
    int status = setjmp(arena->end);
    if (status != 0) return status;
    struct writer writer = {arena, NULL, 0, 0, GAP_NONE};
    struct markup_fields fields = {writer, writer, writer, writer};
    html_append(&writer, (const char *)bytes, length, &fields);
    document->text = span(&writer);
    document->title = span(&fields.title);
    document->heading = span(&fields.heading);
    document->lang = span(&fields.lang);
    document->url = span(&fields.url);
    return MARKUP_OK;
}
