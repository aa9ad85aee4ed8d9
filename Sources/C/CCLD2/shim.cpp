#include "ccld2.h"

// The next header uses FILE without it.
#include <cstdio>

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

#include <climits>

extern "C" uint8_t cld_detect(const uint8_t *text, size_t length, cld_result *result) {
    *result = cld_result{nullptr, 0, 0, 0};
    if (length > INT_MAX) return 0;
    try {
        CLD2::CLDHints hints = {nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
        CLD2::Language languages[3] = {};
        int percents[3] = {};
        double scores[3] = {};
        int letter_bytes = 0;
        int valid_bytes = 0;
        bool is_reliable = false;
        CLD2::Language language = CLD2::ExtDetectLanguageSummaryCheckUTF8(
            reinterpret_cast<const char *>(text), static_cast<int>(length), true, &hints, 0, languages, percents, scores,
            nullptr, &letter_bytes, &is_reliable, &valid_bytes);
        if (valid_bytes < static_cast<int>(length)) return 0;
        if (language == CLD2::UNKNOWN_LANGUAGE || language == CLD2::TG_UNKNOWN_LANGUAGE) return 1;
        result->code = CLD2::LanguageCode(language);
        result->is_reliable = is_reliable ? 1 : 0;
        for (int place = 0; place < 3; place++) {
            if (languages[place] == language) result->percent = static_cast<uint8_t>(percents[place]);
        }
        result->letter_bytes = letter_bytes > 0 ? static_cast<uint32_t>(letter_bytes) : 0;
        return 1;
    } catch (...) {
        return 0;
    }
}

extern "C" const char *cld_version(void) { return CLD2::DetectLanguageVersion(); }
