// What the checks share: random numbers, rows on the heap, failures.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lc_trt_cpu.h"

namespace check {

inline void fail(const std::string& what) {
    std::fprintf(stderr, "failed: %s (%s)\n", what.c_str(), lct_cpu_error());
    std::exit(1);
}

inline void expect(bool condition, const std::string& what) {
    if (!condition) fail(what);
}

class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed * 2654435761u + 88172645463325252u) {}
    uint64_t next() {  // xorshift64
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    int between(int low, int high) { return low + static_cast<int>(next() % (high - low + 1)); }
    float real() { return static_cast<float>(between(-1000, 1000)) / 500.0f; }
    bool chance(int percent) { return between(1, 100) <= percent; }

  private:
    uint64_t state_;
};

struct DestroyPool {
    void operator()(lct_cpu_pool* pool) const { lct_cpu_pool_destroy(pool); }
};
using Pool = std::unique_ptr<lct_cpu_pool, DestroyPool>;

inline Pool make_pool(int threads) {
    Pool pool(lct_cpu_pool_create(threads));
    expect(pool != nullptr, "a pool");
    return pool;
}

inline bool is_integer(int type) { return type == LCT_CPU_S8 || type == LCT_CPU_U8; }

inline float rounded_to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    std::memcpy(&value, &bits, 4);
    return value;
}

// Rows of exactly their size, so that an address sanitizer sees each read outside them.
class Rows {
  public:
    Rows(int type, int64_t count, int channels)
        : type(type),
          count(count),
          channels(channels),
          stride(lct_cpu_row_bytes(type, channels)),
          bytes_(count * stride) {}

    uint8_t* data() { return bytes_.data(); }
    const std::vector<uint8_t>& bytes() const { return bytes_; }

    double get(int64_t row, int channel) const {
        const uint8_t* at = bytes_.data() + row * stride;
        float value = 0;
        if (type == LCT_CPU_F32) std::memcpy(&value, at + channel * 4, 4);
        if (type == LCT_CPU_BF16) {
            uint16_t half;
            std::memcpy(&half, at + channel * 2, 2);
            const uint32_t bits = static_cast<uint32_t>(half) << 16;
            std::memcpy(&value, &bits, 4);
        }
        if (type == LCT_CPU_S8) value = static_cast<int8_t>(at[channel]);
        if (type == LCT_CPU_U8) value = at[channel];
        return value;
    }

    void set(int64_t row, int channel, float value) {
        uint8_t* at = bytes_.data() + row * stride;
        if (type == LCT_CPU_F32) std::memcpy(at + channel * 4, &value, 4);
        if (type == LCT_CPU_BF16) {
            const float rounded = rounded_to_bf16(value);
            std::memcpy(at + channel * 2, reinterpret_cast<const uint8_t*>(&rounded) + 2, 2);
        }
        if (is_integer(type)) at[channel] = static_cast<uint8_t>(static_cast<int>(value));
    }

    void fill(Random& random) {
        for (int64_t r = 0; r < count; ++r) {
            for (int c = 0; c < channels; ++c) {
                set(r, c,
                    type == LCT_CPU_U8   ? static_cast<float>(random.between(0, 255))
                    : type == LCT_CPU_S8 ? static_cast<float>(random.between(-128, 127))
                                         : random.real());
            }
        }
    }

    const int type;
    const int64_t count;
    const int channels;
    const int64_t stride;

  private:
    std::vector<uint8_t> bytes_;
};

// A table whose entries are rows, missing, or anything at all.
inline std::vector<int32_t> random_table(Random& random, int64_t entries, int64_t rows) {
    std::vector<int32_t> table(entries);
    for (int32_t& entry : table) {
        const int kind = random.between(0, 9);
        entry = kind == 0   ? -1
                : kind == 1 ? static_cast<int32_t>(random.next())
                : kind == 2 ? static_cast<int32_t>(rows)
                : rows > 0  ? random.between(0, static_cast<int>(rows) - 1)
                            : -1;
    }
    return table;
}

void check_conv(Random& random, lct_cpu_pool* pool);
void check_rows(Random& random, lct_cpu_pool* pool);
void check_program(Random& random, lct_cpu_pool* pool, lct_cpu_pool* other);
void check_callers(uint64_t seed);

}  // namespace check
