// Reads the attributes of a plugin from TensorRT's fields, and writes them for serialization.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lc_trt {

// Reads fields by name. Other fields are ignored, since the parser also passes plugin_version and
// plugin_namespace. A wrong type or number of values throws PluginError.
class AttributeReader {
  public:
    explicit AttributeReader(const nvinfer1::PluginFieldCollection* fields);

    // Return `fallback` if the attribute is absent. `length` -1 accepts any number of values.
    std::vector<int32_t> ints(const char* name, int length,
                              const std::vector<int32_t>& fallback) const;
    int32_t integer(const char* name, int32_t fallback) const;
    float real(const char* name, float fallback) const;
    // Like ints() and real(), for required attributes.
    std::vector<int32_t> required_ints(const char* name, int length) const;
    float required_real(const char* name) const;

  private:
    const nvinfer1::PluginField* find(const char* name) const;
    void require(const char* name) const;

    const nvinfer1::PluginFieldCollection* fields_;
};

// Fields that point to members of a plugin, which must outlive them and not move.
class AttributeWriter {
  public:
    void add(const char* name, const std::vector<int32_t>& values);
    void add(const char* name, const int32_t& value);
    void add(const char* name, const float& value);
    const nvinfer1::PluginFieldCollection* collection();
    // "name=1,2 other=3", for timing caches and inspectors.
    std::string text() const;

  private:
    std::vector<nvinfer1::PluginField> fields_;
    nvinfer1::PluginFieldCollection collection_;
};

}  // namespace lc_trt
