// Region convolution on rows.
#pragma once

#include <vector>

#include "common.h"
#include "isa.h"
#include "pool.h"

namespace lc_trt::cpu {

// Rows of values, and which of them a result reads.
struct RowSource {
    const uint8_t* rows = nullptr;
    int64_t count = 0;   // of rows
    int64_t stride = 0;  // bytes
    // [results][taps]: a row, or anything outside 0 to count - 1 for zeros; null: result r reads
    // row r.
    const int32_t* table = nullptr;
};

struct ConvCall {
    RowSource segments[kMaxSegments];
    RowSource residual;  // rows null: none
    ElementType residual_type = ElementType::kF32;
    float residual_factor = 1.0f;
    int64_t results = 0;
    bool relu = false;
    uint8_t* out = nullptr;
    int64_t out_stride = 0;  // bytes
    ElementType out_type = ElementType::kF32;
    int64_t out_written = 0;  // columns to write; those beyond the convolution's are 0
};

struct ConvShape {
    ElementType type;
    int segments;
    int channels[kMaxSegments];
    int taps;
    int outputs;
};

// A convolution with packed weights. Calls of several threads are independent.
class Conv {
  public:
    // weight: float, or int8_t for INT8 rows, [outputs][channels of all segments][taps]; scale and
    // bias: [outputs] or null for 1 and 0.
    Conv(const ConvShape& shape, const void* weight, const float* scale, const float* bias);

    void run(Pool::Lock& pool, const ConvCall& call) const;

    const ConvShape& shape() const { return shape_; }
    size_t scratch_bytes() const;
    Isa isa() const { return isa_; }

  private:
    struct Block;

    void pack(const void* weight, const float* scale);
    int64_t rows_at_a_time(int64_t results, int threads) const;
    void gather(const ConvCall& call, int64_t first, int live, const uint8_t** rows) const;
    void run_rows(const ConvCall& call, int64_t first, int64_t end, uint8_t* scratch) const;
    void finish(const ConvCall& call, int64_t first, int live, int block, const void* sums) const;

    ConvShape shape_;
    Isa isa_;
    const ProductKernel& product_;
    const RowKernel& row_kernel_;
    Span spans_[kMaxSegments];
    int64_t lines_ = 0;        // groups of a row over all segments and taps, padded, by 16
    int64_t block_bytes_ = 0;  // packed weights of 32 columns
    int blocks_ = 0;
    int64_t terms_ = 0;  // pairs of segment and tap
    Buffer weights_, zeros_;
    std::vector<float> scale_, bias_;  // [blocks * 32]
    std::vector<int32_t> offset_;      // likewise
};

}  // namespace lc_trt::cpu
