// Host side: parameter setup and selection of a kernel variant.
#include <iterator>

#include "kernels/region_conv/problem.cuh"
#include "kernels/region_conv/region_conv.h"
#include "kernels/region_conv/variants.h"

namespace lc_trt {
namespace {

bool aligned(const void* pointer, int bytes) {
    return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

struct Tiles {
    const ConvTile* tile;
    int variants;
};

Tiles tiles_of(ElementType type) {
    const auto all = [](const auto& tiles) -> Tiles {
        return {tiles, static_cast<int>(std::size(tiles))};
    };
    return type == ElementType::kFloat32 ? all(kFloatTiles) : all(kTensorCoreTiles);
}

// Returns an error before sm_80, whose tensor cores do not support the type.
cudaError_t multiplies_bfloat16() {
    int device = 0;
    int major = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    }
    return error == cudaSuccess && major < 8 ? cudaErrorNotSupported : error;
}

// Whether every granule of rows and weights is an aligned 16-byte copy.
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
    int channels = 0;
    int granules = 0;
    for (int s = 0; s < a.segment_count; ++s) {
        const ConvSegment& segment = a.segments[s];
        p.segments[s] = {segment.x, segment.stride, segment.channels, channels};
        channels += segment.channels;
        granules += ceil_div(segment.channels, granule);
    }
    p.segment_count = a.segment_count;
    p.x_rows = a.x_rows;
    p.region = a.region;
    p.window = a.window;
    p.taps = a.window.kernel_height * a.window.kernel_width;
    p.granules = p.taps * granules;
    p.weight = a.weight;
    p.weight_row = static_cast<int64_t>(p.taps) * channels;
    // Both layouts of a 1x1 are identical in memory.
    const bool channels_last = a.layout == WeightLayout::kOHWI || p.taps == 1;
    p.weight_tap = channels_last ? channels : 1;
    p.weight_channel = channels_last ? 1 : p.taps;
    p.scale = a.scale;
    p.bias = a.bias;
    p.bias_is_full = a.bias_type == ElementType::kFloat32;
    p.residual = a.residual;
    p.y = a.y;
    p.out_channels = a.out_channels;
    p.residual_scale = a.residual_scale;
    p.residual_factor = a.residual_factor;
    p.relu = a.relu;
    p.residual_type = a.residual_type;
    p.output_type = a.output_type;
    p.runs = a.out_channels % kMostNeighbours == 0;
    const void* const moved[] = {a.scale, a.bias, a.residual, a.y};
    for (const void* pointer : moved) p.runs = p.runs && aligned(pointer, 16);
    return p;
}

bool valid(const RegionConvArguments& a) {
    if (a.type == ElementType::kInt8) {
        if (a.scale == nullptr || a.bias_type != ElementType::kFloat32) return false;
    } else if (a.residual_type != a.type || a.output_type != a.type ||
               (a.bias_type != a.type && a.bias_type != ElementType::kFloat32)) {
        return false;
    }
    if (a.segment_count < 1 || a.segment_count > kMaxConvSegments) return false;
    for (int s = 0; s < a.segment_count; ++s) {
        if (a.segments[s].channels < 1 || a.segments[s].stride < a.segments[s].channels) {
            return false;
        }
    }
    const int64_t taps = static_cast<int64_t>(a.window.kernel_height) * a.window.kernel_width;
    return a.window.kernel_height > 0 && a.window.kernel_width > 0 && taps <= kMaxConvTaps &&
           a.out_channels > 0 && a.region.max_rows >= 0 && a.x_rows >= 0 &&
           (taps > 1 || a.x_rows == a.region.max_rows);
}

// Every supported GPU has at least 64 KiB of shared memory per block, of which the stages of each
// variant use at most 48.
bool table_fits(const ConvTile& tile, const Window& window) {
    constexpr int kTableBytes = 16 * 1024;
    const int taps = window.kernel_height * window.kernel_width;
    return tile.rows * taps * static_cast<int>(sizeof(int)) <= kTableBytes;
}

// Heuristic: the largest tile that keeps all multiprocessors busy if a quarter of the rows are
// valid, which is typical for the later stages of a cascade. Timed tactics are more accurate.
int choose(const Tiles& tiles, const ConvProblem& p, int processors) {
    const int rows = ceil_div(p.region.max_rows, 4);
    for (int tactic = 1; tactic < tiles.variants; ++tactic) {
        const ConvTile& tile = tiles.tile[tactic - 1];
        const int count = ceil_div(rows, tile.rows) * ceil_div(p.out_channels, tile.channels);
        if (count >= processors && table_fits(tile, p.window)) return tactic;
    }
    return tiles.variants;
}

}  // namespace

int region_conv_tactics(ElementType type) { return tiles_of(type).variants; }

bool region_conv_tactic_fits(ElementType type, int tactic, const Window& window) {
    const Tiles tiles = tiles_of(type);
    return tactic >= 1 && tactic <= tiles.variants && table_fits(tiles.tile[tactic - 1], window);
}

cudaError_t region_conv(const RegionConvArguments& a, int tactic, cudaStream_t stream) {
    const Tiles tiles = tiles_of(a.type);
    if (!valid(a) || tactic < 0 || tactic > tiles.variants) return cudaErrorInvalidValue;
    int processors = 0;
    cudaError_t error = multiprocessors(&processors);
    if (error == cudaSuccess && a.type == ElementType::kBFloat16) error = multiplies_bfloat16();
    if (error != cudaSuccess) return error;
    const ConvProblem p = make_problem(a);
    const bool vector = vectorised(a, p);
    if (a.type != ElementType::kFloat32 && !vector) {
        tactic = kSlowTensorCoreTactic;
    } else if (tactic == 0) {
        tactic = choose(tiles, p, processors);
    }
    switch (a.type) {
        case ElementType::kInt8:
            return region_conv_int8(p, tactic, vector, processors, stream);
        case ElementType::kBFloat16:
            return region_conv_bfloat16(p, tactic, vector, processors, stream);
        case ElementType::kFloat16:
            return region_conv_half(p, tactic, vector, processors, stream);
        default:
            return region_conv_float(p, tactic, vector, processors, stream);
    }
}

}  // namespace lc_trt
