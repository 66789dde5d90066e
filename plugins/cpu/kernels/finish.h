// What follows a product: scale, bias, residual, activation and the output's type; and conversions.
//
// Plain loops that compilers vectorise. Multiplications and additions stay apart (the file is
// compiled without contraction), so INT8 results are the same with every instruction set.
#pragma once

#include "common.h"
#include "kernels/kernel.h"

namespace lc_trt::cpu {
namespace {

inline uint32_t bits_of(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    return bits;
}

inline float float_of(uint32_t bits) {
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

inline uint16_t to_bf16(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    // A NaN stays one: rounding could carry it to infinity.
    const uint32_t nan = (bits >> 16) | 0x40u;
    return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

// Nearest integer, half to even, of a value within [low, high]; NaN is 0.
inline int32_t to_integer(float value, float low, float high) {
    float x = value == value ? value : 0.0f;
    x = x < low ? low : x;
    x = x > high ? high : x;
    // The unit of the last place of 1.5 * 2^23 is 1.
    return static_cast<int32_t>(bits_of(x + 12582912.0f) - 0x4b400000u);
}

template <class Each>
inline void narrow_values(int64_t count, int32_t type, void* out, const Each& each) {
    switch (static_cast<ElementType>(type)) {
        case ElementType::kF32: {
            float* to = static_cast<float*>(out);
            for (int64_t i = 0; i < count; ++i) to[i] = each(i);
            break;
        }
        case ElementType::kBF16: {
            uint16_t* to = static_cast<uint16_t*>(out);
            for (int64_t i = 0; i < count; ++i) to[i] = to_bf16(each(i));
            break;
        }
        case ElementType::kS8: {
            int8_t* to = static_cast<int8_t*>(out);
            for (int64_t i = 0; i < count; ++i)
                to[i] = static_cast<int8_t>(to_integer(each(i), -128.0f, 127.0f));
            break;
        }
        case ElementType::kU8: {
            uint8_t* to = static_cast<uint8_t*>(out);
            for (int64_t i = 0; i < count; ++i)
                to[i] = static_cast<uint8_t>(to_integer(each(i), 0.0f, 255.0f));
            break;
        }
    }
}

inline void widen_values(const void* from, int64_t count, int32_t type, float factor, float* out) {
    switch (static_cast<ElementType>(type)) {
        case ElementType::kF32: {
            const float* value = static_cast<const float*>(from);
            for (int64_t i = 0; i < count; ++i) out[i] = value[i] * factor;
            break;
        }
        case ElementType::kBF16: {
            const uint16_t* value = static_cast<const uint16_t*>(from);
            for (int64_t i = 0; i < count; ++i)
                out[i] = float_of(static_cast<uint32_t>(value[i]) << 16) * factor;
            break;
        }
        case ElementType::kS8: {
            const int8_t* value = static_cast<const int8_t*>(from);
            for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(value[i]) * factor;
            break;
        }
        case ElementType::kU8: {
            const uint8_t* value = static_cast<const uint8_t*>(from);
            for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(value[i]) * factor;
            break;
        }
    }
}

void narrow(const float* value, int64_t count, float factor, void* out, int32_t type) {
    narrow_values(count, type, out, [&](int64_t i) { return value[i] * factor; });
}

void widen(const void* value, int64_t count, int32_t type, float factor, float* out) {
    widen_values(value, count, type, factor, out);
}

void finish(const FinishArgs& a) {
    for (int row = 0; row < a.live; ++row) {
        alignas(64) float value[kColumns];
        // Without a residual, the activation is part of the first loop. It is written so that a
        // NaN stays one.
        const bool relu = a.relu && a.residual == nullptr;
        const float least = relu ? 0.0f : -__builtin_inff();
        const auto active = [least](float x) { return x < least ? least : x; };
        if (a.integer) {
            const int32_t* sum = static_cast<const int32_t*>(a.sums) + row * kColumns;
            for (int i = 0; i < kColumns; ++i)
                value[i] =
                    active(static_cast<float>(sum[i] + a.offset[i]) * a.scale[i] + a.bias[i]);
        } else {
            const float* sum = static_cast<const float*>(a.sums) + row * kColumns;
            for (int i = 0; i < kColumns; ++i) value[i] = active(sum[i] + a.bias[i]);
        }
        if (a.residual != nullptr) {
            alignas(64) float residual[kColumns] = {};
            if (a.columns == kColumns) {  // a constant number of them is vectorised better
                widen_values(a.residual[row], kColumns, a.residual_type, a.residual_factor,
                             residual);
            } else {
                widen_values(a.residual[row], a.columns, a.residual_type, a.residual_factor,
                             residual);
            }
            for (int i = 0; i < kColumns; ++i) {
                const float sum = value[i] + residual[i];
                value[i] = a.relu && sum < 0.0f ? 0.0f : sum;
            }
        }
        // A block's last columns may not exist, and the product has not written sums for them.
        for (int i = a.columns; i < a.written; ++i) value[i] = 0.0f;
        uint8_t* out = a.out + row * a.out_stride;
        const auto at = [&](int64_t i) { return value[i]; };
        if (a.written == kColumns) {
            narrow_values(kColumns, a.out_type, out, at);
        } else {
            narrow_values(a.written, a.out_type, out, at);
        }
    }
}

}  // namespace
}  // namespace lc_trt::cpu
