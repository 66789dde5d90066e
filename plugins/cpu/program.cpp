// Runs a region program.
#include "program.h"

#include <algorithm>
#include <cstring>

namespace lc_trt::cpu {
namespace {

constexpr int64_t kTableRowsAtATime = 256;

void* binding(const lct_cpu_op& op, const Program::Arguments& arguments) {
    require(op.binding < arguments.binding_count && arguments.bindings[op.binding] != nullptr,
            "its binding is missing");
    return arguments.bindings[op.binding];
}

}  // namespace

void Program::run(Pool& pool, int first, int end, const Arguments& arguments) {
    std::lock_guard<std::mutex> guard(mutex_);
    require(first >= 0 && first <= end && end <= size(), "a run is of operators of the program");
    require(first == 0 || first == next_, "a run begins with 0 or where the run before ended");
    require(!pool.forked(), "a forked process needs a pool of its own");
    if (first == 0) {
        for (Table& table : tables_) table.ready = false;
        for (Node& node : nodes_) {
            node.count = -1;
            node.converted = false;
            std::fill(node.imported.begin(), node.imported.end(), 0);
        }
    }
    next_ = -1;  // unless this run gets through
    Pool::Lock lock(pool);
    for (int at = first; at < end; ++at) {
        try {
            run_op(lock, at, arguments);
        } catch (const Error& error) {
            throw Error("operator " + std::to_string(at) + ": " + error.what());
        }
    }
    next_ = end;
}

int64_t Program::rows(int op) const {
    std::lock_guard<std::mutex> guard(mutex_);
    require(op >= 0 && op < size(), "no such operator");
    const int64_t count = count_of(nodes_[op]);
    require(count >= 0, "has no rows in this frame");
    return count;
}

int64_t Program::count_of(const Node& node) const {
    if (node.rows >= 0) return node.count;
    return node.op.region >= 0 && node.op.region < size() ? nodes_[node.op.region].count : -1;
}

void Program::run_op(Pool::Lock& pool, int at, const Arguments& arguments) {
    Node& node = nodes_[at];
    switch (node.op.kind) {
        case LCT_CPU_MAP:
            node.map = static_cast<const float*>(binding(node.op, arguments));
            break;
        case LCT_CPU_SELECT:
        case LCT_CPU_MASK:
            run_region(at, arguments);
            break;
        case LCT_CPU_CONV:
            run_conv(pool, at);
            break;
        case LCT_CPU_RESTRICT:
            run_restrict(pool, at);
            break;
        case LCT_CPU_MAX_POOL:
            run_max_pool(pool, at);
            break;
        default:
            run_output(pool, at, arguments);
    }
}

void Program::run_region(int at, const Arguments& arguments) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    const void* from = binding(op, arguments);
    const bool score = op.kind == LCT_CPU_SELECT;
    require(!score || op.threshold < arguments.threshold_count, "its threshold is missing");
    const Node* larger = op.inputs == 1 ? &nodes_[op.input[0]] : nullptr;
    const int64_t bytes = node.grid.pixels() * 4;
    int32_t* rows = reinterpret_cast<int32_t*>(arena_.open(node.rows, bytes));
    int32_t* index = reinterpret_cast<int32_t*>(arena_.open(node.index, bytes));
    node.count = select_region(node.grid, score ? static_cast<const float*>(from) : nullptr,
                               score ? arguments.thresholds[op.threshold] : 0.0f,
                               score ? nullptr : static_cast<const uint8_t*>(from),
                               larger == nullptr ? nullptr : integers(larger->index),
                               larger != nullptr && !(larger->grid == node.grid), rows, index);
}

const int32_t* Program::table(Pool::Lock& pool, int number) {
    Table& table = tables_[number];
    if (table.ready) return integers(table.piece);
    const Node& region = nodes_[table.region];
    const int taps = table.window.taps();
    int32_t* to = reinterpret_cast<int32_t*>(arena_.open(table.piece, region.count * taps * 4));
    const int32_t* rows = integers(region.rows);
    const int32_t* index = table.source < 0 ? nullptr : integers(nodes_[table.source].index);
    const int64_t count = region.count;
    pool.each((count + kTableRowsAtATime - 1) / kTableRowsAtATime, [&](int64_t i, int) {
        const int64_t first = i * kTableRowsAtATime;
        const int64_t end = std::min(count, first + kTableRowsAtATime);
        if (table.halved) {
            parent_table(region.grid, rows, first, end, index, to);
        } else {
            neighbour_table(region.grid, rows, first, end, index, table.window, to);
        }
    });
    table.ready = true;
    return to;
}

