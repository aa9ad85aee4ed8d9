// The baseline of `medallion bench lake`: a plain C++ loop that makes the same Bronze, Silver and Gold lines of the same
// records, byte for byte, with the same libraries (simdjson DOM, OpenSSL SHA-256, libzstd), and commits them in the same
// way: one zstd frame per layer and commit, each file synced, then a log entry, synced.
//
//   lake_baseline TOPIC LOGIC_VERSION LANGUAGES BATCH OUT INPUT...
//
// One thread per INPUT. LANGUAGES has a line `wiki code` for each wiki. An INPUT is a sequence of records, all numbers
// little-endian: u32 value length, u32 key length, u32 headers length, i64 milliseconds; key; headers, each u32 name
// length, u32 value length, name, value; value. Offsets count from 0. It prints one line per input:
//   records silver gold rejected duplicates seconds processor-seconds lines-seconds zstd-seconds write-seconds
// The last three are wall-clock parts of the first.

#include <fcntl.h>
#include <openssl/evp.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using std::string;
using std::string_view;
namespace dom = simdjson::dom;

[[noreturn]] void fail(const string &what) {
    std::fprintf(stderr, "lake_baseline: %s\n", what.c_str());
    std::exit(1);
}

double now(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
}

struct Hasher {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);

    void append_hex(string_view bytes, string &out) {
        unsigned char digest[32];
        unsigned length = 0;
        EVP_DigestInit_ex2(context, algorithm, nullptr);
        EVP_DigestUpdate(context, bytes.data(), bytes.size());
        EVP_DigestFinal_ex(context, digest, &length);
        const char *digits = "0123456789abcdef";
        char text[64];
        for (int i = 0; i < 32; ++i) {
            text[2 * i] = digits[digest[i] >> 4];
            text[2 * i + 1] = digits[digest[i] & 15];
        }
        out.append(text, 64);
    }
};

void append_integer(int64_t value, string &out) {
    char text[24];
    out.append(text, size_t(std::to_chars(text, text + sizeof text, value).ptr - text));
}

void append_quoted(string_view text, string &out) {
    out.push_back('"');
    size_t start = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        out.append(text, start, i - start);
        start = i + 1;
        switch (byte) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\b': out += "\\b"; break;
        case '\t': out += "\\t"; break;
        case '\n': out += "\\n"; break;
        case '\f': out += "\\f"; break;
        case '\r': out += "\\r"; break;
        default: {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", byte);
            out += escape;
        }
        }
    }
    out.append(text, start, text.size() - start);
    out.push_back('"');
}

void append_base64(string_view bytes, string &out) {
    static const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t left = bytes.size() - i;
        uint32_t word = uint32_t(uint8_t(bytes[i])) << 16;
        if (left > 1) word |= uint32_t(uint8_t(bytes[i + 1])) << 8;
        if (left > 2) word |= uint32_t(uint8_t(bytes[i + 2]));
        out.push_back(digits[word >> 18]);
        out.push_back(digits[word >> 12 & 63]);
        out.push_back(left > 1 ? digits[word >> 6 & 63] : '=');
        out.push_back(left > 2 ? digits[word & 63] : '=');
    }
}

