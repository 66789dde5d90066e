// A region convolution as its kernels see it, and the walk along K.
#pragma once

#include "kernels/common/region.cuh"
#include "kernels/region_conv/region_conv.h"

namespace lc_trt {

// K is the window's taps, in each tap the segments, in each segment its channels: the order of
// OHWI weights. It is walked in granules of 16 bytes that never straddle a segment's end, so one
// granule is one copy from one row. A granule that reaches past its segment is filled with zeros.
template <typename T>
constexpr int kGranule = 16 / static_cast<int>(sizeof(T));

// Neighbouring channels that a thread stores at once, at most.
constexpr int kMostNeighbours = 8;

struct ConvProblem {
    struct Segment {
        const void* x;
        int stride;
        int channels;
        int first_channel;  // among the channels of all segments, which is where its weights are
    };
    Segment segments[kMaxConvSegments];
    int segment_count;
    Region region;
    Window window;
    int taps;
    int granules;  // of K
    const void* weight;
    int64_t weight_row;  // elements of one output channel
    int weight_tap;      // elements from a tap to the next
    int weight_channel;  // elements from an input channel to the next
    const float* scale;
    const void* bias;
    bool bias_is_full;  // FP32, whatever the type of x
    const void* residual;
    void* y;
    int out_channels;
    float residual_scale;
    float residual_factor;
    bool relu;
    ElementType residual_type;
    ElementType output_type;
    bool runs;  // kMostNeighbours outputs, and what they need, can be moved at once
};

// Where a granule of K is.
template <typename T>
struct KCursor {
    int tap = 0;
    int segment = 0;
    int channel = 0;  // in the segment

    LC_TRT_HD void advance(const ConvProblem& p, int granules) {
        channel += granules * kGranule<T>;
        while (tap < p.taps) {
            const int channels = p.segments[segment].channels;
            const int padded = ceil_div(channels, kGranule<T>) * kGranule<T>;
            if (channel < padded) return;
            channel -= padded;
            if (++segment == p.segment_count) {
                segment = 0;
                ++tap;
            }
        }
    }
    LC_TRT_HD bool inside(const ConvProblem& p) const { return tap < p.taps; }
};

}  // namespace lc_trt
