#include "region_gather/plugin.h"

#include "common/creator.h"
#include "kernels/region_rows/region_rows.h"

namespace lc_trt {

using nvinfer1::DataType;
using nvinfer1::TensorFormat;

std::vector<nvinfer1::PluginField> RegionGather::fields() { return no_fields(); }

RegionGather::RegionGather(const AttributeReader&) {}

// FP16, BF16 and INT8 convolutions often output channels-last, from which rows are copied faster.
bool RegionGather::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors, int) const {
    const TensorDesc& tensor = tensors[at].desc;
    switch (at) {
        case kX:
            return (is_linear(tensor) && is_row_type(tensor.type)) ||
                   (tensor.format == TensorFormat::kHWC8 &&
                    (tensor.type == DataType::kHALF || tensor.type == DataType::kBF16)) ||
                   (tensor.format == TensorFormat::kHWC16 && tensor.type == DataType::kINT8);
        case kRows:
        case kCount:
            return is_linear(tensor, DataType::kINT32);
        default:
            return is_linear(tensor, tensors[kX].desc.type);
    }
}

void RegionGather::output_types(const DataType* in, int, DataType* out) const { out[0] = in[kX]; }

void RegionGather::output_shapes(const nvinfer1::DimsExprs* in, int, nvinfer1::DimsExprs* out,
                                 nvinfer1::IExprBuilder&) const {
    if (in[kX].nbDims != 4) throw PluginError("x is not [N, C, H, W]");
    out[0] = {2, {in[kRows].d[0], in[kX].d[1]}};
}

void RegionGather::check(const TensorDesc* in, int, const TensorDesc*) const {
    expect_rank("x", in[kX], 4);
    expect_rank("rows", in[kRows], 1);
    expect_one_value("count", in[kCount]);
}

cudaError_t RegionGather::run(const TensorDesc* in, int, const TensorDesc*,
                              const void* const* in_data, void* const* out_data,
                              cudaStream_t stream) const {
    RegionGatherArguments a = {};
    a.x = in_data[kX];
    a.rows = static_cast<const int32_t*>(in_data[kRows]);
    a.count = static_cast<const int32_t*>(in_data[kCount]);
    a.y = out_data[0];
    a.max_rows = dimension(in[kRows], 0);
    a.channels = dimension(in[kX], 1);
    a.map = map_of_dense(in[kX]);
    a.type = element_type(in[kX]);
    switch (in[kX].format) {
        case TensorFormat::kHWC8:
            a.layout = MapLayout::kChannelsLast8;
            break;
        case TensorFormat::kHWC16:
            a.layout = MapLayout::kChannelsLast16;
            break;
        default:
            a.layout = MapLayout::kChannelsFirst;
    }
    return region_gather(a, stream);
}

}  // namespace lc_trt
