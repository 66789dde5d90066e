#include "region_conv/plugin.h"

#include "common/creator.h"

namespace lc_trt {

using nvinfer1::DataType;
using nvinfer1::PluginFieldType;

namespace {

constexpr char kActivation[] = "activation";
constexpr char kResidualScale[] = "residual_scale";
constexpr char kWeightLayout[] = "weight_layout";
constexpr char kChannelBegin[] = "channel_begin";
constexpr char kChannelEnd[] = "channel_end";

int32_t zero_or_one(const AttributeReader& attributes, const char* name) {
    const int32_t value = attributes.integer(name, 0);
    if (value != 0 && value != 1) {
        throw PluginError(std::string(name) + " is " + std::to_string(value) + ", expected 0 or 1");
    }
    return value;
}

}  // namespace

std::vector<nvinfer1::PluginField> RegionConv::fields() {
    std::vector<nvinfer1::PluginField> fields;
    WindowAttributes::add_fields(fields);
    fields.emplace_back(kActivation, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kResidualScale, nullptr, PluginFieldType::kFLOAT32, 1);
    fields.emplace_back(kWeightLayout, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kChannelBegin, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kChannelEnd, nullptr, PluginFieldType::kINT32, 1);
    return fields;
}

RegionConv::RegionConv(const AttributeReader& attributes)
    : window_(attributes),
      activation_(zero_or_one(attributes, kActivation)),
      residual_scale_(attributes.real(kResidualScale, 1.0f)),
      weight_layout_(zero_or_one(attributes, kWeightLayout)),
      channel_begin_(attributes.ints(kChannelBegin, -1, {})),
      channel_end_(attributes.ints(kChannelEnd, -1, {})) {
    const Window window = window_.window();
    if (window.kernel_height > kMaxConvTaps || window.kernel_width > kMaxConvTaps ||
        window.kernel_height * window.kernel_width > kMaxConvTaps) {
        throw PluginError("kernel_shape has more than " + std::to_string(kMaxConvTaps) +
                          " positions");
    }
}

void RegionConv::write_attributes(AttributeWriter& attributes) const {
    window_.write(attributes);
    attributes.add(kActivation, activation_);
    attributes.add(kResidualScale, residual_scale_);
    attributes.add(kWeightLayout, weight_layout_);
    if (!channel_begin_.empty()) attributes.add(kChannelBegin, channel_begin_);
    if (!channel_end_.empty()) attributes.add(kChannelEnd, channel_end_);
}

bool RegionConv::takes(int inputs) const {
    return segment_count(inputs) >= 1 && segment_count(inputs) <= kMaxConvSegments;
}

bool RegionConv::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors,
                          int inputs) const {
    const TensorDesc& tensor = tensors[at].desc;
    const DataType type = tensors[0].desc.type;
    if (!is_linear(tensor)) return false;
    if (at == 0) return is_feature_type(type);
    switch (at - segment_count(inputs)) {
        case kRows:
        case kIndex:
        case kCount:
            return tensor.type == DataType::kINT32;
        // FP32 keeps what a sum of FP16 products would lose of a large bias.
        case kBias:
            return tensor.type == type || tensor.type == DataType::kFLOAT;
        default:
            return tensor.type == type;
    }
}

void RegionConv::output_types(const DataType* in, DataType* out) const { out[0] = in[0]; }

void RegionConv::output_shapes(const nvinfer1::DimsExprs* in, int inputs, nvinfer1::DimsExprs* out,
                               nvinfer1::IExprBuilder&) const {
    out[0] = {2, {in[0].d[0], in[segment_count(inputs) + kWeight].d[0]}};
}

int32_t RegionConv::channel_begin(int s) const {
    return channel_begin_.empty() ? 0 : channel_begin_[static_cast<size_t>(s)];
}

int32_t RegionConv::channel_end(int s, int32_t channels) const {
    return channel_end_.empty() ? channels : channel_end_[static_cast<size_t>(s)];
}

int RegionConv::weight_axis(int axis) const {
    constexpr int kOIHW[] = {0, 1, 2, 3};
    constexpr int kOHWI[] = {0, 3, 1, 2};
    return weight_layout_ == 1 ? kOHWI[axis] : kOIHW[axis];
}

bool RegionConv::has_residual(const TensorDesc& residual, int32_t rows, int32_t out_channels) {
    return dimension(residual, 0) == rows && dimension(residual, 1) == out_channels;
}

