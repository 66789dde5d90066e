// The subset of the CUDA runtime that kernels, plugins and harness use.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "emulator/block.h"

struct CUgraph_st {
    std::vector<std::function<cudaError_t()>> work;
};

struct CUgraphExec_st : CUgraph_st {};

namespace lc_trt::emulator {
namespace {

constexpr int kMultiprocessors = 2;

std::mutex g_mutex;
bool g_descending = false;
bool g_checks_bounds = true;
cudaGraph_t g_capture = nullptr;
std::map<void*, std::pair<void*, size_t>> g_allocations;  // pointer to pages

cudaError_t run_or_record(std::function<cudaError_t()> work) {
    const std::lock_guard<std::mutex> lock(g_mutex);
    if (g_capture == nullptr) return work();
    g_capture->work.push_back(std::move(work));
    return cudaSuccess;
}

}  // namespace

bool checks_bounds() { return g_checks_bounds; }

cudaError_t submit(const LaunchShape& shape, std::function<void()> thread) {
    return run_or_record([=] {
        gridDim = dim3(static_cast<unsigned>(shape.blocks));
        for (unsigned i = 0; i < gridDim.x; ++i) {
            const unsigned number = g_descending ? gridDim.x - 1 - i : i;
            if (!block().run(shape, {number, 0, 0}, thread, g_descending)) return cudaErrorAssert;
        }
        return cudaSuccess;
    });
}

}  // namespace lc_trt::emulator

using namespace lc_trt::emulator;

extern "C" {

// Threads and blocks in ascending or descending order.
__attribute__((visibility("default"))) void lct_emulator_order(int descending) {
    g_descending = descending != 0;
}

// Whether LC_TRT_CHECK aborts a kernel, as in debug builds.
__attribute__((visibility("default"))) void lct_emulator_checks(int on) {
    g_checks_bounds = on != 0;
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
    // The allocation ends at an inaccessible guard page.
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t rounded = (bytes + 15) / 16 * 16;
    const size_t pages = (rounded + page - 1) / page * page;
    void* memory =
        mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return cudaErrorMemoryAllocation;
    mprotect(static_cast<unsigned char*>(memory) + pages, page, PROT_NONE);
    std::memset(memory, 0xff, pages);
    *pointer = static_cast<unsigned char*>(memory) + pages - rounded;
    g_allocations[*pointer] = {memory, pages + page};
    return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
    const auto found = g_allocations.find(pointer);
    if (found == g_allocations.end()) {
        return pointer == nullptr ? cudaSuccess : cudaErrorInvalidValue;
    }
    munmap(found->second.first, found->second.second);
    g_allocations.erase(found);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
    return run_or_record([=] {
        std::memcpy(to, from, bytes);
        return cudaSuccess;
    });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrMultiProcessorCount:
            *value = kMultiprocessors;
            return cudaSuccess;
        case cudaDevAttrComputeCapabilityMajor:
            *value = lc_trt::emulator::is_turing() ? 7 : 8;
            return cudaSuccess;
        default:
            return cudaErrorInvalidValue;
    }
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = nullptr;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
    g_capture = new CUgraph_st;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
    *graph = g_capture;
    g_capture = nullptr;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
    *executable = new CUgraphExec_st{*graph};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
    for (const auto& work : executable->work) {
        const cudaError_t error = work();
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "no error";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorNotSupported:
            return "operation not supported";
        case cudaErrorAssert:
            return "a check in a kernel failed";
        default:
            return "error";
    }
}
}
