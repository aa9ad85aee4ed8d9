#include "cvectorscan.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// MARK: Codes

static inline __attribute__((always_inline)) uint16_t distance_of(
    const uint64_t *one, const uint64_t *other, size_t words)
{
    uint32_t distance = 0;
    for (size_t word = 0; word < words; word++) distance += (uint32_t)__builtin_popcountll(one[word] ^ other[word]);
    return (uint16_t)distance;
}

static inline __attribute__((always_inline)) size_t selected(
    const uint64_t *codes, size_t count, size_t words, const uint64_t *code, const uint64_t *mask, uint32_t first,
    uint16_t *distances, uint32_t *slots, uint32_t *histogram)
{
    size_t found = 0;
    for (size_t start = 0; start < count; start += 64) {
        size_t here = count - start < 64 ? count - start : 64;
        uint64_t bits = mask[start >> 6];
        if (here < 64) bits &= ((uint64_t)1 << here) - 1;
        for (; bits; bits &= bits - 1) {
            size_t i = start + (size_t)__builtin_ctzll(bits);
            uint16_t distance = distance_of(codes + i * words, code, words);
            slots[found] = first + (uint32_t)i;
            distances[found++] = distance;
            histogram[distance]++;
        }
    }
    return found;
}

static inline __attribute__((always_inline)) size_t listed(
    const uint64_t *codes, const uint32_t *numbers, size_t count, size_t words, const uint64_t *code,
    const uint64_t *mask, uint16_t *distances, uint32_t *slots, uint32_t *histogram)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = numbers[i];
        if (mask && !(mask[slot >> 6] >> (slot & 63) & 1)) continue;
        uint16_t distance = distance_of(codes + i * words, code, words);
        slots[found] = slot;
        distances[found++] = distance;
        histogram[distance]++;
    }
    return found;
}

// The usual number of words is known to the compiler, which unrolls the loop.
#define WITH_WORDS(call) \
    if (words == 6) { \
        enum { words = 6 }; \
        return call; \
    } \
    return call;

#if defined(__x86_64__)
__attribute__((target("popcnt,bmi"))) static size_t selected_popcnt(
    const uint64_t *codes, size_t count, size_t words, const uint64_t *code, const uint64_t *mask, uint32_t first,
    uint16_t *distances, uint32_t *slots, uint32_t *histogram)
{
    WITH_WORDS(selected(codes, count, words, code, mask, first, distances, slots, histogram))
}

__attribute__((target("popcnt,bmi"))) static size_t listed_popcnt(
    const uint64_t *codes, const uint32_t *numbers, size_t count, size_t words, const uint64_t *code,
    const uint64_t *mask, uint16_t *distances, uint32_t *slots, uint32_t *histogram)
{
    WITH_WORDS(listed(codes, numbers, count, words, code, mask, distances, slots, histogram))
}
#endif

size_t cvs_selected(
    const uint64_t *codes, size_t count, size_t words, const uint64_t *code, const uint64_t *mask, uint32_t first,
    uint16_t *distances, uint32_t *slots, uint32_t *histogram)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi"))
        return selected_popcnt(codes, count, words, code, mask, first, distances, slots, histogram);
#endif
    return selected(codes, count, words, code, mask, first, distances, slots, histogram);
}

size_t cvs_listed(
    const uint64_t *codes, const uint32_t *numbers, size_t count, size_t words, const uint64_t *code,
    const uint64_t *mask, uint16_t *distances, uint32_t *slots, uint32_t *histogram)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi"))
        return listed_popcnt(codes, numbers, count, words, code, mask, distances, slots, histogram);
#endif
    return listed(codes, numbers, count, words, code, mask, distances, slots, histogram);
}

static inline __attribute__((always_inline)) size_t near_from(
    const uint16_t *distances, size_t from, size_t count, uint16_t bound, uint32_t *places, size_t found,
    size_t room)
{
    for (size_t i = from; i < count && found < room; i++) {
        if (distances[i] <= bound) places[found++] = (uint32_t)i;
    }
    return found;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t near_avx2(
    const uint16_t *distances, size_t count, uint16_t bound, uint32_t *places, size_t room)
{
    __m256i most = _mm256_set1_epi16((short)bound);
    size_t found = 0, i = 0;
    for (; i + 16 <= count && found < room; i += 16) {
        __m256i some = _mm256_loadu_si256((const __m256i *)(distances + i));
        // Unsigned "at most": the smaller of both is the number itself.
        uint32_t hits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_min_epu16(some, most), some));
        if (hits) found = near_from(distances, i, i + 16, bound, places, found, room);
    }
    return near_from(distances, i, count, bound, places, found, room);
}
#endif

