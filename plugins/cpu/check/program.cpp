// A program of two stages, run at once and in parts, on one thread and on several: equal bytes.
// Its values are compared with PyTorch in tests/plugins/cpu.
#include "check.h"

namespace check {
namespace {

struct Sizes {
    int batch, h, w, channels, inner, outputs, type, layout;
};

struct Weights {
    std::vector<float> real;
    std::vector<int8_t> integer;
    const void* of(int type) const {
        return is_integer(type) ? static_cast<const void*>(integer.data())
                                : static_cast<const void*>(real.data());
    }
};

Weights random_weights(Random& random, int64_t count) {
    Weights weights;
    for (int64_t i = 0; i < count; ++i) {
        weights.integer.push_back(static_cast<int8_t>(random.between(-127, 127)));
        weights.real.push_back(random.real() / 8);
    }
    return weights;
}

lct_cpu_op make(int kind) {
    lct_cpu_op op = {};
    op.kind = kind;
    op.region = op.residual = -1;
    op.factor = 1.0f;
    op.kernel[0] = op.kernel[1] = op.dilation[0] = op.dilation[1] = 1;
    return op;
}

lct_cpu_op conv(int region, std::vector<int> inputs, int outputs, int type, int side,
                const Weights& weights, const std::vector<float>& scale) {
    lct_cpu_op op = make(LCT_CPU_CONV);
    op.region = region;
    for (int input : inputs) op.input[op.inputs++] = input;
    op.channels = outputs;
    op.type = type;
    op.kernel[0] = op.kernel[1] = side;
    op.dilation[0] = 2;
    op.weight = weights.of(type);
    op.scale = scale.data();
    op.relu = 1;
    return op;
}

lct_cpu_op region(int kind, int binding, int h, int w, int within) {
    lct_cpu_op op = make(kind);
    op.binding = binding;
    op.height = h;
    op.width = w;
    if (within >= 0) op.input[op.inputs++] = within;
    return op;
}

}  // namespace

void check_program(Random& random, lct_cpu_pool* pool, lct_cpu_pool* other) {
    const Sizes s = {random.between(1, 2),
                     random.between(1, 16),
                     random.between(1, 24),
                     random.between(1, 70),
                     random.between(1, 40),
                     random.between(1, 12),
                     random.between(LCT_CPU_F32, LCT_CPU_U8),
                     random.between(LCT_CPU_NHWC, LCT_CPU_NCHW)};
    const int h4 = 2 * s.h - random.between(0, 1), w4 = 2 * s.w - random.between(0, 1);
    const int64_t pixels = int64_t{s.batch} * s.h * s.w, pixels4 = int64_t{s.batch} * h4 * w4;
    const std::vector<float> scale(64, is_integer(s.type) ? 1e-3f : 1.0f);
    const Weights first = random_weights(random, int64_t{s.inner} * s.channels * 9);
    const Weights second = random_weights(random, int64_t{s.inner} * (s.inner + s.channels));
    const Weights third = random_weights(random, int64_t{s.inner} * s.inner * 9);
    const Weights last = random_weights(random, int64_t{s.outputs} * s.inner);

    std::vector<lct_cpu_op> ops;
    ops.push_back(make(LCT_CPU_MAP));  // 0
    ops[0].height = s.h;
    ops[0].width = s.w;
    ops[0].channels = s.channels;
    ops[0].layout = s.layout;
    ops[0].type = s.type;
    ops[0].binding = 0;
    ops.push_back(region(LCT_CPU_SELECT, 1, s.h, s.w, -1));             // 1
    ops.push_back(conv(1, {0}, s.inner, s.type, 3, first, scale));      // 2
    ops.push_back(conv(1, {2, 0}, s.inner, s.type, 1, second, scale));  // 3
    ops.push_back(conv(1, {3}, s.inner, s.type, 3, third, scale));      // 4
    ops.back().residual = 3;
    ops.push_back(region(LCT_CPU_MASK, 2, h4, w4, 1));  // 5
    ops.push_back(make(LCT_CPU_RESTRICT));              // 6
    ops.back().region = 5;
    ops.back().input[ops.back().inputs++] = 4;
    ops.push_back(make(LCT_CPU_MAX_POOL));  // 7
    ops.back().region = 5;
    ops.back().kernel[0] = 3;
    ops.back().input[ops.back().inputs++] = 6;
    ops.push_back(conv(5, {7}, s.outputs, s.type, 1, last, scale));  // 8
    ops.back().type = LCT_CPU_F32;
    ops.back().weight = last.of(s.type);
    ops.push_back(make(LCT_CPU_SCATTER));  // 9
    ops.back().binding = 3;
    ops.back().layout = s.layout;
    ops.back().input[ops.back().inputs++] = 8;

    lct_cpu_program* program = lct_cpu_program_create(ops.data(), ops.size(), s.batch);
    expect(program != nullptr, "a program");
    for (int frame = 0; frame < 3; ++frame) {
        std::vector<float> map(pixels * s.channels), score(pixels);
        for (float& value : map) value = random.real() * 40;
        for (float& value : score) value = random.real();
        std::vector<uint8_t> mask(pixels4);
        for (uint8_t& value : mask) value = random.chance(60);
        const float threshold = frame == 0 ? -3.0f : frame == 1 ? 3.0f : random.real();
        std::vector<float> whole(pixels4 * s.outputs, -1.0f), parts(whole);
        void* bindings[] = {map.data(), score.data(), mask.data(), whole.data()};
        expect(lct_cpu_program_run(program, pool, 0, ops.size(), bindings, 4, &threshold, 1) == 0,
               "running a program");
        bindings[3] = parts.data();
        expect(lct_cpu_program_run(program, other, 0, 5, bindings, 4, &threshold, 1) == 0,
               "running a part");
        expect(lct_cpu_program_run(program, other, 5, ops.size(), bindings, 4, &threshold, 1) == 0,
               "running the rest");
        expect(whole == parts, "threads and parts make no difference");
        expect(
            lct_cpu_program_rows(program, 1) == (frame == 0   ? 0
                                                 : frame == 1 ? pixels
                                                              : lct_cpu_program_rows(program, 1)),
            "the number of rows");
    }
    lct_cpu_program_destroy(program);
}

}  // namespace check
