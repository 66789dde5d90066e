#include "region_scatter/plugin.h"

#include "common/creator.h"
#include "kernels/region_rows/region_rows.h"

namespace lc_trt {

using nvinfer1::DataType;

std::vector<nvinfer1::PluginField> RegionScatter::fields() { return no_fields(); }

RegionScatter::RegionScatter(const AttributeReader&) {}

bool RegionScatter::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors, int) const {
    const TensorDesc& tensor = tensors[at].desc;
    switch (at) {
        case kX:
            return is_linear(tensor) && is_feature_type(tensor.type);
        case kRows:
        case kCount:
            return is_linear(tensor, DataType::kINT32);
        default:
            return is_linear(tensor, tensors[kX].desc.type);
    }
}

void RegionScatter::output_types(const DataType* in, int, DataType* out) const {
    out[0] = in[kBase];
}

void RegionScatter::output_shapes(const nvinfer1::DimsExprs* in, int, nvinfer1::DimsExprs* out,
                                  nvinfer1::IExprBuilder&) const {
    out[0] = in[kBase];
}

void RegionScatter::check(const TensorDesc* in, int, const TensorDesc*) const {
    expect_rank("x", in[kX], 2);
    expect_rank("rows", in[kRows], 1);
    expect_one_value("count", in[kCount]);
    expect_rank("base", in[kBase], 4);
    expect_same("the number of rows of x", in[kX].dims.d[0], "the length of rows",
                in[kRows].dims.d[0]);
    expect_same("the number of channels of x", in[kX].dims.d[1], "that of base",
                in[kBase].dims.d[1]);
}

cudaError_t RegionScatter::run(const TensorDesc* in, int, const TensorDesc*,
                               const void* const* in_data, void* const* out_data,
                               cudaStream_t stream) const {
    RegionScatterArguments a = {};
    a.x = in_data[kX];
    a.rows = static_cast<const int32_t*>(in_data[kRows]);
    a.count = static_cast<const int32_t*>(in_data[kCount]);
    a.base = in_data[kBase];
    a.y = out_data[0];
    a.max_rows = dimension(in[kRows], 0);
    a.channels = dimension(in[kX], 1);
    a.map = map_of_dense(in[kBase]);
    a.type = element_type(in[kX]);
    return region_scatter(a, stream);
}

}  // namespace lc_trt
