#include "isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lc_trt::cpu {
namespace {

constexpr const char* kNames[kIsaCount] = {"portable",    "avx2",        "avx512",
                                           "avx512_vnni", "avx512_bf16", "amx"};

#if defined(__x86_64__)

bool bit(unsigned word, int number) { return (word >> number & 1u) != 0; }

uint64_t enabled_state() {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return static_cast<uint64_t>(high) << 32 | low;
}

#ifndef LC_TRT_CPU_EMULATE_AMX
// Linux gives a process the state of AMX's tiles when it asks for it, for all of its threads.
bool request_tiles() {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

Isa detect_hardware() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) return Isa::kPortable;  // OSXSAVE
    const bool fma = bit(c, 12);
    const uint64_t state = enabled_state();
    const auto enabled = [&](uint64_t mask) { return (state & mask) == mask; };
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return Isa::kPortable;
    const unsigned leaves = a;
    if (!fma || !bit(b, 5) || !enabled(0x6)) return Isa::kPortable;
    // F, DQ, BW, VL
    if (!bit(b, 16) || !bit(b, 17) || !bit(b, 30) || !bit(b, 31) || !enabled(0xe6))
        return Isa::kAvx2;
    if (!bit(c, 11)) return Isa::kAvx512;
    [[maybe_unused]] const bool amx = bit(d, 24) && bit(d, 22) && bit(d, 25) && enabled(0x60000);
    if (leaves < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !bit(a, 5))
        return Isa::kAvx512Vnni;
#ifndef LC_TRT_CPU_EMULATE_AMX
    if (amx && request_tiles()) return Isa::kAmx;
#endif
    return Isa::kAvx512BF16;
}

#else

Isa detect_hardware() { return Isa::kPortable; }

#endif

Isa hardware() {
    static const Isa isa = detect_hardware();
    return isa;
}

// Negative: not read yet.
std::atomic<int> limit{-1};

int parse(const char* name) {
    if (name == nullptr || *name == 0) return kIsaCount - 1;
    for (int i = 0; i < kIsaCount; ++i) {
        if (std::strcmp(name, kNames[i]) == 0) return i;
    }
    std::string expected;
    for (const char* known : kNames) expected += std::string(expected.empty() ? "" : ", ") + known;
    throw Error("LC_TRT_CPU_ISA is '" + std::string(name) + "', expected one of " + expected);
}

// The software model runs with the row kernels and the FP32 kernels of the hardware.
Isa without_model(Isa isa) { return isa > hardware() ? hardware() : isa; }

}  // namespace

const char* name_of(Isa isa) { return kNames[static_cast<int>(isa)]; }

Isa detected_isa() {
#ifdef LC_TRT_CPU_EMULATE_AMX
    return Isa::kAmx;
#else
    return hardware();
#endif
}

void limit_isa(const char* name) { limit.store(parse(name)); }

Isa allowed_isa() {
    int known = limit.load();
    if (known < 0) {
        known = parse(std::getenv("LC_TRT_CPU_ISA"));
        limit.store(known);
    }
    const Isa allowed = static_cast<Isa>(known);
    if (allowed >= detected_isa()) return detected_isa();
    return without_model(allowed);  // the model has AMX alone, not what comes before it
}

Isa product_isa(Isa isa, ElementType type) {
    if (type != ElementType::kF32 && isa == Isa::kAmx) return Isa::kAmx;
    isa = without_model(isa);
    if (type == ElementType::kF32) return isa > Isa::kAvx512 ? Isa::kAvx512 : isa;
    if (type == ElementType::kBF16)
        return isa == Isa::kAvx512Vnni  ? Isa::kAvx512
               : isa > Isa::kAvx512BF16 ? Isa::kAvx512BF16
                                        : isa;
    return isa >= Isa::kAvx512Vnni ? Isa::kAvx512Vnni : isa == Isa::kAvx512 ? Isa::kAvx2 : isa;
}

const ProductKernel& product_kernel(Isa isa, ElementType type) {
    const auto of_type = [type](const ProductKernel& f32, const ProductKernel& bf16,
                                const ProductKernel& s8,
                                const ProductKernel& u8) -> const ProductKernel& {
        switch (type) {
            case ElementType::kBF16:
                return bf16;
            case ElementType::kS8:
                return s8;
            case ElementType::kU8:
                return u8;
            default:
                return f32;
        }
    };
    switch (product_isa(isa, type)) {
#if defined(__x86_64__)
        case Isa::kAvx2:
            return of_type(kAvx2F32, kAvx2BF16, kAvx2S8, kAvx2U8);
        case Isa::kAvx512:
            return of_type(kAvx512F32, kAvx512BF16, kAvx2S8, kAvx2U8);
        case Isa::kAvx512Vnni:
            return of_type(kAvx512F32, kAvx512BF16, kVnniS8, kVnniU8);
        case Isa::kAvx512BF16:
            return of_type(kAvx512F32, kAvx512DotBF16, kVnniS8, kVnniU8);
#endif
#if defined(__x86_64__) || defined(LC_TRT_CPU_EMULATE_AMX)
        case Isa::kAmx:
            return of_type(kPortableF32, kAmxBF16, kAmxS8, kAmxU8);
#endif
        default:
            return of_type(kPortableF32, kPortableBF16, kPortableS8, kPortableU8);
    }
}

const RowKernel& row_kernel(Isa isa) {
#if defined(__x86_64__)
    isa = without_model(isa);
    if (isa >= Isa::kAvx512) return kAvx512Rows;
    if (isa == Isa::kAvx2) return kAvx2Rows;
#else
    (void)isa;
#endif
    return kPortableRows;
}

}  // namespace lc_trt::cpu
