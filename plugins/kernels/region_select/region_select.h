#pragma once

#include <cuda_runtime_api.h>

#include "kernels/common/region.h"

namespace lc_trt {

// Type of the `active` and `hard` masks: one byte (TensorRT's BOOL) or four (INT32) per pixel.
enum class MaskType : int32_t { kByte = 0, kInt32 = 1 };

struct RegionSelectArguments {
    const void* confidence;  // [batch, 1, height, width]
    const void* active;      // the same shape; nonzero is active
    const void* rho;         // one value of the type of confidence
    int32_t* rows;           // [batch * height * width]; nothing is written beyond count
    int32_t* index;          // [batch, height, width]
    int32_t* count;          // [1]
    void* hard;              // shape and type of active; 0 or 1
    MapShape map;
    ElementType type;
    MaskType mask;
};

// hard = active and not (confidence > rho), so NaN is hard. Rows ascend, so results are
// deterministic.
cudaError_t region_select(const RegionSelectArguments& arguments, cudaStream_t stream);

}  // namespace lc_trt
