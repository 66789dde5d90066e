// Kernels for any processor, on vectors of 16 bytes that every compiler for SSE2 and NEON knows.
#include "kernels/finish.h"
#include "kernels/tile.h"

#ifdef __aarch64__
#include <arm_neon.h>
#endif

namespace lc_trt::cpu {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Integers __attribute__((vector_size(16)));
typedef uint32_t Bits __attribute__((vector_size(16)));

template <class T>
inline T read(const uint8_t* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof(T));
    return value;
}

inline Floats multiply_add(Floats a, Floats b, Floats sum) {
#ifdef __aarch64__
    return (Floats)vfmaq_f32((float32x4_t)sum, (float32x4_t)a, (float32x4_t)b);
#else
    return sum + a * b;
#endif
}

struct FloatOp {
    using Vector = Floats;
    using Weight = Floats;
    using Value = Floats;
    static constexpr int kBytes = 16;
    static Vector zero() { return Floats{}; }
    static Weight load(const uint8_t* from) { return read<Floats>(from); }
    static Value broadcast(const uint8_t* from) {
        const float x = read<float>(from);
        return Floats{x, x, x, x};
    }
    static Vector add(Vector sum, Value value, Weight weight) {
        return multiply_add(value, weight, sum);
    }
    static void store(uint8_t* to, Vector sum) { __builtin_memcpy(to, &sum, 16); }
};

// BF16 pairs: the upper 16 bits of an FP32 value are the BF16 value.
struct BFloatOp {
    struct Pair {
        Floats low, high;
    };
    using Vector = Floats;
    using Weight = Pair;
    using Value = Pair;
    static constexpr int kBytes = 16;
    static Vector zero() { return Floats{}; }
    static Pair split(Bits pairs) { return {(Floats)(pairs << 16), (Floats)(pairs & 0xffff0000u)}; }
    static Weight load(const uint8_t* from) { return split(read<Bits>(from)); }
    static Value broadcast(const uint8_t* from) {
        const uint32_t x = read<uint32_t>(from);
        return split(Bits{x, x, x, x});
    }
    static Vector add(Vector sum, const Value& value, const Weight& weight) {
        return multiply_add(value.high, weight.high, multiply_add(value.low, weight.low, sum));
    }
    static void store(uint8_t* to, Vector sum) { __builtin_memcpy(to, &sum, 16); }
};

// Quads of INT8: each is a sum of four products of the bytes of a 32-bit lane.
template <bool kSigned>
struct IntegerOp {
    struct Quad {
        Integers byte[4];
    };
    using Vector = Integers;
    using Weight = Quad;
    using Value = Quad;
    static constexpr int kBytes = 16;
    static Vector zero() { return Integers{}; }
    static Quad split_signed(Integers x) {
        return {{(Integers)((Bits)x << 24) >> 24, (Integers)((Bits)x << 16) >> 24,
                 (Integers)((Bits)x << 8) >> 24, x >> 24}};
    }
    static Weight load(const uint8_t* from) { return split_signed(read<Integers>(from)); }
    static Value broadcast(const uint8_t* from) {
        Quad quad;
        for (int i = 0; i < 4; ++i) {
            const int32_t x = kSigned ? static_cast<int8_t>(from[i]) : from[i];
            quad.byte[i] = Integers{x, x, x, x};
        }
        return quad;
    }
    static Vector add(Vector sum, const Value& value, const Weight& weight) {
        for (int i = 0; i < 4; ++i) sum += value.byte[i] * weight.byte[i];
        return sum;
    }
    static void store(uint8_t* to, Vector sum) { __builtin_memcpy(to, &sum, 16); }
};

#ifdef __aarch64__  // 32 vector registers
constexpr int kVectors = 4, kHeight = 6;
#else
constexpr int kVectors = 2, kHeight = 6;
#endif

}  // namespace

const ProductKernel kPortableF32 = {kHeight, multiply<FloatOp, kHeight, kVectors>, nullptr, false};
const ProductKernel kPortableBF16 = {kHeight, multiply<BFloatOp, kHeight, kVectors>, nullptr,
                                     false};
const ProductKernel kPortableS8 = {kHeight, multiply<IntegerOp<true>, kHeight, 1>, nullptr, false};
const ProductKernel kPortableU8 = {kHeight, multiply<IntegerOp<false>, kHeight, 1>, nullptr, false};
const RowKernel kPortableRows = {finish, narrow, widen};

}  // namespace lc_trt::cpu