// https://howardhinnant.github.io/date_algorithms.html
int64_t days_from_civil(int64_t year, int month, int day) {
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

// `YYYY-MM-DDThh:mm:ss[.fraction]Z`, the forms that the source sends.
bool parse_time(string_view text, int64_t &milliseconds) {
    auto digits = [&](size_t at, int count, int &value) {
        value = 0;
        for (int i = 0; i < count; ++i) {
            if (at + size_t(i) >= text.size() || text[at + size_t(i)] < '0' || text[at + size_t(i)] > '9') return false;
            value = value * 10 + (text[at + size_t(i)] - '0');
        }
        return true;
    };
    int year, month, day, hour, minute, second, fraction = 0;
    if (text.size() < 20 || !digits(0, 4, year) || text[4] != '-' || !digits(5, 2, month) || text[7] != '-' ||
        !digits(8, 2, day) || text[10] != 'T' || !digits(11, 2, hour) || text[13] != ':' || !digits(14, 2, minute) ||
        text[16] != ':' || !digits(17, 2, second) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    size_t at = 19;
    if (text[at] == '.') {
        ++at;
        int count = 0;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, ++count)
            if (count < 3) fraction = fraction * 10 + (text[at] - '0');
        if (count == 0) return false;
        for (; count < 3; ++count) fraction *= 10;
    }
    if (at + 1 != text.size() || text[at] != 'Z') return false;
    milliseconds = (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000 + fraction;
    return true;
}

void append_time(int64_t milliseconds, string &out) {
    const int64_t seconds = milliseconds / 1000, days = seconds / 86400 + 719468, rest = seconds % 86400;
    const int64_t era = days / 146097, day_of_era = days % 146097;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_index = (5 * day_of_year + 2) / 153;
    const int month = int(month_index < 10 ? month_index + 3 : month_index - 9);
    char text[] = "0000-00-00T00:00:00.000Z";
    auto write = [&](int at, int width, int64_t value) {
        for (int i = at + width - 1; i >= at; --i, value /= 10) text[i] = char('0' + value % 10);
    };
    write(0, 4, year_of_era + era * 400 + (month <= 2));
    write(5, 2, month);
    write(8, 2, day_of_year - (153 * month_index + 2) / 5 + 1);
    write(11, 2, rest / 3600);
    write(14, 2, rest / 60 % 60);
    write(17, 2, rest % 60);
    write(20, 3, milliseconds % 1000);
    out.append(text, 24);
}

void append_folded(char c, string &out, size_t start) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7F) {
        if (out.size() > start && out.back() != ' ') out.push_back(' ');
    } else {
        out.push_back(c);
    }
}

void append_plain_comment(string_view comment, string &out) {
    const size_t start = out.size();
    size_t i = 0, link = 0;
    bool in_section = false, in_link = false;
    auto at = [&](char a, char b) { return i + 1 < comment.size() && comment[i] == a && comment[i + 1] == b; };
    auto trim = [&] { while (out.size() > start && out.back() == ' ') out.pop_back(); };
    while (i < comment.size()) {
        if (at('/', '*')) {
            in_section = true;
            i += 2;
        } else if (in_section && at('*', '/')) {
            in_section = false;
            i += 2;
            trim();
            bool more = false;
            for (size_t j = i; j < comment.size() && !more; ++j) more = static_cast<unsigned char>(comment[j]) > 0x20;
            if (more && out.size() > start) out += ": ";
        } else if (at('[', '[')) {
            in_link = true;
            link = out.size();
            i += 2;
        } else if (at(']', ']')) {
            in_link = false;
            i += 2;
        } else if (comment[i] == '|' && in_link) {
            out.resize(link);
            in_link = false;
            ++i;
        } else {
            append_folded(comment[i], out, start);
            ++i;
        }
    }
    trim();
}

struct Integer {
    int64_t value = 0;
    bool is_set = false;
};

struct Change {
    string_view id, schema, time, uri, domain, type, title, comment, user, wiki;
    bool has_id, has_schema, has_time, has_domain, has_type, has_title, has_user, has_wiki, has_bot;
    bool is_wrong, bot, minor, has_meta;
    Integer ns, length_old, length_new, revision_old, revision_new;
    int64_t milliseconds;
};

void take(const dom::element &value, string_view &text, bool *is_present, bool &is_wrong) {
    if (value.get_string().get(text) == simdjson::SUCCESS) {
        if (is_present != nullptr) *is_present = true;
    } else if (is_present != nullptr || !value.is_null()) {
        is_wrong = true;
    }
}

void take(const dom::element &value, Integer &number, bool &is_wrong) {
    if (value.get_int64().get(number.value) == simdjson::SUCCESS) number.is_set = true;
    else if (!value.is_null()) is_wrong = true;
}

