// Interface of the kernels. Translation units with code for one instruction set include this file
// and tile.h or finish.h only: an inline function of the standard library that such a unit emits
// could be the copy that the linker keeps for all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lc_trt::cpu {

// Columns of a block of packed weights, and of a block of sums.
constexpr int kColumns = 32;
// Bytes that a product takes at a time of a row: 1 FP32, 2 BF16 or 4 INT8 values, a *group*.
constexpr int kGroup = 4;
constexpr int kGroupsPerLine = 16;
// Bytes of the packed weights of a group: 32 columns, each with a value per channel of the group.
constexpr int kWeightStep = kColumns * kGroup;
constexpr int kMaxHeight = 32;  // rows of a block of any kernel

// One input of a convolution. A row has `groups` groups; its weights are padded to `padded`.
struct Span {
    int32_t groups;
    int32_t padded;
};

// sum[row][column] = the product of gathered rows and a block of weights.
struct ProductArgs {
    const Span* spans;
    int32_t span_count;
    int32_t taps;
    // [span][tap][height]: where each row starts; rows beyond `live` point to zeros.
    const uint8_t* const* rows;
    const uint8_t* weights;  // [span][tap][padded][kColumns][kGroup] of the block
    void* sums;              // float or int32_t [height][kColumns], 64-byte aligned
    void* scratch;           // what `prepare` wrote
    int32_t live;            // rows that count
    int32_t columns;         // columns that count: 16 or 32
};

struct FinishArgs {
    const void* sums;
    const float* scale;              // of integer sums [kColumns]
    const float* bias;               // [kColumns]
    const int32_t* offset;           // added to integer sums [kColumns]
    const uint8_t* const* residual;  // row pointers, at the block's first column; null for none
    float residual_factor;
    int32_t residual_type;
    uint8_t* out;        // first row, at the block's first column
    int64_t out_stride;  // bytes
    int32_t out_type;
    int32_t live;     // rows
    int32_t columns;  // columns that exist: 1 to 32
    int32_t written;  // columns to write; those that do not exist are 0
    bool integer;     // sums are int32_t
    bool relu;
};

// How to multiply rows of one element type.
struct ProductKernel {
    int32_t height;
    void (*product)(const ProductArgs&);
    // Once per block of rows, before all of its products; null if not needed.
    void (*prepare)(const ProductArgs&);
    // Whether signed values are taken as unsigned ones, 128 greater.
    bool shifts_signed;
};

// Functions on rows of values, compiled for several instruction sets.
struct RowKernel {
    void (*finish)(const FinishArgs&);
    // `out = value * factor` in another type: INT8 is rounded half to even and saturated, NaN is 0.
    void (*narrow)(const float* value, int64_t count, float factor, void* out, int32_t type);
    // `out = value * factor` in FP32.
    void (*widen)(const void* value, int64_t count, int32_t type, float factor, float* out);
};

extern const ProductKernel kPortableF32, kPortableBF16, kPortableS8, kPortableU8;
extern const RowKernel kPortableRows;
extern const ProductKernel kAvx2F32, kAvx2BF16, kAvx2S8, kAvx2U8;
extern const RowKernel kAvx2Rows;
extern const ProductKernel kAvx512F32, kAvx512BF16;
extern const RowKernel kAvx512Rows;
extern const ProductKernel kVnniS8, kVnniU8;
extern const ProductKernel kAvx512DotBF16;
extern const ProductKernel kAmxBF16, kAmxS8, kAmxU8;

}  // namespace lc_trt::cpu
