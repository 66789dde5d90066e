/* Region convolution for CPUs: the C interface of liblc_trt_cpu.
 *
 * Functions that return int return 0, or -1 and a message (`lct_cpu_error`); those that create
 * return null then. Rows of BF16 and INT8 values start at multiples of 64 bytes from each other and
 * are 0 behind their channels, up to a multiple of 64 bytes (`lct_cpu_row_bytes`); FP32 rows may
 * have any distance. Indices outside a table's range stand for a row of zeros. Nothing is read
 * outside the rows that a call names.
 */
#ifndef LC_TRT_CPU_H_
#define LC_TRT_CPU_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LCT_CPU_VERSION 1
#define LCT_CPU_MAX_SEGMENTS 8
#define LCT_CPU_MAX_TAPS 121

/* Element types. INT8 has zero point 0. */
enum { LCT_CPU_F32 = 0, LCT_CPU_BF16 = 1, LCT_CPU_S8 = 2, LCT_CPU_U8 = 3 };
/* Layouts of dense FP32 maps. */
enum { LCT_CPU_NHWC = 0, LCT_CPU_NCHW = 1 };

int32_t lct_cpu_version(void);
/* Message of the last failure on this thread. */
const char* lct_cpu_error(void);

/* --- instruction sets ---------------------------------------------------------------------- */

/* Names of the best instruction set of the machine, and of the one in use: portable, avx2, avx512,
 * avx512_vnni, avx512_bf16, amx. The environment variable LC_TRT_CPU_ISA caps it when the library
 * first needs to know; null for a value that is no name. */
const char* lct_cpu_detected_isa(void);
const char* lct_cpu_isa(void);
/* The instruction set of convolutions on rows of a type. */
const char* lct_cpu_conv_isa(int32_t type);
/* Caps it for what is created from now on; null or "": no cap. */
int lct_cpu_limit_isa(const char* name);
/* 1 if AMX is a software model (a build for tests). */
int32_t lct_cpu_emulates_amx(void);

/* --- threads ------------------------------------------------------------------------------- */

/* Threads for the functions below, the caller's included. Callers of one pool wait for each
 * other. A forked child cannot use the pools of its parent: that fails. To destroy one there does
 * nothing. */
typedef struct lct_cpu_pool lct_cpu_pool;
lct_cpu_pool* lct_cpu_pool_create(int32_t threads);
void lct_cpu_pool_destroy(lct_cpu_pool*);

/* --- regions ------------------------------------------------------------------------------- */

/* A map's grid of N x H x W pixels. */
typedef struct {
    int32_t n, h, w;
} lct_cpu_grid;

/* The region `active and not (score > rho)`; a NaN is in it.
 * score: [N*H*W]. mask: uint8 [N*H*W], 0 is inactive, or null. parents: index map [N*H'*W'] of a
 * region at the same stride (halved = 0) or at twice the stride (halved = 1, H' = ceil(H / 2)), in
 * which a pixel or its parent must be, or null. score or mask may be null.
 * rows: [N*H*W] gets the region's pixels, ascending. index: [N*H*W] gets the row, or -1.
 * Returns the number of rows, or -1. */
int64_t lct_cpu_select(lct_cpu_grid grid, const float* score, float rho, const uint8_t* mask,
                       const int32_t* parents, int32_t halved, int32_t* rows, int32_t* index);

/* table: [count, kh * kw] gets the rows of each window, -1 where there is none.
 * index: index map of the region that is read, or null for all pixels of a dense map. */
int lct_cpu_neighbours(lct_cpu_grid grid, const int32_t* rows, int64_t count, const int32_t* index,
                       int32_t kh, int32_t kw, int32_t dh, int32_t dw, int32_t* table);

/* table: [count] gets the row of each pixel's parent (y / 2, x / 2).
 * index: index map [N * ceil(H / 2) * ceil(W / 2)], or null for all pixels of a dense map. */
int lct_cpu_parents(lct_cpu_grid grid, const int32_t* rows, int64_t count, const int32_t* index,
                    int32_t* table);

/* --- rows ---------------------------------------------------------------------------------- */

/* Bytes that a row of the library's own takes. */
int64_t lct_cpu_row_bytes(int32_t type, int32_t channels);

/* out: rows of `type`, value * factor, from a dense FP32 map. Rows outside the map are 0. */
int lct_cpu_gather(lct_cpu_pool*, lct_cpu_grid grid, const float* map, int32_t layout,
                   int32_t channels, const int32_t* rows, int64_t count, float factor, void* out,
                   int32_t type, int64_t out_stride);

/* Writes rows, value * factor, into a dense FP32 map. Rows outside the map are left out. */
int lct_cpu_scatter(lct_cpu_pool*, lct_cpu_grid grid, const void* values, int32_t type,
                    int64_t stride, const int32_t* rows, int64_t count, float factor, float* map,
                    int32_t layout, int32_t channels);

