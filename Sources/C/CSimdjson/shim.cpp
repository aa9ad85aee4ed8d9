#include "csimdjson.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

namespace dom = simdjson::dom;

// One name of the wanted paths. Members are found by length first: one look at a short list per member.
struct Node {
    std::string name;
    int slot = -1;
    std::vector<std::unique_ptr<Node>> children;
    // The children whose names are so long, or this long and longer in the last place.
    std::array<std::vector<const Node *>, 16> by_length;

    Node *add(std::string_view key) {
        children.push_back(std::make_unique<Node>());
        Node *node = children.back().get();
        node->name = std::string(key);
        by_length[std::min(key.size(), by_length.size() - 1)].push_back(node);
        return node;
    }

    const Node *child(std::string_view key) const {
        for (const Node *candidate : by_length[std::min(key.size(), by_length.size() - 1)]) {
            if (candidate->name == key) return candidate;
        }
        return nullptr;
    }
};

void fill(csj_value &value, const dom::element &element) {
    value.length = 0;
    value.text = nullptr;
    switch (element.type()) {
    case dom::element_type::NULL_VALUE: value.kind = CSJ_NULL; break;
    case dom::element_type::BOOL:
        value.kind = CSJ_BOOL;
        value.integer = element.get_bool().value_unsafe() ? 1 : 0;
        break;
    case dom::element_type::INT64:
        value.kind = CSJ_INTEGER;
        value.integer = element.get_int64().value_unsafe();
        break;
    case dom::element_type::UINT64:
        value.kind = CSJ_UNSIGNED;
        value.integer = static_cast<int64_t>(element.get_uint64().value_unsafe());
        break;
    case dom::element_type::DOUBLE:
        value.kind = CSJ_DOUBLE;
        value.number = element.get_double().value_unsafe();
        break;
    case dom::element_type::STRING: {
        value.kind = CSJ_STRING;
        const std::string_view text = element.get_string().value_unsafe();
        value.text = reinterpret_cast<const uint8_t *>(text.data());
        value.length = static_cast<uint32_t>(text.size());
        break;
    }
    case dom::element_type::ARRAY:
        value.kind = CSJ_ARRAY;
        value.length = static_cast<uint32_t>(element.get_array().value_unsafe().size());
        break;
    case dom::element_type::OBJECT:
        value.kind = CSJ_OBJECT;
        value.length = static_cast<uint32_t>(element.get_object().value_unsafe().size());
        break;
    }
}

void extract(const dom::object &object, const Node &node, csj_value *values) {
    for (const dom::key_value_pair field : object) {
        const Node *child = node.child(field.key);
        if (child == nullptr) continue;
        if (child->slot >= 0) fill(values[child->slot], field.value);
        if (!child->children.empty() && field.value.is_object())
            extract(field.value.get_object().value_unsafe(), *child, values);
    }
}

}  // namespace

struct csj_parser {
    dom::parser parser;
    size_t depth_max;
    size_t document_bytes_max;
    std::unique_ptr<uint8_t[]> padded;
    size_t padded_capacity = 0;
    Node root;
    int slots = 0;
    std::vector<csj_value> tree;

    // simdjson refuses every document when its own limit lies below its smallest buffer (32 bytes).
    csj_parser(size_t depth, size_t bytes_max)
        : parser(bytes_max < 64 ? 64 : bytes_max), depth_max(depth), document_bytes_max(bytes_max) {}

    // Copies the document behind which simdjson needs slack, and grows the parser's own buffers.
    int prepare(const uint8_t *bytes, size_t length) {
        if (length > document_bytes_max) return CSJ_TOO_LARGE;
        if (length + simdjson::SIMDJSON_PADDING > padded_capacity || padded == nullptr) {
            size_t capacity = padded_capacity == 0 ? 16384 : padded_capacity;
            while (capacity < length + simdjson::SIMDJSON_PADDING) capacity *= 2;
            padded.reset(new (std::nothrow) uint8_t[capacity]);
            padded_capacity = padded == nullptr ? 0 : capacity;
            if (padded == nullptr) return CSJ_OUT_OF_MEMORY;
            if (parser.allocate(capacity, depth_max) != simdjson::SUCCESS) return CSJ_OUT_OF_MEMORY;
        }
        std::memcpy(padded.get(), bytes, length);
        std::memset(padded.get() + length, 0, simdjson::SIMDJSON_PADDING);
        return CSJ_OK;
    }

