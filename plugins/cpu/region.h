// Selecting regions, and the tables of rows that operators read.
#pragma once

#include "common.h"

namespace lc_trt::cpu {

struct Grid {
    int32_t n = 0, h = 0, w = 0;
    int64_t pixels() const { return static_cast<int64_t>(n) * h * w; }
    Grid halved() const { return {n, h / 2 + h % 2, w / 2 + w % 2}; }
    bool operator==(const Grid& o) const { return n == o.n && h == o.h && w == o.w; }
};

struct Window {
    int32_t kh = 1, kw = 1, dh = 1, dw = 1;
    int taps() const { return kh * kw; }
    bool operator==(const Window& o) const {
        return kh == o.kh && kw == o.kw && (taps() == 1 || (dh == o.dh && dw == o.dw));
    }
};

// Throws Error unless rows of the grid have 32-bit numbers.
void check(const Grid& grid);
// Throws Error unless a window has a middle and at most kMaxTaps positions.
void check(const Window& window);

// See lct_cpu_select.
int64_t select_region(const Grid& grid, const float* score, float rho, const uint8_t* mask,
                      const int32_t* parents, bool halved, int32_t* rows, int32_t* index);

// Entries [first, end) of the table of lct_cpu_neighbours.
void neighbour_table(const Grid& grid, const int32_t* rows, int64_t first, int64_t end,
                     const int32_t* index, const Window& window, int32_t* table);

// Entries [first, end) of the table of lct_cpu_parents.
void parent_table(const Grid& grid, const int32_t* rows, int64_t first, int64_t end,
                  const int32_t* index, int32_t* table);

}  // namespace lc_trt::cpu
