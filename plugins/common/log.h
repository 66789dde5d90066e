// Messages to TensorRT's logger.
#pragma once

#include <NvInferRuntime.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace lc_trt {

// What a plugin refuses, with what it found and what it expected. It never leaves the library.
class PluginError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

void set_logger_finder(nvinfer1::ILoggerFinder* finder);

// To the logger of the calling engine or builder, or to stderr where TensorRT has given us none.
void log_error(const char* plugin, const char* message) noexcept;

// Runs `work`; 0 if it succeeds, otherwise -1 with the reason in the log.
template <typename Work>
int32_t guarded(const char* plugin, Work&& work) noexcept {
    try {
        work();
        return 0;
    } catch (const std::exception& error) {
        log_error(plugin, error.what());
        return -1;
    }
}

}  // namespace lc_trt
