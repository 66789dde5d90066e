// Rows out of dense FP32 maps and back, and max pooling.
#pragma once

#include "common.h"
#include "conv.h"
#include "pool.h"
#include "region.h"

namespace lc_trt::cpu {

enum class Layout : int32_t { kNhwc = LCT_CPU_NHWC, kNchw = LCT_CPU_NCHW };

struct DenseMap {
    Grid grid;
    int32_t channels = 0;
    Layout layout = Layout::kNhwc;
};

// Rows in memory of the library's own or of a caller's.
struct RowTarget {
    uint8_t* rows = nullptr;
    int64_t stride = 0;  // bytes
    ElementType type = ElementType::kF32;
};

// out row r = pixel rows[r] of the map * factor, zeros behind the channels.
void gather_rows(Pool::Lock& pool, const RowKernel& kernel, const DenseMap& map,
                 const float* values, const int32_t* rows, int64_t count, float factor,
                 const RowTarget& out);

// out row p = pixel p of the map * factor, for the pixels whose byte in `needed` is 1, which
// becomes 2.
void convert_needed(Pool::Lock& pool, const RowKernel& kernel, const DenseMap& map,
                    const float* values, uint8_t* needed, float factor, const RowTarget& out);

// Sets the bytes of a table's rows to 1 where they are 0.
void mark_needed(Pool::Lock& pool, const int32_t* table, int64_t entries, int64_t pixels,
                 uint8_t* needed);

void scatter_rows(Pool::Lock& pool, const RowKernel& kernel, const RowTarget& from,
                  const int32_t* rows, int64_t count, float factor, const DenseMap& map,
                  float* values);

// out row r = row table[r] of the source, copied.
void copy_rows(Pool::Lock& pool, const RowSource& source, int64_t count, int64_t bytes,
               uint8_t* out, int64_t out_stride);

// from.table: [count][taps].
void max_pool_rows(Pool::Lock& pool, const RowKernel& kernel, const RowSource& from, int taps,
                   int32_t channels, int64_t count, const RowTarget& out);

}  // namespace lc_trt::cpu
