// The compiled kernel variants, one file per element type.
#pragma once

#include <cuda_runtime_api.h>

namespace lc_trt {

struct ConvProblem;

// Rows and output channels of a tile.
struct ConvTile {
    int rows;
    int channels;
};

// Largest tile first; tactic t is element t - 1.
constexpr ConvTile kTensorCoreTiles[] = {{128, 128}, {128, 64}, {64, 64}, {32, 64}};
constexpr int kSlowTensorCoreTactic = 3;  // element-by-element copies
constexpr ConvTile kFloatTiles[] = {{64, 64}, {32, 32}};

cudaError_t region_conv_half(const ConvProblem& problem, int tactic, bool vector, int processors,
                             cudaStream_t stream);
cudaError_t region_conv_bfloat16(const ConvProblem& problem, int tactic, bool vector,
                                 int processors, cudaStream_t stream);
cudaError_t region_conv_int8(const ConvProblem& problem, int tactic, bool vector, int processors,
                             cudaStream_t stream);
cudaError_t region_conv_float(const ConvProblem& problem, int tactic, bool vector, int processors,
                              cudaStream_t stream);

}  // namespace lc_trt
