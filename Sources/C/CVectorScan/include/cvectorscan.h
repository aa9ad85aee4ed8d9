#ifndef CVECTORSCAN_H
#define CVECTORSCAN_H

#include <stddef.h>
#include <stdint.h>

// Loops over vectors in memory that are worth nothing without the processor's wide instructions, which Swift does not choose while
// it runs. Each looks which of its forms the processor has.

/// Distances between a code of `words` 64-bit words and `count` others, which stand one behind the other: how many bits differ.
///
/// Only of those codes whose bit is set in `mask` (bit i % 64 of word i / 64); all where it is null. Writes a distance for each,
/// or UINT16_MAX where the mask leaves it out, and counts in `histogram`, which has 64 * words + 1 places, how many have each.
void cvs_distances(
    const uint64_t *codes, size_t count, size_t words, const uint64_t *code, const uint64_t *mask, uint16_t *distances,
    uint32_t *histogram);

/// The places of distances up to a bound, at most `room`, in their order. Returns how many.
size_t cvs_near(const uint16_t *distances, size_t count, uint16_t bound, uint32_t *places, size_t room);

/// The dot product of `dimensions` half-precision numbers (IEEE 754 binary16) with single-precision ones.
float cvs_dot(const uint16_t *halves, const float *numbers, size_t dimensions);

#endif