void read(const dom::object &object, Change &c) {
    c = Change{};
    for (const auto field : object) {
        const string_view key = field.key;
        if (key == "meta") {
            dom::object meta;
            if (field.value.get_object().get(meta) != simdjson::SUCCESS) continue;
            c.has_meta = true;
            for (const auto inner : meta) {
                if (inner.key == "id") take(inner.value, c.id, &c.has_id, c.is_wrong);
                else if (inner.key == "dt") take(inner.value, c.time, &c.has_time, c.is_wrong);
                else if (inner.key == "uri") take(inner.value, c.uri, nullptr, c.is_wrong);
                else if (inner.key == "domain") take(inner.value, c.domain, &c.has_domain, c.is_wrong);
            }
        } else if (key == "$schema") take(field.value, c.schema, &c.has_schema, c.is_wrong);
        else if (key == "type") take(field.value, c.type, &c.has_type, c.is_wrong);
        else if (key == "namespace") take(field.value, c.ns, c.is_wrong);
        else if (key == "title") take(field.value, c.title, &c.has_title, c.is_wrong);
        else if (key == "comment") take(field.value, c.comment, nullptr, c.is_wrong);
        else if (key == "user") take(field.value, c.user, &c.has_user, c.is_wrong);
        else if (key == "wiki") take(field.value, c.wiki, &c.has_wiki, c.is_wrong);
        else if (key == "bot") {
            if (field.value.get_bool().get(c.bot) == simdjson::SUCCESS) c.has_bot = true;
            else c.is_wrong = true;
        } else if (key == "minor") {
            if (field.value.get_bool().get(c.minor) != simdjson::SUCCESS && !field.value.is_null()) c.is_wrong = true;
        } else if (key == "length" || key == "revision") {
            dom::object pair;
            if (field.value.get_object().get(pair) != simdjson::SUCCESS) {
                if (!field.value.is_null()) c.is_wrong = true;
                continue;
            }
            const bool is_length = key == "length";
            for (const auto inner : pair) {
                if (inner.key == "old") take(inner.value, is_length ? c.length_old : c.revision_old, c.is_wrong);
                else if (inner.key == "new") take(inner.value, is_length ? c.length_new : c.revision_new, c.is_wrong);
            }
        }
    }
}

bool accept(Change &c, int64_t broker) {
    if (c.is_wrong || !c.has_id || c.id.empty() || !c.has_schema || !c.has_time || !c.has_domain || !c.has_type ||
        !c.has_title || !c.has_user || !c.has_wiki || !c.has_bot)
        return false;
    const string_view known = "/mediawiki/recentchange/1.";
    if (c.schema.size() <= known.size() || c.schema.substr(0, known.size()) != known) return false;
    return parse_time(c.time, c.milliseconds) && c.milliseconds >= 979516800000 && c.milliseconds <= broker + 86400000;
}

struct Writer {
    string topic, logic;
    int partition;
    const std::unordered_map<string, string> *languages;
    Hasher hasher;
    string bronze, silver, gold, text, digest, hash;

    void member(const char *prefix, string_view value, string &out) {
        out += prefix;
        append_quoted(value, out);
    }
    void member(const char *prefix, const Integer &value, string &out) {
        out += prefix;
        if (value.is_set) append_integer(value.value, out);
        else out += "null";
    }
    void member(const char *prefix, bool value, string &out) {
        out += prefix;
        out += value ? "true" : "false";
    }

    void append_flags(const Change &c, string &out) {
        out += ",\"quality_flags\":[";
        bool is_first = true;
        auto flag = [&](const char *name) {
            if (!is_first) out.push_back(',');
            is_first = false;
            append_quoted(name, out);
        };
        if (!c.ns.is_set) flag("namespace_missing");
        if (c.type != "edit" && c.type != "new" && c.type != "log" && c.type != "categorize" && c.type != "external")
            flag("unknown_type");
        if (c.title.empty()) flag("empty_title");
        out.push_back(']');
    }

