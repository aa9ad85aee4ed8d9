#ifndef CVECTORSCAN_H
#define CVECTORSCAN_H

#include <stddef.h>
#include <stdint.h>

// Loops over vectors in memory that are worth nothing without the processor's wide instructions, which Swift does not choose
// while it runs. Each looks which of its forms the processor has.

/// Distances between a code of `words` 64-bit words and those of `count` others that a mask selects: how many bits differ.
/// The others stand one behind the other, and bit i % 64 of word i / 64 of `mask` selects number i.
///
/// Writes behind one another the distance and the slot of each that is selected, which is `first` and its number, and counts in
/// `histogram`, which has 64 * words + 1 places, how many have each distance. Returns how many were selected.
size_t cvs_selected(
    const uint64_t *codes, size_t count, size_t words, const uint64_t *code, const uint64_t *mask, uint32_t first,
    uint16_t *distances, uint32_t *slots, uint32_t *histogram);

/// Distances between a query and the codes of a list, of `bytes` bytes each: for each half of a code's bytes, its lower one
/// first, `costs` has 16 numbers, of which its value chooses one; a distance is the sum of these. Two numbers of one byte must
/// not exceed 255 together, and no sum 65,535.
///
/// Codes stand in blocks of 32: the first bytes of all 32, then the second ones, and so on; the last block has room for 32, too.
/// Their slots are `numbers`, and those count whose slot's bit is set in `mask`; all where it is null.
///
/// Writes behind one another the distance and the slot of each that counts and is at most `bound` away; there must be room for
/// all. Returns how many these are, and in `passing` how many count.
size_t cvs_weighed(
    const uint8_t *codes, const uint32_t *numbers, size_t count, size_t bytes, const uint8_t *costs,
    const uint64_t *mask, uint16_t bound, uint16_t *distances, uint32_t *slots, size_t *passing);

/// Asks for memory that is read soon, so that nothing waits for it then.
static inline void cvs_prefetch(const void *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)start + i);
}

/// The places of distances up to a bound, at most `room`, in their order. Returns how many.
size_t cvs_near(const uint16_t *distances, size_t count, uint16_t bound, uint32_t *places, size_t room);

/// The dot product of `dimensions` half-precision numbers (IEEE 754 binary16) with single-precision ones.
float cvs_dot(const uint16_t *halves, const float *numbers, size_t dimensions);

/// The dot products of `count` rows of half-precision numbers, one behind the other, with the same single-precision ones.
void cvs_dots(const uint16_t *rows, size_t count, const float *numbers, size_t dimensions, float *out);

/// Adds half-precision numbers, multiplied by `scale`, to `sums`.
void cvs_add(const uint16_t *halves, float scale, size_t dimensions, float *sums);

#endif
