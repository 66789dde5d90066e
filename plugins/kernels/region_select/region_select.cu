#include "kernels/common/region.cuh"
#include "kernels/region_select/region_select.h"

namespace lc_trt {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kItems = 4;  // consecutive pixels per thread
constexpr int kChunk = kThreads * kItems;

template <typename T, typename Mask>
struct Maps {
    const T* confidence;
    const Mask* active;
    const T* rho;
    int32_t* rows;
    int32_t* index;
    int32_t* count;
    Mask* hard;
    int size;

    LC_TRT_DEVICE bool is_hard(int position, float threshold) const {
        return position < size && active[position] != 0 &&
               !(to_float(confidence[position]) > threshold);
    }
};

// Exclusive prefix sum of `value` over the threads of the block; `*total` is the sum over all.
LC_TRT_DEVICE int exclusive_sum(int value, int* total) {
    __shared__ int warp_sums[kWarps];
    constexpr unsigned kAll = 0xffffffffu;
    const int thread = static_cast<int>(threadIdx.x);
    const int lane = thread % 32;
    int running = value;
    for (int step = 1; step < 32; step *= 2) {
        const int left = __shfl_up_sync(kAll, running, step);
        if (lane >= step) running += left;
    }
    __syncthreads();  // sums of an earlier call may still be in use
    if (lane == 31) warp_sums[thread / 32] = running;
    __syncthreads();
    int before = 0;
    int all = 0;
    for (int warp = 0; warp < kWarps; ++warp) {
        if (warp < thread / 32) before += warp_sums[warp];
        all += warp_sums[warp];
    }
    *total = all;
    return before + running - value;
}

// Each block numbers one chunk and recounts the pixels before it: maps have a few thousand pixels,
// mostly one chunk, so a single launch needs neither workspace nor an order of blocks.
template <typename T, typename Mask>
__global__ void __launch_bounds__(kThreads) select_kernel(Maps<T, Mask> maps) {
    const int thread = static_cast<int>(threadIdx.x);
    const int chunk = static_cast<int>(blockIdx.x) * kChunk;
    const float threshold = to_float(*maps.rho);

    int earlier = 0;
    for (int position = thread; position < chunk; position += kThreads) {
        earlier += maps.is_hard(position, threshold) ? 1 : 0;
    }
    int first_row = 0;
    exclusive_sum(earlier, &first_row);

    const int start = chunk + thread * kItems;
    bool hard[kItems];
    int mine = 0;
    for (int item = 0; item < kItems; ++item) {
        hard[item] = maps.is_hard(start + item, threshold);
        mine += hard[item] ? 1 : 0;
    }
    int in_chunk = 0;
    int row = first_row + exclusive_sum(mine, &in_chunk);
    for (int item = 0; item < kItems; ++item) {
        const int position = start + item;
        if (position >= maps.size) break;
        if (hard[item]) maps.rows[row++] = position;
        maps.index[position] = hard[item] ? row : 0;
        maps.hard[position] = hard[item] ? 1 : 0;
    }
    if (blockIdx.x + 1 == gridDim.x && thread == 0) *maps.count = first_row + in_chunk;
}

template <typename T, typename Mask>
cudaError_t select(const RegionSelectArguments& a, cudaStream_t stream) {
    const Maps<T, Mask> maps = {static_cast<const T*>(a.confidence),
                                static_cast<const Mask*>(a.active),
                                static_cast<const T*>(a.rho),
                                a.rows,
                                a.index,
                                a.count,
                                static_cast<Mask*>(a.hard),
                                positions(a.map)};
    // At least one block, which writes a count of 0 for an empty map.
    const int blocks = maps.size > 0 ? ceil_div(maps.size, kChunk) : 1;
    return launch(select_kernel<T, Mask>, {blocks, dim3(kThreads)}, stream, maps);
}

template <typename T>
cudaError_t select(const RegionSelectArguments& a, cudaStream_t stream) {
    return a.mask == MaskType::kByte ? select<T, uint8_t>(a, stream)
                                     : select<T, int32_t>(a, stream);
}

}  // namespace

cudaError_t region_select(const RegionSelectArguments& a, cudaStream_t stream) {
    return with_feature(a.type, [&](auto element) { return select<decltype(element)>(a, stream); });
}

}  // namespace lc_trt
