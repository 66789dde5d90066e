#include "region_quantize/plugin.h"

#include <cmath>

#include "common/creator.h"
#include "kernels/region_quantize/region_quantize.h"

namespace lc_trt {

using nvinfer1::DataType;

namespace {

constexpr char kScale[] = "scale";

}  // namespace

std::vector<nvinfer1::PluginField> RegionQuantize::fields() {
    return {{kScale, nullptr, nvinfer1::PluginFieldType::kFLOAT32, 1}};
}

RegionQuantize::RegionQuantize(const AttributeReader& attributes)
    : scale_(attributes.required_real(kScale)) {
    if (!(scale_ > 0.0f) || !std::isfinite(scale_)) {
        throw PluginError("scale is " + std::to_string(scale_) + ", expected a positive number");
    }
}

void RegionQuantize::write_attributes(AttributeWriter& attributes) const {
    attributes.add(kScale, scale_);
}

bool RegionQuantize::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors, int) const {
    const TensorDesc& tensor = tensors[at].desc;
    switch (at) {
        case kX:
            return is_linear(tensor) && is_feature_type(tensor.type);
        case kCount:
            return is_linear(tensor, DataType::kINT32);
        default:
            return is_linear(tensor, DataType::kINT8);
    }
}

void RegionQuantize::output_types(const DataType*, int, DataType* out) const {
    out[0] = DataType::kINT8;
}

void RegionQuantize::output_shapes(const nvinfer1::DimsExprs* in, int, nvinfer1::DimsExprs* out,
                                   nvinfer1::IExprBuilder&) const {
    out[0] = in[kX];
}

void RegionQuantize::check(const TensorDesc* in, int, const TensorDesc*) const {
    expect_rank("x", in[kX], 2);
    expect_one_value("count", in[kCount]);
}

cudaError_t RegionQuantize::run(const TensorDesc* in, int, const TensorDesc*,
                                const void* const* in_data, void* const* out_data,
                                cudaStream_t stream) const {
    RegionQuantizeArguments a = {};
    a.x = in_data[kX];
    a.count = static_cast<const int32_t*>(in_data[kCount]);
    a.y = static_cast<int8_t*>(out_data[0]);
    a.max_rows = dimension(in[kX], 0);
    a.channels = dimension(in[kX], 1);
    a.scale = scale_;
    a.type = element_type(in[kX]);
    return region_quantize(a, stream);
}

}  // namespace lc_trt
