// Instruction sets of this processor, and the kernels to use with them.
#pragma once

#include "common.h"
#include "kernels/kernel.h"

namespace lc_trt::cpu {

// Each contains the ones before it.
enum class Isa : int32_t { kPortable, kAvx2, kAvx512, kAvx512Vnni, kAvx512BF16, kAmx };
constexpr int kIsaCount = 6;

const char* name_of(Isa isa);

// The best that processor and operating system support; asks for AMX's state once.
Isa detected_isa();

// The best of these that LC_TRT_CPU_ISA, or the last `limit_isa`, allows.
Isa allowed_isa();

// Throws Error for an unknown name; null or empty: no limit.
void limit_isa(const char* name);

const ProductKernel& product_kernel(Isa isa, ElementType type);
const RowKernel& row_kernel(Isa isa);
// The level whose kernel `product_kernel` returns.
Isa product_isa(Isa isa, ElementType type);

}  // namespace lc_trt::cpu
