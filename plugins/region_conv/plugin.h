// See README.md.
#pragma once

#include <string>
#include <vector>

#include "common/plugin.h"
#include "common/window.h"
#include "kernels/region_conv/region_conv.h"

namespace lc_trt {

class RegionConv final : public ClonedPlugin<RegionConv> {
  public:
    static constexpr char kName[] = "RegionConv";
    static std::vector<nvinfer1::PluginField> fields();

    explicit RegionConv(const AttributeReader& attributes);

    const char* name() const noexcept override { return kName; }
    bool takes(int inputs) const override;
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

    int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs,
                            const nvinfer1::DynamicPluginTensorDesc* out,
                            int32_t outputs) noexcept override;
    int32_t getNbTactics() noexcept override;
    int32_t getValidTactics(int32_t* tactics, int32_t count) noexcept override;
    int32_t setTactic(int32_t tactic) noexcept override;
    const char* getTimingCacheID() noexcept override { return getMetadataString(); }

  private:
    // Inputs after the segments of x; kScale only for INT8.
    enum Input { kRows, kIndex, kCount, kWeight, kScale, kBias, kResidual, kFixedInputs };

    // Indices of a node's inputs, which depend on its type and number of inputs.
    class Places {
      public:
        // Throws PluginError if this type cannot have that many inputs.
        Places(nvinfer1::DataType type, int inputs);
        int segments() const { return segments_; }
        int of(Input input) const;
        Input at(int place) const;  // input at an index after the segments

      private:
        bool has_scale_;
        int segments_;
    };

    // Output type for rows of a type, given `output_type`.
    nvinfer1::DataType output_type(nvinfer1::DataType type) const;
    // The channels [begin, end) of segment `s`.
    int32_t channel_begin(int s) const;
    int32_t channel_end(int s, int32_t channels) const;
    static bool has_residual(const TensorDesc& residual, int32_t rows, int32_t out_channels);
    // Rejects INT8-only attributes and types for other rows.
    void check_types(const TensorDesc* in, const Places& places) const;
    // Window size in `weight`, which depends on its layout.
    int weight_axis(int axis) const;

    WindowAttributes window_;
    int32_t activation_;
    float residual_scale_;
    float residual_factor_;
    int32_t output_type_;
    int32_t weight_layout_;
    std::vector<int32_t> channel_begin_;
    std::vector<int32_t> channel_end_;

    ElementType type_ = ElementType::kFloat32;  // set by configurePlugin
    int32_t tactic_ = 0;
};

}  // namespace lc_trt