// Converts the pixels of a dense map that a table names and that are not converted yet.
void Program::import(Pool::Lock& pool, Node& map, int number) {
    if (map.imported[number] != 0) return;
    const int64_t pixels = map.grid.pixels();
    if (!map.converted) {
        std::memset(arena_.open(map.marks, pixels), 0, pixels);
        arena_.open(map.data, pixels * map.stride);
        map.converted = true;
    }
    const Table& table = tables_[number];
    uint8_t* marks = arena_.at(map.marks);
    mark_needed(pool, integers(table.piece), nodes_[table.region].count * table.window.taps(),
                pixels, marks);
    convert_needed(pool, row_kernel_, {map.grid, map.channels, static_cast<Layout>(map.op.layout)},
                   map.map, marks, map.op.factor, {arena_.at(map.data), map.stride, map.type});
    map.imported[number] = 1;
}

RowSource Program::source(Pool::Lock& pool, int op, int number) {
    Node& node = nodes_[op];
    RowSource source;
    source.stride = node.stride;
    if (number >= 0) source.table = table(pool, number);
    if (node.op.kind != LCT_CPU_MAP) {
        source.rows = arena_.at(node.data);
        source.count = count_of(node);
        return source;
    }
    source.count = node.grid.pixels();
    if (node.data < 0) {
        source.rows = reinterpret_cast<const uint8_t*>(node.map);
    } else {
        import(pool, node, number);
        source.rows = arena_.at(node.data);
    }
    return source;
}

RowTarget Program::results(int at) {
    Node& node = nodes_[at];
    return {arena_.open(node.data, count_of(node) * node.stride), node.stride, node.type};
}

void Program::run_conv(Pool::Lock& pool, int at) {
    Node& node = nodes_[at];
    const lct_cpu_op& op = node.op;
    ConvCall call;
    for (int i = 0; i < op.inputs; ++i)
        call.segments[i] = source(pool, op.input[i], node.tables[i]);
    if (op.residual >= 0) {
        call.residual = source(pool, op.residual, node.residual_table);
        call.residual_type = nodes_[op.residual].type;
        call.residual_factor = op.factor;
    }
    const RowTarget out = results(at);
    call.results = count_of(node);
    call.relu = op.relu != 0;
    call.out = out.rows;
    call.out_stride = out.stride;
    call.out_type = out.type;
    call.out_written = padded_channels(out.type, op.channels);
    node.conv->run(pool, call);
}

void Program::run_restrict(Pool::Lock& pool, int at) {
    Node& node = nodes_[at];
    const RowSource from = source(pool, node.op.input[0], node.tables[0]);
    const RowTarget out = results(at);
    copy_rows(pool, from, count_of(node), node.stride, out.rows, out.stride);
}

void Program::run_max_pool(Pool::Lock& pool, int at) {
    Node& node = nodes_[at];
    const RowSource from = source(pool, node.op.input[0], node.tables[0]);
    const RowTarget out = results(at);
    max_pool_rows(pool, row_kernel_, from, tables_[node.tables[0]].window.taps(), node.channels,
                  count_of(node), out);
}

void Program::run_output(Pool::Lock& pool, int at, const Arguments& arguments) {
    Node& node = nodes_[at];
    const Node& from = nodes_[node.op.input[0]];
    float* to = static_cast<float*>(binding(node.op, arguments));
    const RowTarget rows = {arena_.at(from.data), from.stride, from.type};
    const int64_t count = count_of(node);
    if (node.op.kind == LCT_CPU_SCATTER) {
        scatter_rows(pool, row_kernel_, rows, integers(nodes_[node.op.region].rows), count,
                     node.op.factor,
                     {node.grid, node.channels, static_cast<Layout>(node.op.layout)}, to);
        return;
    }
    for (int64_t r = 0; r < count; ++r)
        row_kernel_.widen(rows.rows + r * rows.stride, node.channels,
                          static_cast<int32_t>(rows.type), node.op.factor, to + r * node.channels);
}

}  // namespace lc_trt::cpu
