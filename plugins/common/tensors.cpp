#include "common/tensors.h"

#include "common/log.h"

namespace lc_trt {

std::string to_text(const nvinfer1::Dims& dims) {
    std::string text = "[";
    for (int i = 0; i < dims.nbDims; ++i) {
        if (i > 0) text += ", ";
        text += std::to_string(dims.d[i]);
    }
    return text + "]";
}

void expect_rank(const char* what, const TensorDesc& tensor, int rank) {
    if (tensor.dims.nbDims == rank) return;
    throw PluginError(std::string(what) + " has the shape " + to_text(tensor.dims) + ", expected " +
                      std::to_string(rank) + " dimensions");
}

void expect_same(const char* what, int64_t found, const char* other, int64_t expected) {
    if (found == expected || found < 0 || expected < 0) return;
    throw PluginError(std::string(what) + " is " + std::to_string(found) + ", expected " +
                      std::to_string(expected) + ", " + other);
}

void expect_one_value(const char* what, const TensorDesc& tensor) {
    for (int i = 0; i < tensor.dims.nbDims; ++i) {
        if (tensor.dims.d[i] != 1 && tensor.dims.d[i] != -1) {
            throw PluginError(std::string(what) + " has the shape " + to_text(tensor.dims) +
                              ", expected one value");
        }
    }
}

MapShape map_of_index(const TensorDesc& index) {
    return {dimension(index, 0), dimension(index, 1), dimension(index, 2)};
}

MapShape map_of_dense(const TensorDesc& dense) {
    return {dimension(dense, 0), dimension(dense, 2), dimension(dense, 3)};
}

}  // namespace lc_trt
