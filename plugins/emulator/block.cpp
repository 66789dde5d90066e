#include "emulator/block.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace lc_trt::emulator {
namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kMostThreads = 1024;
constexpr size_t kSharedBytes = 64 * 1024;

alignas(128) unsigned char g_shared[kSharedBytes];

// All stacks in one mapping; pages are allocated on first use.
unsigned char* stacks() {
    static unsigned char* const memory = [] {
        void* pages = mmap(nullptr, kStackBytes * kMostThreads, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED) std::abort();
        return static_cast<unsigned char*>(pages);
    }();
    return memory;
}

}  // namespace

Block& block() {
    static Block one;
    return one;
}

unsigned char* dynamic_shared() { return g_shared; }

void trap() { block().abandon(); }

bool Block::run(const LaunchShape& shape, const uint3& index, const std::function<void()>& thread,
                bool descending) {
    const dim3& threads = shape.threads;
    const size_t count = static_cast<size_t>(threads.x) * threads.y * threads.z;
    if (count == 0 || count > kMostThreads || count % 32 != 0 ||
        static_cast<size_t>(shape.shared_bytes) > kSharedBytes) {
        std::fprintf(stderr, "emulator: a block of %zu threads and %d bytes cannot run\n", count,
                     shape.shared_bytes);
        return false;
    }
    std::memset(g_shared, 0xff, sizeof g_shared);  // NaN in every type
    blockIdx = index;
    blockDim = threads;
    thread_ = &thread;
    trapped_ = false;
    all_ = Meeting();
    warps_.assign(count / 32, Meeting());
    fibers_.clear();
    fibers_.resize(count);
    for (size_t i = 0; i < count; ++i) {
        const unsigned number = static_cast<unsigned>(i);
        fibers_[i].index = {number % threads.x, number / threads.x % threads.y,
                            number / threads.x / threads.y};
        getcontext(&fibers_[i].start);
        fibers_[i].start.uc_stack.ss_sp = stacks() + i * kStackBytes;
        fibers_[i].start.uc_stack.ss_size = kStackBytes;
        makecontext(&fibers_[i].start, &Block::enter, 0);
    }
    finished_ = 0;
    while (finished_ < count && !trapped_) {
        bool progress = false;
        for (size_t i = 0; i < warps_.size(); ++i) {
            progress |= run_warp(descending ? warps_.size() - 1 - i : i, descending);
        }
        if (!progress && !trapped_) {
            std::fprintf(stderr, "emulator: the threads of block %u wait for ever\n", index.x);
            return false;
        }
    }
    return !trapped_;
}

// Each warp runs as far ahead as barriers allow, which exposes missing ones.
bool Block::run_warp(size_t number, bool descending) {
    bool any = false;
    do {
        progress_ = false;
        for (size_t lane = 0; lane < 32 && !trapped_; ++lane) {
            Fiber& fiber = fibers_[number * 32 + (descending ? 31 - lane : lane)];
            if (fiber.finished) continue;
            resume(fiber);
            if (fiber.finished) {
                ++finished_;
                progress_ = true;
            }
        }
        any |= progress_;
    } while (progress_ && !trapped_);
    return any;
}

void Block::resume(Fiber& fiber) {
    current_ = &fiber;
    threadIdx = fiber.index;
    if (_setjmp(scheduler_) != 0) return;
    if (fiber.started) _longjmp(fiber.state, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

void Block::enter() {
    Block& self = block();
    (*self.thread_)();
    self.current_->finished = true;
    _longjmp(self.scheduler_, 1);
}

void Block::yield() {
    if (_setjmp(current_->state) == 0) _longjmp(scheduler_, 1);
}

void Block::abandon() {
    trapped_ = true;
    _longjmp(scheduler_, 1);
}

void Block::synchronise() {
    progress_ = true;
    const uint64_t generation = all_.generation;
    if (++all_.arrived == static_cast<int>(fibers_.size())) {
        all_.arrived = 0;
        ++all_.generation;
        return;
    }
    while (all_.generation == generation) yield();
}

void Block::meet_warp(const void* mine, void (*work)(const void* const* arguments)) {
    progress_ = true;
    const size_t number = static_cast<size_t>(current_ - fibers_.data());
    Meeting& warp = warps_[number / 32];
    const uint64_t generation = warp.generation;
    warp.arguments[number % 32] = mine;
    if (++warp.arrived == 32) {
        warp.arrived = 0;
        ++warp.generation;
        work(warp.arguments);
        return;
    }
    while (warp.generation == generation) yield();
}

}  // namespace lc_trt::emulator

void __syncthreads() { lc_trt::emulator::block().synchronise(); }
