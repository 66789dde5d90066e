// The BF16 kernel for AVX512-BF16.
#include "kernels/avx512.h"

namespace lc_trt::cpu {
namespace {

struct BFloatOp : FloatSums {
    using Weight = __m512bh;
    using Value = __m512bh;
    static Weight load(const uint8_t* from) { return (__m512bh)_mm512_loadu_si512(from); }
    static Value broadcast(const uint8_t* from) {
        return (__m512bh)_mm512_set1_epi32(read_group(from));
    }
    static Vector add(Vector sum, Value value, Weight weight) {
        return _mm512_dpbf16_ps(sum, value, weight);
    }
};

}  // namespace

const ProductKernel kAvx512DotBF16 = {kZmmHeight, multiply<BFloatOp, kZmmHeight, 2>, nullptr,
                                      false};

}  // namespace lc_trt::cpu
