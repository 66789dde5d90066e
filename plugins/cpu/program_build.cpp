// Checks the operators of a region program and lays out its temporaries.
#include <cstring>

#include "program.h"

namespace lc_trt::cpu {
namespace {

bool is_region(const lct_cpu_op& op) {
    return op.kind == LCT_CPU_SELECT || op.kind == LCT_CPU_MASK;
}

bool has_rows(const lct_cpu_op& op) {
    return op.kind == LCT_CPU_CONV || op.kind == LCT_CPU_RESTRICT || op.kind == LCT_CPU_MAX_POOL;
}

Window window_of(const lct_cpu_op& op) {
    return {op.kernel[0], op.kernel[1], op.dilation[0], op.dilation[1]};
}

ElementType type_of(const lct_cpu_op& op) {
    require(op.type >= LCT_CPU_F32 && op.type <= LCT_CPU_U8, "unknown element type");
    return static_cast<ElementType>(op.type);
}

void check_binding(const lct_cpu_op& op) {
    require(op.binding >= 0, "needs a binding");
    require(op.kind == LCT_CPU_EXPORT || op.kind == LCT_CPU_SELECT || op.kind == LCT_CPU_MASK ||
                op.layout == LCT_CPU_NHWC || op.layout == LCT_CPU_NCHW,
            "unknown layout");
}

}  // namespace

Program::Program(const lct_cpu_op* ops, int count, int batch)
    : row_kernel_(row_kernel(allowed_isa())) {
    require(ops != nullptr && count >= 1, "a program has at least one operator");
    require(batch >= 1, "a batch has at least one image");
    nodes_.resize(count);
    for (int at = 0; at < count; ++at) {
        Node& node = nodes_[at];
        node.op = ops[at];
        for (int& table : node.tables) table = -1;
        try {
            build(at, batch);
        } catch (const Error& error) {
            throw Error("operator " + std::to_string(at) + ": " + error.what());
        }
        // Not ours, and read no more.
        node.op.weight = nullptr;
        node.op.scale = node.op.bias = nullptr;
    }
    for (Node& node : nodes_) node.imported.assign(tables_.size(), 0);
    arena_.place();
}

void Program::build(int at, int batch) {
    const lct_cpu_op& op = nodes_[at].op;
    require(op.inputs >= 0 && op.inputs <= kMaxSegments, "has at most 8 inputs");
    switch (op.kind) {
        case LCT_CPU_MAP:
            return build_map(at, batch);
        case LCT_CPU_SELECT:
        case LCT_CPU_MASK:
            return build_region(at, batch);
        case LCT_CPU_CONV:
            return build_conv(at);
        case LCT_CPU_RESTRICT:
        case LCT_CPU_MAX_POOL:
            return build_moving(at);
        case LCT_CPU_SCATTER:
        case LCT_CPU_EXPORT:
            return build_output(at);
        default:
            throw Error("unknown kind " + std::to_string(op.kind));
    }
}

const Program::Node& Program::earlier(int at, int op) const {
    require(op >= 0 && op < at, "reads an operator that is not before it");
    return nodes_[op];
}

const Program::Node& Program::region_of(int at) const {
    const Node& region = earlier(at, nodes_[at].op.region);
    require(is_region(region.op), "its region is none");
    return region;
}

void Program::build_map(int at, int batch) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    node.grid = {batch, op.height, op.width};
    check(node.grid);
    check_binding(op);
    require(op.channels >= 1, "has at least one channel");
    node.channels = op.channels;
    node.type = type_of(op);
    if (node.type == ElementType::kF32 && op.layout == LCT_CPU_NHWC && op.factor == 1.0f) {
        node.stride = int64_t{op.channels} * 4;  // read where it is
        return;
    }
    node.stride = padded_channels(node.type, op.channels) * size_of(node.type);
    node.data = arena_.add(node.grid.pixels() * node.stride);
    node.marks = arena_.add(node.grid.pixels());
}

void Program::build_region(int at, int batch) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    node.grid = {batch, op.height, op.width};
    check(node.grid);
    check_binding(op);
    require(op.kind == LCT_CPU_MASK || op.threshold >= 0, "needs a threshold");
    require(op.inputs <= 1, "is within at most one region");
    if (op.inputs == 1) {
        const Node& larger = earlier(at, op.input[0]);
        require(is_region(larger.op), "its input is no region");
        require(larger.grid == node.grid || larger.grid == node.grid.halved(),
                "is within a region at the same or at twice the stride");
        arena_.use(larger.index, at);
    }
    node.rows = arena_.add(node.grid.pixels() * 4);
    node.index = arena_.add(node.grid.pixels() * 4);
    arena_.use(node.rows, at);
    arena_.use(node.index, at);
}

