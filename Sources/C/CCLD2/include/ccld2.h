// A C view of CLD2, which finds the language of a text: no exception and no C++ type crosses this line.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *code;       // CLD2's code of the language, static; NULL where there is none
    uint8_t is_reliable;    // CLD2's own opinion
    uint8_t percent;        // how much of the text is in this language
    uint32_t letter_bytes;  // how much of the text was looked at: its letters
} cld_result;

// Detects the language of plain text in UTF-8. Nothing is kept between calls, and all tables are constant, so any thread may
// call it at any time. 1 on success, 0 where the text is not UTF-8 or memory is out.
uint8_t cld_detect(const uint8_t *text, size_t length, cld_result *result);

// The library's version and the date of its tables, static.
const char *cld_version(void);

#ifdef __cplusplus
}
#endif
