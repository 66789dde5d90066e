// Types that all of the library shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "lc_trt_cpu.h"

namespace lc_trt::cpu {

enum class ElementType : int32_t {
    kF32 = LCT_CPU_F32,
    kBF16 = LCT_CPU_BF16,
    kS8 = LCT_CPU_S8,
    kU8 = LCT_CPU_U8,
};

constexpr int kMaxSegments = LCT_CPU_MAX_SEGMENTS;
constexpr int kMaxTaps = LCT_CPU_MAX_TAPS;
constexpr int kLine = 64;  // bytes of a cache line, and of a line of an AMX tile

constexpr int size_of(ElementType type) {
    return type == ElementType::kF32 ? 4 : type == ElementType::kBF16 ? 2 : 1;
}

constexpr bool is_integer(ElementType type) {
    return type == ElementType::kS8 || type == ElementType::kU8;
}

constexpr int64_t round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

// Elements that a row of the library's own has in memory: FP32 rows are dense, the others are zero
// from their channels to the end of a cache line.
constexpr int64_t padded_channels(ElementType type, int64_t channels) {
    return type == ElementType::kF32 ? channels : round_up(channels, kLine / size_of(type));
}

// What the C interface reports as a message.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

inline void require(bool condition, const char* message) {
    if (!condition) throw Error(message);
}

}  // namespace lc_trt::cpu
