// See README.md.
#pragma once

#include <vector>

#include "common/plugin.h"
#include "common/window.h"

namespace lc_trt {

class RegionMaxPool final : public ClonedPlugin<RegionMaxPool> {
  public:
    static constexpr char kName[] = "RegionMaxPool";
    static std::vector<nvinfer1::PluginField> fields();

    explicit RegionMaxPool(const AttributeReader& attributes);

    const char* name() const noexcept override { return kName; }
    bool takes(int inputs) const override { return inputs == kInputs; }
    int outputs() const noexcept override { return 1; }
    bool supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors,
                  int inputs) const override;
    void output_types(const nvinfer1::DataType* in, int inputs,
                      nvinfer1::DataType* out) const override;
    void output_shapes(const nvinfer1::DimsExprs* in, int inputs, nvinfer1::DimsExprs* out,
                       nvinfer1::IExprBuilder& build) const override;
    void check(const TensorDesc* in, int inputs, const TensorDesc* out) const override;
    cudaError_t run(const TensorDesc* in, int inputs, const TensorDesc* out,
                    const void* const* in_data, void* const* out_data,
                    cudaStream_t stream) const override;
    void write_attributes(AttributeWriter& attributes) const override;

  private:
    enum Input { kX, kRows, kIndex, kCount, kInputs };
    WindowAttributes window_;
};

}  // namespace lc_trt