    void append(const dom::element &element) {
        csj_value value{};
        fill(value, element);
        tree.push_back(value);
        if (value.kind == CSJ_ARRAY) {
            // size() saturates at 0xFFFFFF, so count for ourselves.
            const size_t at = tree.size() - 1;
            uint32_t count = 0;
            for (const dom::element child : element.get_array().value_unsafe()) {
                append(child);
                ++count;
            }
            tree[at].length = count;
        } else if (value.kind == CSJ_OBJECT) {
            const size_t at = tree.size() - 1;
            uint32_t count = 0;
            for (const dom::key_value_pair field : element.get_object().value_unsafe()) {
                csj_value key{};
                key.kind = CSJ_STRING;
                key.text = reinterpret_cast<const uint8_t *>(field.key.data());
                key.length = static_cast<uint32_t>(field.key.size());
                tree.push_back(key);
                append(field.value);
                ++count;
            }
            tree[at].length = count;
        }
    }
};

extern "C" {

csj_parser *csj_parser_new(size_t depth_max, size_t document_bytes_max) {
    return new (std::nothrow) csj_parser(depth_max, document_bytes_max);
}

void csj_parser_free(csj_parser *parser) { delete parser; }

int csj_parser_add_path(csj_parser *parser, const char *path, size_t length) {
    try {
        Node *node = &parser->root;
        std::string_view rest(path, length);
        while (true) {
            const size_t dot = rest.find('.');
            const std::string_view name = rest.substr(0, dot);
            Node *next = const_cast<Node *>(node->child(name));
            if (next == nullptr) next = node->add(name);
            node = next;
            if (dot == std::string_view::npos) break;
            rest.remove_prefix(dot + 1);
        }
        if (node->slot < 0) node->slot = parser->slots++;
        return node->slot;
    } catch (...) {
        return -1;
    }
}

int csj_parse_object(csj_parser *parser, const uint8_t *bytes, size_t length, csj_value *values) {
    for (int slot = 0; slot < parser->slots; ++slot) values[slot] = csj_value{};
    const int prepared = parser->prepare(bytes, length);
    if (prepared != CSJ_OK) return prepared;
    dom::element document;
    const simdjson::error_code error = parser->parser.parse(parser->padded.get(), length, false).get(document);
    if (error != simdjson::SUCCESS) return static_cast<int>(error);
    dom::object object;
    if (document.get_object().get(object) != simdjson::SUCCESS) return CSJ_NOT_AN_OBJECT;
    extract(object, parser->root, values);
    return CSJ_OK;
}

int csj_parse_tree(csj_parser *parser, const uint8_t *bytes, size_t length, const csj_value **nodes, size_t *count) {
    parser->tree.clear();
    const int prepared = parser->prepare(bytes, length);
    if (prepared != CSJ_OK) return prepared;
    dom::element document;
    const simdjson::error_code error = parser->parser.parse(parser->padded.get(), length, false).get(document);
    if (error != simdjson::SUCCESS) return static_cast<int>(error);
    try {
        parser->append(document);
    } catch (...) {
        return CSJ_OUT_OF_MEMORY;
    }
    *nodes = parser->tree.data();
    *count = parser->tree.size();
    return CSJ_OK;
}

const char *csj_status_message(int status) {
    switch (status) {
    case CSJ_OK: return "no error";
    case CSJ_NOT_AN_OBJECT: return "not a JSON object";
    case CSJ_OUT_OF_MEMORY: return "out of memory";
    case CSJ_TOO_LARGE: return "the document is larger than the parser's limit";
    default: return simdjson::error_message(static_cast<simdjson::error_code>(status));
    }
}

}  // extern "C"
