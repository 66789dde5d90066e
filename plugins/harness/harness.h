// C interface, for ctypes, to the kernels and to plugin objects without TensorRT. Its Python side
// is tests/helpers/plugin_harness.py.
//
// Functions return 0 on success; otherwise lct_message() has the reason. Pointers to tensors are
// device pointers; `stream` comes from lct_stream_create.
#pragma once

#include <cstddef>
#include <cstdint>

#define LCT_API extern "C" __attribute__((visibility("default")))

// Description of a tensor, with TensorRT's enumerators for type and format.
struct LctTensor {
    int32_t type;
    int32_t format;
    int32_t rank;
    int64_t sizes[8];
};

// Same layout as nvinfer1::PluginField.
struct LctField {
    const char* name;
    const void* data;
    int32_t type;
    int32_t length;
};

struct LctSegment {
    const void* x;
    int32_t stride;
    int32_t channels;
};

struct LctConv {
    const LctSegment* segments;
    int32_t segment_count;
    int32_t x_rows;
    const int32_t* rows;
    const int32_t* index;
    const int32_t* count;
    int32_t max_rows;
    int32_t map[3];     // batch, height, width
    int32_t window[4];  // kernel height and width, dilation height and width
    const void* weight;
    const void* bias;
    const void* residual;
    void* y;
    int32_t out_channels;
    float residual_scale;
    int32_t relu;
    const float* scale;  // null unless the type is INT8
    float residual_factor;
    int32_t type;  // 0 FP32, 1 FP16, 2 INT8
    int32_t bias_type;
    int32_t residual_type;
    int32_t output_type;
    int32_t layout;  // 0 OIHW, 1 OHWI
    int32_t tactic;
};

LCT_API const char* lct_message();

// --- memory, streams, graphs ---------------------------------------------------------------------

LCT_API int lct_allocate(void** pointer, size_t bytes);
LCT_API int lct_free(void* pointer);
// In either direction; ordered after all work on the stream, and synchronous.
LCT_API int lct_copy(void* to, const void* from, size_t bytes, void* stream);
LCT_API int lct_stream_create(void** stream);
LCT_API int lct_stream_destroy(void* stream);
LCT_API int lct_synchronise(void* stream);
LCT_API int lct_capture_begin(void* stream);
LCT_API int lct_capture_end(void* stream, void** graph);
LCT_API int lct_graph_launch(void* graph, void* stream);
LCT_API int lct_graph_destroy(void* graph);

// --- kernels -------------------------------------------------------------------------------------

LCT_API int lct_region_select(const void* confidence, const void* active, const void* rho,
                              int32_t* rows, int32_t* index, int32_t* count, void* hard,
                              const int32_t* map, int32_t type, int32_t mask, void* stream);
LCT_API int lct_region_gather(const void* x, const int32_t* rows, const int32_t* count, void* y,
                              int32_t max_rows, int32_t channels, const int32_t* map, int32_t type,
                              int32_t layout, void* stream);
LCT_API int lct_region_restrict(const void* x, const int32_t* index, const int32_t* rows,
                                const int32_t* count, void* y, int32_t outer_rows, int32_t max_rows,
                                int32_t channels, const int32_t* map, int32_t type, void* stream);
LCT_API int lct_region_scatter(const void* x, const int32_t* rows, const int32_t* count,
                               const void* base, void* y, int32_t max_rows, int32_t channels,
                               const int32_t* map, int32_t type, void* stream);
LCT_API int lct_region_max_pool(const void* x, int32_t x_rows, const int32_t* rows,
                                const int32_t* index, const int32_t* count, void* y,
                                int32_t max_rows, int32_t channels, const int32_t* map,
                                const int32_t* window, int32_t type, void* stream);
LCT_API int lct_region_quantize(const void* x, const int32_t* count, int8_t* y, int32_t max_rows,
                                int32_t channels, float scale, int32_t type, void* stream);
LCT_API int lct_region_conv(const LctConv* conv, void* stream);
LCT_API int lct_region_conv_tactics(int32_t type);

// --- plugins; absent if built without TensorRT's headers -----------------------------------------

// Loads a plugin library and sets our logger; `names` receives "RegionSelect RegionGather ...".
LCT_API int lct_plugins_open(const char* path, char* names, size_t bytes);
// Names, types and lengths of the attributes that a plugin's creator declares.
LCT_API int lct_plugin_fields(const char* name, const LctField** fields, int32_t* count);
LCT_API int lct_plugin_create(const char* name, const LctField* fields, int32_t count,
                              int32_t phase, void** plugin);
LCT_API int lct_plugin_clone(void* plugin, void** clone);
LCT_API int lct_plugin_destroy(void* plugin);
// The serialized fields; valid until the next call for the plugin.
LCT_API int lct_plugin_serialise(void* plugin, const LctField** fields, int32_t* count);
LCT_API int lct_plugin_identity(void* plugin, const char** name, const char** version,
                                const char** name_space, const char** metadata);
LCT_API int lct_plugin_output_types(void* plugin, const int32_t* in, int32_t inputs, int32_t* out,
                                    int32_t* outputs);
LCT_API int lct_plugin_output_shapes(void* plugin, const LctTensor* in, int32_t inputs,
                                     LctTensor* out, int32_t outputs);
LCT_API int lct_plugin_supports(void* plugin, int32_t at, const LctTensor* tensors, int32_t inputs,
                                int32_t outputs, int32_t* supported);
LCT_API int lct_plugin_configure(void* plugin, const LctTensor* in, int32_t inputs,
                                 const LctTensor* out, int32_t outputs);
LCT_API int lct_plugin_tactics(void* plugin, int32_t* tactics, int32_t* count);
LCT_API int lct_plugin_set_tactic(void* plugin, int32_t tactic);
LCT_API int lct_plugin_shape_change(void* plugin, const LctTensor* in, int32_t inputs,
                                    const LctTensor* out, int32_t outputs);
LCT_API int lct_plugin_enqueue(void* plugin, const LctTensor* in, int32_t inputs,
                               const LctTensor* out, int32_t outputs, const void* const* in_data,
                               void* const* out_data, void* stream);