size_t cvs_near(const uint16_t *distances, size_t count, uint16_t bound, uint32_t *places, size_t room)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return near_avx2(distances, count, bound, places, room);
#endif
    return near_from(distances, 0, count, bound, places, 0, room);
}

// MARK: Halves

#if !defined(__aarch64__)
// The exponent moves to its place in single precision; numbers without a leading one are made by multiplying.
static inline float single_of(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    float scale, value;
    uint32_t magic = 0x77800000;
    memcpy(&scale, &magic, 4);
    memcpy(&value, &bits, 4);
    value *= scale;
    if ((half & 0x7c00) == 0x7c00) {
        bits |= 0x7f800000;
        memcpy(&value, &bits, 4);
    }
    memcpy(&bits, &value, 4);
    bits |= sign;
    memcpy(&value, &bits, 4);
    return value;
}

static float dot_plain(const uint16_t *halves, const float *numbers, size_t dimensions)
{
    float sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= dimensions; i += 8)
        for (size_t lane = 0; lane < 8; lane++) sums[lane] += single_of(halves[i + lane]) * numbers[i + lane];
    float sum = 0;
    for (size_t lane = 0; lane < 8; lane++) sum += sums[lane];
    for (; i < dimensions; i++) sum += single_of(halves[i]) * numbers[i];
    return sum;
}
#endif

#if defined(__x86_64__)
__attribute__((target("avx2,f16c,fma"))) static float dot_avx2(
    const uint16_t *halves, const float *numbers, size_t dimensions)
{
    __m256 first = _mm256_setzero_ps(), second = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= dimensions; i += 16) {
        __m256 a = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + i)));
        __m256 b = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + i + 8)));
        first = _mm256_fmadd_ps(a, _mm256_loadu_ps(numbers + i), first);
        second = _mm256_fmadd_ps(b, _mm256_loadu_ps(numbers + i + 8), second);
    }
    first = _mm256_add_ps(first, second);
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(first), _mm256_extractf128_ps(first, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    half = _mm_add_ss(half, _mm_movehdup_ps(half));
    float sum = _mm_cvtss_f32(half);
    for (; i < dimensions; i++) sum += _cvtsh_ss(halves[i]) * numbers[i];
    return sum;
}
#endif

float cvs_dot(const uint16_t *halves, const float *numbers, size_t dimensions)
{
#if defined(__aarch64__)
    const __fp16 *values = (const __fp16 *)halves;
    float sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= dimensions; i += 8)
        for (size_t lane = 0; lane < 8; lane++) sums[lane] += (float)values[i + lane] * numbers[i + lane];
    float sum = 0;
    for (size_t lane = 0; lane < 8; lane++) sum += sums[lane];
    for (; i < dimensions; i++) sum += (float)values[i] * numbers[i];
    return sum;
#else
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma"))
        return dot_avx2(halves, numbers, dimensions);
#endif
    return dot_plain(halves, numbers, dimensions);
#endif
}

void cvs_dots(const uint16_t *rows, size_t count, const float *numbers, size_t dimensions, float *out)
{
    for (size_t row = 0; row < count; row++) out[row] = cvs_dot(rows + row * dimensions, numbers, dimensions);
}

#if defined(__x86_64__)
__attribute__((target("avx2,f16c,fma"))) static void add_avx2(
    const uint16_t *halves, float scale, size_t dimensions, float *sums)
{
    __m256 factor = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 8 <= dimensions; i += 8) {
        __m256 some = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + i)));
        _mm256_storeu_ps(sums + i, _mm256_fmadd_ps(some, factor, _mm256_loadu_ps(sums + i)));
    }
    for (; i < dimensions; i++) sums[i] = __builtin_fmaf(_cvtsh_ss(halves[i]), scale, sums[i]);
}
#endif

void cvs_add(const uint16_t *halves, float scale, size_t dimensions, float *sums)
{
#if defined(__aarch64__)
    const __fp16 *values = (const __fp16 *)halves;
    for (size_t i = 0; i < dimensions; i++) sums[i] += (float)values[i] * scale;
#else
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma")) {
        add_avx2(halves, scale, dimensions, sums);
        return;
    }
#endif
    for (size_t i = 0; i < dimensions; i++) sums[i] += single_of(halves[i]) * scale;
#endif
}
