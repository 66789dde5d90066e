#include "region_conv/plugin.h"

#include "common/creator.h"

namespace lc_trt {

using nvinfer1::DataType;
using nvinfer1::PluginFieldType;

namespace {

constexpr char kActivation[] = "activation";
constexpr char kResidualScale[] = "residual_scale";
constexpr char kResidualFactor[] = "residual_factor";
constexpr char kOutputType[] = "output_type";
constexpr char kWeightLayout[] = "weight_layout";
constexpr char kChannelBegin[] = "channel_begin";
constexpr char kChannelEnd[] = "channel_end";

// Largest K for which the INT32 accumulator cannot overflow, even if all products are -128 x -128.
constexpr int64_t kMostProducts = (int64_t{1} << 31) / (128 * 128) - 1;

// Values of output_type.
enum OutputType : int32_t { kAsX, kFloat, kHalf, kBFloat16, kOutputTypes };

int32_t below(const AttributeReader& attributes, const char* name, int32_t limit,
              const char* expected) {
    const int32_t value = attributes.integer(name, 0);
    if (value < 0 || value >= limit) {
        throw PluginError(std::string(name) + " is " + std::to_string(value) + ", expected " +
                          expected);
    }
    return value;
}

}  // namespace

std::vector<nvinfer1::PluginField> RegionConv::fields() {
    std::vector<nvinfer1::PluginField> fields;
    WindowAttributes::add_fields(fields);
    fields.emplace_back(kActivation, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kResidualScale, nullptr, PluginFieldType::kFLOAT32, 1);
    fields.emplace_back(kResidualFactor, nullptr, PluginFieldType::kFLOAT32, 1);
    fields.emplace_back(kOutputType, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kWeightLayout, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kChannelBegin, nullptr, PluginFieldType::kINT32, 1);
    fields.emplace_back(kChannelEnd, nullptr, PluginFieldType::kINT32, 1);
    return fields;
}

RegionConv::RegionConv(const AttributeReader& attributes)
    : window_(attributes),
      activation_(below(attributes, kActivation, 2, "0 or 1")),
      residual_scale_(attributes.real(kResidualScale, 1.0f)),
      residual_factor_(attributes.real(kResidualFactor, 1.0f)),
      output_type_(below(attributes, kOutputType, kOutputTypes, "0, 1, 2 or 3")),
      weight_layout_(below(attributes, kWeightLayout, 2, "0 or 1")),
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
    attributes.add(kResidualFactor, residual_factor_);
    attributes.add(kOutputType, output_type_);
    attributes.add(kWeightLayout, weight_layout_);
    if (!channel_begin_.empty()) attributes.add(kChannelBegin, channel_begin_);
    if (!channel_end_.empty()) attributes.add(kChannelEnd, channel_end_);
}

RegionConv::Places::Places(DataType type, int inputs)
    : has_scale_(type == DataType::kINT8), segments_(inputs - kFixedInputs + !has_scale_) {
    if (segments_ < 1 || segments_ > kMaxConvSegments) {
        throw PluginError("cannot take " + std::to_string(inputs) + " inputs where x is " +
                          (has_scale_ ? "INT8" : "floating point"));
    }
}

int RegionConv::Places::of(Input input) const {
    return segments_ + input - (input > kScale && !has_scale_ ? 1 : 0);
}

RegionConv::Input RegionConv::Places::at(int place) const {
    const int number = place - segments_;
    return static_cast<Input>(number + (number >= kScale && !has_scale_ ? 1 : 0));
}

// INT8 has one input more than the others; types are checked later.
bool RegionConv::takes(int inputs) const {
    return inputs >= kFixedInputs && inputs <= kMaxConvSegments + kFixedInputs;
}

DataType RegionConv::output_type(DataType type) const {
    switch (output_type_) {
        case kFloat:
            return DataType::kFLOAT;
        case kHalf:
            return DataType::kHALF;
        case kBFloat16:
            return DataType::kBF16;
        default:
            return type;
    }
}

bool RegionConv::supports(int at, const nvinfer1::DynamicPluginTensorDesc* tensors,
                          int inputs) const {
    const TensorDesc& tensor = tensors[at].desc;
    const DataType type = tensors[0].desc.type;
    if (!is_linear(tensor)) return false;
    if (at == 0) return is_row_type(type);
    if (at == inputs) return tensor.type == output_type(type);
    const Places places(type, inputs);
    if (at < places.segments()) return tensor.type == type;
    switch (places.at(at)) {
        case kRows:
        case kIndex:
        case kCount:
            return tensor.type == DataType::kINT32;
        case kScale:
            return tensor.type == DataType::kFLOAT;
        // An FP32 bias avoids rounding a large bias to the type of x.
        case kBias:
            return tensor.type == DataType::kFLOAT ||
                   (tensor.type == type && is_feature_type(type));
        // INT8 rows also accept a floating-point residual.
        case kResidual:
            return tensor.type == type || (type == DataType::kINT8 && is_feature_type(tensor.type));
        default:
            return tensor.type == type;
    }
}

void RegionConv::output_types(const DataType* in, int inputs, DataType* out) const {
    static_cast<void>(Places(in[0], inputs));  // rejects a number that this type cannot have
    out[0] = output_type(in[0]);
}

