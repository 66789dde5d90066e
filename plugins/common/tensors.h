// Queries and checks of tensor descriptions.
#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "kernels/common/region.h"

namespace lc_trt {

using TensorDesc = nvinfer1::PluginTensorDesc;

inline bool is_linear(const TensorDesc& tensor) {
    return tensor.format == nvinfer1::TensorFormat::kLINEAR;
}

inline bool is_linear(const TensorDesc& tensor, nvinfer1::DataType type) {
    return is_linear(tensor) && tensor.type == type;
}

// Floating-point types of features.
inline bool is_feature_type(nvinfer1::DataType type) {
    return type == nvinfer1::DataType::kFLOAT || type == nvinfer1::DataType::kHALF ||
           type == nvinfer1::DataType::kBF16;
}

// Types of a region's rows: floating point, or quantized INT8.
inline bool is_row_type(nvinfer1::DataType type) {
    return is_feature_type(type) || type == nvinfer1::DataType::kINT8;
}

inline ElementType element_type(const TensorDesc& tensor) {
    switch (tensor.type) {
        case nvinfer1::DataType::kINT8:
            return ElementType::kInt8;
        case nvinfer1::DataType::kHALF:
            return ElementType::kFloat16;
        case nvinfer1::DataType::kBF16:
            return ElementType::kBFloat16;
        default:
            return ElementType::kFloat32;
    }
}

inline int32_t dimension(const TensorDesc& tensor, int axis) {
    return static_cast<int32_t>(tensor.dims.d[axis]);
}

// "[2, 3]"; dimensions known only at run time are -1.
std::string to_text(const nvinfer1::Dims& dims);

// The checks throw PluginError. A dimension of -1 matches any.
void expect_rank(const char* what, const TensorDesc& tensor, int rank);
void expect_same(const char* what, int64_t found, const char* other, int64_t expected);
void expect_one_value(const char* what, const TensorDesc& tensor);

// The map of an index [N, H, W] and of a dense tensor [N, C, H, W].
MapShape map_of_index(const TensorDesc& index);
MapShape map_of_dense(const TensorDesc& dense);

}  // namespace lc_trt
