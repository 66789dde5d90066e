#include "conv.h"

#include <algorithm>
#include <cstring>

namespace lc_trt::cpu {
namespace {

constexpr int64_t kRowsAtATime = 96;
// Sums of INT8 products must not overflow: 255 * 127 times as many.
constexpr int64_t kMaxProducts = 66311;

uint16_t round_to_bf16(float value) {
    uint16_t result;
    row_kernel(Isa::kPortable)
        .narrow(&value, 1, 1.0f, &result, static_cast<int32_t>(ElementType::kBF16));
    return result;
}

int height_of(const ProductKernel& kernel) { return kernel.height; }

}  // namespace

Conv::Conv(const ConvShape& shape, const void* weight, const float* scale, const float* bias)
    : shape_(shape),
      isa_(allowed_isa()),
      product_(product_kernel(isa_, shape.type)),
      row_kernel_(row_kernel(isa_)) {
    require(shape.segments >= 1 && shape.segments <= kMaxSegments,
            "a convolution has 1 to 8 inputs");
    require(shape.taps >= 1 && shape.taps <= kMaxTaps, "a window has 1 to 121 positions");
    require(shape.outputs >= 1, "a convolution has at least one output channel");
    require(weight != nullptr, "a convolution needs weights");
    const int per_group = kGroup / size_of(shape.type);
    int64_t products = 0, longest = 0;
    for (int s = 0; s < shape.segments; ++s) {
        require(shape.channels[s] >= 1, "an input has at least one channel");
        products += static_cast<int64_t>(shape.channels[s]) * shape.taps;
        const int64_t groups = (shape.channels[s] + per_group - 1) / per_group;
        const bool padded = shape.type != ElementType::kF32;
        spans_[s] = {static_cast<int32_t>(groups),
                     static_cast<int32_t>(padded ? round_up(groups, kGroupsPerLine) : groups)};
        block_bytes_ += static_cast<int64_t>(spans_[s].padded) * shape.taps * kWeightStep;
        longest = std::max<int64_t>(longest, spans_[s].padded);
    }
    require(!is_integer(shape.type) || products <= kMaxProducts,
            "an INT8 convolution has at most 66311 products per output");
    lines_ = block_bytes_ / (kWeightStep * kGroupsPerLine);
    blocks_ = static_cast<int>((shape.outputs + kColumns - 1) / kColumns);
    terms_ = static_cast<int64_t>(shape.segments) * shape.taps;
    std::memset(zeros_.at_least(round_up(longest * kGroup, kLine)), 0,
                round_up(longest * kGroup, kLine));
    scale_.assign(static_cast<size_t>(blocks_) * kColumns, 0.0f);
    bias_.assign(scale_.size(), 0.0f);
    offset_.assign(scale_.size(), 0);
    for (int k = 0; k < shape.outputs; ++k) {
        scale_[k] = scale == nullptr ? 1.0f : scale[k];
        bias_[k] = bias == nullptr ? 0.0f : bias[k];
    }
    pack(weight, scale);
}

void Conv::pack(const void* weight, const float* scale) {
    const size_t bytes = static_cast<size_t>(block_bytes_) * blocks_;
    uint8_t* packed = weights_.at_least(bytes);
    std::memset(packed, 0, bytes);
    const ElementType type = shape_.type;
    const int size = size_of(type), per_group = kGroup / size;
    int64_t channels = 0;
    for (int s = 0; s < shape_.segments; ++s) channels += shape_.channels[s];
    for (int k = 0; k < shape_.outputs; ++k) {
        uint8_t* to = packed + k / kColumns * block_bytes_ + k % kColumns * kGroup;
        int64_t before = 0;
        int32_t total = 0;
        for (int s = 0; s < shape_.segments; before += shape_.channels[s++]) {
            for (int t = 0; t < shape_.taps; ++t) {
                for (int c = 0; c < shape_.channels[s]; ++c) {
                    const int64_t from = (k * channels + before + c) * shape_.taps + t;
                    uint8_t* at = to + c / per_group * kWeightStep + c % per_group * size;
                    if (is_integer(type)) {
                        const int8_t value = static_cast<const int8_t*>(weight)[from];
                        total += value;
                        std::memcpy(at, &value, 1);
                        continue;
                    }
                    const float value = static_cast<const float*>(weight)[from] *
                                        (scale == nullptr ? 1.0f : scale[k]);
                    if (type == ElementType::kF32) {
                        std::memcpy(at, &value, 4);
                    } else {
                        const uint16_t rounded = round_to_bf16(value);
                        std::memcpy(at, &rounded, 2);
                    }
                }
                to += static_cast<int64_t>(spans_[s].padded) * kWeightStep;
            }
        }
        if (product_.shifts_signed) offset_[k] = -128 * total;
    }
}

// Rows that one thread takes: enough that a block of weights is used several times while it is in
// cache, but so few that all threads have some.
int64_t Conv::rows_at_a_time(int64_t results, int threads) const {
    const int height = height_of(product_);
    if (product_.prepare != nullptr) return height;
    const int64_t share = round_up((results + 2 * threads - 1) / (2 * threads), height);
    return std::min<int64_t>(kRowsAtATime, share);
}

size_t Conv::scratch_bytes() const {
    const int height = height_of(product_);
    const int64_t rows = product_.prepare != nullptr ? height : kRowsAtATime;
    const int64_t pointers = round_up(rows * terms_ * sizeof(void*), kLine);
    const int64_t sums = int64_t{kMaxHeight} * kColumns * 4;
    const int64_t copies = product_.prepare != nullptr ? lines_ * height * kLine : 0;
    return static_cast<size_t>(pointers + sums + copies);
}

void Conv::run(Pool::Lock& pool, const ConvCall& call) const {
    if (call.results == 0) return;
    pool.reserve_scratch(scratch_bytes());
    const int64_t step = rows_at_a_time(call.results, pool.threads());
    pool.each((call.results + step - 1) / step, [&](int64_t index, int thread) {
        const int64_t first = index * step;
        run_rows(call, first, std::min(first + step, call.results), pool.scratch(thread));
    });
}

void Conv::gather(const ConvCall& call, int64_t first, int live, const uint8_t** rows) const {
    const int height = height_of(product_), taps = shape_.taps;
    const uint8_t* zeros = const_cast<Buffer&>(zeros_).data();
    for (int s = 0; s < shape_.segments; ++s) {
        const RowSource& source = call.segments[s];
        const uint64_t count = static_cast<uint64_t>(source.count);
        const auto row_at = [&](int64_t row) {
            // Negative numbers are large ones here.
            const bool exists = static_cast<uint64_t>(row) < count;
            return exists ? source.rows + row * source.stride : zeros;
        };
        const int32_t* table = source.table == nullptr ? nullptr : source.table + first * taps;
        for (int t = 0; t < taps; ++t, rows += height) {
            for (int i = 0; i < live; ++i)
                rows[i] = row_at(table == nullptr ? first + i : table[i * taps + t]);
            for (int i = live; i < height; ++i) rows[i] = zeros;
        }
    }
}

void Conv::run_rows(const ConvCall& call, int64_t first, int64_t end, uint8_t* scratch) const {
    const int height = height_of(product_);
    const int64_t pointers = terms_ * height;
    const uint8_t** rows = reinterpret_cast<const uint8_t**>(scratch);
    const int64_t most = product_.prepare != nullptr ? height : kRowsAtATime;
    uint8_t* sums = scratch + round_up(most * terms_ * sizeof(void*), kLine);
    ProductArgs args = {};
    args.spans = spans_;
    args.span_count = shape_.segments;
    args.taps = shape_.taps;
    args.sums = sums;
    args.scratch = sums + int64_t{kMaxHeight} * kColumns * 4;
    const auto live_from = [&](int64_t at) {
        return static_cast<int>(std::min<int64_t>(height, end - at));
    };
    for (int64_t at = first, i = 0; at < end; at += height, ++i) {
        args.rows = rows + i * pointers;
        gather(call, at, live_from(at), rows + i * pointers);
        if (product_.prepare != nullptr) product_.prepare(args);
    }
    for (int block = 0; block < blocks_; ++block) {
        args.weights = const_cast<Buffer&>(weights_).data() + block * block_bytes_;
        args.columns = shape_.outputs - block * kColumns > kColumns / 2 ? kColumns : kColumns / 2;
        for (int64_t at = first, i = 0; at < end; at += height, ++i) {
            args.rows = rows + i * pointers;
            args.live = live_from(at);
            product_.product(args);
            finish(call, at, args.live, block, sums);
        }
    }
}

void Conv::finish(const ConvCall& call, int64_t first, int live, int block,
                  const void* sums) const {
    const int64_t column = static_cast<int64_t>(block) * kColumns;
    const bool last = block == blocks_ - 1;
    FinishArgs args = {};
    args.sums = sums;
    args.integer = is_integer(shape_.type);
    args.scale = scale_.data() + column;
    args.bias = bias_.data() + column;
    args.offset = offset_.data() + column;
    args.relu = call.relu;
    args.live = live;
    args.columns = static_cast<int>(std::min<int64_t>(kColumns, shape_.outputs - column));
    args.written = static_cast<int>(std::min<int64_t>(kColumns, call.out_written - column));
    const uint8_t* residual[kMaxHeight];
    // Longer than any block of columns.
    alignas(kLine) static constexpr uint8_t kZeros[kColumns * 4] = {};
    if (call.residual.rows != nullptr) {
        const RowSource& source = call.residual;
        for (int i = 0; i < live; ++i) {
            const int64_t row = source.table == nullptr ? first + i : source.table[first + i];
            const bool exists = row >= 0 && row < source.count;
            residual[i] =
                exists ? source.rows + row * source.stride + column * size_of(call.residual_type)
                       : kZeros;
        }
        args.residual = residual;
        args.residual_type = static_cast<int32_t>(call.residual_type);
        args.residual_factor = call.residual_factor;
    }
    const int size = size_of(call.out_type);
    args.out = call.out + first * call.out_stride + column * size;
    args.out_stride = call.out_stride;
    args.out_type = static_cast<int32_t>(call.out_type);
    row_kernel_.finish(args);
    // Rows end with zeros, possibly more than the last block has columns.
    const int64_t beyond = call.out_written - (column + kColumns);
    if (last && beyond > 0) {
        for (int i = 0; i < live; ++i)
            std::memset(args.out + i * call.out_stride + kColumns * size, 0, beyond * size);
    }
}

}  // namespace lc_trt::cpu
