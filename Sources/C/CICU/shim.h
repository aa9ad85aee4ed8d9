// The only place where these headers are included; see the Swift wrappers in Sources/Domain/Text.
//
// ICU's headers rename every function by a macro to one with the version in its name (ubrk_open_72), and Swift sees no
// macros: the functions below have names that stay.
#pragma once
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/uversion.h>

static inline UBreakIterator *medallion_icu_open_words(UErrorCode *status) {
  return ubrk_open(UBRK_WORD, "", 0, 0, status);
}
static inline void medallion_icu_close_words(UBreakIterator *words) { ubrk_close(words); }

// The text is not copied, and must stay until the next one is set.
static inline void medallion_icu_set_text(UBreakIterator *words, const UChar *text, int32_t count, UErrorCode *status) {
  ubrk_setText(words, text, count, status);
}

// The next boundary; -1 (UBRK_DONE) behind the last.
static inline int32_t medallion_icu_next(UBreakIterator *words) { return ubrk_next(words); }

static inline const UNormalizer2 *medallion_icu_nfkc(UErrorCode *status) { return unorm2_getNFKCInstance(status); }
static inline const UNormalizer2 *medallion_icu_nfkc_casefold(UErrorCode *status) {
  return unorm2_getNFKCCasefoldInstance(status);
}
static inline const UNormalizer2 *medallion_icu_nfkd(UErrorCode *status) { return unorm2_getNFKDInstance(status); }
static inline const UNormalizer2 *medallion_icu_nfc(UErrorCode *status) { return unorm2_getNFCInstance(status); }
static inline const UNormalizer2 *medallion_icu_nfd(UErrorCode *status) { return unorm2_getNFDInstance(status); }

static inline int32_t medallion_icu_normalize(const UNormalizer2 *form, const UChar *text, int32_t count, UChar *out,
                                              int32_t capacity, UErrorCode *status) {
  return unorm2_normalize(form, text, count, out, capacity, status);
}

// How much of the text's beginning is in this form beyond doubt; it ends where the form may be made anew.
static inline int32_t medallion_icu_normal_prefix(const UNormalizer2 *form, const UChar *text, int32_t count,
                                                  UErrorCode *status) {
  return unorm2_spanQuickCheckYes(form, text, count, status);
}

// Whether no character before this one changes with it.
static inline int medallion_icu_is_boundary(const UNormalizer2 *form, UChar32 character) {
  return unorm2_hasBoundaryBefore(form, character);
}
static inline int medallion_icu_decomposes(const UNormalizer2 *form, UChar32 character) {
  UChar buffer[64];
  UErrorCode status = U_ZERO_ERROR;
  return unorm2_getDecomposition(form, character, buffer, 64, &status) >= 0;
}

static inline int medallion_icu_category(UChar32 character) { return u_charType(character); }
static inline int medallion_icu_combining_class(UChar32 character) { return u_getCombiningClass(character); }
static inline int32_t medallion_icu_digit(UChar32 character) { return u_charDigitValue(character); }
static inline int medallion_icu_is_ignorable(UChar32 character) {
  return u_hasBinaryProperty(character, UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
}
static inline int medallion_icu_is_pictographic(UChar32 character) {
  return u_hasBinaryProperty(character, UCHAR_EXTENDED_PICTOGRAPHIC);
}
static inline int medallion_icu_is_emoji_modifier(UChar32 character) {
  return u_hasBinaryProperty(character, UCHAR_EMOJI_MODIFIER);
}
// Whether words of this character's script are told apart by a dictionary (Thai, Lao, Khmer, Burmese and the like).
static inline int medallion_icu_is_complex(UChar32 character) {
  return u_getIntPropertyValue(character, UCHAR_LINE_BREAK) == U_LB_COMPLEX_CONTEXT;
}
static inline int32_t medallion_icu_script(UChar32 character) {
  UErrorCode status = U_ZERO_ERROR;
  UScriptCode script = uscript_getScript(character, &status);
  return U_FAILURE(status) ? USCRIPT_UNKNOWN : script;
}

static inline const char *medallion_icu_error(UErrorCode status) { return u_errorName(status); }
static inline int medallion_icu_failed(UErrorCode status) { return U_FAILURE(status); }
