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

// --- whole vectors: the same results as the loops of finish.h, which take the rest --------------

constexpr int kLanes = 16;

struct Float32 {
    static __m512 load(const uint8_t* row, int64_t at) { return _mm512_loadu_ps(row + at * 4); }
    static void store(uint8_t* row, int64_t at, __m512 value) {
        _mm512_storeu_ps(row + at * 4, value);
    }
};

struct BFloat16 {
    static __m512 load(const uint8_t* row, int64_t at) {
        const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + at * 2));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    static void store(uint8_t* row, int64_t at, __m512 value) {
        const __m512i bits = _mm512_castps_si512(value);
        const __m512i upper = _mm512_srli_epi32(bits, 16);
        const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
        __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
        rounded = _mm512_srli_epi32(rounded, 16);
        const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
        rounded = _mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + at * 2),
                            _mm512_cvtepi32_epi16(rounded));
    }
};

template <bool kSigned>
struct Int8 {
    static __m512 load(const uint8_t* row, int64_t at) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + at));
        return _mm512_cvtepi32_ps(kSigned ? _mm512_cvtepi8_epi32(bytes)
                                          : _mm512_cvtepu8_epi32(bytes));
    }
    static void store(uint8_t* row, int64_t at, __m512 value) {
        const __mmask16 number = _mm512_cmp_ps_mask(value, value, _CMP_ORD_Q);
        value = _mm512_maskz_max_ps(number, value, _mm512_set1_ps(kSigned ? -128.0f : 0.0f));
        value = _mm512_min_ps(value, _mm512_set1_ps(kSigned ? 127.0f : 255.0f));
        constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        const __m512i integers = _mm512_cvt_roundps_epi32(value, kNearest);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(row + at), _mm512_cvtepi32_epi8(integers));
    }
};

// Calls use with the struct above of an element type.
template <class F>
inline void with_type(int32_t type, const F& use) {
    switch (static_cast<ElementType>(type)) {
        case ElementType::kF32:
            return use(Float32());
        case ElementType::kBF16:
            return use(BFloat16());
        case ElementType::kS8:
            return use(Int8<true>());
        case ElementType::kU8:
            return use(Int8<false>());
    }
}

template <class Out, class Residual>
void finish_rows(const FinishArgs& a, bool has_residual) {
    const __m512 factor = _mm512_set1_ps(a.residual_factor);
    for (int at = 0; at < kColumns; at += kLanes) {
        const __m512 scale = _mm512_loadu_ps(a.scale + at), bias = _mm512_loadu_ps(a.bias + at);
        const __m512i offset = _mm512_loadu_si512(a.offset + at);
        for (int row = 0; row < a.live; ++row) {
            const int32_t* sum = static_cast<const int32_t*>(a.sums) + row * kColumns + at;
            const __m512i bits = _mm512_load_si512(sum);
            __m512 value = _mm512_castsi512_ps(bits);
            if (a.integer)
                value = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(bits, offset)), scale);
            value = _mm512_add_ps(value, bias);
            if (has_residual)
                value = _mm512_add_ps(value,
                                      _mm512_mul_ps(Residual::load(a.residual[row], at), factor));
            // The second operand where one is NaN.
            if (a.relu) value = _mm512_max_ps(_mm512_setzero_ps(), value);
            Out::store(a.out + row * a.out_stride, at, value);
        }
    }
}

void finish_blocks(const FinishArgs& a) {
    if (a.columns < kColumns || a.written < kColumns) return finish(a);
    with_type(a.out_type, [&](auto out) {
        using Out = decltype(out);
        if (a.residual == nullptr) return finish_rows<Out, Float32>(a, false);
        with_type(a.residual_type,
                  [&](auto residual) { finish_rows<Out, decltype(residual)>(a, true); });
    });
}

void narrow_vectors(const float* value, int64_t count, float factor, void* out, int32_t type) {
    uint8_t* to = static_cast<uint8_t*>(out);
    const int64_t whole = count / kLanes * kLanes;
    with_type(type, [&](auto element) {
        const __m512 factors = _mm512_set1_ps(factor);
        for (int64_t at = 0; at < whole; at += kLanes)
            decltype(element)::store(to, at, _mm512_mul_ps(_mm512_loadu_ps(value + at), factors));
    });
    narrow(value + whole, count - whole, factor,
           to + whole * size_of(static_cast<ElementType>(type)), type);
}

void widen_vectors(const void* value, int64_t count, int32_t type, float factor, float* out) {
    const uint8_t* from = static_cast<const uint8_t*>(value);
    const int64_t whole = count / kLanes * kLanes;
    with_type(type, [&](auto element) {
        const __m512 factors = _mm512_set1_ps(factor);
        for (int64_t at = 0; at < whole; at += kLanes)
            _mm512_storeu_ps(out + at, _mm512_mul_ps(decltype(element)::load(from, at), factors));
    });
    widen(from + whole * size_of(static_cast<ElementType>(type)), count - whole, type, factor,
          out + whole);
}

}  // namespace

const ProductKernel kAvx512F32 = {kZmmHeight, multiply<FloatOp, kZmmHeight, 2>, nullptr, false};
const ProductKernel kAvx512BF16 = {kZmmHeight, multiply<BFloatOp, kZmmHeight, 1>, nullptr, false};
const RowKernel kAvx512Rows = {finish_blocks, narrow_vectors, widen_vectors};

}  // namespace lc_trt::cpu
