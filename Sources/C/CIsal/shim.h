// The only place where these headers are included; see the Swift wrapper in Sources/Clients.
#pragma once
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
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
