// Kernels for AVX-512 without its extensions for BF16 and INT8.
#include "kernels/avx512.h"

#include "kernels/finish.h"

namespace lc_trt::cpu {
namespace {

struct FloatOp : FloatSums {
    using Weight = __m512;
    using Value = __m512;
    static Weight load(const uint8_t* from) { return _mm512_loadu_ps(from); }
    static Value broadcast(const uint8_t* from) {
        return _mm512_castsi512_ps(_mm512_set1_epi32(read_group(from)));
    }
    static Vector add(Vector sum, Value value, Weight weight) {
        return _mm512_fmadd_ps(value, weight, sum);
    }
};

// BF16 pairs as two FP32 vectors: the upper 16 bits of an FP32 value are the BF16 value.
struct BFloatOp : FloatSums {
    struct Pair {
        __m512 low, high;
    };
    using Weight = Pair;
    using Value = Pair;
    static Pair split(__m512i pairs) {
        const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
                _mm512_castsi512_ps(_mm512_and_si512(pairs, upper))};
    }
    static Weight load(const uint8_t* from) { return split(_mm512_loadu_si512(from)); }
    static Value broadcast(const uint8_t* from) {
        return split(_mm512_set1_epi32(read_group(from)));
    }
    static Vector add(Vector sum, const Value& value, const Weight& weight) {
        sum = _mm512_fmadd_ps(value.low, weight.low, sum);
        return _mm512_fmadd_ps(value.high, weight.high, sum);
    }
};

}  // namespace

const ProductKernel kAvx512F32 = {kZmmHeight, multiply<FloatOp, kZmmHeight, 2>, nullptr, false};
const ProductKernel kAvx512BF16 = {kZmmHeight, multiply<BFloatOp, kZmmHeight, 1>, nullptr, false};
const RowKernel kAvx512Rows = {finish, narrow, widen};

}  // namespace lc_trt::cpu
