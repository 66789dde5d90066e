// Host side: from arguments to a problem, and the choice of a variant.
#include <iterator>

#include "kernels/region_conv.h"
#include "kernels/region_conv/problem.cuh"
#include "kernels/region_conv/variants.h"

namespace lc_trt {
namespace {

bool aligned(const void* pointer, int bytes) {
    return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Whether every granule of rows and weights is one aligned 16-byte copy.
bool vectorised(const RegionConvArguments& a, const ConvProblem& p) {
    const int granule = 16 / element_bytes(a.type);
    bool possible = p.weight_channel == 1 && aligned(a.weight, 16);
    for (int s = 0; s < a.segment_count; ++s) {
        const ConvSegment& segment = a.segments[s];
        possible = possible && aligned(segment.x, 16) && segment.stride % granule == 0 &&
                   segment.channels % granule == 0;
    }
    return possible;
}

ConvProblem make_problem(const RegionConvArguments& a) {
    ConvProblem p = {};
    const int granule = 16 / element_bytes(a.type);
    const int pair = 2 * element_bytes(a.type);
    int channels = 0;
    int granules = 0;
    for (int s = 0; s < a.segment_count; ++s) {
        const ConvSegment& segment = a.segments[s];
        p.segments[s] = {segment.x, segment.stride, segment.channels, channels};
        channels += segment.channels;
        granules += ceil_div(segment.channels, granule);
    }
    p.segment_count = a.segment_count;
    p.region = a.region;
    p.window = a.window;
    p.taps = a.window.kernel_height * a.window.kernel_width;
    p.granules = p.taps * granules;
    p.weight = a.weight;
    p.weight_row = static_cast<int64_t>(p.taps) * channels;
    // The two layouts of a 1x1 are the same memory.
    const bool channels_last = a.layout == WeightLayout::kOHWI || p.taps == 1;
    p.weight_tap = channels_last ? channels : 1;
    p.weight_channel = channels_last ? 1 : p.taps;
    p.bias = a.bias;
    p.bias_is_half = a.bias_type == ElementType::kFloat16;
    p.residual = a.residual;
    p.y = a.y;
    p.out_channels = a.out_channels;
    p.residual_scale = a.residual_scale;
    p.relu = a.relu;
    p.paired = a.out_channels % 2 == 0 && aligned(a.y, pair) && aligned(a.residual, pair);
    return p;
}

bool valid(const RegionConvArguments& a) {
    if (a.type == ElementType::kInt8) return false;
    if (a.segment_count < 1 || a.segment_count > kMaxConvSegments) return false;
    for (int s = 0; s < a.segment_count; ++s) {
        if (a.segments[s].channels < 1 || a.segments[s].stride < a.segments[s].channels) {
            return false;
        }
    }
    const int64_t taps = static_cast<int64_t>(a.window.kernel_height) * a.window.kernel_width;
    return a.window.kernel_height > 0 && a.window.kernel_width > 0 && taps <= kMaxConvTaps &&
           a.out_channels > 0 && a.region.max_rows >= 0;
}

// The smallest GPU has 64 KiB of shared memory a block, and the stages of every variant take no
// more than 48 of them.
bool table_fits(const ConvTile& tile, const Window& window) {
    constexpr int kTableBytes = 16 * 1024;
    const int taps = window.kernel_height * window.kernel_width;
    return tile.rows * taps * static_cast<int>(sizeof(int)) <= kTableBytes;
}

// The largest tile that keeps all multiprocessors busy when a quarter of the rows are valid, which
// is about what a cascade's later stages have. It is a guess: only tactics that were timed know.
int choose(const ConvTile* tiles, int variants, const ConvProblem& p, int processors) {
    const int rows = ceil_div(p.region.max_rows, 4);
    for (int tactic = 1; tactic < variants; ++tactic) {
        const ConvTile& tile = tiles[tactic - 1];
        const int count = ceil_div(rows, tile.rows) * ceil_div(p.out_channels, tile.channels);
        if (count >= processors && table_fits(tile, p.window)) return tactic;
    }
    return variants;
}

}  // namespace

int region_conv_tactics(ElementType type) {
    return static_cast<int>(type == ElementType::kFloat16 ? std::size(kHalfTiles)
                                                          : std::size(kFloatTiles));
}

bool region_conv_tactic_fits(ElementType type, int tactic, const Window& window) {
    const ConvTile* tiles = type == ElementType::kFloat16 ? kHalfTiles : kFloatTiles;
    return tactic >= 1 && tactic <= region_conv_tactics(type) &&
           table_fits(tiles[tactic - 1], window);
}

cudaError_t region_conv(const RegionConvArguments& a, int tactic, cudaStream_t stream) {
    const int variants = region_conv_tactics(a.type);
    if (!valid(a) || tactic < 0 || tactic > variants) return cudaErrorInvalidValue;
    int processors = 0;
    const cudaError_t error = multiprocessors(&processors);
    if (error != cudaSuccess) return error;
    const ConvProblem p = make_problem(a);
    const bool vector = vectorised(a, p);
    const bool half = a.type == ElementType::kFloat16;
    if (half && !vector) {
        tactic = 3;
    } else if (tactic == 0) {
        tactic = choose(half ? kHalfTiles : kFloatTiles, variants, p, processors);
    }
    return half ? region_conv_half(p, tactic, vector, processors, stream)
                : region_conv_float(p, tactic, vector, processors, stream);
}

}  // namespace lc_trt
