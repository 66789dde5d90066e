// Kernels for AVX2 and FMA.
#include <immintrin.h>

#include "kernels/finish.h"
#include "kernels/tile.h"

namespace lc_trt::cpu {
namespace {

inline int32_t read_group(const uint8_t* from) {
    int32_t value;
    __builtin_memcpy(&value, from, 4);
    return value;
}

inline __m256i read_vector(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

struct FloatOp {
    using Vector = __m256;
    using Weight = __m256;
    using Value = __m256;
    static constexpr int kBytes = 32;
    static Vector zero() { return _mm256_setzero_ps(); }
    static Weight load(const uint8_t* from) { return _mm256_castsi256_ps(read_vector(from)); }
    static Value broadcast(const uint8_t* from) {
        return _mm256_castsi256_ps(_mm256_set1_epi32(read_group(from)));
    }
    static Vector add(Vector sum, Value value, Weight weight) {
        return _mm256_fmadd_ps(value, weight, sum);
    }
    static void store(uint8_t* to, Vector sum) {
        _mm256_storeu_ps(reinterpret_cast<float*>(to), sum);
    }
};

// BF16 pairs as two FP32 vectors: the upper 16 bits of an FP32 value are the BF16 value.
struct BFloatOp : FloatOp {
    struct Pair {
        __m256 low, high;
    };
    using Weight = Pair;
    using Value = Pair;
    static Pair split(__m256i pairs) {
        const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u));
        return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
                _mm256_castsi256_ps(_mm256_and_si256(pairs, upper))};
    }
    static Weight load(const uint8_t* from) { return split(read_vector(from)); }
    static Value broadcast(const uint8_t* from) {
        return split(_mm256_set1_epi32(read_group(from)));
    }
    static Vector add(Vector sum, const Value& value, const Weight& weight) {
        sum = _mm256_fmadd_ps(value.low, weight.low, sum);
        return _mm256_fmadd_ps(value.high, weight.high, sum);
    }
};

// Quads of INT8 as even and odd bytes in 16 bits: maddubs would saturate.
template <bool kSigned>
struct IntegerOp {
    struct Halves {
        __m256i even, odd;
    };
    using Vector = __m256i;
    using Weight = Halves;
    using Value = Halves;
    static constexpr int kBytes = 32;
    static Vector zero() { return _mm256_setzero_si256(); }
    static Halves split_signed(__m256i quads) {
        return {_mm256_srai_epi16(_mm256_slli_epi16(quads, 8), 8), _mm256_srai_epi16(quads, 8)};
    }
    static Weight load(const uint8_t* from) { return split_signed(read_vector(from)); }
    static Value broadcast(const uint8_t* from) {
        const __m256i quads = _mm256_set1_epi32(read_group(from));
        if (kSigned) return split_signed(quads);
        return {_mm256_and_si256(quads, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(quads, 8)};
    }
    static Vector add(Vector sum, const Value& value, const Weight& weight) {
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(value.even, weight.even));
        return _mm256_add_epi32(sum, _mm256_madd_epi16(value.odd, weight.odd));
    }
    static void store(uint8_t* to, Vector sum) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sum);
    }
};

constexpr int kHeight = 6;  // times 2 vectors: 12 of 16 registers

}  // namespace

const ProductKernel kAvx2F32 = {kHeight, multiply<FloatOp, kHeight, 2>, nullptr, false};
const ProductKernel kAvx2BF16 = {kHeight, multiply<BFloatOp, kHeight, 1>, nullptr, false};
const ProductKernel kAvx2S8 = {kHeight, multiply<IntegerOp<true>, kHeight, 1>, nullptr, false};
const ProductKernel kAvx2U8 = {kHeight, multiply<IntegerOp<false>, kHeight, 1>, nullptr, false};
const RowKernel kAvx2Rows = {finish, narrow, widen};

}  // namespace lc_trt::cpu
