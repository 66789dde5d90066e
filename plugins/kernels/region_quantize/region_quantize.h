#pragma once

#include <cuda_runtime_api.h>

#include "kernels/common/region.h"

namespace lc_trt {

struct RegionQuantizeArguments {
    const void* x;  // [max_rows, channels], FP32, FP16 or BF16
    const int32_t* count;
    int8_t* y;  // [max_rows, channels]; nothing is written beyond count
    int32_t max_rows;
    int32_t channels;
    float scale;
    ElementType type;  // of x
};

// y = x / scale, divided in FP32, rounded half to even, saturated to [-128, 127].
cudaError_t region_quantize(const RegionQuantizeArguments& arguments, cudaStream_t stream);

}  // namespace lc_trt
