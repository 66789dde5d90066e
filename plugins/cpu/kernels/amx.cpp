// BF16 and INT8 kernels for AMX: 32 rows by 32 columns in four accumulator tiles.
#include "kernels/amx_tiles.h"
#include "kernels/kernel.h"

namespace lc_trt::cpu {
namespace {

constexpr int kHeight = 2 * kTileLines;

// Rows go to a tile at a fixed stride, so gathered rows are copied once for all columns:
// scratch [line of 64 bytes][kHeight][64 bytes].
void prepare(const ProductArgs& a) {
    uint8_t* to = static_cast<uint8_t*>(a.scratch);
    const uint8_t* const* rows = a.rows;
    for (int s = 0; s < a.span_count; ++s) {
        const int64_t lines = a.spans[s].padded / kGroupsPerLine;
        for (int t = 0; t < a.taps; ++t, rows += kHeight) {
            for (int i = 0; i < kHeight; ++i) {
                for (int64_t line = 0; line < lines; ++line)
                    __builtin_memcpy(to + (line * kHeight + i) * kTileBytes,
                                     rows[i] + line * kTileBytes, kTileBytes);
            }
            to += lines * kHeight * kTileBytes;
        }
    }
}

struct BF16 {
    template <int kSum, int kRows, int kWeights>
    static void dot() {
        Tiles::dot_bf16<kSum, kRows, kWeights>();
    }
};

struct U8 {
    template <int kSum, int kRows, int kWeights>
    static void dot() {
        Tiles::dot_u8<kSum, kRows, kWeights>();
    }
};

struct S8 {
    template <int kSum, int kRows, int kWeights>
    static void dot() {
        Tiles::dot_s8<kSum, kRows, kWeights>();
    }
};

// Tiles 0 to 3 accumulate, 4 and 5 hold rows, 6 and 7 weights.
template <class Op, bool kLowRows, bool kRightColumns>
void multiply(const ProductArgs& a) {
    Tiles::zero<0>();
    if (kRightColumns) Tiles::zero<1>();
    if (kLowRows) Tiles::zero<2>();
    if (kLowRows && kRightColumns) Tiles::zero<3>();
    int64_t lines = 0;
    for (int s = 0; s < a.span_count; ++s)
        lines += static_cast<int64_t>(a.spans[s].padded) / kGroupsPerLine * a.taps;
    const uint8_t* rows = static_cast<const uint8_t*>(a.scratch);
    const uint8_t* weights = a.weights;
    for (int64_t line = 0; line < lines; ++line) {
        Tiles::load<6>(weights, kWeightStep);
        if (kRightColumns) Tiles::load<7>(weights + kTileBytes, kWeightStep);
        Tiles::load<4>(rows, kTileBytes);
        Op::template dot<0, 4, 6>();
        if (kRightColumns) Op::template dot<1, 4, 7>();
        if (kLowRows) {
            Tiles::load<5>(rows + kTileLines * kTileBytes, kTileBytes);
            Op::template dot<2, 5, 6>();
            if (kRightColumns) Op::template dot<3, 5, 7>();
        }
        rows += kHeight * kTileBytes;
        weights += kGroupsPerLine * kWeightStep;
    }
    uint8_t* sums = static_cast<uint8_t*>(a.sums);
    constexpr int64_t kStride = kColumns * 4;
    Tiles::store<0>(sums, kStride);
    if (kRightColumns) Tiles::store<1>(sums + kTileBytes, kStride);
    if (kLowRows) Tiles::store<2>(sums + kTileLines * kStride, kStride);
    if (kLowRows && kRightColumns)
        Tiles::store<3>(sums + kTileLines * kStride + kTileBytes, kStride);
}

template <class Op>
void product(const ProductArgs& a) {
    TileConfiguration configuration;
    for (int i = 0; i < 8; ++i) {
        configuration.bytes[i] = kTileBytes;
        configuration.lines[i] = kTileLines;
    }
    Tiles::configure(configuration);
    const bool low = a.live > kTileLines, right = a.columns > 16;
    if (low && right) {
        multiply<Op, true, true>(a);
    } else if (low) {
        multiply<Op, true, false>(a);
    } else if (right) {
        multiply<Op, false, true>(a);
    } else {
        multiply<Op, false, false>(a);
    }
    Tiles::release();
}

}  // namespace

const ProductKernel kAmxBF16 = {kHeight, product<BF16>, prepare, false};
const ProductKernel kAmxS8 = {kHeight, product<S8>, prepare, false};
const ProductKernel kAmxU8 = {kHeight, product<U8>, prepare, false};

}  // namespace lc_trt::cpu
