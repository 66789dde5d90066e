// What kernels on 512-bit vectors share.
#pragma once

#include <immintrin.h>

#include "kernels/tile.h"

namespace lc_trt::cpu {
namespace {

constexpr int kZmmHeight = 12;  // times 2 vectors: 24 of 32 registers

inline int32_t read_group(const uint8_t* from) {
    int32_t value;
    __builtin_memcpy(&value, from, 4);
    return value;
}

struct FloatSums {
    using Vector = __m512;
    static constexpr int kBytes = 64;
    static Vector zero() { return _mm512_setzero_ps(); }
    static void store(uint8_t* to, Vector sum) { _mm512_storeu_ps(to, sum); }
};

}  // namespace
}  // namespace lc_trt::cpu
