// CUDA's names for kernels compiled for the CPU. See README.md.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <vector_types.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>

#undef __global__
#define __global__
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __grid_constant__
#define __grid_constant__

#define LC_TRT_DYNAMIC_SHARED(name) unsigned char* const name = lc_trt::emulator::dynamic_shared()
#define LC_TRT_TRAP() lc_trt::emulator::trap()

extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;

void __syncthreads();
int __shfl_up_sync(unsigned mask, int value, int distance);

namespace lc_trt {

struct LaunchShape;

namespace emulator {

unsigned char* dynamic_shared();
[[noreturn]] void trap();
bool checks_bounds();
bool is_turing();

// Runs, or records during stream capture.
cudaError_t submit(const LaunchShape& shape, std::function<void()> thread);

}  // namespace emulator

void copy_async_16(void* to, const void* from, bool valid);
void copy_commit();
void copy_wait(int pending);
template <int kPending>
void copy_wait() {
    copy_wait(kPending);
}
void load_matrices(uint32_t (&out)[4], const void* row);
template <typename T>
void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <typename T>
void multiply_add(int32_t (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void multiply_add_8x8x16(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b);

template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t,
                   Parameters... arguments) {
    return emulator::submit(shape, [=] { kernel(arguments...); });
}

template <typename... Parameters>
cudaError_t resident_blocks(void (*)(Parameters...), int, int shared_bytes, int* blocks) {
    constexpr int kMostShared = 64 * 1024;  // of sm_75, the smallest of all supported GPUs
    *blocks = 1;
    return shared_bytes <= kMostShared ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace lc_trt
