// A region of a map, as the kernels see it. The vocabulary is that of docs/exchange-format.md.
#pragma once

#include <cstdint>

namespace lc_trt {

// The element types of features. INT8 holds codes, of which 0 stands for exactly 0.
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
    const int32_t* index;  // [batch, height, width]: row + 1 in the region, 0 elsewhere
    const int32_t* count;  // [1], how many rows are valid
    int32_t max_rows;
    MapShape map;
};

// A convolution's or a pool's window, centred as ONNX does it with pads of
// dilation * (kernel / 2); the stride is 1.
struct Window {
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t dilation_height;
    int32_t dilation_width;
};

}  // namespace lc_trt
