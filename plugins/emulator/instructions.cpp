// Warp instructions and asynchronous copies, as specified in the PTX manual.
#include <cstring>

#include "emulator/block.h"
#include "kernels/common/ptx.cuh"

namespace lc_trt {
namespace {

using emulator::block;

int g_bank_conflicts = 0;
bool g_turing = false;

struct Shuffle {
    int value;
    int distance;
    int* result;
};

struct MatrixLoad {
    const void* row;
    uint32_t* out;
};

struct Multiplication {
    float* sum;
    const uint32_t* a;
    const uint32_t* b;
};

template <typename Arguments>
const Arguments& of(const void* const* lanes, int lane) {
    return *static_cast<const Arguments*>(lanes[lane]);
}

struct CodeMultiplication {
    int32_t* sum;
    const uint32_t* a;
    const uint32_t* b;
};

struct SmallCodeMultiplication {
    int32_t* sum0;
    int32_t* sum1;
    uint32_t a;
    uint32_t b;
};

// Byte `which` of a register.
int32_t code_of(uint32_t word, int which) { return static_cast<int8_t>(word >> (8 * which)); }

// Half `which` of a register.
template <typename T>
float half_of(uint32_t word, int which) {
    const auto bits = static_cast<uint16_t>(word >> (16 * which));
    T value;
    std::memcpy(static_cast<void*>(&value), &bits, sizeof bits);
    return to_float(value);
}

void shuffle_up(const void* const* lanes) {
    for (int lane = 0; lane < 32; ++lane) {
        const Shuffle& mine = of<Shuffle>(lanes, lane);
        const int source = lane - mine.distance;
        *mine.result = source < 0 ? mine.value : of<Shuffle>(lanes, source).value;
    }
}

// The rows of matrix m are at the addresses of lanes 8m to 8m + 7; lane l receives element
// 2 (l % 4) and the next one of row l / 4 of each.
void load_four_matrices(const void* const* lanes) {
    for (int matrix = 0; matrix < 4; ++matrix) {
        unsigned used = 0;  // of the eight bank groups that a row of 16 bytes can occupy
        for (int lane = 8 * matrix; lane < 8 * matrix + 8; ++lane) {
            const auto address = reinterpret_cast<uintptr_t>(of<MatrixLoad>(lanes, lane).row);
            used |= 1u << (address / 16 % 8);
        }
        if (used != 0xff) ++g_bank_conflicts;
    }
    for (int lane = 0; lane < 32; ++lane) {
        for (int matrix = 0; matrix < 4; ++matrix) {
            const int source = 8 * matrix + lane / 4;
            const auto* row = static_cast<const unsigned char*>(of<MatrixLoad>(lanes, source).row);
            std::memcpy(&of<MatrixLoad>(lanes, lane).out[matrix], row + lane % 4 * 4, 4);
        }
    }
}

// m16n8k16. With group g = l / 4 and t = l % 4, lane l holds of A (row, column): a0 (g, 2t),
// a1 (g + 8, 2t), a2 (g, 2t + 8), a3 (g + 8, 2t + 8); of B: b0 (2t, g), b1 (2t + 8, g); of the
// sums: c0 (g, 2t), c1 (g, 2t + 1), c2 (g + 8, 2t), c3 (g + 8, 2t + 1). Each register of A and B
// has the next element of K in its upper half.
template <typename T>
void multiply_matrices(const void* const* lanes) {
    float a[16][16];
    float b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const Multiplication& mine = of<Multiplication>(lanes, lane);
        const int g = lane / 4;
        const int t = lane % 4;
        for (int which = 0; which < 2; ++which) {
            for (int part = 0; part < 4; ++part) {
                a[g + part % 2 * 8][2 * t + which + part / 2 * 8] = half_of<T>(mine.a[part], which);
            }
            for (int part = 0; part < 2; ++part) {
                b[2 * t + which + part * 8][g] = half_of<T>(mine.b[part], which);
            }
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const Multiplication& mine = of<Multiplication>(lanes, lane);
        for (int part = 0; part < 4; ++part) {
            const int row = lane / 4 + part / 2 * 8;
            const int column = lane % 4 * 2 + part % 2;
            for (int k = 0; k < 16; ++k) mine.sum[part] += a[row][k] * b[k][column];
        }
    }
}

// INT32 sums wrap around, as without .satfinite.
int32_t plus(int32_t sum, int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(a * b));
}

// m16n8k32 of s8. With g and t as above, lane l holds of A (row, column): a0 (g, 4t), a1 (g + 8,
// 4t), a2 (g, 4t + 16), a3 (g + 8, 4t + 16); of B: b0 (4t, g), b1 (4t + 16, g); of the sums the
// same as above. Each register of A and B has the next three elements of K in its upper bytes.
void multiply_code_matrices(const void* const* lanes) {
    int32_t a[16][32];
    int32_t b[32][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = of<CodeMultiplication>(lanes, lane);
        const int g = lane / 4;
        const int t = lane % 4;
        for (int which = 0; which < 4; ++which) {
            for (int part = 0; part < 4; ++part) {
                a[g + part % 2 * 8][4 * t + which + part / 2 * 16] = code_of(mine.a[part], which);
            }
            for (int part = 0; part < 2; ++part) {
                b[4 * t + which + part * 16][g] = code_of(mine.b[part], which);
            }
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = of<CodeMultiplication>(lanes, lane);
        for (int part = 0; part < 4; ++part) {
            const int row = lane / 4 + part / 2 * 8;
            const int column = lane % 4 * 2 + part % 2;
            for (int k = 0; k < 32; ++k) {
                mine.sum[part] = plus(mine.sum[part], a[row][k], b[k][column]);
            }
        }
    }
}

// m8n8k16 of s8: a (g, 4t), b (4t, g), sums (g, 2t) and (g, 2t + 1).
void multiply_small_code_matrices(const void* const* lanes) {
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = of<SmallCodeMultiplication>(lanes, lane);
        const int row = lane / 4;
        const int column = lane % 4 * 2;
        for (int k = 0; k < 16; ++k) {
            // Row r, element k of A is in lane 4r + k / 4, and so is element k of column r of B.
            const int32_t a = code_of(of<SmallCodeMultiplication>(lanes, 4 * row + k / 4).a, k % 4);
            const auto b = [&](int c) {
                return code_of(of<SmallCodeMultiplication>(lanes, 4 * c + k / 4).b, k % 4);
            };
            *mine.sum0 = plus(*mine.sum0, a, b(column));
            *mine.sum1 = plus(*mine.sum1, a, b(column + 1));
        }
    }
}

void finish(const emulator::PendingCopy& copy) {
    if (copy.valid) {
        std::memcpy(copy.to, copy.from, 16);
    } else {
        std::memset(copy.to, 0, 16);
    }
}

}  // namespace

