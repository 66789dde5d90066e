#pragma once

#include <cuda_runtime_api.h>

#include "kernels/common/region.h"

namespace lc_trt {

struct RegionMaxPoolArguments {
    const void* x;  // [x_rows, channels], the rows that region.index numbers
    int32_t x_rows;
    Region region;
    void* y;  // [max_rows, channels]; nothing is written beyond count
    Window window;
    int32_t channels;
    ElementType type;
};

// Max pooling; a missing neighbour reads 0, and NaN propagates.
cudaError_t region_max_pool(const RegionMaxPoolArguments& arguments, cudaStream_t stream);

}  // namespace lc_trt
