// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stddef.h>
#include <stdlib.h>

// One gzip member (RFC 1952) of `count` bytes at level 1; 0 where it does not fit into `capacity` or memory is out.
// Here and not in Swift, because the level buffer's size is a macro that does not import.
static inline size_t medallion_gzip(const uint8_t *bytes, size_t count, uint8_t *out, size_t capacity) {
  if (count > UINT32_MAX || capacity > UINT32_MAX) return 0;
  struct isal_zstream *stream = (struct isal_zstream *)malloc(sizeof *stream);
  uint8_t *level = (uint8_t *)malloc(ISAL_DEF_LVL1_DEFAULT);
  size_t written = 0;
  if (stream && level) {
    isal_deflate_stateless_init(stream);
    stream->level = 1;
    stream->level_buf = level;
    stream->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    stream->gzip_flag = IGZIP_GZIP;
    stream->end_of_stream = 1;
    stream->flush = NO_FLUSH;
    stream->next_in = (uint8_t *)bytes;
    stream->avail_in = (uint32_t)count;
    stream->next_out = out;
    stream->avail_out = (uint32_t)capacity;
    if (isal_deflate_stateless(stream) == COMP_OK) written = stream->total_out;
  }
  free(level);
  free(stream);
  return written;
}

// Memory for `medallion_gunzip`, to be used again and again; NULL where memory is out.
static inline void *medallion_gunzip_state(void) { return malloc(sizeof(struct inflate_state)); }
static inline void medallion_gunzip_free(void *state) { free(state); }

// Unpacks the one gzip member that `bytes` holds to its last byte, its sum checked; -1 where it is none or does not
// fit into `capacity`, which should be larger than what comes out.
static inline ptrdiff_t medallion_gunzip(void *memory, const uint8_t *bytes, size_t count, uint8_t *out,
                                         size_t capacity) {
  if (count > UINT32_MAX || capacity > UINT32_MAX) return -1;
  struct inflate_state *state = (struct inflate_state *)memory;
  isal_inflate_init(state);
  state->crc_flag = ISAL_GZIP;
  state->next_in = (uint8_t *)bytes;
  state->avail_in = (uint32_t)count;
  state->next_out = out;
  state->avail_out = (uint32_t)capacity;
  if (isal_inflate(state) != ISAL_DECOMP_OK || state->block_state != ISAL_BLOCK_FINISH) return -1;
  // Whole bytes that were read ahead lie behind the member as much as those that were not.
  if (state->avail_in != 0 || state->read_in_length >= 8) return -1;
  return (ptrdiff_t)state->total_out;
}

// Begins to unpack a stream piece by piece, in memory from `medallion_gunzip_state`. `wrapper` is ISAL_GZIP, ISAL_ZLIB or
// ISAL_DEFLATE (no wrapper).
static inline void medallion_inflate_begin(void *memory, uint32_t wrapper) {
  struct inflate_state *state = (struct inflate_state *)memory;
  isal_inflate_init(state);
  state->crc_flag = wrapper;
}

// Takes what it can of the `*count` bytes, which becomes what is left of them, and returns how many came out; -1 where
// they are no such stream or its sum is wrong.
static inline ptrdiff_t medallion_inflate_step(void *memory, const uint8_t *bytes, size_t *count, uint8_t *out,
                                               size_t capacity) {
  struct inflate_state *state = (struct inflate_state *)memory;
  uint32_t given = *count > UINT32_MAX ? UINT32_MAX : (uint32_t)*count;
  uint32_t room = capacity > UINT32_MAX ? UINT32_MAX : (uint32_t)capacity;
  state->next_in = (uint8_t *)bytes;
  state->avail_in = given;
  state->next_out = out;
  state->avail_out = room;
  int result = isal_inflate(state);
  if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT && result != ISAL_OUT_OVERFLOW) return -1;
  *count -= given - state->avail_in;
  return (ptrdiff_t)(room - state->avail_out);
}

// Whether the stream is unpacked to its end.
static inline int medallion_inflate_is_done(const void *memory) {
  return ((const struct inflate_state *)memory)->block_state == ISAL_BLOCK_FINISH;
}

// The whole bytes that were read ahead and lie behind the stream's end; at most eight.
static inline size_t medallion_inflate_ahead(const void *memory, uint8_t ahead[8]) {
  const struct inflate_state *state = (const struct inflate_state *)memory;
  size_t count = state->read_in_length > 0 ? (size_t)state->read_in_length / 8 : 0;
  uint64_t bits = state->read_in >> (state->read_in_length % 8);
  for (size_t i = 0; i < count && i < 8; i++) ahead[i] = (uint8_t)(bits >> (8 * i));
  return count < 8 ? count : 8;
}
