// Convolution against double precision; integers must be equal.
#include "check.h"

namespace check {
namespace {

struct Case {
    int type, taps, outputs, segments, results, out_type;
    std::vector<std::unique_ptr<Rows>> inputs;
    std::vector<std::vector<int32_t>> tables;  // empty: row by row
    std::vector<float> weight, scale, bias;
    std::unique_ptr<Rows> residual;
    std::vector<int32_t> residual_table;
    float residual_factor = 0;
    bool relu;
};

bool exists(int64_t row, int64_t count) { return row >= 0 && row < count; }

Case random_case(Random& random) {
    Case c;
    c.type = random.between(LCT_CPU_F32, LCT_CPU_U8);
    c.taps = random.chance(40) ? 1 : random.between(2, 10);
    c.outputs = random.between(1, 80);
    c.segments = random.chance(60) ? 1 : random.between(2, 4);
    c.results = random.chance(10) ? 0 : random.between(1, 130);
    c.out_type = random.between(LCT_CPU_F32, LCT_CPU_U8);
    c.relu = random.chance(50);
    int64_t channels = 0;
    for (int s = 0; s < c.segments; ++s) {
        const int some = random.between(1, 70);
        channels += some;
        c.inputs.push_back(std::make_unique<Rows>(c.type, random.between(0, 60), some));
        c.inputs.back()->fill(random);
        const bool plain = c.taps == 1 && random.chance(50);
        c.tables.push_back(
            plain ? std::vector<int32_t>()
                  : random_table(random, int64_t{c.results} * c.taps, c.inputs.back()->count));
    }
    c.weight.resize(c.outputs * channels * c.taps);
    for (float& w : c.weight)
        w = is_integer(c.type) ? static_cast<float>(random.between(-127, 127)) : random.real();
    for (int k = 0; k < c.outputs; ++k) {
        c.scale.push_back(is_integer(c.type) ? 0.001f * (1.0f + std::fabs(random.real()))
                                             : random.real());
        c.bias.push_back(random.real());
    }
    if (random.chance(50)) {
        const int type = random.between(LCT_CPU_F32, LCT_CPU_U8);
        c.residual = std::make_unique<Rows>(type, random.between(0, 140), c.outputs);
        c.residual->fill(random);
        c.residual_factor = random.real();
        if (random.chance(50))
            c.residual_table = random_table(random, c.results, c.residual->count);
    }
    return c;
}

// The sum of products of a result, and the sum of their magnitudes.
double product(const Case& c, int r, int k, double* magnitude) {
    double sum = 0;
    int64_t channels = 0, before = 0;
    for (const auto& input : c.inputs) channels += input->channels;
    for (int s = 0; s < c.segments; before += c.inputs[s++]->channels) {
        const Rows& input = *c.inputs[s];
        for (int t = 0; t < c.taps; ++t) {
            const int64_t row = c.tables[s].empty() ? r : c.tables[s][r * c.taps + t];
            if (!exists(row, input.count)) continue;
            for (int i = 0; i < input.channels; ++i) {
                float w = c.weight[(k * channels + before + i) * c.taps + t];
                if (!is_integer(c.type)) w *= c.scale[k];
                if (c.type == LCT_CPU_BF16) w = rounded_to_bf16(w);
                const double term = input.get(row, i) * w;
                sum += term;
                *magnitude += std::fabs(term);
            }
        }
    }
    return sum;
}

void check_result(const Case& c, const Rows& out, int r, int k) {
    double magnitude = 0;
    const double sum = product(c, r, k, &magnitude);
    float residual = 0;
    if (c.residual != nullptr) {
        const int64_t row = c.residual_table.empty() ? r : c.residual_table[r];
        if (exists(row, c.residual->count))
            residual = static_cast<float>(c.residual->get(row, k)) * c.residual_factor;
    }
    // The formula of the library, in its order: with INT8 inputs exact.
    float value = is_integer(c.type) ? static_cast<float>(sum) * c.scale[k] + c.bias[k]
                                     : static_cast<float>(sum + c.bias[k]);
    value += residual;
    if (c.relu && value < 0) value = 0;
    double tolerance = is_integer(c.type) ? 0 : 1e-5 * (magnitude + 1) + 1e-5 * std::fabs(residual);
    double expected = value;
    if (c.out_type == LCT_CPU_BF16) {
        expected = rounded_to_bf16(value);
        if (tolerance > 0) tolerance += std::fabs(value) / 128;
    } else if (is_integer(c.out_type)) {
        const bool is_signed = c.out_type == LCT_CPU_S8;
        expected = std::nearbyint(value);
        expected = std::fmin(std::fmax(expected, is_signed ? -128 : 0), is_signed ? 127 : 255);
        if (tolerance > 0) tolerance += 1;
    }
    const double got = out.get(r, k);
    if (!(std::fabs(got - expected) <= tolerance))
        fail("convolution: " + std::to_string(got) + ", expected " + std::to_string(expected) +
             " at row " + std::to_string(r) + ", output " + std::to_string(k) + ", type " +
             std::to_string(c.type) + ", " + lct_cpu_isa());
}

}  // namespace

void check_conv(Random& random, lct_cpu_pool* pool) {
    Case c = random_case(random);
    std::vector<int32_t> channels;
    std::vector<lct_cpu_rows> inputs;
    for (int s = 0; s < c.segments; ++s) {
        Rows& rows = *c.inputs[s];
        channels.push_back(rows.channels);
        inputs.push_back({rows.data(), rows.count, rows.stride,
                          c.tables[s].empty() ? nullptr : c.tables[s].data()});
        // No table to point to where there are no results.
        if (c.results == 0 && c.taps > 1) inputs.back().table = nullptr;
    }
    std::vector<int8_t> integers(c.weight.begin(), c.weight.end());
    const void* weight = is_integer(c.type) ? static_cast<const void*>(integers.data())
                                            : static_cast<const void*>(c.weight.data());
    lct_cpu_conv* conv = lct_cpu_conv_create(c.type, c.segments, channels.data(), c.taps, c.outputs,
                                             weight, c.scale.data(), c.bias.data());
    expect(conv != nullptr, "a convolution");
    lct_cpu_rows residual = {};
    if (c.residual != nullptr)
        residual = {c.residual->data(), c.residual->count, c.residual->stride,
                    c.residual_table.empty() ? nullptr : c.residual_table.data()};
    Rows out(c.out_type, c.results, c.outputs);
    const int status =
        lct_cpu_conv_run(conv, pool, inputs.data(), c.residual == nullptr ? nullptr : &residual,
                         c.residual == nullptr ? 0 : c.residual->type, c.residual_factor, c.relu,
                         c.results, out.data(), out.type, out.stride);
    expect(status == 0, "running a convolution");
    lct_cpu_conv_destroy(conv);
    const int padded = static_cast<int>(out.stride) / (c.out_type == LCT_CPU_F32    ? 4
                                                       : c.out_type == LCT_CPU_BF16 ? 2
                                                                                    : 1);
    for (int r = 0; r < c.results; ++r) {
        for (int k = 0; k < c.outputs; ++k) check_result(c, out, r, k);
        for (int k = c.outputs; k < padded; ++k) expect(out.get(r, k) == 0, "rows end with zeros");
    }
}

}  // namespace check