    void append_lineage(const Change &c, int64_t offset, string &out) {
        member(",\"lineage\":{\"logic_version\":", logic, out);
        member(",\"parents\":[{\"topic\":", topic, out);
        out += ",\"partition\":";
        append_integer(partition, out);
        out += ",\"offset\":";
        append_integer(offset, out);
        member(",\"event_id\":", c.id, out);
        member(",\"bronze_sha256\":", digest, out);
        out += "}]}}\n";
    }

    Integer delta(const Change &c) {
        Integer result;
        if (!c.length_new.is_set) return result;
        result.is_set = !__builtin_sub_overflow(c.length_new.value, c.length_old.value, &result.value);
        return result;
    }

    void append_silver(const Change &c, int64_t offset) {
        string &out = silver;
        member("{\"event_id\":", c.id, out);
        out += ",\"event_time\":\"";
        append_time(c.milliseconds, out);
        out.push_back('"');
        member(",\"wiki\":", c.wiki, out);
        member(",\"domain\":", c.domain, out);
        member(",\"type\":", c.type, out);
        member(",\"namespace\":", c.ns, out);
        member(",\"title\":", c.title, out);
        member(",\"page_url\":", c.uri, out);
        member(",\"user\":", c.user, out);
        member(",\"is_bot\":", c.bot, out);
        member(",\"is_minor\":", c.minor, out);
        member(",\"comment\":", c.comment, out);
        member(",\"length_old\":", c.length_old, out);
        member(",\"length_new\":", c.length_new, out);
        member(",\"delta\":", delta(c), out);
        member(",\"revision_old\":", c.revision_old, out);
        member(",\"revision_new\":", c.revision_new, out);
        append_flags(c, out);
        append_lineage(c, offset, out);
    }

    // The standard template: {title}[: {comment}]. {type} by {user} on {domain}[ ({delta} bytes)].
    void render_text(const Change &c) {
        text.clear();
        for (const char byte : c.title) append_folded(byte, text, 0);
        const size_t before = text.size();
        text += ": ";
        append_plain_comment(c.comment, text);
        if (text.size() == before + 2) text.resize(before);
        text += ". ";
        text += c.type;
        text += " by ";
        const size_t user = text.size();
        for (const char byte : c.user) append_folded(byte, text, user);
        text += " on ";
        text += c.domain;
        if (const Integer change = delta(c); change.is_set) {
            text += change.value > 0 ? " (+" : " (";
            append_integer(change.value, text);
            text += " bytes)";
        }
        text += ".";
        constexpr size_t limit = 2000;
        if (text.size() <= limit) return;
        size_t scalars = 0;
        for (size_t i = 0; i < text.size(); ++i) {
            if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
            if (scalars++ == limit) {
                text.resize(i);
                return;
            }
        }
    }

    void append_gold(const Change &c, int64_t offset) {
        render_text(c);
        string &out = gold;
        const size_t start = out.size();
        member("{\"doc_id\":", c.id, out);
        member(",\"version\":1,\"collection\":", topic, out);
        out += ",\"attributes\":{}";
        member(",\"type\":", c.type, out);
        member(",\"namespace\":", c.ns, out);
        member(",\"user\":", c.user, out);
        member(",\"is_bot\":", c.bot, out);
        member(",\"text\":", text, out);
        out += ",\"event_time\":\"";
        append_time(c.milliseconds, out);
        out.push_back('"');
        member(",\"title\":", c.title, out);
        member(",\"url\":", c.uri, out);
        const auto language = languages->find(string(c.wiki));
        member(",\"lang\":", language == languages->end() ? "und" : language->second, out);
        member(",\"wiki\":", c.wiki, out);
        append_flags(c, out);
        out += ",\"text_hash\":\"";
        hasher.append_hex(text, out);
        out += "\"}";
        hash.clear();
        hasher.append_hex(string_view(out).substr(start), hash);
        out.pop_back();
        member(",\"content_hash\":", hash, out);
        append_lineage(c, offset, out);
    }
};

