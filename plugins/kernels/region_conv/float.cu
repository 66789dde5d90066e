#include "kernels/region_conv/kernel.cuh"
#include "kernels/region_conv/variants.h"

namespace lc_trt {
namespace {

template <int kTactic, int kSide>
cudaError_t run(const ConvProblem& p, bool vector, int processors, cudaStream_t stream) {
    constexpr ConvTile kTile = kFloatTiles[kTactic - 1];
    using Tile = lc_trt::Tile<float, kTile.rows, kTile.channels, 16, kSide * kSide, 4>;
    using Product = MultiplyAddProduct<Tile, kSide>;
    if (vector) return launch_region_conv<Tile, Product, true>(p, processors, stream);
    return launch_region_conv<Tile, Product, false>(p, processors, stream);
}

}  // namespace

cudaError_t region_conv_float(const ConvProblem& p, int tactic, bool vector, int processors,
                              cudaStream_t stream) {
    switch (tactic) {
        case 1:
            return run<1, 16>(p, vector, processors, stream);
        case 2:
            return run<2, 8>(p, vector, processors, stream);
        default:
            return cudaErrorInvalidValue;
    }
}

}  // namespace lc_trt
