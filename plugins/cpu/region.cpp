#include "region.h"

#include <limits>

namespace lc_trt::cpu {
namespace {

struct Pixel {
    int32_t image, y, x;
};

Pixel pixel_of(const Grid& grid, int32_t row) {
    const int32_t line = row / grid.w;
    return {line / grid.h, line % grid.h, row % grid.w};
}

}  // namespace

void check(const Grid& grid) {
    require(grid.n >= 1 && grid.h >= 1 && grid.w >= 1, "a map has at least one pixel");
    require(static_cast<int64_t>(grid.n) * grid.h <= std::numeric_limits<int32_t>::max() &&
                grid.pixels() <= std::numeric_limits<int32_t>::max(),
            "a map has more than 2147483647 pixels");
}

void check(const Window& window) {
    // Bounds that keep positions in 32 bits.
    require(window.kh >= 1 && window.kw >= 1 && window.kh <= kMaxTaps && window.kw <= kMaxTaps &&
                window.taps() <= kMaxTaps && window.kh % 2 == 1 && window.kw % 2 == 1,
            "a window has odd sides and 1 to 121 positions");
    require(window.dh >= 1 && window.dw >= 1 && window.dh <= 1 << 20 && window.dw <= 1 << 20,
            "a dilation is 1 to 1048576");
}

int64_t select_region(const Grid& grid, const float* score, float rho, const uint8_t* mask,
                      const int32_t* parents, bool halved, int32_t* rows, int32_t* index) {
    const Grid coarse = halved ? grid.halved() : grid;
    int32_t count = 0, at = 0;
    for (int32_t line = 0; line < grid.n * grid.h; ++line) {
        const int32_t image = line / grid.h, y = line % grid.h;
        const int32_t* parent = nullptr;
        if (parents != nullptr)
            parent =
                parents + static_cast<int64_t>(image * coarse.h + (halved ? y / 2 : y)) * coarse.w;
        for (int32_t x = 0; x < grid.w; ++x, ++at) {
            bool hard = score == nullptr || !(score[at] > rho);
            if (mask != nullptr) hard = hard && mask[at] != 0;
            if (parent != nullptr) hard = hard && parent[halved ? x / 2 : x] >= 0;
            index[at] = hard ? count : -1;
            rows[count] = at;  // overwritten by the next pixel unless this one is in the region
            count += hard;
        }
    }
    return count;
}

void neighbour_table(const Grid& grid, const int32_t* rows, int64_t first, int64_t end,
                     const int32_t* index, const Window& window, int32_t* table) {
    const int64_t pixels = grid.pixels();
    const int32_t top = window.kh / 2 * window.dh, left = window.kw / 2 * window.dw;
    int32_t* to = table + first * window.taps();
    for (int64_t r = first; r < end; ++r) {
        if (rows[r] < 0 || rows[r] >= pixels) {
            for (int i = 0; i < window.taps(); ++i) *to++ = -1;
            continue;
        }
        const Pixel p = pixel_of(grid, rows[r]);
        for (int32_t i = 0; i < window.kh; ++i) {
            const int32_t y = p.y - top + i * window.dh;
            const bool inside = y >= 0 && y < grid.h;
            const int32_t line = (p.image * grid.h + (inside ? y : 0)) * grid.w;
            for (int32_t j = 0; j < window.kw; ++j) {
                const int32_t x = p.x - left + j * window.dw;
                const bool exists = inside && x >= 0 && x < grid.w;
                *to++ = !exists ? -1 : index == nullptr ? line + x : index[line + x];
            }
        }
    }
}

void parent_table(const Grid& grid, const int32_t* rows, int64_t first, int64_t end,
                  const int32_t* index, int32_t* table) {
    const Grid coarse = grid.halved();
    const int64_t pixels = grid.pixels();
    for (int64_t r = first; r < end; ++r) {
        if (rows[r] < 0 || rows[r] >= pixels) {
            table[r] = -1;
            continue;
        }
        const Pixel p = pixel_of(grid, rows[r]);
        const int32_t at = (p.image * coarse.h + p.y / 2) * coarse.w + p.x / 2;
        table[r] = index == nullptr ? at : index[at];
    }
}

}  // namespace lc_trt::cpu