struct LayerFile {
    int descriptor = -1;
    int64_t size = 0;

    void open(const string &path) {
        descriptor = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
        if (descriptor < 0) fail("cannot make " + path);
    }
    void append(const void *bytes, size_t count) {
        if (::pwrite(descriptor, bytes, count, size) != ssize_t(count)) fail("cannot write");
        size += int64_t(count);
    }
    void sync() {
        if (fdatasync(descriptor) != 0) fail("cannot sync");
    }
};

struct Result {
    long records = 0, silver = 0, gold = 0, rejected = 0, duplicates = 0;
    double seconds = 0, processor = 0, lines = 0, zstd = 0, write = 0;
};

void run(const string &input, const string &out, int partition, const string &topic, const string &logic, long batch,
         const std::unordered_map<string, string> &languages, Result &result) {
    const int descriptor = ::open(input.c_str(), O_RDONLY);
    struct stat status {};
    if (descriptor < 0 || fstat(descriptor, &status) != 0) fail("cannot open " + input);
    const size_t size = size_t(status.st_size);
    const auto *bytes = static_cast<const char *>(
        mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0));
    if (bytes == MAP_FAILED) fail("cannot map " + input);

    Writer writer;
    writer.topic = topic;
    writer.logic = logic;
    writer.partition = partition;
    writer.languages = &languages;
    dom::parser parser;
    if (parser.allocate(1 << 21, 64) != simdjson::SUCCESS) fail("out of memory");
    string padded;
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    std::vector<char> frame;
    LayerFile files[3], log;
    const char *names[] = {"bronze", "silver", "gold"};
    const string base = out + "/partition=" + std::to_string(partition) + ".";
    for (int i = 0; i < 3; ++i) files[i].open(base + names[i] + ".jsonl.zst");
    log.open(base + "log");
    // Ids seen, without a bound: a baseline need not run for days.
    std::unordered_map<string, int64_t> seen;
    seen.reserve(1 << 20);

    auto commit = [&] {
        string *texts[] = {&writer.bronze, &writer.silver, &writer.gold};
        string entry;
        for (int i = 0; i < 3; ++i) {
            const double began = now(CLOCK_MONOTONIC);
            const size_t bound = ZSTD_compressBound(texts[i]->size());
            if (frame.size() < bound) frame.resize(bound);
            const size_t count = ZSTD_compress2(zstd, frame.data(), bound, texts[i]->data(), texts[i]->size());
            if (ZSTD_isError(count)) fail("cannot compress");
            const double compressed = now(CLOCK_MONOTONIC);
            files[i].append(frame.data(), count);
            append_integer(files[i].size, entry);
            entry.push_back(' ');
            texts[i]->clear();
            result.zstd += compressed - began;
            result.write += now(CLOCK_MONOTONIC) - compressed;
        }
        const double began = now(CLOCK_MONOTONIC);
        for (auto &file : files) file.sync();
        append_integer(result.records, entry);
        entry.push_back('\n');
        log.append(entry.data(), entry.size());
        log.sync();
        result.write += now(CLOCK_MONOTONIC) - began;
    };

    const double began = now(CLOCK_MONOTONIC), processor = now(CLOCK_THREAD_CPUTIME_ID);
    size_t at = 0;
    Change c;
    while (at < size) {
        uint32_t value_length, key_length, headers_length;
        int64_t milliseconds;
        std::memcpy(&value_length, bytes + at, 4);
        std::memcpy(&key_length, bytes + at + 4, 4);
        std::memcpy(&headers_length, bytes + at + 8, 4);
        std::memcpy(&milliseconds, bytes + at + 12, 8);
        const char *key = bytes + at + 20, *headers = key + key_length, *value = headers + headers_length;
        at += 20 + key_length + headers_length + value_length;
        const int64_t offset = result.records++;
        const string_view raw(value, value_length);

        writer.digest.clear();
        writer.hasher.append_hex(raw, writer.digest);
        if (padded.size() < raw.size() + simdjson::SIMDJSON_PADDING)
            padded.resize(2 * raw.size() + simdjson::SIMDJSON_PADDING);
        std::memcpy(padded.data(), raw.data(), raw.size());
        dom::object object;
        const bool is_object = parser.parse(padded.data(), raw.size(), false).get(object) == simdjson::SUCCESS;
        const bool embeds = is_object && std::memchr(value, '\n', value_length) == nullptr &&
                            std::memchr(value, '\r', value_length) == nullptr;

        string &line = writer.bronze;
        writer.member("{\"topic\":", topic, line);
        line += ",\"partition\":";
        append_integer(partition, line);
        line += ",\"offset\":";
        append_integer(offset, line);
        line += ",\"timestamp_ms\":";
        append_integer(milliseconds, line);
        writer.member(",\"key\":", string_view(key, key_length), line);
        line += ",\"headers\":[";
        for (const char *header = headers; header < headers + headers_length;) {
            uint32_t name_length, content_length;
            std::memcpy(&name_length, header, 4);
            std::memcpy(&content_length, header + 4, 4);
            line += header == headers ? "[" : ",[";
            append_quoted(string_view(header + 8, name_length), line);
            line += ",\"";
            append_base64(string_view(header + 8 + name_length, content_length), line);
            line += "\"]";
            header += 8 + name_length + content_length;
        }
        line.push_back(']');
        if (embeds) {
            line += ",\"value\":";
            line += raw;
        } else {
            line += ",\"value_base64\":\"";
            append_base64(raw, line);
            line.push_back('"');
        }
        line += "}\n";

        if (is_object) {
            read(object, c);
            if (c.has_id && !c.id.empty() && !seen.emplace(c.id, offset).second) {
                if (c.domain != "canary") ++result.duplicates;
            } else if (c.domain == "canary") {
            } else if (!c.has_meta || raw.size() > (1 << 20) || !accept(c, milliseconds)) {
                ++result.rejected;
            } else {
                writer.append_silver(c, offset);
                ++result.silver;
                if (c.type == "edit" || c.type == "new") {
                    writer.append_gold(c, offset);
                    ++result.gold;
                }
            }
        } else {
            ++result.rejected;
        }
        if (result.records % batch == 0) commit();
    }
    if (result.records % batch != 0) commit();
    result.seconds = now(CLOCK_MONOTONIC) - began;
    result.processor = now(CLOCK_THREAD_CPUTIME_ID) - processor;
    result.lines = result.seconds - result.zstd - result.write;
}

}  // namespace

int main(int count, char **arguments) {
    if (count < 7) fail("usage: lake_baseline TOPIC LOGIC_VERSION LANGUAGES BATCH OUT INPUT...");
    std::unordered_map<string, string> languages;
    std::ifstream table(arguments[3]);
    for (string wiki, code; table >> wiki >> code;) languages[wiki] = code;
    const long batch = std::atol(arguments[4]);
    if (batch < 1) fail("BATCH must be at least 1");
    std::vector<Result> results(size_t(count - 6));
    std::vector<std::thread> threads;
    for (int i = 6; i < count; ++i)
        threads.emplace_back(run, string(arguments[i]), string(arguments[5]), i - 6, string(arguments[1]),
                             string(arguments[2]), batch, std::cref(languages), std::ref(results[size_t(i - 6)]));
    for (auto &thread : threads) thread.join();
    for (const Result &r : results)
        std::printf("%ld %ld %ld %ld %ld %.6f %.6f %.6f %.6f %.6f\n", r.records, r.silver, r.gold, r.rejected,
                    r.duplicates, r.seconds, r.processor, r.lines, r.zstd, r.write);
    return 0;
}
