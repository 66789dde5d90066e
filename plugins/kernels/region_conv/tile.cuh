// The tile that a block computes at a time, and the layout of its operands in shared memory:
// kStages buffers, each with rows [kM, kK] followed by weights [kN, kK], then the neighbour table.
#pragma once

#include "kernels/common/device.cuh"

namespace lc_trt {

template <typename Element, int M, int N, int K, int Threads, int Stages>
struct Tile {
    using T = Element;
    static constexpr int kM = M;
    static constexpr int kN = N;
    static constexpr int kThreads = Threads;
    static constexpr int kStages = Stages;
    static constexpr int kChunks = K * static_cast<int>(sizeof(T)) / 16;  // granules per line
    static constexpr int kLines = Threads / kChunks;                      // lines copied at a time
    static constexpr int kLineBytes = kChunks * 16;
    static constexpr int kStageBytes = (M + N) * kLineBytes;

    static_assert(kChunks == 4 || kChunks == 8, "swizzle() knows lines of 64 and 128 bytes");
    static_assert(M % kLines == 0 && N % kLines == 0, "each thread copies the same number");
    static_assert(Threads % M == 0 || M % Threads == 0, "the table is filled column by column");
    static_assert(Stages >= 2, "a stage is filled while another is read");

    static constexpr int shared_bytes(int taps) {
        return Stages * kStageBytes + taps * M * static_cast<int>(sizeof(int));
    }
};

// Byte offset of a chunk in an operand. Chunks are permuted within a line so that the chunks with
// the same number in eight lines, which ldmatrix and 16-byte loads of a quarter warp read at once,
// are in different banks.
template <int kChunks>
LC_TRT_HD int swizzle(int line, int chunk) {
    const int turn = kChunks == 8 ? line % 8 : line / 2 % 4;
    return (line * kChunks + (chunk ^ turn)) * 16;
}

// The first row and output channel of a tile. Adjacent blocks share rows, whose gather is the more
// expensive operand; the weights are common to all and stay in the L2 cache.
struct TileOrigin {
    int row;
    int channel;
};

template <typename Tile>
LC_TRT_HD int tile_count(int rows, int out_channels) {
    return ceil_div(rows, Tile::kM) * ceil_div(out_channels, Tile::kN);
}

template <typename Tile>
LC_TRT_HD TileOrigin tile_origin(int tile, int out_channels) {
    const int across = ceil_div(out_channels, Tile::kN);
    return {tile / across * Tile::kM, tile % across * Tile::kN};
}

}  // namespace lc_trt
