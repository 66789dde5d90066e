// Creates plugins from the attributes of an ONNX node or of a serialized engine.
#pragma once

#include <vector>

#include "common/plugin.h"

namespace lc_trt {

// `Operator` has kName, kFields (names and types of its attributes) and a constructor from an
// AttributeReader.
template <typename Operator>
class Creator : public nvinfer1::IPluginCreatorV3One {
  public:
    Creator()
        : fields_(Operator::fields()),
          collection_{static_cast<int32_t>(fields_.size()), fields_.data()} {}

    nvinfer1::IPluginV3* createPlugin(const char*, const nvinfer1::PluginFieldCollection* fields,
                                      nvinfer1::TensorRTPhase) noexcept override {
        Plugin* plugin = nullptr;
        guarded(Operator::kName, [&] { plugin = new Operator(AttributeReader(fields)); });
        return plugin;
    }
    const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override {
        return &collection_;
    }
    const char* getPluginName() const noexcept override { return Operator::kName; }
    const char* getPluginVersion() const noexcept override { return kVersion; }
    const char* getPluginNamespace() const noexcept override { return kNamespace; }

  private:
    std::vector<nvinfer1::PluginField> fields_;
    nvinfer1::PluginFieldCollection collection_;
};

// For operators without attributes.
inline std::vector<nvinfer1::PluginField> no_fields() { return {}; }

}  // namespace lc_trt
