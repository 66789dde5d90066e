// The product of a stage's rows and weights, summed in registers. INT8 joins as a third product,
// with m16n8k32 and its scales in the epilogue: tile, table, loader and kernel know only bytes.
#pragma once

#include "kernels/ptx.cuh"
#include "kernels/region_conv/tile.cuh"

namespace lc_trt {

// FP16 on tensor cores. A warp has a kWarpM x kWarpN part of the tile.
template <typename Tile, int kWarpsM, int kWarpsN>
class TensorCoreProduct {
    static constexpr int kWarpM = Tile::kM / kWarpsM;
    static constexpr int kWarpN = Tile::kN / kWarpsN;
    static constexpr int kBlocksM = kWarpM / 16;
    static constexpr int kBlocksN = kWarpN / 8;
    static_assert(Tile::kThreads == 32 * kWarpsM * kWarpsN, "a warp each");
    static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0, "ldmatrix takes 16 lines at a time");

  public:
    LC_TRT_DEVICE TensorCoreProduct()
        : lane_(static_cast<int>(threadIdx.x) % 32),
          m0_(static_cast<int>(threadIdx.x) / 32 / kWarpsN * kWarpM),
          n0_(static_cast<int>(threadIdx.x) / 32 % kWarpsN * kWarpN) {}

    LC_TRT_DEVICE void add(const unsigned char* stage) {
        const unsigned char* weights = stage + Tile::kM * Tile::kLineBytes;
#pragma unroll
        for (int chunk = 0; chunk < Tile::kChunks; chunk += 2) {
            uint32_t a[kBlocksM][4];
            uint32_t b[kBlocksN][2];
            // Matrices in the order of the operand's registers: lines 0-7 and 8-15 of the first
            // eight elements of K, then of the second.
#pragma unroll
            for (int i = 0; i < kBlocksM; ++i) {
                const int line = m0_ + i * 16 + lane_ % 16;
                load_matrices(a[i], stage + swizzle<Tile::kChunks>(line, chunk + lane_ / 16));
            }
            // Two blocks of weights at once: both halves of K of lines 0-7, then of 8-15.
#pragma unroll
            for (int j = 0; j < kBlocksN; j += 2) {
                const int line = n0_ + j * 8 + lane_ / 16 * 8 + lane_ % 8;
                uint32_t two[4];
                load_matrices(two, weights + swizzle<Tile::kChunks>(line, chunk + lane_ / 8 % 2));
                b[j][0] = two[0];
                b[j][1] = two[1];
                b[j + 1][0] = two[2];
                b[j + 1][1] = two[3];
            }
#pragma unroll
            for (int i = 0; i < kBlocksM; ++i) {
#pragma unroll
                for (int j = 0; j < kBlocksN; ++j) multiply_add(sum_[i][j], a[i], b[j]);
            }
        }
    }

    // Lane l holds columns 2 * (l % 4) and the next of lines l / 4 and l / 4 + 8 of each block.
    template <typename Epilogue>
    LC_TRT_DEVICE void store(const Epilogue& epilogue, const TileOrigin& origin) const {
#pragma unroll
        for (int i = 0; i < kBlocksM; ++i) {
#pragma unroll
            for (int j = 0; j < kBlocksN; ++j) {
                const int row = origin.row + m0_ + i * 16 + lane_ / 4;
                const int channel = origin.channel + n0_ + j * 8 + lane_ % 4 * 2;
                epilogue.store_pair(row, channel, sum_[i][j][0], sum_[i][j][1]);
                epilogue.store_pair(row + 8, channel, sum_[i][j][2], sum_[i][j][3]);
            }
        }
    }

  private:
    const int lane_;
    const int m0_;
    const int n0_;
    float sum_[kBlocksM][kBlocksN][4] = {};
};

// FP32 as fused multiply-adds: tensor cores would round the operands to TF32. Threads form a
// square, and a thread has every kSide-th line of both operands.
template <typename Tile, int kSide>
class MultiplyAddProduct {
    static constexpr int kLinesM = Tile::kM / kSide;
    static constexpr int kLinesN = Tile::kN / kSide;
    static_assert(Tile::kThreads == kSide * kSide, "a square");

  public:
    LC_TRT_DEVICE MultiplyAddProduct()
        : m0_(static_cast<int>(threadIdx.x) / kSide), n0_(static_cast<int>(threadIdx.x) % kSide) {}

    LC_TRT_DEVICE void add(const unsigned char* stage) {
        const unsigned char* weights = stage + Tile::kM * Tile::kLineBytes;
#pragma unroll
        for (int chunk = 0; chunk < Tile::kChunks; ++chunk) {
            float4 a[kLinesM];
            float4 b[kLinesN];
#pragma unroll
            for (int i = 0; i < kLinesM; ++i) a[i] = read(stage, m0_ + i * kSide, chunk);
#pragma unroll
            for (int j = 0; j < kLinesN; ++j) b[j] = read(weights, n0_ + j * kSide, chunk);
#pragma unroll
            for (int i = 0; i < kLinesM; ++i) {
#pragma unroll
                for (int j = 0; j < kLinesN; ++j) {
                    sum_[i][j] = fmaf(a[i].x, b[j].x, sum_[i][j]);
                    sum_[i][j] = fmaf(a[i].y, b[j].y, sum_[i][j]);
                    sum_[i][j] = fmaf(a[i].z, b[j].z, sum_[i][j]);
                    sum_[i][j] = fmaf(a[i].w, b[j].w, sum_[i][j]);
                }
            }
        }
    }

    template <typename Epilogue>
    LC_TRT_DEVICE void store(const Epilogue& epilogue, const TileOrigin& origin) const {
#pragma unroll
        for (int i = 0; i < kLinesM; ++i) {
#pragma unroll
            for (int j = 0; j < kLinesN; ++j) {
                epilogue.store(origin.row + m0_ + i * kSide, origin.channel + n0_ + j * kSide,
                               sum_[i][j]);
            }
        }
    }

  private:
    static LC_TRT_DEVICE float4 read(const unsigned char* operand, int line, int chunk) {
        return *reinterpret_cast<const float4*>(operand + swizzle<Tile::kChunks>(line, chunk));
    }

    const int m0_;
    const int n0_;
    float sum_[kLinesM][kLinesN] = {};
};

}  // namespace lc_trt
