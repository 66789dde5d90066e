#include "region_select/plugin.h"

#include "common/creator.h"
#include "kernels/region_select/region_select.h"

namespace lc_trt {

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;

std::vector<nvinfer1::PluginField> RegionSelect::fields() { return no_fields(); }

RegionSelect::RegionSelect(const AttributeReader&) {}

bool RegionSelect::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors, int) const {
    const TensorDesc& tensor = tensors[at].desc;
    if (!is_linear(tensor)) return false;
    switch (at) {
        case kConfidence:
            return is_feature_type(tensor.type);
        case kActive:
            return tensor.type == DataType::kBOOL || tensor.type == DataType::kINT32;
        case kRho:
            return tensor.type == tensors[kConfidence].desc.type;
        case kInputs + kHard:
            return tensor.type == tensors[kActive].desc.type;
        default:
            return tensor.type == DataType::kINT32;
    }
}

void RegionSelect::output_types(const DataType* in, int, DataType* out) const {
    out[kRows] = out[kIndex] = out[kCount] = DataType::kINT32;
    out[kHard] = in[kActive];
}

// `rows` has the length of the largest region; `count` on the device has the number of valid rows.
void RegionSelect::output_shapes(const nvinfer1::DimsExprs* in, int, nvinfer1::DimsExprs* out,
                                 nvinfer1::IExprBuilder& build) const {
    const nvinfer1::DimsExprs& map = in[kConfidence];
    if (map.nbDims != 4) throw PluginError("confidence is not [N, 1, H, W]");
    const auto* area = build.operation(DimensionOperation::kPROD, *map.d[2], *map.d[3]);
    out[kRows] = {1, {build.operation(DimensionOperation::kPROD, *map.d[0], *area)}};
    out[kIndex] = {3, {map.d[0], map.d[2], map.d[3]}};
    out[kCount] = {1, {build.constant(1)}};
    out[kHard] = map;
}

void RegionSelect::check(const TensorDesc* in, int, const TensorDesc*) const {
    expect_rank("confidence", in[kConfidence], 4);
    expect_rank("active", in[kActive], 4);
    expect_same("confidence's number of channels", in[kConfidence].dims.d[1], "one a pixel", 1);
    for (int axis = 0; axis < 4; ++axis) {
        expect_same("a size of active", in[kActive].dims.d[axis], "as in confidence",
                    in[kConfidence].dims.d[axis]);
    }
    expect_one_value("rho", in[kRho]);
}

cudaError_t RegionSelect::run(const TensorDesc* in, int, const TensorDesc*,
                              const void* const* in_data, void* const* out_data,
                              cudaStream_t stream) const {
    RegionSelectArguments a = {};
    a.confidence = in_data[kConfidence];
    a.active = in_data[kActive];
    a.rho = in_data[kRho];
    a.rows = static_cast<int32_t*>(out_data[kRows]);
    a.index = static_cast<int32_t*>(out_data[kIndex]);
    a.count = static_cast<int32_t*>(out_data[kCount]);
    a.hard = out_data[kHard];
    a.map = map_of_dense(in[kConfidence]);
    a.type = element_type(in[kConfidence]);
    a.mask = in[kActive].type == DataType::kBOOL ? MaskType::kByte : MaskType::kInt32;
    return region_select(a, stream);
}

}  // namespace lc_trt
