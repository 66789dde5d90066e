// Implicit GEMM over a region's rows: M = count, N = output channels, K = window x input channels.
#pragma once

#include "kernels/region_conv/epilogue.cuh"
#include "kernels/region_conv/loader.cuh"
#include "kernels/region_conv/product.cuh"

namespace lc_trt {

// A fixed grid iterates over the tiles required by `count`, which only the device knows.
template <typename Tile, typename Product, bool kVector>
__global__ void __launch_bounds__(Tile::kThreads)
    region_conv_kernel(const __grid_constant__ ConvProblem p) {
    LC_TRT_DYNAMIC_SHARED(shared);
    int* table = reinterpret_cast<int*>(shared + Tile::kStages * Tile::kStageBytes);
    const auto stage = [&](int k) { return shared + k % Tile::kStages * Tile::kStageBytes; };

    const int count = valid_rows(p.region.count, p.region.max_rows);
    const int tiles = tile_count<Tile>(count, p.out_channels);
    const int steps = ceil_div(p.granules, Tile::kChunks);
    const Epilogue<typename Tile::T> epilogue(p, count);

    for (int tile = static_cast<int>(blockIdx.x); tile < tiles;
         tile += static_cast<int>(gridDim.x)) {
        const TileOrigin origin = tile_origin<Tile>(tile, p.out_channels);
        // The previous tile's table is no longer read: its last fill() preceded a barrier that all
        // threads have passed. Its last stages may still be read until the next barrier.
        fill_table<Tile>(p, count, origin.row, table);
        __syncthreads();

        Loader<Tile, Product, kVector> loader(p, table, origin.channel);
        Product product;
        // kStages - 1 stages are in flight at any time. Empty groups are committed too, so that the
        // number to wait for stays constant at the end.
#pragma unroll
        for (int k = 0; k < Tile::kStages - 1; ++k) {
            if (k < steps) loader.fill(stage(k));
            copy_commit();
        }
        for (int k = 0; k < steps; ++k) {
            copy_wait<Tile::kStages - 2>();
            __syncthreads();  // stage k is complete, and stage k - 1 has been read by all
            if (k + Tile::kStages - 1 < steps) loader.fill(stage(k + Tile::kStages - 1));
            copy_commit();
            product.add(stage(k));
        }
        product.store(epilogue, origin);
    }
}

template <typename Tile, typename Product, bool kVector>
cudaError_t launch_region_conv(const ConvProblem& p, int processors, cudaStream_t stream) {
    const auto kernel = region_conv_kernel<Tile, Product, kVector>;
    const int shared_bytes = Tile::shared_bytes(p.taps);
    int resident = 0;
    const cudaError_t error = resident_blocks(kernel, Tile::kThreads, shared_bytes, &resident);
    if (error != cudaSuccess) return error;
    const int most = tile_count<Tile>(p.region.max_rows, p.out_channels);
    const int blocks = min_of(most, processors * resident);
    if (blocks == 0) return most == 0 ? cudaSuccess : cudaErrorLaunchOutOfResources;
    return launch(kernel, {blocks, dim3(Tile::kThreads), shared_bytes}, stream, p);
}

}  // namespace lc_trt
