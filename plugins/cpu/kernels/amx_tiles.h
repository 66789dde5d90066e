// The tile instructions of AMX that the kernels use, or a software model of them.
//
// Tiles have 16 lines of 64 bytes. The model follows Intel's description of the instructions, for
// tests on machines without AMX.
#pragma once

#include <cstdint>

#ifndef LC_TRT_CPU_EMULATE_AMX
#include <immintrin.h>
#endif

namespace lc_trt::cpu {
namespace {

constexpr int kTileLines = 16, kTileBytes = 64;

struct TileConfiguration {
    uint8_t palette = 1, first_line = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t lines[16] = {};
};
static_assert(sizeof(TileConfiguration) == 64, "as ldtilecfg reads it");

#ifdef LC_TRT_CPU_EMULATE_AMX

struct Tiles {
    union Tile {
        uint8_t byte[kTileLines][kTileBytes];
        uint32_t pair[kTileLines][16];
        float real[kTileLines][16];
        int32_t integer[kTileLines][16];
    };
    static Tile& tile(int number) {
        thread_local Tile tiles[8];
        return tiles[number];
    }

    static void configure(const TileConfiguration&) {}
    static void release() {}
    template <int kTile>
    static void zero() {
        __builtin_memset(&tile(kTile), 0, sizeof(Tile));
    }
    template <int kTile>
    static void load(const void* from, int64_t stride) {
        for (int i = 0; i < kTileLines; ++i)
            __builtin_memcpy(tile(kTile).byte[i], static_cast<const uint8_t*>(from) + i * stride,
                             kTileBytes);
    }
    template <int kTile>
    static void store(void* to, int64_t stride) {
        for (int i = 0; i < kTileLines; ++i)
            __builtin_memcpy(static_cast<uint8_t*>(to) + i * stride, tile(kTile).byte[i],
                             kTileBytes);
    }
    static float real_of(uint32_t bits) {
        float value;
        __builtin_memcpy(&value, &bits, 4);
        return value;
    }
    template <int kSum, int kRows, int kWeights>
    static void dot_bf16() {
        for (int m = 0; m < kTileLines; ++m)
            for (int k = 0; k < kTileLines; ++k)
                for (int n = 0; n < 16; ++n) {
                    const uint32_t a = tile(kRows).pair[m][k], b = tile(kWeights).pair[k][n];
                    float& sum = tile(kSum).real[m][n];
                    sum += real_of(a << 16) * real_of(b << 16);
                    sum += real_of(a & 0xffff0000u) * real_of(b & 0xffff0000u);
                }
    }
    template <int kSum, int kRows, int kWeights, class Value>
    static void dot_int8() {
        for (int m = 0; m < kTileLines; ++m)
            for (int k = 0; k < kTileLines; ++k)
                for (int n = 0; n < 16; ++n)
                    for (int i = 0; i < 4; ++i)
                        tile(kSum).integer[m][n] +=
                            static_cast<Value>(tile(kRows).byte[m][4 * k + i]) *
                            static_cast<int8_t>(tile(kWeights).byte[k][4 * n + i]);
    }
    template <int kSum, int kRows, int kWeights>
    static void dot_u8() {
        dot_int8<kSum, kRows, kWeights, uint8_t>();
    }
    template <int kSum, int kRows, int kWeights>
    static void dot_s8() {
        dot_int8<kSum, kRows, kWeights, int8_t>();
    }
};

#else

// The intrinsics take numbers of tiles as literals; the inline functions of some compilers are
// macros.
struct Tiles {
    static void configure(const TileConfiguration& configuration) {
        _tile_loadconfig(&configuration);
    }
    static void release() { _tile_release(); }
    template <int kTile>
    static void zero() {
        __asm__ volatile("tilezero %%tmm%c0" ::"i"(kTile));
    }
    template <int kTile>
    static void load(const void* from, int64_t stride) {
        __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(stride)
                         : "memory");
    }
    template <int kTile>
    static void store(void* to, int64_t stride) {
        __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(kTile), "r"(to), "r"(stride)
                         : "memory");
    }
    template <int kSum, int kRows, int kWeights>
    static void dot_bf16() {
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kRows),
                         "i"(kWeights));
    }
    template <int kSum, int kRows, int kWeights>
    static void dot_u8() {
        __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kRows),
                         "i"(kWeights));
    }
    template <int kSum, int kRows, int kWeights>
    static void dot_s8() {
        __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kRows),
                         "i"(kWeights));
    }
};

#endif

}  // namespace
}  // namespace lc_trt::cpu
