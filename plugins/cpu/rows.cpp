#include "rows.h"

#include <algorithm>
#include <cstring>

namespace lc_trt::cpu {
namespace {

constexpr int64_t kRowsAtATime = 64;
constexpr int kPixels = 16;  // of an NCHW map that are transposed at a time: a line of each channel
constexpr int kChannels = 64;  // likewise

// Calls function(first, end) for ranges of [0, count).
template <class F>
void in_ranges(Pool::Lock& pool, int64_t count, int64_t step, const F& function) {
    pool.each((count + step - 1) / step, [&](int64_t index, int) {
        function(index * step, std::min(count, (index + 1) * step));
    });
}

void clear_behind(uint8_t* row, ElementType type, int64_t channels) {
    const int size = size_of(type);
    std::memset(row + channels * size, 0, (padded_channels(type, channels) - channels) * size);
}

// Where a pixel's first channel is, and the distance of channels.
struct PixelAddress {
    int64_t first, step;
    PixelAddress(const DenseMap& map, int64_t pixel) {
        const int64_t plane = static_cast<int64_t>(map.grid.h) * map.grid.w;
        if (map.layout == Layout::kNhwc) {
            first = pixel * map.channels;
            step = 1;
        } else {
            first = pixel / plane * plane * map.channels + pixel % plane;
            step = plane;
        }
    }
};

// One pixel's channels as a row.
void convert_pixel(const RowKernel& kernel, const DenseMap& map, const float* values, int64_t pixel,
                   float factor, const RowTarget& out, uint8_t* row) {
    const PixelAddress at(map, pixel);
    const int32_t type = static_cast<int32_t>(out.type);
    if (at.step == 1) {
        kernel.narrow(values + at.first, map.channels, factor, row, type);
    } else {
        float block[kChannels];
        for (int64_t c = 0; c < map.channels; c += kChannels) {
            const int64_t some = std::min<int64_t>(kChannels, map.channels - c);
            for (int64_t i = 0; i < some; ++i) block[i] = values[at.first + (c + i) * at.step];
            kernel.narrow(block, some, factor, row + c * size_of(out.type), type);
        }
    }
    clear_behind(row, out.type, map.channels);
}

typedef float Four __attribute__((vector_size(16)));

// block[p][c] = from[c * step + p].
void transpose(const float* from, int64_t step, int64_t channels, int pixels,
               float (*block)[kChannels]) {
    int64_t c = 0;
    for (; c + 4 <= channels && pixels % 4 == 0; c += 4) {
        for (int p = 0; p < pixels; p += 4) {
            Four in[4];
            for (int i = 0; i < 4; ++i) std::memcpy(&in[i], from + (c + i) * step + p, 16);
            for (int i = 0; i < 4; ++i) {
                const Four out = {in[0][i], in[1][i], in[2][i], in[3][i]};
                std::memcpy(&block[p + i][c], &out, 16);
            }
        }
    }
    for (; c < channels; ++c) {
        for (int p = 0; p < pixels; ++p) block[p][c] = from[c * step + p];
    }
}

// Adjacent pixels of an NCHW map, of which `needed` has those to convert.
void convert_pixels(const RowKernel& kernel, const DenseMap& map, const float* values,
                    int64_t first, int count, const uint8_t* needed, float factor,
                    const RowTarget& out) {
    alignas(kLine) float block[kPixels][kChannels];
    const PixelAddress at(map, first);
    const int32_t type = static_cast<int32_t>(out.type);
    for (int64_t c = 0; c < map.channels; c += kChannels) {
        const int64_t some = std::min<int64_t>(kChannels, map.channels - c);
        transpose(values + at.first + c * at.step, at.step, some, count, block);
        for (int p = 0; p < count; ++p) {
            if (needed[p] != 1) continue;
            uint8_t* row = out.rows + (first + p) * out.stride;
            kernel.narrow(block[p], some, factor, row + c * size_of(out.type), type);
        }
    }
    for (int p = 0; p < count; ++p) {
        if (needed[p] == 1)
            clear_behind(out.rows + (first + p) * out.stride, out.type, map.channels);
    }
}

}  // namespace

void gather_rows(Pool::Lock& pool, const RowKernel& kernel, const DenseMap& map,
                 const float* values, const int32_t* rows, int64_t count, float factor,
                 const RowTarget& out) {
    const int64_t pixels = map.grid.pixels();
    const int64_t bytes = padded_channels(out.type, map.channels) * size_of(out.type);
    in_ranges(pool, count, kRowsAtATime, [&](int64_t first, int64_t end) {
        for (int64_t r = first; r < end; ++r) {
            uint8_t* row = out.rows + r * out.stride;
            if (rows[r] < 0 || rows[r] >= pixels) {
                std::memset(row, 0, bytes);
            } else {
                convert_pixel(kernel, map, values, rows[r], factor, out, row);
            }
        }
    });
}

void mark_needed(Pool::Lock& pool, const int32_t* table, int64_t entries, int64_t pixels,
                 uint8_t* needed) {
    in_ranges(pool, entries, kRowsAtATime * 9, [&](int64_t first, int64_t end) {
        for (int64_t i = first; i < end; ++i) {
            if (table[i] < 0 || table[i] >= pixels) continue;
            // Several threads may mark one pixel.
            uint8_t* mark = needed + table[i];
            if (__atomic_load_n(mark, __ATOMIC_RELAXED) == 0)
                __atomic_store_n(mark, 1, __ATOMIC_RELAXED);
        }
    });
}

void convert_needed(Pool::Lock& pool, const RowKernel& kernel, const DenseMap& map,
                    const float* values, uint8_t* needed, float factor, const RowTarget& out) {
    const int64_t plane = static_cast<int64_t>(map.grid.h) * map.grid.w;
    in_ranges(pool, map.grid.pixels(), kRowsAtATime, [&](int64_t first, int64_t end) {
        for (int64_t p = first; p < end;) {
            // Pixels up to the end of the image, in whose planes they are adjacent.
            const int count =
                static_cast<int>(std::min({int64_t{kPixels}, end - p, plane - p % plane}));
            const int some = static_cast<int>(std::count(needed + p, needed + p + count, 1));
            if (map.layout == Layout::kNchw && some > 1) {
                convert_pixels(kernel, map, values, p, count, needed + p, factor, out);
            } else if (some > 0) {
                for (int i = 0; i < count; ++i) {
                    if (needed[p + i] == 1)
                        convert_pixel(kernel, map, values, p + i, factor, out,
                                      out.rows + (p + i) * out.stride);
                }
            }
            for (int i = 0; i < count; ++i) needed[p + i] = needed[p + i] == 0 ? 0 : 2;
            p += count;
        }
    });
}

void scatter_rows(Pool::Lock& pool, const RowKernel& kernel, const RowTarget& from,
                  const int32_t* rows, int64_t count, float factor, const DenseMap& map,
                  float* values) {
    const int64_t pixels = map.grid.pixels();
    in_ranges(pool, count, kRowsAtATime, [&](int64_t first, int64_t end) {
        float block[kChannels];
        for (int64_t r = first; r < end; ++r) {
            if (rows[r] < 0 || rows[r] >= pixels) continue;
            const PixelAddress at(map, rows[r]);
            const uint8_t* row = from.rows + r * from.stride;
            const int32_t type = static_cast<int32_t>(from.type);
            if (at.step == 1) {
                kernel.widen(row, map.channels, type, factor, values + at.first);
                continue;
            }
            for (int64_t c = 0; c < map.channels; c += kChannels) {
                const int64_t some = std::min<int64_t>(kChannels, map.channels - c);
                kernel.widen(row + c * size_of(from.type), some, type, factor, block);
                for (int64_t i = 0; i < some; ++i) values[at.first + (c + i) * at.step] = block[i];
            }
        }
    });
}

void copy_rows(Pool::Lock& pool, const RowSource& source, int64_t count, int64_t bytes,
               uint8_t* out, int64_t out_stride) {
    in_ranges(pool, count, kRowsAtATime, [&](int64_t first, int64_t end) {
        for (int64_t r = first; r < end; ++r) {
            const int64_t row = source.table == nullptr ? r : source.table[r];
            uint8_t* to = out + r * out_stride;
            if (row >= 0 && row < source.count) {
                std::memcpy(to, source.rows + row * source.stride, bytes);
            } else {
                std::memset(to, 0, bytes);
            }
        }
    });
}

void max_pool_rows(Pool::Lock& pool, const RowKernel& kernel, const RowSource& from, int taps,
                   int32_t channels, int64_t count, const RowTarget& out) {
    const int32_t type = static_cast<int32_t>(out.type);
    const int size = size_of(out.type);
    in_ranges(pool, count, kRowsAtATime, [&](int64_t first, int64_t end) {
        float most[kChannels], value[kChannels];
        for (int64_t r = first; r < end; ++r) {
            uint8_t* to = out.rows + r * out.stride;
            for (int64_t c = 0; c < channels; c += kChannels) {
                const int64_t some = std::min<int64_t>(kChannels, channels - c);
                for (int t = 0; t < taps; ++t) {
                    const int64_t row = from.table[r * taps + t];
                    if (row >= 0 && row < from.count) {
                        kernel.widen(from.rows + row * from.stride + c * size, some, type, 1.0f,
                                     value);
                    } else {
                        std::fill(value, value + some, 0.0f);
                    }
                    for (int64_t i = 0; i < some; ++i) {
                        // A NaN on either side stays.
                        const bool keep = t > 0 && !(value[i] > most[i] || value[i] != value[i]);
                        if (!keep) most[i] = value[i];
                    }
                }
                kernel.narrow(most, some, 1.0f, to + c * size, type);
            }
            clear_behind(to, out.type, channels);
        }
    });
}

}  // namespace lc_trt::cpu
