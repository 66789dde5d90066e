#include "kernels/common/region.cuh"
#include "kernels/region_max_pool/region_max_pool.h"

namespace lc_trt {
namespace {

constexpr int kThreads = 128;
constexpr int kBlocksPerMultiprocessor = 16;

template <typename T>
struct Pool {
    const T* x;
    T* y;
    Region region;
    Window window;
    int x_rows;
    int channels;
};

// One block per row and one thread per channel: all threads of a block share the index arithmetic
// of the window, and their loads are coalesced.
template <typename T>
__global__ void __launch_bounds__(kThreads) max_pool_kernel(Pool<T> p) {
    const int count = valid_rows(p.region.count, p.region.max_rows);
    for (int row = static_cast<int>(blockIdx.x); row < count; row += static_cast<int>(gridDim.x)) {
        const int position = checked_position(p.region.rows, row, p.region.map);
        if (position < 0) continue;
        const Pixel pixel = locate(position, p.region.map);
        for (int channel = static_cast<int>(threadIdx.x); channel < p.channels;
             channel += kThreads) {
            float best = -INFINITY;
            for (int i = 0; i < p.window.kernel_height; ++i) {
                for (int j = 0; j < p.window.kernel_width; ++j) {
                    const int source = neighbour(p.region, p.x_rows, pixel, p.window, i, j);
                    const float value =
                        source < 0
                            ? 0.0f
                            : to_float(p.x[static_cast<size_t>(source) * p.channels + channel]);
                    // The second comparison propagates NaN, as torch and ONNX Runtime do.
                    if (value > best || value != value) best = value;
                }
            }
            p.y[static_cast<size_t>(row) * p.channels + channel] = from_float<T>(best);
        }
    }
}

template <typename T>
cudaError_t max_pool(const RegionMaxPoolArguments& a, cudaStream_t stream) {
    int processors = 0;
    const cudaError_t error = multiprocessors(&processors);
    const int blocks = min_of(a.region.max_rows, processors * kBlocksPerMultiprocessor);
    if (error != cudaSuccess || blocks == 0) return error;
    const Pool<T> pool = {
        static_cast<const T*>(a.x), static_cast<T*>(a.y), a.region, a.window, a.x_rows, a.channels};
    return launch(max_pool_kernel<T>, {blocks, dim3(kThreads)}, stream, pool);
}

}  // namespace

cudaError_t region_max_pool(const RegionMaxPoolArguments& a, cudaStream_t stream) {
    if (a.type == ElementType::kInt8) return max_pool<int8_t>(a, stream);
    return with_feature(a.type,
                        [&](auto element) { return max_pool<decltype(element)>(a, stream); });
}

}  // namespace lc_trt
