#include "common/plugin.h"

#include <vector>

namespace lc_trt {

using nvinfer1::DataType;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginCapabilityType;

namespace {

std::vector<TensorDesc> descriptions(const DynamicPluginTensorDesc* tensors, int count) {
    std::vector<TensorDesc> all;
    for (int i = 0; i < count; ++i) all.push_back(tensors[i].desc);
    return all;
}

}  // namespace

nvinfer1::IPluginCapability* Plugin::getCapabilityInterface(PluginCapabilityType type) noexcept {
    switch (type) {
        case PluginCapabilityType::kCORE:
            return static_cast<nvinfer1::IPluginV3OneCore*>(this);
        case PluginCapabilityType::kBUILD:
            return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
        case PluginCapabilityType::kRUNTIME:
            return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

void Plugin::expect_numbers(int inputs, int outputs) const {
    if (!takes(inputs)) throw PluginError("cannot take " + std::to_string(inputs) + " inputs");
    expect_same("the number of outputs", outputs, "what this operator has", this->outputs());
}

int32_t Plugin::configurePlugin(const DynamicPluginTensorDesc* in, int32_t inputs,
                                const DynamicPluginTensorDesc* out, int32_t outputs) noexcept {
    return guarded(name(), [&] {
        expect_numbers(inputs, outputs);
        check(descriptions(in, inputs).data(), inputs, descriptions(out, outputs).data());
    });
}

int32_t Plugin::getOutputDataTypes(DataType* out, int32_t outputs, const DataType* in,
                                   int32_t inputs) const noexcept {
    return guarded(name(), [&] {
        expect_numbers(inputs, outputs);
        output_types(in, inputs, out);
    });
}

int32_t Plugin::getOutputShapes(const DimsExprs* in, int32_t inputs, const DimsExprs*, int32_t,
                                DimsExprs* out, int32_t outputs,
                                nvinfer1::IExprBuilder& build) noexcept {
    return guarded(name(), [&] {
        expect_numbers(inputs, outputs);
        output_shapes(in, inputs, out, build);
    });
}

bool Plugin::supportsFormatCombination(int32_t at, const DynamicPluginTensorDesc* tensors,
                                       int32_t inputs, int32_t outputs) noexcept {
    bool supported = false;
    guarded(name(), [&] {
        expect_numbers(inputs, outputs);
        supported = supports(at, tensors, inputs);
    });
    return supported;
}

const char* Plugin::getMetadataString() noexcept {
    const int32_t failed = guarded(name(), [&] {
        AttributeWriter attributes;
        write_attributes(attributes);
        metadata_ = attributes.text();
    });
    return failed != 0 ? "" : metadata_.c_str();
}

int32_t Plugin::onShapeChange(const TensorDesc* in, int32_t inputs, const TensorDesc* out,
                              int32_t outputs) noexcept {
    return guarded(name(), [&] {
        expect_numbers(inputs, outputs);
        check(in, inputs, out);
        inputs_ = inputs;
    });
}

int32_t Plugin::enqueue(const TensorDesc* in, const TensorDesc* out, const void* const* in_data,
                        void* const* out_data, void*, cudaStream_t stream) noexcept {
    return guarded(name(), [&] {
        if (inputs_ == 0) throw PluginError("enqueue came before onShapeChange");
        const cudaError_t error = run(in, inputs_, out, in_data, out_data, stream);
        if (error != cudaSuccess) {
            throw PluginError(std::string("the kernel was not launched: ") +
                              cudaGetErrorString(error));
        }
    });
}

const nvinfer1::PluginFieldCollection* Plugin::getFieldsToSerialize() noexcept {
    const int32_t failed = guarded(name(), [&] {
        attributes_ = AttributeWriter();
        write_attributes(attributes_);
    });
    return failed != 0 ? nullptr : attributes_.collection();
}

}  // namespace lc_trt
