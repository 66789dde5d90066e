// Logs to TensorRT's logger.
#pragma once

#include <NvInferRuntime.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace lc_trt {

// A rejected input: what was found and what was expected. Never leaves the library.
class PluginError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

void set_logger_finder(nvinfer1::ILoggerFinder* finder);

// Logs to the calling engine's or builder's logger, or to stderr if TensorRT provides none.
void log_error(const char* plugin, const char* message) noexcept;

// Runs `work`. Returns 0 on success, otherwise -1 and logs the reason.
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
