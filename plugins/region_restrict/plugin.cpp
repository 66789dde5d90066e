#include "region_restrict/plugin.h"

#include "common/creator.h"
#include "kernels/region_rows/region_rows.h"

namespace lc_trt {

using nvinfer1::DataType;

std::vector<nvinfer1::PluginField> RegionRestrict::fields() { return no_fields(); }

RegionRestrict::RegionRestrict(const AttributeReader&) {}

bool RegionRestrict::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors, int) const {
    const TensorDesc& tensor = tensors[at].desc;
    switch (at) {
        case kX:
            return is_linear(tensor) && is_row_type(tensor.type);
        case kIndex:
        case kRows:
        case kCount:
            return is_linear(tensor, DataType::kINT32);
        default:
            return is_linear(tensor, tensors[kX].desc.type);
    }
}

void RegionRestrict::output_types(const DataType* in, int, DataType* out) const { out[0] = in[kX]; }

void RegionRestrict::output_shapes(const nvinfer1::DimsExprs* in, int, nvinfer1::DimsExprs* out,
                                   nvinfer1::IExprBuilder&) const {
    out[0] = {2, {in[kRows].d[0], in[kX].d[1]}};
}

void RegionRestrict::check(const TensorDesc* in, int, const TensorDesc*) const {
    expect_rank("x", in[kX], 2);
    expect_rank("index", in[kIndex], 3);
    expect_rank("rows", in[kRows], 1);
    expect_one_value("count", in[kCount]);
}

cudaError_t RegionRestrict::run(const TensorDesc* in, int, const TensorDesc*,
                                const void* const* in_data, void* const* out_data,
                                cudaStream_t stream) const {
    RegionRestrictArguments a = {};
    a.x = in_data[kX];
    a.index = static_cast<const int32_t*>(in_data[kIndex]);
    a.rows = static_cast<const int32_t*>(in_data[kRows]);
    a.count = static_cast<const int32_t*>(in_data[kCount]);
    a.y = out_data[0];
    a.outer_rows = dimension(in[kX], 0);
    a.max_rows = dimension(in[kRows], 0);
    a.channels = dimension(in[kX], 1);
    a.map = map_of_index(in[kIndex]);
    a.type = element_type(in[kX]);
    return region_restrict(a, stream);
}

}  // namespace lc_trt
