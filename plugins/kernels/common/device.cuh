// What every kernel is written against: CUDA, or the CPU emulator of plugins/emulator.
//
// A kernel uses these names and CUDA's own, and nothing else, so that one source runs in both.
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

// The one dynamic shared-memory buffer of a kernel, as bytes aligned for 16-byte copies.
#define LC_TRT_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

// Stops the kernel; the launch's stream then reports an error.
#define LC_TRT_TRAP() __trap()

#endif

// Bounds of every index and copy, checked in builds with -DLC_TRT_CHECK_BOUNDS and in the emulator
// where it is told to. The release build ignores what is out of range instead: see region.cuh.
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

// Blocks, threads a block and dynamic shared memory of a launch.
struct LaunchShape {
    int blocks;
    dim3 threads;
    int shared_bytes = 0;
};

#ifndef LC_TRT_EMULATE
// Launches a kernel: no allocation, no synchronisation, so it can be captured in a CUDA graph.
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

// How many blocks of a kernel one multiprocessor holds at a time. Also asks for the shared memory:
// more than 48 KiB is given only to a kernel that does.
template <typename... Parameters>
cudaError_t resident_blocks(void (*kernel)(Parameters...), int threads, int shared_bytes,
                            int* blocks) {
    cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
    if (error != cudaSuccess) return error;
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kernel, threads, shared_bytes);
}
#endif

// Streaming multiprocessors of the current device: what the fixed grids are sized by.
inline cudaError_t multiprocessors(int* count) {
    int device = 0;
    const cudaError_t error = cudaGetDevice(&device);
    if (error != cudaSuccess) return error;
    return cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
}

LC_TRT_HD constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

LC_TRT_HD constexpr int min_of(int a, int b) { return a < b ? a : b; }

// One copy of a vectorised loop.
struct alignas(16) Vector16 {
    uint32_t word[4];
};

// Neighbouring elements, read and written up to 16 bytes at a time.
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
// Half to even, saturated; a NaN, which codes do not have, becomes the smallest code.
template <>
LC_TRT_DEVICE int8_t from_float<int8_t>(float value) {
    return static_cast<int8_t>(rintf(fminf(fmaxf(value, -128.0f), 127.0f)));
}

}  // namespace lc_trt
