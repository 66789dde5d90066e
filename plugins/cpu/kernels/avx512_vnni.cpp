// INT8 kernels for AVX-512 VNNI, which multiplies unsigned rows by signed weights.
#include "kernels/avx512.h"

namespace lc_trt::cpu {
namespace {

template <bool kSigned>
struct IntegerOp {
    using Vector = __m512i;
    using Weight = __m512i;
    using Value = __m512i;
    static constexpr int kBytes = 64;
    static Vector zero() { return _mm512_setzero_si512(); }
    static Weight load(const uint8_t* from) { return _mm512_loadu_si512(from); }
    static Value broadcast(const uint8_t* from) {
        // A signed value is taken 128 greater (ProductKernel::shifts_signed).
        const __m512i group = _mm512_set1_epi32(read_group(from));
        const __m512i middle = _mm512_set1_epi8(static_cast<char>(0x80));
        return kSigned ? _mm512_xor_si512(group, middle) : group;
    }
    static Vector add(Vector sum, Value value, Weight weight) {
        return _mm512_dpbusd_epi32(sum, value, weight);
    }
    static void store(uint8_t* to, Vector sum) { _mm512_storeu_si512(to, sum); }
};

}  // namespace

const ProductKernel kVnniS8 = {kZmmHeight, multiply<IntegerOp<true>, kZmmHeight, 2>, nullptr, true};
const ProductKernel kVnniU8 = {kZmmHeight, multiply<IntegerOp<false>, kZmmHeight, 2>, nullptr,
                               false};

}  // namespace lc_trt::cpu