void RegionConv::check(const TensorDesc* in, int inputs, const TensorDesc*) const {
    const int segments = segment_count(inputs);
    const TensorDesc* fixed = in + segments;
    expect_rank("rows", fixed[kRows], 1);
    expect_rank("index", fixed[kIndex], 3);
    expect_one_value("count", fixed[kCount]);
    expect_rank("weight", fixed[kWeight], 4);
    expect_rank("bias", fixed[kBias], 1);
    expect_rank("residual", fixed[kResidual], 2);
    for (const auto* slices : {&channel_begin_, &channel_end_}) {
        if (!slices->empty()) {
            expect_same("the length of channel_begin and channel_end",
                        static_cast<int64_t>(slices->size()), "one a segment", segments);
        }
    }
    int64_t channels = 0;
    for (int s = 0; s < segments; ++s) {
        expect_rank("x", in[s], 2);
        const int32_t width = dimension(in[s], 1);
        if (width < 0) throw PluginError("the number of channels of x is not known at build time");
        const int32_t begin = channel_begin(s);
        const int32_t end = channel_end(s, width);
        if (begin < 0 || begin >= end || end > width) {
            throw PluginError("channels " + std::to_string(begin) + " to " + std::to_string(end) +
                              " of x are not within its " + std::to_string(width));
        }
        channels += end - begin;
        expect_same("the number of rows of x", in[s].dims.d[0], "the length of rows",
                    fixed[kRows].dims.d[0]);
    }
    const nvinfer1::Dims& weight = fixed[kWeight].dims;
    const Window window = window_.window();
    expect_same("the number of input channels of weight", weight.d[weight_axis(1)], "what x has",
                channels);
    expect_same("the height of weight", weight.d[weight_axis(2)], "that of kernel_shape",
                window.kernel_height);
    expect_same("the width of weight", weight.d[weight_axis(3)], "that of kernel_shape",
                window.kernel_width);
    expect_same("the length of bias", fixed[kBias].dims.d[0], "weight's output channels",
                weight.d[0]);
    const nvinfer1::Dims& residual = fixed[kResidual].dims;
    if (residual.d[0] != 1 || residual.d[1] != 1) {
        expect_same("the number of rows of residual", residual.d[0], "that of x", in[0].dims.d[0]);
        expect_same("the number of channels of residual", residual.d[1], "weight's output channels",
                    weight.d[0]);
    }
}

cudaError_t RegionConv::run(const TensorDesc* in, int inputs, const TensorDesc*,
                            const void* const* in_data, void* const* out_data,
                            cudaStream_t stream) const {
    RegionConvArguments a = {};
    const int segments = segment_count(inputs);
    const TensorDesc* fixed = in + segments;
    const void* const* fixed_data = in_data + segments;
    a.type = element_type(in[0]);
    a.segment_count = segments;
    for (int s = 0; s < segments; ++s) {
        const int32_t width = dimension(in[s], 1);
        const int32_t begin = channel_begin(s);
        a.segments[s] = {static_cast<const char*>(in_data[s]) + begin * element_bytes(a.type),
                         width, channel_end(s, width) - begin};
    }
    a.region = {static_cast<const int32_t*>(fixed_data[kRows]),
                static_cast<const int32_t*>(fixed_data[kIndex]),
                static_cast<const int32_t*>(fixed_data[kCount]), dimension(fixed[kRows], 0),
                map_of_index(fixed[kIndex])};
    a.window = window_.window();
    a.weight = fixed_data[kWeight];
    a.bias = fixed_data[kBias];
    a.out_channels = dimension(fixed[kWeight], 0);
    a.residual = has_residual(fixed[kResidual], a.region.max_rows, a.out_channels)
                     ? fixed_data[kResidual]
                     : nullptr;
    a.y = out_data[0];
    a.residual_scale = residual_scale_;
    a.relu = activation_ == 1;
    a.bias_type = element_type(fixed[kBias]);
    a.layout = weight_layout_ == 1 ? WeightLayout::kOHWI : WeightLayout::kOIHW;
    return region_conv(a, tactic_, stream);
}

int32_t RegionConv::configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs,
                                    const nvinfer1::DynamicPluginTensorDesc* out,
                                    int32_t outputs) noexcept {
    const int32_t failed = Plugin::configurePlugin(in, inputs, out, outputs);
    if (failed == 0) type_ = element_type(in[0].desc);
    return failed;
}

// The variants of the tile that a window of this size leaves room for.
int32_t RegionConv::getNbTactics() noexcept {
    int32_t number = 0;
    for (int tactic = 1; tactic <= region_conv_tactics(type_); ++tactic) {
        number += region_conv_tactic_fits(type_, tactic, window_.window()) ? 1 : 0;
    }
    return number;
}

int32_t RegionConv::getValidTactics(int32_t* tactics, int32_t count) noexcept {
    int32_t number = 0;
    for (int tactic = 1; tactic <= region_conv_tactics(type_) && number < count; ++tactic) {
        if (region_conv_tactic_fits(type_, tactic, window_.window())) tactics[number++] = tactic;
    }
    return 0;
}

int32_t RegionConv::setTactic(int32_t tactic) noexcept {
    tactic_ = tactic;
    return 0;
}

}  // namespace lc_trt
