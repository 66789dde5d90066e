#include "harness/harness.h"
#include "harness/message.h"
#include "kernels/region_conv/region_conv.h"
#include "kernels/region_max_pool/region_max_pool.h"
#include "kernels/region_quantize/region_quantize.h"
#include "kernels/region_rows/region_rows.h"
#include "kernels/region_select/region_select.h"

using namespace lc_trt;
using harness::report;

namespace {

MapShape map_shape(const int32_t* sizes) { return {sizes[0], sizes[1], sizes[2]}; }

Window window_of(const int32_t* sizes) { return {sizes[0], sizes[1], sizes[2], sizes[3]}; }

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

int lct_region_select(const void* confidence, const void* active, const void* rho, int32_t* rows,
                      int32_t* index, int32_t* count, void* hard, const int32_t* map, int32_t type,
                      int32_t mask, void* stream) {
    return report(region_select({confidence, active, rho, rows, index, count, hard, map_shape(map),
                                 static_cast<ElementType>(type), static_cast<MaskType>(mask)},
                                stream_of(stream)));
}

int lct_region_gather(const void* x, const int32_t* rows, const int32_t* count, void* y,
                      int32_t max_rows, int32_t channels, const int32_t* map, int32_t type,
                      int32_t layout, void* stream) {
    return report(region_gather({x, rows, count, y, max_rows, channels, map_shape(map),
                                 static_cast<ElementType>(type), static_cast<MapLayout>(layout)},
                                stream_of(stream)));
}

int lct_region_restrict(const void* x, const int32_t* index, const int32_t* rows,
                        const int32_t* count, void* y, int32_t outer_rows, int32_t max_rows,
                        int32_t channels, const int32_t* map, int32_t type, void* stream) {
    return report(region_restrict({x, index, rows, count, y, outer_rows, max_rows, channels,
                                   map_shape(map), static_cast<ElementType>(type)},
                                  stream_of(stream)));
}

int lct_region_scatter(const void* x, const int32_t* rows, const int32_t* count, const void* base,
                       void* y, int32_t max_rows, int32_t channels, const int32_t* map,
                       int32_t type, void* stream) {
    return report(region_scatter({x, rows, count, base, y, max_rows, channels, map_shape(map),
                                  static_cast<ElementType>(type)},
                                 stream_of(stream)));
}

int lct_region_max_pool(const void* x, int32_t x_rows, const int32_t* rows, const int32_t* index,
                        const int32_t* count, void* y, int32_t max_rows, int32_t channels,
                        const int32_t* map, const int32_t* window, int32_t type, void* stream) {
    return report(region_max_pool({x,
                                   x_rows,
                                   {rows, index, count, max_rows, map_shape(map)},
                                   y,
                                   window_of(window),
                                   channels,
                                   static_cast<ElementType>(type)},
                                  stream_of(stream)));
}

int lct_region_quantize(const void* x, const int32_t* count, int8_t* y, int32_t max_rows,
                        int32_t channels, float scale, int32_t type, void* stream) {
    return report(
        region_quantize({x, count, y, max_rows, channels, scale, static_cast<ElementType>(type)},
                        stream_of(stream)));
}

int lct_region_conv(const LctConv* c, void* stream) {
    if (c->segment_count > kMaxConvSegments) return report(cudaErrorInvalidValue);
    RegionConvArguments a = {};
    a.segment_count = c->segment_count;
    for (int s = 0; s < c->segment_count; ++s) {
        a.segments[s] = {c->segments[s].x, c->segments[s].stride, c->segments[s].channels};
    }
    a.x_rows = c->x_rows;
    a.region = {c->rows, c->index, c->count, c->max_rows, map_shape(c->map)};
    a.window = window_of(c->window);
    a.weight = c->weight;
    a.bias = c->bias;
    a.residual = c->residual;
    a.y = c->y;
    a.out_channels = c->out_channels;
    a.residual_scale = c->residual_scale;
    a.relu = c->relu != 0;
    a.type = static_cast<ElementType>(c->type);
    a.scale = c->scale;
    a.residual_factor = c->residual_factor;
    a.bias_type = static_cast<ElementType>(c->bias_type);
    a.residual_type = static_cast<ElementType>(c->residual_type);
    a.output_type = static_cast<ElementType>(c->output_type);
    a.layout = static_cast<WeightLayout>(c->layout);
    return report(region_conv(a, c->tactic, stream_of(stream)));
}

int lct_region_conv_tactics(int32_t type) {
    return region_conv_tactics(static_cast<ElementType>(type));
}
