// Types that describe a region of a map; see docs/exchange-format.md for the terms.
#pragma once

#include <cstdint>

namespace lc_trt {

// Element types of features. INT8 is quantized with zero point 0.
enum class ElementType : int32_t { kFloat32 = 0, kFloat16 = 1, kInt8 = 2, kBFloat16 = 3 };

constexpr int32_t element_bytes(ElementType type) {
    return type == ElementType::kInt8 ? 1 : type == ElementType::kFloat32 ? 4 : 2;
}

// A map of batch x height x width pixels.
struct MapShape {
    int32_t batch;
    int32_t height;
    int32_t width;
};

// The pixels of a map that a stage computes. All pointers are device pointers.
struct Region {
    const int32_t* rows;   // [max_rows], flat positions, ascending; valid up to count
    const int32_t* index;  // [batch, height, width]: row + 1 of what is read at a pixel, 0 for none
    const int32_t* count;  // [1], number of valid rows
    int32_t max_rows;
    MapShape map;
};

// The window of a convolution or pool, centered as in ONNX with pads of dilation * (kernel / 2) and
// stride 1.
struct Window {
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t dilation_height;
    int32_t dilation_width;
};

}  // namespace lc_trt