void copy_async_16(void* to, const void* from, bool valid) {
    const uintptr_t addresses = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
    if (addresses % 16 != 0) {
        std::fprintf(stderr, "emulator: cp.async of an address that is no multiple of 16\n");
        emulator::trap();
    }
    auto& groups = block().current().groups;
    if (groups.empty()) groups.emplace_back();
    groups.back().push_back({to, from, valid});
}

void copy_commit() {
    auto& groups = block().current().groups;
    if (groups.empty()) groups.emplace_back();
    groups.emplace_back();  // the open group
}

void copy_wait(int pending) {
    auto& groups = block().current().groups;
    while (static_cast<int>(groups.size()) - 1 > pending) {
        for (const auto& copy : groups.front()) finish(copy);
        groups.erase(groups.begin());
    }
}

void load_matrices(uint32_t (&out)[4], const void* row) {
    const MatrixLoad mine = {row, out};
    block().meet_warp(&mine, load_four_matrices);
}

template <typename T>
void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const Multiplication mine = {sum, a, b};
    block().meet_warp(&mine, multiply_matrices<T>);
}
template void multiply_add<__half>(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]);
template void multiply_add<__nv_bfloat16>(float (&)[4], const uint32_t (&)[4],
                                          const uint32_t (&)[2]);

template <>
void multiply_add<int8_t>(int32_t (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    if (g_turing) {
        multiply_add_in_quarters(sum, a, b);
        return;
    }
    const CodeMultiplication mine = {sum, a, b};
    block().meet_warp(&mine, multiply_code_matrices);
}

void multiply_add_8x8x16(int32_t& sum0, int32_t& sum1, uint32_t a, uint32_t b) {
    const SmallCodeMultiplication mine = {&sum0, &sum1, a, b};
    block().meet_warp(&mine, multiply_small_code_matrices);
}

}  // namespace lc_trt

bool lc_trt::emulator::is_turing() { return g_turing; }

// Number of ldmatrix reads with bank conflicts since the last call.
extern "C" __attribute__((visibility("default"))) int lct_emulator_bank_conflicts() {
    return std::exchange(lc_trt::g_bank_conflicts, 0);
}

// Emulate sm_75, which has another INT8 instruction and no BF16.
extern "C" __attribute__((visibility("default"))) void lct_emulator_turing(int on) {
    lc_trt::g_turing = on != 0;
}

int __shfl_up_sync(unsigned, int value, int distance) {
    int result = 0;
    const lc_trt::Shuffle mine = {value, distance, &result};
    lc_trt::emulator::block().meet_warp(&mine, lc_trt::shuffle_up);
    return result;
}
