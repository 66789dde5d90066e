// Gather, scatter and restrict: copies between rows and dense maps, and from a region to a smaller
// one. These kernels only copy, so they depend only on the element size.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/common/region.h"

namespace lc_trt {

// Memory layout of a dense map.
enum class MapLayout : int32_t {
    kChannelsFirst = 0,   // [N, C, H, W]
    kChannelsLast8 = 1,   // [N, H, W, C], C rounded up to a multiple of 8 (TensorRT's HWC8)
    kChannelsLast16 = 2,  // likewise with 16 (HWC16)
};

struct RegionGatherArguments {
    const void* x;        // dense map
    const int32_t* rows;  // [max_rows]
    const int32_t* count;
    void* y;  // [max_rows, channels]; nothing is written beyond count
    int32_t max_rows;
    int32_t channels;
    MapShape map;
    ElementType type;
    MapLayout layout;
};

struct RegionRestrictArguments {
    const void* x;         // [outer_rows, channels], features of the larger region
    const int32_t* index;  // of the larger region
    const int32_t* rows;   // of the smaller region, which lies inside the larger
    const int32_t* count;
    void* y;             // [max_rows, channels]; nothing is written beyond count
    int32_t outer_rows;  // capacity of x
    int32_t max_rows;
    int32_t channels;
    MapShape map;
    ElementType type;
};

struct RegionScatterArguments {
    const void* x;        // [max_rows, channels]
    const int32_t* rows;  // [max_rows]
    const int32_t* count;
    const void* base;  // [N, C, H, W]
    void* y;           // [N, C, H, W]; may be base itself
    int32_t max_rows;
    int32_t channels;
    MapShape map;
    ElementType type;
};

cudaError_t region_gather(const RegionGatherArguments& arguments, cudaStream_t stream);
cudaError_t region_restrict(const RegionRestrictArguments& arguments, cudaStream_t stream);
cudaError_t region_scatter(const RegionScatterArguments& arguments, cudaStream_t stream);

}  // namespace lc_trt
