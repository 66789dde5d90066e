#include "harness/harness.h"
#include "harness/message.h"

namespace lc_trt::harness {

std::string& message() {
    static thread_local std::string text;
    return text;
}

int report(cudaError_t error) {
    if (error != cudaSuccess) message() = cudaGetErrorString(error);
    return static_cast<int>(error);
}

}  // namespace lc_trt::harness

using lc_trt::harness::report;

namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

const char* lct_message() { return lc_trt::harness::message().c_str(); }

int lct_allocate(void** pointer, size_t bytes) { return report(cudaMalloc(pointer, bytes)); }

int lct_free(void* pointer) { return report(cudaFree(pointer)); }

int lct_copy(void* to, const void* from, size_t bytes, void* stream) {
    const int failed =
        report(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream)));
    return failed != 0 ? failed : lct_synchronise(stream);
}

int lct_stream_create(void** stream) {
    cudaStream_t created = nullptr;
    const int failed = report(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
    *stream = created;
    return failed;
}

int lct_stream_destroy(void* stream) { return report(cudaStreamDestroy(stream_of(stream))); }

int lct_synchronise(void* stream) { return report(cudaStreamSynchronize(stream_of(stream))); }

int lct_capture_begin(void* stream) {
    return report(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
}

int lct_capture_end(void* stream, void** graph) {
    cudaGraph_t captured = nullptr;
    cudaGraphExec_t executable = nullptr;
    int failed = report(cudaStreamEndCapture(stream_of(stream), &captured));
    if (failed == 0) failed = report(cudaGraphInstantiate(&executable, captured, 0));
    if (captured != nullptr) cudaGraphDestroy(captured);
    *graph = executable;
    return failed;
}

int lct_graph_launch(void* graph, void* stream) {
    return report(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream)));
}

int lct_graph_destroy(void* graph) {
    return report(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}
