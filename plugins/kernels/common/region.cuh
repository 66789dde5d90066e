// Index arithmetic on regions.
//
// Values read from memory are never used as addresses unchecked. TensorRT times tactics on
// arbitrary inputs, so `count`, `rows` and `index` may hold any value during a build; a value out
// of range then means "no such row". Builds with LC_TRT_CHECK_BOUNDS abort instead.
#pragma once

#include "kernels/common/device.cuh"
#include "kernels/common/region.h"

namespace lc_trt {

// Calls `use` with a value of the floating-point type.
template <typename Use>
cudaError_t with_feature(ElementType type, const Use& use) {
    switch (type) {
        case ElementType::kFloat16:
            return use(__half());
        case ElementType::kBFloat16:
            return use(__nv_bfloat16());
        default:
            return use(float());
    }
}

LC_TRT_HD bool within(int value, int limit) {
    return static_cast<uint32_t>(value) < static_cast<uint32_t>(limit);
}

LC_TRT_HD int positions(const MapShape& map) { return map.batch * map.height * map.width; }

// The clamped `count`.
LC_TRT_DEVICE int valid_rows(const int32_t* count, int max_rows) {
    const int value = *count;
    LC_TRT_CHECK(within(value, max_rows + 1));
    return value < 0 ? 0 : min_of(value, max_rows);
}

// The row of an entry of `index`, or -1 if it is not one of the first `limit` rows.
LC_TRT_DEVICE int row_of(int number, int limit) {
    LC_TRT_CHECK(within(number, limit + 1));
    return number >= 1 && number <= limit ? number - 1 : -1;
}

// A pixel of a map.
struct Pixel {
    int image;
    int y;
    int x;
};

LC_TRT_HD Pixel locate(int position, const MapShape& map) {
    const int line = position / map.width;
    const int image = line / map.height;
    return {image, line - image * map.height, position - line * map.width};
}

// The row that tap (i, j) of a window reads, or -1 if that pixel is outside the image or has none
// in `index`, whose rows are the first `limit`.
LC_TRT_DEVICE int neighbour(const Region& region, int limit, const Pixel& pixel,
                            const Window& window, int i, int j) {
    const int y = pixel.y + (i - window.kernel_height / 2) * window.dilation_height;
    const int x = pixel.x + (j - window.kernel_width / 2) * window.dilation_width;
    if (!within(y, region.map.height) || !within(x, region.map.width)) return -1;
    const int cell = (pixel.image * region.map.height + y) * region.map.width + x;
    return row_of(region.index[cell], limit);
}

// The flat position of a row below `count`, or -1 if it is outside the map.
LC_TRT_DEVICE int checked_position(const int32_t* rows, int row, const MapShape& map) {
    const int position = rows[row];
    LC_TRT_CHECK(within(position, positions(map)));
    return within(position, positions(map)) ? position : -1;
}

}  // namespace lc_trt