// The types, which determine the order of inputs, are not available here; but weight is the only
// input with four dimensions.
void RegionConv::output_shapes(const nvinfer1::DimsExprs* in, int inputs, nvinfer1::DimsExprs* out,
                               nvinfer1::IExprBuilder&) const {
    for (int i = kWeight; i < inputs; ++i) {
        if (in[i].nbDims != 4) continue;
        out[0] = {2, {in[i - kWeight + kRows].d[0], in[i].d[0]}};
        return;
    }
    throw PluginError("weight has not 4 dimensions");
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

void RegionConv::check_types(const TensorDesc* in, const Places& places) const {
    if (in[0].type == DataType::kINT8) {
        expect_rank("scale", in[places.of(kScale)], 1);
        expect_same("the length of scale", in[places.of(kScale)].dims.d[0],
                    "weight's output channels", in[places.of(kWeight)].dims.d[0]);
        return;
    }
    if (output_type_ != kAsX) {
        throw PluginError("output_type is " + std::to_string(output_type_) +
                          ", expected 0: x is not INT8");
    }
    if (residual_factor_ != 1.0f) {
        throw PluginError("residual_factor is " + std::to_string(residual_factor_) +
                          ", expected 1: x is not INT8");
    }
}

void RegionConv::check(const TensorDesc* in, int inputs, const TensorDesc*) const {
    const Places places(in[0].type, inputs);
    const int segments = places.segments();
    const TensorDesc& rows = in[places.of(kRows)];
    const TensorDesc& weight = in[places.of(kWeight)];
    const TensorDesc& bias = in[places.of(kBias)];
    const TensorDesc& residual = in[places.of(kResidual)];
    expect_rank("rows", rows, 1);
    expect_rank("index", in[places.of(kIndex)], 3);
    expect_one_value("count", in[places.of(kCount)]);
    expect_rank("weight", weight, 4);
    expect_rank("bias", bias, 1);
    expect_rank("residual", residual, 2);
    check_types(in, places);
    for (const auto* slices : {&channel_begin_, &channel_end_}) {
        if (!slices->empty()) {
            expect_same("the length of channel_begin and channel_end",
                        static_cast<int64_t>(slices->size()), "one a segment", segments);
        }
    }
    const Window window = window_.window();
    const bool one_tap = window.kernel_height == 1 && window.kernel_width == 1;
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
        // A window reads the rows that index numbers, a 1x1 the row itself.
        expect_same("the number of rows of x", in[s].dims.d[0],
                    one_tap ? "the length of rows" : "that of the first x",
                    one_tap ? rows.dims.d[0] : in[0].dims.d[0]);
    }
    const int64_t products = channels * window.kernel_height * window.kernel_width;
    if (in[0].type == DataType::kINT8 && products > kMostProducts) {
        throw PluginError("an output sums " + std::to_string(products) +
                          " products of INT8 values, and INT32 holds " +
                          std::to_string(kMostProducts));
    }
    const int64_t out_channels = weight.dims.d[0];
    expect_same("the number of input channels of weight", weight.dims.d[weight_axis(1)],
                "what x has", channels);
    expect_same("the height of weight", weight.dims.d[weight_axis(2)], "that of kernel_shape",
                window.kernel_height);
    expect_same("the width of weight", weight.dims.d[weight_axis(3)], "that of kernel_shape",
                window.kernel_width);
    expect_same("the length of bias", bias.dims.d[0], "weight's output channels", out_channels);
    if (residual.dims.d[0] != 1 || residual.dims.d[1] != 1) {
        expect_same("the number of rows of residual", residual.dims.d[0], "the length of rows",
                    rows.dims.d[0]);
        expect_same("the number of channels of residual", residual.dims.d[1],
                    "weight's output channels", out_channels);
    }
}

cudaError_t RegionConv::run(const TensorDesc* in, int inputs, const TensorDesc* out,
                            const void* const* in_data, void* const* out_data,
                            cudaStream_t stream) const {
    RegionConvArguments a = {};
    const Places places(in[0].type, inputs);
    const auto ints = [&](Input input) {
        return static_cast<const int32_t*>(in_data[places.of(input)]);
    };
    a.type = element_type(in[0]);
    a.segment_count = places.segments();
    a.x_rows = dimension(in[0], 0);
    for (int s = 0; s < a.segment_count; ++s) {
        const int32_t width = dimension(in[s], 1);
        const int32_t begin = channel_begin(s);
        a.segments[s] = {static_cast<const char*>(in_data[s]) + begin * element_bytes(a.type),
                         width, channel_end(s, width) - begin};
    }
    a.region = {ints(kRows), ints(kIndex), ints(kCount), dimension(in[places.of(kRows)], 0),
                map_of_index(in[places.of(kIndex)])};
    a.window = window_.window();
    a.weight = in_data[places.of(kWeight)];
    a.bias = in_data[places.of(kBias)];
    if (a.type == ElementType::kInt8) {
        a.scale = static_cast<const float*>(in_data[places.of(kScale)]);
    }
    const TensorDesc& residual = in[places.of(kResidual)];
    a.out_channels = dimension(in[places.of(kWeight)], 0);
    a.residual = has_residual(residual, a.region.max_rows, a.out_channels)
                     ? in_data[places.of(kResidual)]
                     : nullptr;
    a.y = out_data[0];
    a.residual_scale = residual_scale_;
    a.residual_factor = residual_factor_;
    a.relu = activation_ == 1;
    a.bias_type = element_type(in[places.of(kBias)]);
    a.residual_type = element_type(residual);
    a.output_type = element_type(out[0]);
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

// Tile variants whose neighbour table fits for a window of this size.
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
