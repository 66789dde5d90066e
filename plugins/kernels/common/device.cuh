// Portability layer of the kernels over CUDA and the CPU emulator (plugins/emulator).
//
// Kernels use only these names and CUDA's own, so that the same source runs on both.
#pragma once

#ifdef LC_TRT_EMULATE
#include "emulator/emulator.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include <cstdint>
#include <cstdio>
#include <utility>

#ifndef LC_TRT_EMULATE

// The dynamic shared memory of a kernel, as bytes aligned for 16-byte copies.
#define LC_TRT_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

// Aborts the kernel; its stream then reports an error.
#define LC_TRT_TRAP() __trap()

#endif

// Checks the bounds of every index and copy, in builds with -DLC_TRT_CHECK_BOUNDS and, if enabled,
// in the emulator. Release builds ignore out-of-range values instead: see region.cuh.
#if defined(LC_TRT_EMULATE)
#define LC_TRT_CHECKED lc_trt::emulator::checks_bounds()
#elif defined(LC_TRT_CHECK_BOUNDS)
#define LC_TRT_CHECKED true
#else
#define LC_TRT_CHECKED false
#endif
#define LC_TRT_CHECK(condition)                                                  \
    do {                                                                         \
        if (LC_TRT_CHECKED && !(condition)) {                                    \
            printf("%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
            LC_TRT_TRAP();                                                       \
        }                                                                        \
    } while (false)

#define LC_TRT_HD __host__ __device__ __forceinline__
#define LC_TRT_DEVICE __device__ __forceinline__

namespace lc_trt {

// Blocks, threads per block and dynamic shared memory of a launch.
struct LaunchShape {
    int blocks;
    dim3 threads;
    int shared_bytes = 0;
};

#ifndef LC_TRT_EMULATE
// Launches a kernel without allocation or synchronization, so that CUDA graphs can capture it.
template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
                   Parameters... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(shape.blocks);
    config.blockDim = shape.threads;
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, std::move(arguments)...);
}

// Occupancy: blocks of a kernel per multiprocessor. Also opts in to the shared memory, which is
// required above 48 KiB.
template <typename... Parameters>
cudaError_t resident_blocks(void (*kernel)(Parameters...), int threads, int shared_bytes,
                            int* blocks) {
    cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
    if (error != cudaSuccess) return error;
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kernel, threads, shared_bytes);
}
#endif

// Streaming multiprocessors of the current device, which determine the size of fixed grids.
inline cudaError_t multiprocessors(int* count) {
    int device = 0;
    const cudaError_t error = cudaGetDevice(&device);
    if (error != cudaSuccess) return error;
    return cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
}

LC_TRT_HD constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

LC_TRT_HD constexpr int min_of(int a, int b) { return a < b ? a : b; }

// Unit of a vectorized copy.
struct alignas(16) Vector16 {
    uint32_t word[4];
};

// Adjacent elements, read and written up to 16 bytes at a time.
template <typename T, int kElements>
struct alignas(min_of(16, kElements* static_cast<int>(sizeof(T)))) Run {
    T at[kElements];
};

LC_TRT_DEVICE float to_float(float value) { return value; }
LC_TRT_DEVICE float to_float(__half value) { return __half2float(value); }
LC_TRT_DEVICE float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
LC_TRT_DEVICE float to_float(int8_t value) { return static_cast<float>(value); }

template <typename T>
LC_TRT_DEVICE T from_float(float value);
template <>
LC_TRT_DEVICE float from_float<float>(float value) {
    return value;
}
template <>
LC_TRT_DEVICE __half from_float<__half>(float value) {
    return __float2half_rn(value);
}
template <>
LC_TRT_DEVICE __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
    return __float2bfloat16_rn(value);
}
// Rounds half to even and saturates; NaN becomes the smallest value.
template <>
LC_TRT_DEVICE int8_t from_float<int8_t>(float value) {
    return static_cast<int8_t>(rintf(fminf(fmaxf(value, -128.0f), 127.0f)));
}

}  // namespace lc_trt
