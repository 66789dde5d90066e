#include "kernels/common/region.cuh"
#include "kernels/region_quantize/region_quantize.h"

namespace lc_trt {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerMultiprocessor = 8;

template <typename T>
struct Quantization {
    const T* x;
    int8_t* y;
    const int32_t* count;
    int max_rows;
    int channels;
    float scale;
};

// The valid rows are contiguous, so they are processed as one array. Each thread converts kElements
// adjacent elements at a time, in one copy if `kElements` is more than one.
template <typename T, int kElements>
__global__ void __launch_bounds__(kThreads) quantize_kernel(Quantization<T> q) {
    const int64_t all = static_cast<int64_t>(valid_rows(q.count, q.max_rows)) * q.channels;
    const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads * kElements;
    const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kElements;
    for (int64_t i = first; i < all; i += step) {
        const auto x = *reinterpret_cast<const Run<T, kElements>*>(q.x + i);
        Run<int8_t, kElements> y;
#pragma unroll
        for (int e = 0; e < kElements; ++e)
            y.at[e] = from_float<int8_t>(to_float(x.at[e]) / q.scale);
        *reinterpret_cast<Run<int8_t, kElements>*>(q.y + i) = y;
    }
}

template <typename T, int kElements>
cudaError_t quantize(const RegionQuantizeArguments& a, int processors, cudaStream_t stream) {
    const int64_t all = static_cast<int64_t>(a.max_rows) * a.channels;
    const int64_t a_block = static_cast<int64_t>(kThreads) * kElements;
    const int64_t most = (all + a_block - 1) / a_block;
    const int64_t busy = static_cast<int64_t>(processors) * kBlocksPerMultiprocessor;
    const int blocks = static_cast<int>(most < busy ? most : busy);
    if (blocks == 0) return cudaSuccess;
    const Quantization<T> q = {
        static_cast<const T*>(a.x), a.y, a.count, a.max_rows, a.channels, a.scale};
    return launch(quantize_kernel<T, kElements>, {blocks, dim3(kThreads)}, stream, q);
}

bool aligned16(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

template <typename T>
cudaError_t quantize(const RegionQuantizeArguments& a, cudaStream_t stream) {
    int processors = 0;
    const cudaError_t error = multiprocessors(&processors);
    if (error != cudaSuccess) return error;
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    // If a row is a multiple of kElements, so is any number of rows.
    return a.channels % kWide == 0 && aligned16(a.x) && aligned16(a.y)
               ? quantize<T, kWide>(a, processors, stream)
               : quantize<T, 1>(a, processors, stream);
}

}  // namespace

cudaError_t region_quantize(const RegionQuantizeArguments& a, cudaStream_t stream) {
    return with_feature(a.type,
                        [&](auto element) { return quantize<decltype(element)>(a, stream); });
}

}  // namespace lc_trt
