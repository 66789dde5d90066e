#include "kernels/region_conv/kernel.cuh"
#include "kernels/region_conv/variants.h"

namespace lc_trt {
namespace {

template <int kTactic, int kK, int kWarpsM, int kWarpsN, int kStages>
struct Variant {
    using Tile =
        lc_trt::Tile<__half, kHalfTiles[kTactic - 1].rows, kHalfTiles[kTactic - 1].channels, kK,
                     32 * kWarpsM * kWarpsN, kStages>;
    using Product = TensorCoreProduct<Tile, kWarpsM, kWarpsN>;

    static cudaError_t run(const ConvProblem& p, bool vector, int processors, cudaStream_t stream) {
        if (vector) return launch_region_conv<Tile, Product, true>(p, processors, stream);
        // The slow path has one tile: what it costs is the copies, not the tile's shape.
        if constexpr (kTactic == 3) {
            return launch_region_conv<Tile, Product, false>(p, processors, stream);
        }
        return cudaErrorInvalidValue;
    }
};

}  // namespace

cudaError_t region_conv_half(const ConvProblem& p, int tactic, bool vector, int processors,
                             cudaStream_t stream) {
    switch (tactic) {
        case 1:
            return Variant<1, 32, 2, 4, 3>::run(p, vector, processors, stream);
        case 2:
            return Variant<2, 32, 2, 2, 4>::run(p, vector, processors, stream);
        case 3:
            return Variant<3, 32, 2, 2, 4>::run(p, vector, processors, stream);
        case 4:
            return Variant<4, 64, 1, 4, 4>::run(p, vector, processors, stream);
        default:
            return cudaErrorInvalidValue;
    }
}

}  // namespace lc_trt
