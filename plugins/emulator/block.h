// A block of threads as fibers.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/common/device.cuh"

namespace lc_trt::emulator {

// A pending cp.async copy.
struct PendingCopy {
    void* to;
    const void* from;
    bool valid;
};

struct Fiber {
    ucontext_t start;
    jmp_buf state;
    bool started = false;
    bool finished = false;
    uint3 index;
    std::vector<std::vector<PendingCopy>> groups;
};

// A rendezvous of a warp or block: the last thread to arrive does the work for all.
struct Meeting {
    int arrived = 0;
    uint64_t generation = 0;
    const void* arguments[32] = {};
};

class Block {
  public:
    // Runs a block; false if a thread traps or the threads deadlock.
    bool run(const LaunchShape& shape, const uint3& index, const std::function<void()>& thread,
             bool descending);

    Fiber& current() { return *current_; }
    void synchronise();
    // Waits for all lanes of the warp; `work` receives their arguments by lane.
    void meet_warp(const void* mine, void (*work)(const void* const* arguments));
    [[noreturn]] void abandon();

  private:
    static void enter();
    void yield();
    // Runs until all lanes wait for other warps or have finished; returns whether any progressed.
    bool run_warp(size_t number, bool descending);
    void resume(Fiber& fiber);

    std::vector<Fiber> fibers_;
    std::vector<Meeting> warps_;
    Meeting all_;
    Fiber* current_ = nullptr;
    const std::function<void()>* thread_ = nullptr;
    jmp_buf scheduler_;
    size_t finished_ = 0;
    bool trapped_ = false;
    bool progress_ = false;
};

Block& block();

}  // namespace lc_trt::emulator
