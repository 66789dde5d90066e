// The parameters of the kernel, and iteration along K.
#pragma once

#include "kernels/common/region.cuh"
#include "kernels/region_conv/region_conv.h"

namespace lc_trt {

// K iterates over the taps of the window, the segments of each tap and the channels of each
// segment: the order of OHWI weights. Its granules of 16 bytes never straddle segments, so that a
// granule is one copy from one row. A granule that exceeds its segment is padded with zeros.
template <typename T>
constexpr int kGranule = 16 / static_cast<int>(sizeof(T));

// Maximum number of adjacent channels that a thread stores at once.
constexpr int kMostNeighbours = 8;

struct ConvProblem {
    struct Segment {
        const void* x;
        int stride;
        int channels;
        int first_channel;  // among the channels of all segments; selects its weights
    };
    Segment segments[kMaxConvSegments];
    int segment_count;
    int x_rows;
    Region region;
    Window window;
    int taps;
    int granules;  // along K
    const void* weight;
    int64_t weight_row;  // elements per output channel
    int weight_tap;      // elements between taps
    int weight_channel;  // elements between input channels
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
    bool runs;  // whether kMostNeighbours outputs and their operands can be moved at once
};

// The position of a granule along K.
template <typename T>
struct KCursor {
    int tap = 0;
    int segment = 0;
    int channel = 0;  // within the segment

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
