// The two functions that TensorRT looks up in a plugin library, its only exports.
#include <NvInferRuntime.h>

#include "common/creator.h"
#include "region_conv/plugin.h"
#include "region_gather/plugin.h"
#include "region_max_pool/plugin.h"
#include "region_quantize/plugin.h"
#include "region_restrict/plugin.h"
#include "region_scatter/plugin.h"
#include "region_select/plugin.h"

#define LC_TRT_EXPORT __attribute__((visibility("default")))

// Marker by which lc_trt/trt/plugin_library.py identifies the file before loading it.
__attribute__((used)) static const char marker[] = "lc_trt plugins, version " LC_TRT_PLUGIN_VERSION;

extern "C" {

LC_TRT_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
    static lc_trt::Creator<lc_trt::RegionSelect> select;
    static lc_trt::Creator<lc_trt::RegionGather> gather;
    static lc_trt::Creator<lc_trt::RegionRestrict> restrict_to;
    static lc_trt::Creator<lc_trt::RegionConv> conv;
    static lc_trt::Creator<lc_trt::RegionMaxPool> max_pool;
    static lc_trt::Creator<lc_trt::RegionQuantize> quantize;
    static lc_trt::Creator<lc_trt::RegionScatter> scatter;
    static nvinfer1::IPluginCreatorInterface* const all[] = {
        &select, &gather, &restrict_to, &conv, &max_pool, &quantize, &scatter};
    count = static_cast<int32_t>(sizeof all / sizeof all[0]);
    return all;
}

LC_TRT_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
    lc_trt::set_logger_finder(finder);
}
}
