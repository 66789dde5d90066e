// Region convolution, on a region's rows only. A neighbour outside the region or the image reads 0.
//
// FP32, FP16 and BF16: y = activation(residual + residual_scale * (conv(x) + bias)).
// INT8: y = activation(residual_factor * residual + residual_scale * (scale * conv(x) + bias)),
// where conv(x) is exact in INT32 and the rest FP32: fmaf(conv(x), scale, bias), then
// fmaf(residual_scale, that, residual_factor * residual). An INT8 y is rounded half to even and
// saturated; whoever makes the problem has its scale in `scale`, `bias` and `residual_factor`.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/common/region.h"

namespace lc_trt {

constexpr int kMaxConvSegments = 8;
constexpr int kMaxConvTaps = 121;  // 11 x 11: what a tile's table of neighbours has room for

// Channels [first, first + channels) of a matrix of features, `x` pointing at the first of them.
// Several segments are convolved as if they were concatenated.
struct ConvSegment {
    const void* x;
    int32_t stride;  // elements from a row to the next
    int32_t channels;
};

// How the weights lie. kOHWI, [Cout, kh, kw, Cin], is what the kernel reads 16 bytes at a time;
// kOIHW, [Cout, Cin, kh, kw], is ONNX's own, equal to it for a 1x1 and read one by one otherwise.
enum class WeightLayout : int32_t { kOIHW = 0, kOHWI = 1 };

struct RegionConvArguments {
    ConvSegment segments[kMaxConvSegments];
    int32_t segment_count;
    Region region;
    Window window;
    const void* weight;    // Cin is the sum over the segments
    const float* scale;    // [out_channels], of INT8; null for the others
    const void* bias;      // [out_channels]
    const void* residual;  // [max_rows, out_channels], or null for none
    void* y;               // [max_rows, out_channels]; nothing is written beyond count
    int32_t out_channels;
    float residual_scale;
    float residual_factor;  // of INT8; 1 for the others
    bool relu;
    ElementType type;           // of x and weight
    ElementType bias_type;      // FP32; FP16 and BF16: or as `type`
    ElementType residual_type;  // INT8: any; as `type` for the others
    ElementType output_type;    // INT8: any; as `type` for the others
    WeightLayout layout;
};

// Tactics are numbered from 1: variants of the tile. 0 lets region_conv choose.
int region_conv_tactics(ElementType type);

// Whether the tile's table of neighbours fits into the shared memory of every GPU we build for.
bool region_conv_tactic_fits(ElementType type, int tactic, const Window& window);

// FP16 and BF16 run on tensor cores and FP32 as fused multiply-adds, all summing in FP32. BF16
// needs sm_80: before that the error is cudaErrorNotSupported. Channels in
// multiples of 16 bytes with kOHWI weights take 16-byte asynchronous copies; all else is correct
// and slower, and has one tile only.
cudaError_t region_conv(const RegionConvArguments& arguments, int tactic, cudaStream_t stream);

}  // namespace lc_trt
