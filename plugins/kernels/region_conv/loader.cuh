// Fills a stage: gathers rows and weights from global into shared memory.
#pragma once

#include "kernels/common/ptx.cuh"
#include "kernels/region_conv/problem.cuh"
#include "kernels/region_conv/tile.cuh"

namespace lc_trt {

// The neighbour table of a tile: entry tap * kM + m is the row that row m of the tile reads at a
// tap, or -1. A 1x1 window reads the row itself and needs neither positions nor index: its input
// has a row for each row of the region.
template <typename Tile>
LC_TRT_DEVICE void fill_table(const ConvProblem& p, int count, int row0, int* table) {
    constexpr int kColumns = Tile::kThreads < Tile::kM ? Tile::kThreads : Tile::kM;
    const int thread = static_cast<int>(threadIdx.x);
    for (int m = thread % kColumns; m < Tile::kM; m += kColumns) {
        const int row = row0 + m;
        const int position =
            p.taps > 1 && row < count ? checked_position(p.region.rows, row, p.region.map) : -1;
        const Pixel pixel = locate(position, p.region.map);
        for (int tap = thread / kColumns; tap < p.taps; tap += Tile::kThreads / kColumns) {
            int source = -1;
            if (p.taps == 1) {
                source = row < count ? row : -1;
            } else if (position >= 0) {
                const int i = tap / p.window.kernel_width;
                const int j = tap - i * p.window.kernel_width;
                source = neighbour(p.region, p.x_rows, pixel, p.window, i, j);
            }
            table[tap * Tile::kM + m] = source;
        }
    }
}

// A thread's share of the copies. It always copies the same chunk of a line, so its cursor advances
// along K by one stage at a time without divisions in the main loop.
template <typename Tile, typename Product, bool kVector>
class Loader {
    using T = typename Tile::T;

  public:
    LC_TRT_DEVICE Loader(const ConvProblem& p, const int* table, int channel0)
        : p_(p),
          table_(table),
          line_(static_cast<int>(threadIdx.x) / Tile::kChunks),
          chunk_(static_cast<int>(threadIdx.x) % Tile::kChunks),
          channel_(channel0 + Product::channel(line_)) {
        cursor_.advance(p, chunk_);
    }

    // Starts the copies of the next stage along K; writes zeros beyond the end of K.
    LC_TRT_DEVICE void fill(unsigned char* stage) {
        const bool inside = cursor_.inside(p_);
        const ConvProblem::Segment& segment = p_.segments[cursor_.segment];
        const T* x = static_cast<const T*>(segment.x) + cursor_.channel;
#pragma unroll
        for (int m = line_; m < Tile::kM; m += Tile::kLines) {
            const int row = inside ? table_[cursor_.tap * Tile::kM + m] : -1;
            LC_TRT_CHECK(row >= -1 && row < p_.x_rows);
            copy(stage + swizzle<Tile::kChunks>(m, chunk_),
                 x + static_cast<int64_t>(row) * segment.stride, 1, row >= 0);
        }
        unsigned char* weights = stage + Tile::kM * Tile::kLineBytes;
        const int64_t in_row =
            static_cast<int64_t>(cursor_.tap) * p_.weight_tap +
            static_cast<int64_t>(segment.first_channel + cursor_.channel) * p_.weight_channel;
        const T* weight = static_cast<const T*>(p_.weight) + in_row;
#pragma unroll
        for (int n = line_; n < Tile::kN; n += Tile::kLines) {
            const int channel = channel_ + n - line_;
            copy(weights + swizzle<Tile::kChunks>(n, chunk_), weight + channel * p_.weight_row,
                 p_.weight_channel, inside && channel < p_.out_channels);
        }
        cursor_.advance(p_, Tile::kChunks);
    }

  private:
    // Copies one granule at once, or element by element up to the end of the segment.
    LC_TRT_DEVICE void copy(unsigned char* to, const T* from, int step, bool valid) const {
        if (kVector) {
            copy_async_16(to, valid ? static_cast<const void*>(from) : p_.weight, valid);
            return;
        }
        constexpr int kElements = kGranule<T>;
        const int left = p_.segments[cursor_.segment].channels - cursor_.channel;
        T* line = reinterpret_cast<T*>(to);
#pragma unroll
        for (int e = 0; e < kElements; ++e) {
            line[e] = valid && e < left ? from[e * step] : from_float<T>(0.0f);
        }
    }

    const ConvProblem& p_;
    const int* table_;
    const int line_;
    const int chunk_;
    const int channel_;  // whose weights fill the first line
    KCursor<T> cursor_;
};

}  // namespace lc_trt
