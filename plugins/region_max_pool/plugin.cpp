#include "region_max_pool/plugin.h"

#include "common/creator.h"
#include "kernels/region_max_pool/region_max_pool.h"

namespace lc_trt {

using nvinfer1::DataType;

std::vector<nvinfer1::PluginField> RegionMaxPool::fields() {
    std::vector<nvinfer1::PluginField> fields;
    WindowAttributes::add_fields(fields);
    return fields;
}

RegionMaxPool::RegionMaxPool(const AttributeReader& attributes) : window_(attributes) {}

void RegionMaxPool::write_attributes(AttributeWriter& attributes) const {
    window_.write(attributes);
}

bool RegionMaxPool::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors, int) const {
    const TensorDesc& tensor = tensors[at].desc;
    switch (at) {
        case kX:
            return is_linear(tensor) && is_row_type(tensor.type);
        case kRows:
        case kIndex:
        case kCount:
            return is_linear(tensor, DataType::kINT32);
        default:
            return is_linear(tensor, tensors[kX].desc.type);
    }
}

void RegionMaxPool::output_types(const DataType* in, int, DataType* out) const { out[0] = in[kX]; }

void RegionMaxPool::output_shapes(const nvinfer1::DimsExprs* in, int, nvinfer1::DimsExprs* out,
                                  nvinfer1::IExprBuilder&) const {
    out[0] = {2, {in[kRows].d[0], in[kX].d[1]}};
}

void RegionMaxPool::check(const TensorDesc* in, int, const TensorDesc*) const {
    expect_rank("x", in[kX], 2);
    expect_rank("rows", in[kRows], 1);
    expect_rank("index", in[kIndex], 3);
    expect_one_value("count", in[kCount]);
}

cudaError_t RegionMaxPool::run(const TensorDesc* in, int, const TensorDesc*,
                               const void* const* in_data, void* const* out_data,
                               cudaStream_t stream) const {
    RegionMaxPoolArguments a = {};
    a.x = in_data[kX];
    a.x_rows = dimension(in[kX], 0);
    a.region = {static_cast<const int32_t*>(in_data[kRows]),
                static_cast<const int32_t*>(in_data[kIndex]),
                static_cast<const int32_t*>(in_data[kCount]), dimension(in[kRows], 0),
                map_of_index(in[kIndex])};
    a.y = out_data[0];
    a.window = window_.window();
    a.channels = dimension(in[kX], 1);
    a.type = element_type(in[kX]);
    return region_max_pool(a, stream);
}

}  // namespace lc_trt
