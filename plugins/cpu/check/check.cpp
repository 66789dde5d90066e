// Checks the library on random arguments without Python: under sanitizers, and on other processors.
//
//   lc_trt_cpu_check [rounds] [seed]
#include "check.h"

#include <thread>

namespace check {

// Several threads with one pool, and others with their own.
void check_callers(uint64_t seed) {
    Pool shared = make_pool(3);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            Random random(seed + i);
            Pool own = make_pool(2);
            for (int round = 0; round < 3; ++round) {
                check_conv(random, i % 2 == 0 ? shared.get() : own.get());
                check_rows(random, i % 2 == 0 ? shared.get() : own.get());
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace check

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
    const uint64_t seed = argc > 2 ? std::atoll(argv[2]) : 1;
    const char* names[] = {"portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"};
    check::Pool one = check::make_pool(1), several = check::make_pool(3);
    std::string done;
    for (const char* name : names) {
        check::expect(lct_cpu_limit_isa(name) == 0, name);
        if (std::string(lct_cpu_isa()) != name) continue;  // the machine does not have it
        for (int round = 0; round < rounds; ++round) {
            check::Random random(seed * 1000 + round);
            check::check_conv(random, round % 2 == 0 ? one.get() : several.get());
            check::check_rows(random, round % 2 == 0 ? several.get() : one.get());
            check::check_program(random, one.get(), several.get());
        }
        check::check_callers(seed);
        done += std::string(" ") + name;
    }
    std::printf("passed:%s\n", done.c_str());
    return 0;
}
