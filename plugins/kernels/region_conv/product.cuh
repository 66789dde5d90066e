// The matrix product of a stage's rows and weights, accumulated in registers.
//
// A product maps lines of weights to output channels of the tile, so that a thread accumulates
// adjacent channels.
#pragma once

#include "kernels/common/ptx.cuh"
#include "kernels/region_conv/epilogue.cuh"
#include "kernels/region_conv/tile.cuh"

namespace lc_trt {

// FP16, BF16 and INT8 on tensor cores. A warp computes kWarpM x kWarpN of the tile. An instruction
// consumes two granules of K: 16 elements of FP16 or BF16, or 32 of INT8, with the same fragment
// layout.
template <typename Tile, int kWarpsM, int kWarpsN>
class TensorCoreProduct {
    using T = typename Tile::T;
    static constexpr int kWarpM = Tile::kM / kWarpsM;
    static constexpr int kWarpN = Tile::kN / kWarpsN;
    static constexpr int kBlocksM = kWarpM / 16;
    static constexpr int kBlocksN = kWarpN / 8;
    static constexpr int kNeighbours = 2 * kBlocksN;  // channels per thread
    static_assert(Tile::kThreads == 32 * kWarpsM * kWarpsN, "a warp each");
    static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0, "ldmatrix takes 16 lines at a time");
    static_assert(Tile::kLines % kWarpN == 0, "Loader adds kLines to a channel, not to a line");

  public:
    // Lane l holds columns 2 * (l % 4) and the next of each block of eight; over all blocks of the
    // warp they map to adjacent channels.
    static LC_TRT_HD int channel(int line) {
        const int block = line % kWarpN / 8;
        const int column = line % 8;
        return line / kWarpN * kWarpN + column / 2 * kNeighbours + 2 * block + column % 2;
    }

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
            // In the order of the operand's registers: lines 0-7 and 8-15 of the first granule of
            // K, then of the second.
#pragma unroll
            for (int i = 0; i < kBlocksM; ++i) {
                const int line = m0_ + i * 16 + lane_ % 16;
                load_matrices(a[i], stage + swizzle<Tile::kChunks>(line, chunk + lane_ / 16));
            }
            // Two blocks of weights: both halves of K of lines 0-7, then of 8-15.
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
                for (int j = 0; j < kBlocksN; ++j) multiply_add<T>(sum_[i][j], a[i], b[j]);
            }
        }
    }

    // Lane l holds lines l / 4 and l / 4 + 8 of each block of rows.
    LC_TRT_DEVICE void store(const Epilogue<T>& epilogue, const TileOrigin& origin) const {
        const auto columns =
            epilogue.template columns<kNeighbours>(origin.channel + n0_ + lane_ % 4 * kNeighbours);
#pragma unroll
        for (int i = 0; i < kBlocksM; ++i) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                Sum<T> sum[kNeighbours];
#pragma unroll
                for (int j = 0; j < kBlocksN; ++j) {
                    sum[2 * j] = sum_[i][j][2 * half];
                    sum[2 * j + 1] = sum_[i][j][2 * half + 1];
                }
                epilogue.store(origin.row + m0_ + i * 16 + half * 8 + lane_ / 4, columns, sum);
            }
        }
    }

  private:
    const int lane_;
    const int m0_;
    const int n0_;
    Sum<T> sum_[kBlocksM][kBlocksN][4] = {};
};

// FP32 with fused multiply-adds, since tensor cores would round the operands to TF32. Threads form
// a square; each has every kSide-th line of both operands.
template <typename Tile, int kSide>
class MultiplyAddProduct {
    static constexpr int kLinesM = Tile::kM / kSide;
    static constexpr int kLinesN = Tile::kN / kSide;
    static_assert(Tile::kThreads == kSide * kSide, "a square");

  public:
    static LC_TRT_HD int channel(int line) { return line; }

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
                    float& sum = sum_[i][j][0];
                    sum = fmaf(a[i].x, b[j].x, sum);
                    sum = fmaf(a[i].y, b[j].y, sum);
                    sum = fmaf(a[i].z, b[j].z, sum);
                    sum = fmaf(a[i].w, b[j].w, sum);
                }
            }
        }
    }

    LC_TRT_DEVICE void store(const Epilogue<float>& epilogue, const TileOrigin& origin) const {
#pragma unroll
        for (int i = 0; i < kLinesM; ++i) {
#pragma unroll
            for (int j = 0; j < kLinesN; ++j) {
                const auto column = epilogue.columns<1>(origin.channel + n0_ + j * kSide);
                epilogue.store(origin.row + m0_ + i * kSide, column, sum_[i][j]);
            }
        }
    }

  private:
    static LC_TRT_DEVICE float4 read(const unsigned char* operand, int line, int chunk) {
        return *reinterpret_cast<const float4*>(operand + swizzle<Tile::kChunks>(line, chunk));
    }

    const int m0_;
    const int n0_;
    float sum_[kLinesM][kLinesN][1] = {};
};

}  // namespace lc_trt
