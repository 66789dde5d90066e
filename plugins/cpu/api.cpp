// The C interface: checks arguments, and turns exceptions into messages.
#include <memory>
#include <new>

#include "program.h"

using namespace lc_trt::cpu;

struct lct_cpu_pool : Pool {
    using Pool::Pool;
};
struct lct_cpu_conv : Conv {
    using Conv::Conv;
};
struct lct_cpu_program : Program {
    using Program::Program;
};

#define LCT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

thread_local std::string message;

template <class Result, class F>
Result guarded(Result failure, const F& function) {
    try {
        return function();
    } catch (const std::exception& error) {
        message = error.what();
    }
    return failure;
}

template <class F>
int guarded(const F& function) {
    return guarded(-1, [&] {
        function();
        return 0;
    });
}

ElementType element_type(int32_t type) {
    require(type >= LCT_CPU_F32 && type <= LCT_CPU_U8, "unknown element type");
    return static_cast<ElementType>(type);
}

Pool::Lock locked(lct_cpu_pool* pool) {
    require(pool != nullptr, "there is no pool");
    require(!pool->forked(), "a forked process needs a pool of its own");
    return Pool::Lock(*pool);
}

Grid checked(const lct_cpu_grid& grid) {
    const Grid result = {grid.n, grid.h, grid.w};
    check(result);
    return result;
}

// Rows of the library's own, that end with zeros.
void check_rows(const void* rows, int64_t count, int64_t stride, ElementType type,
                int64_t channels) {
    require(count >= 0 && channels >= 1, "rows have a count and channels");
    require(count == 0 || rows != nullptr, "there are no rows");
    require(stride >= padded_channels(type, channels) * size_of(type),
            "rows are closer to each other than they are long (lct_cpu_row_bytes)");
    require(stride % (type == ElementType::kF32 ? 4 : kLine) == 0,
            "the distance of BF16 and INT8 rows is a multiple of 64 bytes");
}

const RowKernel& rows_kernel() { return row_kernel(allowed_isa()); }

Layout checked_layout(int32_t layout) {
    require(layout == LCT_CPU_NHWC || layout == LCT_CPU_NCHW, "unknown layout");
    return static_cast<Layout>(layout);
}

}  // namespace

LCT_EXPORT int32_t lct_cpu_version(void) { return LCT_CPU_VERSION; }

LCT_EXPORT const char* lct_cpu_error(void) { return message.c_str(); }

LCT_EXPORT const char* lct_cpu_detected_isa(void) { return name_of(detected_isa()); }

LCT_EXPORT const char* lct_cpu_isa(void) {
    return guarded<const char*>(nullptr, [] { return name_of(allowed_isa()); });
}

LCT_EXPORT const char* lct_cpu_conv_isa(int32_t type) {
    return guarded<const char*>(
        nullptr, [&] { return name_of(product_isa(allowed_isa(), element_type(type))); });
}

LCT_EXPORT int lct_cpu_limit_isa(const char* name) {
    return guarded([&] { limit_isa(name); });
}

LCT_EXPORT int32_t lct_cpu_emulates_amx(void) {
#ifdef LC_TRT_CPU_EMULATE_AMX
    return 1;
#else
    return 0;
#endif
}

LCT_EXPORT lct_cpu_pool* lct_cpu_pool_create(int32_t threads) {
    return guarded<lct_cpu_pool*>(nullptr, [&] {
        require(threads >= 1 && threads <= 1024, "a pool has 1 to 1024 threads");
        return new lct_cpu_pool(threads);
    });
}

LCT_EXPORT void lct_cpu_pool_destroy(lct_cpu_pool* pool) {
    // In a forked child its threads do not exist, and are still registered as waiting: destruction
    // would wait for them.
    if (pool == nullptr || pool->forked()) return;
    delete pool;
}

LCT_EXPORT int64_t lct_cpu_select(lct_cpu_grid grid, const float* score, float rho,
                                  const uint8_t* mask, const int32_t* parents, int32_t halved,
                                  int32_t* rows, int32_t* index) {
    return guarded<int64_t>(-1, [&] {
        return select_region(checked(grid), score, rho, mask, parents, halved != 0, rows, index);
    });
}

LCT_EXPORT int lct_cpu_neighbours(lct_cpu_grid grid, const int32_t* rows, int64_t count,
                                  const int32_t* index, int32_t kh, int32_t kw, int32_t dh,
                                  int32_t dw, int32_t* table) {
    return guarded([&] {
        const Window window = {kh, kw, dh, dw};
        check(window);
        neighbour_table(checked(grid), rows, 0, count, index, window, table);
    });
}

LCT_EXPORT int lct_cpu_parents(lct_cpu_grid grid, const int32_t* rows, int64_t count,
                               const int32_t* index, int32_t* table) {
    return guarded([&] { parent_table(checked(grid), rows, 0, count, index, table); });
}

LCT_EXPORT int64_t lct_cpu_row_bytes(int32_t type, int32_t channels) {
    return guarded<int64_t>(-1, [&] {
        const ElementType element = element_type(type);
        return padded_channels(element, channels) * size_of(element);
    });
}

LCT_EXPORT int lct_cpu_gather(lct_cpu_pool* pool, lct_cpu_grid grid, const float* map,
                              int32_t layout, int32_t channels, const int32_t* rows, int64_t count,
                              float factor, void* out, int32_t type, int64_t out_stride) {
    return guarded([&] {
        const ElementType element = element_type(type);
        check_rows(out, count, out_stride, element, channels);
        Pool::Lock lock = locked(pool);
        gather_rows(lock, rows_kernel(), {checked(grid), channels, checked_layout(layout)}, map,
                    rows, count, factor, {static_cast<uint8_t*>(out), out_stride, element});
    });
}

