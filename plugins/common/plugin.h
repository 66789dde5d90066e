// Base of all plugins: one class per plugin implements all three capabilities.
#pragma once

#include <NvInferRuntime.h>

#include "common/attributes.h"
#include "common/log.h"
#include "common/tensors.h"

namespace lc_trt {

constexpr char kNamespace[] = "lc_trt";
// Must match PLUGIN_VERSION in lc_trt/ir/interface.py.
#define LC_TRT_PLUGIN_VERSION "1"
constexpr char kVersion[] = LC_TRT_PLUGIN_VERSION;

class Plugin : public nvinfer1::IPluginV3,
               public nvinfer1::IPluginV3OneCore,
               public nvinfer1::IPluginV3OneBuild,
               public nvinfer1::IPluginV3OneRuntime {
  public:
    // --- implemented by operators; rejected inputs throw PluginError
    // ------------------------------

    virtual const char* name() const noexcept = 0;
    virtual bool takes(int inputs) const = 0;
    virtual int outputs() const noexcept = 0;
    // Type and format of tensor `at`, given those of the tensors before it (inputs, then outputs).
    virtual bool supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors,
                          int inputs) const = 0;
    virtual void output_types(const nvinfer1::DataType* in, int inputs,
                              nvinfer1::DataType* out) const = 0;
    virtual void output_shapes(const nvinfer1::DimsExprs* in, int inputs, nvinfer1::DimsExprs* out,
                               nvinfer1::IExprBuilder& build) const = 0;
    // Types and shapes of all tensors; dimensions may be -1 at build time.
    virtual void check(const TensorDesc* in, int inputs, const TensorDesc* out) const = 0;
    virtual cudaError_t run(const TensorDesc* in, int inputs, const TensorDesc* out,
                            const void* const* in_data, void* const* out_data,
                            cudaStream_t stream) const = 0;
    virtual void write_attributes(AttributeWriter&) const {}

    // --- IPluginV3 -------------------------------------------------------------------------------

    nvinfer1::IPluginCapability* getCapabilityInterface(
        nvinfer1::PluginCapabilityType type) noexcept final;

    // --- IPluginV3OneCore ------------------------------------------------------------------------

    const char* getPluginName() const noexcept final { return name(); }
    const char* getPluginVersion() const noexcept final { return kVersion; }
    const char* getPluginNamespace() const noexcept final { return kNamespace; }

    // --- IPluginV3OneBuild -----------------------------------------------------------------------

    int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs,
                            const nvinfer1::DynamicPluginTensorDesc* out,
                            int32_t outputs) noexcept override;
    int32_t getOutputDataTypes(nvinfer1::DataType* out, int32_t outputs,
                               const nvinfer1::DataType* in, int32_t inputs) const noexcept final;
    int32_t getOutputShapes(const nvinfer1::DimsExprs* in, int32_t inputs,
                            const nvinfer1::DimsExprs* shape_in, int32_t shape_inputs,
                            nvinfer1::DimsExprs* out, int32_t outputs,
                            nvinfer1::IExprBuilder& build) noexcept final;
    bool supportsFormatCombination(int32_t at, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                   int32_t inputs, int32_t outputs) noexcept final;
    int32_t getNbOutputs() const noexcept final { return outputs(); }
    const char* getMetadataString() noexcept final;

    // --- IPluginV3OneRuntime ---------------------------------------------------------------------

    int32_t onShapeChange(const TensorDesc* in, int32_t inputs, const TensorDesc* out,
                          int32_t outputs) noexcept final;
    int32_t enqueue(const TensorDesc* in, const TensorDesc* out, const void* const* in_data,
                    void* const* out_data, void* workspace, cudaStream_t stream) noexcept final;
    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept final {
        return clone();
    }
    const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept final;

  private:
    void expect_numbers(int inputs, int outputs) const;

    int inputs_ = 0;  // set by onShapeChange, since enqueue does not pass it
    AttributeWriter attributes_;
    std::string metadata_;
};

// Implements clone().
template <typename Derived>
class ClonedPlugin : public Plugin {
  public:
    nvinfer1::IPluginV3* clone() noexcept final {
        Plugin* copy = nullptr;
        guarded(name(), [&] { copy = new Derived(static_cast<const Derived&>(*this)); });
        return copy;
    }
};

}  // namespace lc_trt
