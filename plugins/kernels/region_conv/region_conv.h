// Region convolution at the rows of a region. `region.index` numbers the rows of x: those of the
// region itself, or of the map, whose neighbours outside the region are then read. A neighbour
// outside the image or without a row reads 0. A 1x1 reads row r of x for row r of the region.
//
// FP32, FP16 and BF16: y = activation(residual + residual_scale * (conv(x) + bias)).
// INT8: y = activation(residual_factor * residual + residual_scale * (scale * conv(x) + bias)),
// where conv(x) is exact in INT32 and the rest FP32: fmaf(conv(x), scale, bias), then
// fmaf(residual_scale, that, residual_factor * residual). An INT8 y is rounded half to even and
// saturated; the caller folds its scale into `scale`, `bias` and `residual_factor`.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/common/region.h"

namespace lc_trt {

constexpr int kMaxConvSegments = 8;
constexpr int kMaxConvTaps = 121;  // 11 x 11, the capacity of a tile's neighbour table

// Channels [first, first + channels) of a feature matrix; `x` points to the first of them. Several
// segments are convolved as if concatenated.
struct ConvSegment {
    const void* x;
    int32_t stride;  // elements between rows
    int32_t channels;
};

// Layout of the weights. kOHWI, [Cout, kh, kw, Cin], is read 16 bytes at a time. kOIHW,
// [Cout, Cin, kh, kw], is ONNX's layout: identical for a 1x1, read element by element otherwise.
enum class WeightLayout : int32_t { kOIHW = 0, kOHWI = 1 };

struct RegionConvArguments {
    ConvSegment segments[kMaxConvSegments];
    int32_t segment_count;
    int32_t x_rows;  // of each segment; max_rows for a 1x1
    Region region;
    Window window;
    const void* weight;    // Cin is the sum over the segments
    const float* scale;    // [out_channels], INT8 only; otherwise null
    const void* bias;      // [out_channels]
    const void* residual;  // [max_rows, out_channels], or null for none
    void* y;               // [max_rows, out_channels]; nothing is written beyond count
    int32_t out_channels;
    float residual_scale;
    float residual_factor;  // INT8 only; otherwise 1
    bool relu;
    ElementType type;           // of x and weight
    ElementType bias_type;      // FP32, or, for FP16 and BF16, as `type`
    ElementType residual_type;  // any for INT8, otherwise as `type`
    ElementType output_type;    // any for INT8, otherwise as `type`
    WeightLayout layout;
};

// Tactics are tile variants, numbered from 1. With 0, region_conv chooses.
int region_conv_tactics(ElementType type);

// Whether the neighbour table fits into the shared memory of every supported GPU.
bool region_conv_tactic_fits(ElementType type, int tactic, const Window& window);

// FP16 and BF16 use tensor cores, FP32 fused multiply-adds, all with FP32 accumulation. BF16 needs
// sm_80 and returns cudaErrorNotSupported before. Channels in multiples of 16 bytes with kOHWI
// weights use 16-byte asynchronous copies; other problems are slower and have one tile only.
cudaError_t region_conv(const RegionConvArguments& arguments, int tactic, cudaStream_t stream);

}  // namespace lc_trt