LCT_EXPORT int lct_cpu_scatter(lct_cpu_pool* pool, lct_cpu_grid grid, const void* values,
                               int32_t type, int64_t stride, const int32_t* rows, int64_t count,
                               float factor, float* map, int32_t layout, int32_t channels) {
    return guarded([&] {
        const ElementType element = element_type(type);
        check_rows(values, count, stride, element, channels);
        Pool::Lock lock = locked(pool);
        auto* from = static_cast<uint8_t*>(const_cast<void*>(values));
        scatter_rows(lock, rows_kernel(), {from, stride, element}, rows, count, factor,
                     {checked(grid), channels, checked_layout(layout)}, map);
    });
}

LCT_EXPORT int lct_cpu_max_pool(lct_cpu_pool* pool, const void* values, int64_t value_count,
                                int32_t type, int64_t stride, int32_t channels,
                                const int32_t* table, int64_t count, int32_t taps, void* out,
                                int64_t out_stride) {
    return guarded([&] {
        const ElementType element = element_type(type);
        check_rows(values, value_count, stride, element, channels);
        check_rows(out, count, out_stride, element, channels);
        require(taps >= 1 && taps <= kMaxTaps, "a window has 1 to 121 positions");
        require(table != nullptr || count == 0, "there is no table");
        Pool::Lock lock = locked(pool);
        const RowSource from = {static_cast<const uint8_t*>(values), value_count, stride, table};
        max_pool_rows(lock, rows_kernel(), from, taps, channels, count,
                      {static_cast<uint8_t*>(out), out_stride, element});
    });
}

LCT_EXPORT lct_cpu_conv* lct_cpu_conv_create(int32_t type, int32_t inputs, const int32_t* channels,
                                             int32_t taps, int32_t outputs, const void* weight,
                                             const float* scale, const float* bias) {
    return guarded<lct_cpu_conv*>(nullptr, [&] {
        ConvShape shape = {element_type(type), inputs, {}, taps, outputs};
        require(inputs >= 1 && inputs <= kMaxSegments, "a convolution has 1 to 8 inputs");
        for (int i = 0; i < inputs; ++i) shape.channels[i] = channels[i];
        return new lct_cpu_conv(shape, weight, scale, bias);
    });
}

LCT_EXPORT void lct_cpu_conv_destroy(lct_cpu_conv* conv) { delete conv; }

LCT_EXPORT int lct_cpu_conv_run(const lct_cpu_conv* conv, lct_cpu_pool* pool,
                                const lct_cpu_rows* inputs, const lct_cpu_rows* residual,
                                int32_t residual_type, float residual_factor, int32_t relu,
                                int64_t results, void* out, int32_t out_type, int64_t out_stride) {
    return guarded([&] {
        require(conv != nullptr, "there is no convolution");
        const ConvShape& shape = conv->shape();
        ConvCall call;
        const auto source = [](const lct_cpu_rows& rows) {
            return RowSource{static_cast<const uint8_t*>(rows.rows), rows.count, rows.stride,
                             rows.table};
        };
        for (int i = 0; i < shape.segments; ++i) {
            check_rows(inputs[i].rows, inputs[i].count, inputs[i].stride, shape.type,
                       shape.channels[i]);
            require(shape.taps == 1 || inputs[i].table != nullptr || results == 0,
                    "a window needs a table");
            call.segments[i] = source(inputs[i]);
        }
        call.results = results;
        call.relu = relu != 0;
        call.out_type = element_type(out_type);
        check_rows(out, results, out_stride, call.out_type, shape.outputs);
        if (residual != nullptr && residual->rows != nullptr) {
            call.residual_type = element_type(residual_type);
            check_rows(residual->rows, residual->count, residual->stride, call.residual_type,
                       shape.outputs);
            call.residual = source(*residual);
            call.residual_factor = residual_factor;
        }
        call.out = static_cast<uint8_t*>(out);
        call.out_stride = out_stride;
        call.out_written = padded_channels(call.out_type, shape.outputs);
        Pool::Lock lock = locked(pool);
        conv->run(lock, call);
    });
}

LCT_EXPORT int32_t lct_cpu_op_bytes(void) { return static_cast<int32_t>(sizeof(lct_cpu_op)); }

LCT_EXPORT lct_cpu_program* lct_cpu_program_create(const lct_cpu_op* ops, int32_t count,
                                                   int32_t batch) {
    return guarded<lct_cpu_program*>(nullptr,
                                     [&] { return new lct_cpu_program(ops, count, batch); });
}

LCT_EXPORT void lct_cpu_program_destroy(lct_cpu_program* program) { delete program; }

LCT_EXPORT int lct_cpu_program_run(lct_cpu_program* program, lct_cpu_pool* pool, int32_t first,
                                   int32_t end, void* const* bindings, int32_t binding_count,
                                   const float* thresholds, int32_t threshold_count) {
    return guarded([&] {
        require(program != nullptr, "there is no program");
        require(pool != nullptr, "there is no pool");
        program->run(*pool, first, end, {bindings, binding_count, thresholds, threshold_count});
    });
}

LCT_EXPORT int64_t lct_cpu_program_rows(const lct_cpu_program* program, int32_t op) {
    return guarded<int64_t>(-1, [&] { return program->rows(op); });
}

LCT_EXPORT int64_t lct_cpu_program_arena_bytes(const lct_cpu_program* program) {
    return program->arena_bytes();
}