// The table of what results of operator `at` read of `source`; -1 where that is row by row.
int Program::table_for(int at, int source, const Window& window) {
    const int region = nodes_[at].op.region;
    const Node& from = earlier(at, source);
    const bool dense = from.op.kind == LCT_CPU_MAP;
    require(dense || has_rows(from.op), "reads an operator that has no rows");
    const int source_region = dense ? -1 : from.op.region;
    const Grid grid = region_of(at).grid;
    const Grid source_grid = dense ? from.grid : nodes_[source_region].grid;
    if (source_region == region && window.taps() == 1) return -1;
    const bool halved = !(source_grid == grid);
    require(!halved || source_grid == grid.halved(),
            "reads a map that has neither its region's stride nor twice that");
    require(!halved || window.taps() == 1, "reads a window at another stride");
    int number = 0;
    for (; number < static_cast<int>(tables_.size()); ++number) {
        const Table& t = tables_[number];
        if (t.region == region && t.source == source_region && t.halved == halved &&
            t.window == window)
            break;
    }
    if (number == static_cast<int>(tables_.size())) {
        const int piece = arena_.add(grid.pixels() * window.taps() * 4);
        tables_.push_back({region, source_region, halved, window, piece});
        arena_.use(nodes_[region].rows, at);
        if (source_region >= 0) arena_.use(nodes_[source_region].index, at);
    }
    arena_.use(tables_[number].piece, at);
    return number;
}

void Program::read(int at, int source) {
    const Node& from = nodes_[source];
    if (from.data >= 0) arena_.use(from.data, at);
    if (from.marks >= 0) arena_.use(from.marks, at);
}

void Program::add_results(int at, ElementType type, int channels) {
    Node& node = nodes_[at];
    node.type = type;
    node.channels = channels;
    node.stride = padded_channels(type, channels) * size_of(type);
    node.data = arena_.add(region_of(at).grid.pixels() * node.stride);
    arena_.use(node.data, at);
}

void Program::build_conv(int at) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    region_of(at);
    const Window window = window_of(op);
    check(window);
    require(op.inputs >= 1, "has at least one input");
    require(op.channels >= 1, "has at least one output channel");
    ConvShape shape = {earlier(at, op.input[0]).type, op.inputs, {}, window.taps(), op.channels};
    for (int i = 0; i < op.inputs; ++i) {
        const Node& from = earlier(at, op.input[i]);
        require(from.type == shape.type, "its inputs have different types");
        shape.channels[i] = from.channels;
        node.tables[i] = table_for(at, op.input[i], window);
        read(at, op.input[i]);
    }
    if (op.residual >= 0) {
        const Node& from = earlier(at, op.residual);
        node.residual_table = table_for(at, op.residual, Window{});
        require(from.channels == op.channels, "its residual has another number of channels");
        read(at, op.residual);
    }
    node.conv = std::make_unique<Conv>(shape, op.weight, op.scale, op.bias);
    add_results(at, type_of(op), op.channels);
}

void Program::build_moving(int at) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    region_of(at);
    require(op.inputs == 1, "has one input");
    const Node& from = earlier(at, op.input[0]);
    const Window window = op.kind == LCT_CPU_MAX_POOL ? window_of(op) : Window{};
    check(window);
    node.tables[0] = table_for(at, op.input[0], window);
    require(op.kind != LCT_CPU_MAX_POOL || node.tables[0] >= 0, "has a window of one position");
    read(at, op.input[0]);
    add_results(at, from.type, from.channels);
}

void Program::build_output(int at) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    check_binding(op);
    require(op.inputs == 1, "has one input");
    const Node& from = earlier(at, op.input[0]);
    require(has_rows(from.op), "reads an operator that has no rows");
    node.op.region = from.op.region;
    node.channels = from.channels;
    node.grid = nodes_[from.op.region].grid;
    arena_.use(nodes_[from.op.region].rows, at);
    read(at, op.input[0]);
}

}  // namespace lc_trt::cpu
