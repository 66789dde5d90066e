#include "kernels/common/region.cuh"
#include "kernels/region_rows/region_rows.h"

namespace lc_trt {
namespace {

constexpr int kBlocksPerMultiprocessor = 8;

// Fixed grid: as many blocks as can be resident, at most those of the largest region.
cudaError_t fixed_grid(int most_blocks, int* blocks) {
    int processors = 0;
    const cudaError_t error = multiprocessors(&processors);
    *blocks = min_of(most_blocks, processors * kBlocksPerMultiprocessor);
    return error;
}

// Calls `use` with an integer of the element's size.
template <typename Use>
cudaError_t with_word(ElementType type, const Use& use) {
    switch (element_bytes(type)) {
        case 1:
            return use(uint8_t());
        case 2:
            return use(uint16_t());
        default:
            return use(uint32_t());
    }
}

// --- between rows and a channels-first map: transposition through shared memory ------------------

constexpr int kTile = 32;  // rows and channels per tile
constexpr int kTileLines = 8;

template <typename T>
struct Transposition {
    const T* from;
    T* to;
    const int32_t* rows;
    const int32_t* count;
    int max_rows;
    int channels;
    MapShape map;

    // Offset of channel `channel` of a position in the map.
    LC_TRT_DEVICE size_t in_map(int position, int channel) const {
        const int area = map.height * map.width;
        const int image = position / area;
        return (static_cast<size_t>(image) * channels + channel) * area + (position - image * area);
    }
    LC_TRT_DEVICE size_t in_rows(int row, int channel) const {
        return static_cast<size_t>(row) * channels + channel;
    }
};

// kGather: map to rows; otherwise rows to map. Adjacent threads handle adjacent rows when accessing
// the map, since rows ascend, and adjacent channels when accessing rows.
template <typename T, bool kGather>
__global__ void __launch_bounds__(kTile* kTileLines) transpose_kernel(Transposition<T> t) {
    __shared__ T tile[kTile][kTile + 1];
    const int lane = static_cast<int>(threadIdx.x);
    const int line = static_cast<int>(threadIdx.y);
    const int count = valid_rows(t.count, t.max_rows);
    const int channel_tiles = ceil_div(t.channels, kTile);
    const int tiles = ceil_div(count, kTile) * channel_tiles;
    for (int number = static_cast<int>(blockIdx.x); number < tiles;
         number += static_cast<int>(gridDim.x)) {
        const int row0 = number / channel_tiles * kTile;
        const int channel0 = number % channel_tiles * kTile;
        const int map_row = row0 + lane;
        const int position = map_row < count ? checked_position(t.rows, map_row, t.map) : -1;
        for (int i = line; i < kTile; i += kTileLines) {
            if (kGather) {
                const int channel = channel0 + i;
                if (position >= 0 && channel < t.channels) {
                    tile[i][lane] = t.from[t.in_map(position, channel)];
                }
            } else if (row0 + i < count && channel0 + lane < t.channels) {
                tile[lane][i] = t.from[t.in_rows(row0 + i, channel0 + lane)];
            }
        }
        __syncthreads();
        for (int i = line; i < kTile; i += kTileLines) {
            if (!kGather) {
                const int channel = channel0 + i;
                if (position >= 0 && channel < t.channels) {
                    t.to[t.in_map(position, channel)] = tile[i][lane];
                }
            } else if (row0 + i < count && channel0 + lane < t.channels) {
                t.to[t.in_rows(row0 + i, channel0 + lane)] = tile[lane][i];
            }
        }
        __syncthreads();  // before the next tile overwrites this one
    }
}

template <typename T, bool kGather>
cudaError_t transpose(const Transposition<T>& t, cudaStream_t stream) {
    int blocks = 0;
    const cudaError_t error =
        fixed_grid(ceil_div(t.max_rows, kTile) * ceil_div(t.channels, kTile), &blocks);
    if (error != cudaSuccess || blocks == 0) return error;
    return launch(transpose_kernel<T, kGather>, {blocks, dim3(kTile, kTileLines)}, stream, t);
}

// --- from rows to rows ---------------------------------------------------------------------------

constexpr int kCopyThreads = 256;

// Rows to copy, in units of 1, 2, 4 or 16 bytes.
template <typename Unit>
struct RowCopy {
    const Unit* from;
    Unit* to;
    const int32_t* rows;
    const int32_t* index;  // null: the source row is the position itself
    const int32_t* count;
    int max_rows;
    int from_rows;
    int from_stride;  // in units
    int units;        // per row
    MapShape map;
};

template <typename Unit>
__global__ void __launch_bounds__(kCopyThreads) copy_kernel(RowCopy<Unit> c) {
    const int64_t all = static_cast<int64_t>(valid_rows(c.count, c.max_rows)) * c.units;
    const int64_t step = static_cast<int64_t>(gridDim.x) * kCopyThreads;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * kCopyThreads + threadIdx.x; i < all;
         i += step) {
        const int row = static_cast<int>(i / c.units);
        const int unit = static_cast<int>(i - static_cast<int64_t>(row) * c.units);
        const int position = checked_position(c.rows, row, c.map);
        if (position < 0) continue;
        const int source = c.index == nullptr ? position : row_of(c.index[position], c.from_rows);
        if (source < 0) continue;
        c.to[i] = c.from[static_cast<size_t>(source) * c.from_stride + unit];
    }
}

template <typename Unit>
cudaError_t copy_rows(RowCopy<Unit> copy, cudaStream_t stream) {
    const int64_t all = static_cast<int64_t>(copy.max_rows) * copy.units;
    const int64_t most = (all + kCopyThreads - 1) / kCopyThreads;
    int blocks = 0;
    const cudaError_t error =
        fixed_grid(static_cast<int>(most < INT32_MAX ? most : INT32_MAX), &blocks);
    if (error != cudaSuccess || blocks == 0) return error;
    return launch(copy_kernel<Unit>, {blocks, dim3(kCopyThreads)}, stream, copy);
}

bool aligned16(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

// Uses the widest unit that rows and pointers allow. Strides and channels are in elements.
cudaError_t copy_rows(const void* from, int from_rows, int from_stride, const int32_t* index,
                      void* to, const int32_t* rows, const int32_t* count, int max_rows,
                      int channels, const MapShape& map, ElementType type, cudaStream_t stream) {
    const auto with_unit = [&](auto unit, int elements) {
        using Unit = decltype(unit);
        return copy_rows(RowCopy<Unit>{static_cast<const Unit*>(from), static_cast<Unit*>(to), rows,
                                       index, count, max_rows, from_rows, from_stride / elements,
                                       channels / elements, map},
                         stream);
    };
    const int wide = 16 / element_bytes(type);
    if (channels % wide == 0 && from_stride % wide == 0 && aligned16(from) && aligned16(to)) {
        return with_unit(Vector16(), wide);
    }
    return with_word(type, [&](auto word) { return with_unit(word, 1); });
}

}  // namespace

cudaError_t region_gather(const RegionGatherArguments& a, cudaStream_t stream) {
    if (a.layout != MapLayout::kChannelsFirst) {
        const int unit = a.layout == MapLayout::kChannelsLast8 ? 8 : 16;
        return copy_rows(a.x, positions(a.map), ceil_div(a.channels, unit) * unit, nullptr, a.y,
                         a.rows, a.count, a.max_rows, a.channels, a.map, a.type, stream);
    }
    return with_word(a.type, [&](auto word) {
        using T = decltype(word);
        return transpose<T, true>({static_cast<const T*>(a.x), static_cast<T*>(a.y), a.rows,
                                   a.count, a.max_rows, a.channels, a.map},
                                  stream);
    });
}

cudaError_t region_restrict(const RegionRestrictArguments& a, cudaStream_t stream) {
    return copy_rows(a.x, a.outer_rows, a.channels, a.index, a.y, a.rows, a.count, a.max_rows,
                     a.channels, a.map, a.type, stream);
}

cudaError_t region_scatter(const RegionScatterArguments& a, cudaStream_t stream) {
    if (a.y != a.base) {
        const size_t bytes =
            static_cast<size_t>(positions(a.map)) * a.channels * element_bytes(a.type);
        const cudaError_t error =
            cudaMemcpyAsync(a.y, a.base, bytes, cudaMemcpyDeviceToDevice, stream);
        if (error != cudaSuccess) return error;
    }
    return with_word(a.type, [&](auto word) {
        using T = decltype(word);
        return transpose<T, false>({static_cast<const T*>(a.x), static_cast<T*>(a.y), a.rows,
                                    a.count, a.max_rows, a.channels, a.map},
                                   stream);
    });
}

}  // namespace lc_trt
