// The attributes kernel_shape and dilations.
#pragma once

#include <vector>

#include "common/attributes.h"
#include "kernels/common/region.h"

namespace lc_trt {

class WindowAttributes {
  public:
    // Throws PluginError unless both attributes have two positive values.
    explicit WindowAttributes(const AttributeReader& attributes);

    static void add_fields(std::vector<nvinfer1::PluginField>& fields);
    void write(AttributeWriter& attributes) const;
    Window window() const;

  private:
    std::vector<int32_t> kernel_shape_;
    std::vector<int32_t> dilations_;
};

}  // namespace lc_trt
