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

// Tables that a byte's halves choose from, as André, Kermarrec and Le Scouarnec have them ("Cache locality is not enough", 2015):
// one instruction looks up 32 of them, so that weighing a code takes no longer than counting the bits in which it differs.

enum { codes_in_block = 32 };

static inline void block_plain(const uint8_t *block, size_t bytes, const uint8_t *costs, uint16_t *sums)
{
    for (size_t i = 0; i < codes_in_block; i++) sums[i] = 0;
    for (size_t byte = 0; byte < bytes; byte++) {
        const uint8_t *low = costs + 32 * byte, *high = low + 16;
        for (size_t i = 0; i < codes_in_block; i++) {
            uint8_t value = block[byte * codes_in_block + i];
            sums[i] = (uint16_t)(sums[i] + low[value & 15] + high[value >> 4]);
        }
    }
}

// Of the codes that `bits` selects, those near enough.
static inline size_t taken(
    uint32_t bits, const uint16_t *sums, const uint32_t *numbers, uint16_t bound, uint16_t *distances,
    uint32_t *slots, size_t found)
{
    for (; bits; bits &= bits - 1) {
        size_t i = (size_t)__builtin_ctz(bits);
        if (sums[i] > bound) continue;
        slots[found] = numbers[i];
        distances[found++] = sums[i];
    }
    return found;
}

// The codes of a block that count, as bits.
static inline uint32_t counting(const uint32_t *numbers, size_t count, const uint64_t *mask)
{
    uint32_t bits = count < codes_in_block ? ((uint32_t)1 << count) - 1 : UINT32_MAX;
    if (!mask) return bits;
    uint32_t passing = 0;
    for (size_t i = 0; i < count && i < codes_in_block; i++)
        passing |= (uint32_t)(mask[numbers[i] >> 6] >> (numbers[i] & 63) & 1) << i;
    return passing;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline uint32_t block_avx2(
    const uint8_t *block, size_t bytes, const uint8_t *costs, uint16_t bound, uint16_t *sums)
{
    const __m256i half = _mm256_set1_epi8(15), low_byte = _mm256_set1_epi16(255);
    __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
    for (size_t byte = 0; byte < bytes; byte++) {
        __m256i codes = _mm256_loadu_si256((const __m256i *)(block + byte * codes_in_block));
        __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(costs + 32 * byte)));
        __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(costs + 32 * byte + 16)));
        __m256i some = _mm256_add_epi8(
            _mm256_shuffle_epi8(low, _mm256_and_si256(codes, half)),
            _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(codes, 4), half)));
        even = _mm256_add_epi16(even, _mm256_and_si256(some, low_byte));
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(some, 8));
    }
    __m256i most = _mm256_set1_epi16((short)bound);
    // Numbers 0 to 7 and 16 to 23, and the others.
    __m256i first = _mm256_unpacklo_epi16(even, odd), second = _mm256_unpackhi_epi16(even, odd);
    __m256i front = _mm256_permute2x128_si256(first, second, 0x20);
    __m256i back = _mm256_permute2x128_si256(first, second, 0x31);
    _mm256_storeu_si256((__m256i *)sums, front);
    _mm256_storeu_si256((__m256i *)(sums + 16), back);
    // Unsigned "at most": the smaller of both is the number itself. Packing mixes the halves, which the permutation undoes.
    __m256i near = _mm256_packs_epi16(
        _mm256_cmpeq_epi16(_mm256_min_epu16(front, most), front),
        _mm256_cmpeq_epi16(_mm256_min_epu16(back, most), back));
    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(near, 0xd8));
}

__attribute__((target("avx2,bmi,popcnt"))) static size_t weighed_avx2(
    const uint8_t *codes, const uint32_t *numbers, size_t count, size_t bytes, const uint8_t *costs,
    const uint64_t *mask, uint16_t bound, uint16_t *distances, uint32_t *slots, size_t *passing)
{
    uint16_t sums[codes_in_block];
    size_t found = 0;
    *passing = 0;
    for (size_t first = 0; first < count; first += codes_in_block) {
        uint32_t bits = counting(numbers + first, count - first, mask);
        if (!bits) continue;
        *passing += (size_t)__builtin_popcount(bits);
        bits &= block_avx2(codes + first * bytes, bytes, costs, bound, sums);
        found = taken(bits, sums, numbers + first, bound, distances, slots, found);
    }
    return found;
}
#endif

size_t cvs_weighed(
    const uint8_t *codes, const uint32_t *numbers, size_t count, size_t bytes, const uint8_t *costs,
    const uint64_t *mask, uint16_t bound, uint16_t *distances, uint32_t *slots, size_t *passing)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
        return weighed_avx2(codes, numbers, count, bytes, costs, mask, bound, distances, slots, passing);
#endif
    uint16_t sums[codes_in_block];
    size_t found = 0;
    *passing = 0;
    for (size_t first = 0; first < count; first += codes_in_block) {
        uint32_t bits = counting(numbers + first, count - first, mask);
        if (!bits) continue;
        *passing += (size_t)__builtin_popcount(bits);
        block_plain(codes + first * bytes, bytes, costs, sums);
        found = taken(bits, sums, numbers + first, bound, distances, slots, found);
    }
    return found;
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
