// Tensor-core variants of FP16, BF16 and INT8, whose tiles have the same size in bytes.
#pragma once

#include "kernels/region_conv/kernel.cuh"
#include "kernels/region_conv/variants.h"

namespace lc_trt {

template <typename T, int kTactic, int kLineBytes, int kWarpsM, int kWarpsN, int kStages>
struct TensorCoreVariant {
    static constexpr ConvTile kTile = kTensorCoreTiles[kTactic - 1];
    using Tile = lc_trt::Tile<T, kTile.rows, kTile.channels, kLineBytes / sizeof(T),
                              32 * kWarpsM * kWarpsN, kStages>;
    using Product = TensorCoreProduct<Tile, kWarpsM, kWarpsN>;

    static cudaError_t run(const ConvProblem& p, bool vector, int processors, cudaStream_t stream) {
        if (vector) return launch_region_conv<Tile, Product, true>(p, processors, stream);
        // The slow path has one tile: its cost is dominated by copies, not by the tile's shape.
        if constexpr (kTactic == kSlowTensorCoreTactic) {
            return launch_region_conv<Tile, Product, false>(p, processors, stream);
        }
        return cudaErrorInvalidValue;
    }
};

template <typename T>
cudaError_t region_conv_tensor_core(const ConvProblem& p, int tactic, bool vector, int processors,
                                    cudaStream_t stream) {
    switch (tactic) {
        case 1:
            return TensorCoreVariant<T, 1, 64, 2, 4, 3>::run(p, vector, processors, stream);
        case 2:
            return TensorCoreVariant<T, 2, 64, 2, 2, 4>::run(p, vector, processors, stream);
        case 3:
            return TensorCoreVariant<T, 3, 64, 2, 2, 4>::run(p, vector, processors, stream);
        case 4:
            return TensorCoreVariant<T, 4, 128, 1, 4, 4>::run(p, vector, processors, stream);
        default:
            return cudaErrorInvalidValue;
    }
}

}  // namespace lc_trt
