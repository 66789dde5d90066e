// Reason of the last failure.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace lc_trt::harness {

std::string& message();

// Returns the error and stores its text in message().
int report(cudaError_t error);

}  // namespace lc_trt::harness
