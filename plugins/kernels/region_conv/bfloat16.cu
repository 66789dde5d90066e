#include "kernels/region_conv/tensor_core.cuh"

namespace lc_trt {

cudaError_t region_conv_bfloat16(const ConvProblem& p, int tactic, bool vector, int processors,
                                 cudaStream_t stream) {
    return region_conv_tensor_core<__nv_bfloat16>(p, tactic, vector, processors, stream);
}

}  // namespace lc_trt
