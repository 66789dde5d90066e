// Instructions without a CUDA C++ intrinsic. The emulator implements the same names.
#pragma once

#include "kernels/common/device.cuh"

#ifndef LC_TRT_EMULATE

namespace lc_trt {

LC_TRT_DEVICE uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes from global to shared memory, or writes 16 zeros if `valid` is false, without
// reading `from`. Asynchronous since sm_80.
LC_TRT_DEVICE void copy_async_16(void* to, const void* from, bool valid) {
#if __CUDA_ARCH__ >= 800
    const int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
#else
    Vector16 value = {};
    if (valid) value = *static_cast<const Vector16*>(from);
    *static_cast<Vector16*>(to) = value;
#endif
}

// Commits this thread's copies as a group, which may be empty.
LC_TRT_DEVICE void copy_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Waits until at most the kPending latest groups of this thread are pending.
template <int kPending>
LC_TRT_DEVICE void copy_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
#endif
}

// Loads four 8 x 8 matrices of 16-bit elements; lane l passes the address of row l % 8 of matrix
// l / 8.
LC_TRT_DEVICE void load_matrices(uint32_t (&out)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// sum [16 x 8] += a [16 x 16] * b [16 x 8] for T with FP32 accumulation.
template <typename T>
LC_TRT_DEVICE void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

// sm_75 has half the depth (k8).
template <>
LC_TRT_DEVICE void multiply_add<__half>(float (&sum)[4], const uint32_t (&a)[4],
                                        const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
            "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};\n"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
    }
#endif
}

// sm_75 has no such instruction; region_conv() rejects BF16 there.
template <>
LC_TRT_DEVICE void multiply_add<__nv_bfloat16>(float (&sum)[4], const uint32_t (&a)[4],
                                               const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    static_cast<void>(sum), static_cast<void>(a), static_cast<void>(b);
    LC_TRT_TRAP();
#endif
}

// sum [8 x 8] += a [8 x 16] * b [16 x 8], INT8 with INT32 accumulation.
LC_TRT_DEVICE void multiply_add_8x8x16(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};\n"
                 : "+r"(sum0), "+r"(sum1)
                 : "r"(a), "r"(b));
}

}  // namespace lc_trt

#endif

namespace lc_trt {

// sum [16 x 8] += a [16 x 32] * b [32 x 8], INT8 with INT32 accumulation, from instructions of
// sm_75. The fragments of a quarter have the layout of the whole.
LC_TRT_DEVICE void multiply_add_in_quarters(int32_t (&sum)[4], const uint32_t (&a)[4],
                                            const uint32_t (&b)[2]) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
#pragma unroll
        for (int lines = 0; lines < 2; ++lines) {
            multiply_add_8x8x16(sum[2 * lines], sum[2 * lines + 1], a[2 * k + lines], b[k]);
        }
    }
}

#ifndef LC_TRT_EMULATE

// The same for any GPU.
template <typename T>
LC_TRT_DEVICE void multiply_add(int32_t (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    static_assert(sizeof(T) == 1, "INT8");
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    multiply_add_in_quarters(sum, a, b);
#endif
}

#endif

}  // namespace lc_trt
