#include "common/log.h"

#include <atomic>
#include <cstdio>

namespace lc_trt {
namespace {

std::atomic<nvinfer1::ILoggerFinder*> g_finder = nullptr;

}  // namespace

void set_logger_finder(nvinfer1::ILoggerFinder* finder) { g_finder = finder; }

void log_error(const char* plugin, const char* message) noexcept {
    char line[1024];
    std::snprintf(line, sizeof line, "lc_trt::%s: %s", plugin, message);
    nvinfer1::ILoggerFinder* const finder = g_finder;
    nvinfer1::ILogger* const logger = finder != nullptr ? finder->findLogger() : nullptr;
    if (logger != nullptr) {
        logger->log(nvinfer1::ILogger::Severity::kERROR, line);
    } else {
        std::fprintf(stderr, "%s\n", line);
    }
}

}  // namespace lc_trt