/* out: the maximum over a window; a missing row reads 0. */
int lct_cpu_max_pool(lct_cpu_pool*, const void* values, int64_t value_count, int32_t type,
                     int64_t stride, int32_t channels, const int32_t* table, int64_t count,
                     int32_t taps, void* out, int64_t out_stride);

/* --- convolution --------------------------------------------------------------------------- */

typedef struct lct_cpu_conv lct_cpu_conv;

/* weight: float, or int8_t where type is INT8, [outputs, channels of all inputs, taps].
 * scale: [outputs], of the product, or null for 1. bias: [outputs] or null for 0. */
lct_cpu_conv* lct_cpu_conv_create(int32_t type, int32_t inputs, const int32_t* channels,
                                  int32_t taps, int32_t outputs, const void* weight,
                                  const float* scale, const float* bias);
void lct_cpu_conv_destroy(lct_cpu_conv*);

typedef struct {
    const void* rows;
    int64_t count;        /* of rows */
    int64_t stride;       /* bytes from row to row */
    const int32_t* table; /* [results, taps], residuals [results]; null: result r reads row r */
} lct_cpu_rows;

/* out = activation(scale * sum over inputs and taps + bias + residual_factor * residual)
 * inputs: rows of the convolution's type. residual: its rows null for none; of any type.
 * INT8 outputs are rounded half to even and saturated, with the same result on every machine. */
int lct_cpu_conv_run(const lct_cpu_conv*, lct_cpu_pool*, const lct_cpu_rows* inputs,
                     const lct_cpu_rows* residual, int32_t residual_type, float residual_factor,
                     int32_t relu, int64_t results, void* out, int32_t out_type,
                     int64_t out_stride);

/* --- region program ------------------------------------------------------------------------ */

/* Operators. The result of an operator is named by its place in the array. */
enum {
    /* A dense FP32 map of the caller's: `binding`, `height`, `width`, `channels`, `layout`. Others
     * read it as rows of `type`, value * factor. What it takes to convert is done only for pixels
     * that are read. */
    LCT_CPU_MAP = 0,
    /* A region: `binding` is a score map, float [N, H, W]; `threshold`; of `height` x `width`;
     * within the region of input[0] where inputs = 1, at the same or at twice the stride. */
    LCT_CPU_SELECT = 1,
    /* The same with a mask, uint8 [N, H, W], instead of score and threshold. */
    LCT_CPU_MASK = 2,
    /* Convolution on `region`: `input` are maps, or rows of any region of its grid, or for a 1x1 of
     * one at twice the stride; `kernel`, `dilation`, `channels` (outputs), `type` (of outputs),
     * `weight`, `scale`, `bias`, `relu`, `residual` with `factor`. */
    LCT_CPU_CONV = 3,
    /* Rows of input[0] for the smaller `region`, or for children of its pixels. */
    LCT_CPU_RESTRICT = 4,
    /* Maximum over a window of input[0] on `region`. */
    LCT_CPU_MAX_POOL = 5,
    /* Writes rows of input[0], value * factor, into the caller's FP32 map `binding`, `layout`. */
    LCT_CPU_SCATTER = 6,
    /* Writes rows of input[0], value * factor, to the caller's float [rows, channels]. */
    LCT_CPU_EXPORT = 7
};

typedef struct {
    int32_t kind;
    int32_t region; /* operator that makes the region; -1 where there is none */
    int32_t inputs;
    int32_t input[LCT_CPU_MAX_SEGMENTS];
    int32_t residual; /* -1: none */
    int32_t type;
    int32_t binding; /* index into the pointers of a run */
    int32_t height, width, channels, layout;
    int32_t kernel[2], dilation[2];
    int32_t relu;
    int32_t threshold; /* index into the thresholds of a run */
    float factor;
    const void* weight; /* read at creation only, as `scale` and `bias` */
    const float* scale;
    const float* bias;
} lct_cpu_op;

/* sizeof(lct_cpu_op), for callers that declare it in another language. */
int32_t lct_cpu_op_bytes(void);

typedef struct lct_cpu_program lct_cpu_program;

/* batch: N of all maps. */
lct_cpu_program* lct_cpu_program_create(const lct_cpu_op* ops, int32_t count, int32_t batch);
void lct_cpu_program_destroy(lct_cpu_program*);

/* Runs operators first to end - 1. A frame begins with first = 0 and goes on where the run before
 * ended, so that a caller can compute something between them. Runs of one program are serialised.
 * bindings: pointers, those of the operators run. A map must stay until the last operator that
 * reads it has run. */
int lct_cpu_program_run(lct_cpu_program*, lct_cpu_pool*, int32_t first, int32_t end,
                        void* const* bindings, int32_t binding_count, const float* thresholds,
                        int32_t threshold_count);

/* Rows of an operator's region in this frame; fails if it has none. */
int64_t lct_cpu_program_rows(const lct_cpu_program*, int32_t op);
/* Addresses reserved for temporaries. Memory is used up to the largest regions so far. */
int64_t lct_cpu_program_arena_bytes(const lct_cpu_program*);

#ifdef __cplusplus
}
#endif

#endif
