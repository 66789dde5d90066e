#include "common/window.h"

#include "common/log.h"

namespace lc_trt {
namespace {

constexpr char kKernelShape[] = "kernel_shape";
constexpr char kDilations[] = "dilations";

std::vector<int32_t> two_positive(const AttributeReader& attributes, const char* name) {
    std::vector<int32_t> values = attributes.required_ints(name, 2);
    for (const int32_t value : values) {
        if (value < 1) {
            throw PluginError(std::string(name) + " holds " + std::to_string(value) +
                              ", expected positive numbers");
        }
    }
    return values;
}

}  // namespace

WindowAttributes::WindowAttributes(const AttributeReader& attributes)
    : kernel_shape_(two_positive(attributes, kKernelShape)),
      dilations_(two_positive(attributes, kDilations)) {}

void WindowAttributes::add_fields(std::vector<nvinfer1::PluginField>& fields) {
    for (const char* name : {kKernelShape, kDilations}) {
        fields.emplace_back(name, nullptr, nvinfer1::PluginFieldType::kINT32, 2);
    }
}

void WindowAttributes::write(AttributeWriter& attributes) const {
    attributes.add(kKernelShape, kernel_shape_);
    attributes.add(kDilations, dilations_);
}

Window WindowAttributes::window() const {
    return {kernel_shape_[0], kernel_shape_[1], dilations_[0], dilations_[1]};
}

}  // namespace lc_trt
