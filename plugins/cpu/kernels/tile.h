// The product of a block of rows and a block of weights in registers, for any vector instructions.
//
// A kernel supplies `Op`: `Vector` of accumulators, `Weight` and `Value` as they are multiplied,
// and `zero`, `load` (weights), `broadcast` (a group of a row), `add` (multiply and accumulate),
// `store`. The order of additions of a result does not depend on which tile computes it.
#pragma once

#include "kernels/kernel.h"

namespace lc_trt::cpu {
namespace {

template <class Op, int kRows, int kVectors>
inline void multiply_tile(const ProductArgs& a, int height, int first, int column) {
    typename Op::Vector sum[kRows][kVectors];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[i][v] = Op::zero();
    }
    const uint8_t* weights = a.weights + static_cast<int64_t>(column) * kGroup;
    const uint8_t* const* rows = a.rows + first;
    for (int s = 0; s < a.span_count; ++s) {
        const int64_t bytes = static_cast<int64_t>(a.spans[s].groups) * kGroup;
        const int64_t skipped =
            static_cast<int64_t>(a.spans[s].padded - a.spans[s].groups) * kWeightStep;
        for (int t = 0; t < a.taps; ++t, rows += height, weights += skipped) {
            const uint8_t* row[kRows];
#pragma GCC unroll 16
            for (int i = 0; i < kRows; ++i) row[i] = rows[i];
            for (int64_t at = 0; at < bytes; at += kGroup, weights += kWeightStep) {
                typename Op::Weight weight[kVectors];
#pragma GCC unroll 4
                for (int v = 0; v < kVectors; ++v) weight[v] = Op::load(weights + v * Op::kBytes);
#pragma GCC unroll 16
                for (int i = 0; i < kRows; ++i) {
                    const typename Op::Value value = Op::broadcast(row[i] + at);
#pragma GCC unroll 4
                    for (int v = 0; v < kVectors; ++v)
                        sum[i][v] = Op::add(sum[i][v], value, weight[v]);
                }
            }
        }
    }
    uint8_t* out = static_cast<uint8_t*>(a.sums) + (int64_t{first} * kColumns + column) * 4;
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
            Op::store(out + i * kColumns * 4 + v * Op::kBytes, sum[i][v]);
    }
}

// Tiles of kRows x kVectors over a block; the last rows take smaller tiles.
template <class Op, int kRows, int kVectors>
void multiply(const ProductArgs& a) {
    constexpr int kWidth = kVectors * Op::kBytes / 4;
    int column = 0;
    for (; column + kWidth <= a.columns; column += kWidth) {
        int live = a.live;
        if (live > kRows / 3 * 2) {
            multiply_tile<Op, kRows, kVectors>(a, kRows, 0, column);
        } else if (live > kRows / 3) {
            multiply_tile<Op, kRows / 3 * 2, kVectors>(a, kRows, 0, column);
        } else if (live > 1) {
            multiply_tile<Op, kRows / 3, kVectors>(a, kRows, 0, column);
        } else {
            multiply_tile<Op, 1, kVectors>(a, kRows, 0, column);
        }
    }
    if (column < a.columns) multiply_tile<Op, kRows, (kVectors + 1) / 2>(a, kRows, 0, column);
}

}  // namespace
}  // namespace lc_trt::cpu
