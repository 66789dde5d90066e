#include "pool.h"

#include <unistd.h>

#include <cstdlib>
#include <new>

#include "common.h"

namespace lc_trt::cpu {
namespace {

constexpr uint64_t kOpen = uint64_t{1} << 31, kEntered = kOpen - 1;
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

}  // namespace

Buffer::Buffer(Buffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr;
    other.bytes_ = 0;
}

Buffer::~Buffer() { std::free(data_); }

uint8_t* Buffer::at_least(size_t bytes) {
    if (bytes <= bytes_) return data_;
    std::free(data_);
    bytes_ = 0;
    const size_t size = static_cast<size_t>(round_up(static_cast<int64_t>(bytes), kLine));
    data_ = static_cast<uint8_t*>(std::aligned_alloc(kLine, size));
    if (data_ == nullptr) throw std::bad_alloc();
    bytes_ = size;
    return data_;
}

Pool::Pool(int threads) : scratch_(threads), process_(getpid()) {
    workers_.reserve(threads - 1);
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

Pool::~Pool() {
    {
        std::lock_guard<std::mutex> lock(sleep_);
        stop_.store(true);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

bool Pool::forked() const { return getpid() != process_; }

Pool::Lock::Lock(Pool& pool) : pool_(pool), guard_(pool.callers_) {}

void Pool::Lock::reserve_scratch(size_t bytes) {
    for (Buffer& buffer : pool_.scratch_) buffer.at_least(bytes);
}

void Pool::each(int64_t count, const void* context, Function function) {
    if (workers_.empty() || count <= 1) {
        for (int64_t i = 0; i < count; ++i) function(context, i, 0);
        return;
    }
    context_ = context;
    function_ = function;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    const uint64_t number = (state_.load() >> 32) + 1;
    // Sequentially consistent with `sleepers_`: a thread that goes to sleep sees the call, or this
    // sees the sleeper.
    state_.store(number << 32 | kOpen);
    if (sleepers_.load() > 0) {
        {
            std::lock_guard<std::mutex> lock(sleep_);
        }
        wake_.notify_all();
    }
    take_indices(0);
    // Threads that have not entered by now find nothing to do and need not be waited for.
    state_.fetch_and(~kOpen);
    const auto left = [this] { return (state_.load() & kEntered) == 0; };
    for (int spins = 0; spins < kSpins; ++spins) {
        if (left()) return;
        pause();
    }
    // A thread that another process keeps from running may take long: leave it the processor.
    std::unique_lock<std::mutex> lock(sleep_);
    caller_sleeps_.store(true);
    last_left_.wait(lock, left);
    caller_sleeps_.store(false);
}

void Pool::take_indices(int thread) {
    for (;;) {
        const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
        if (index >= count_) return;
        function_(context_, index, thread);
    }
}

bool Pool::has_new(uint64_t state, uint64_t last) const {
    return (state & kOpen) != 0 && state >> 32 != last;
}

void Pool::work(int thread) {
    uint64_t last = 0;
    for (int spins = 0; !stop_.load(std::memory_order_relaxed);) {
        uint64_t state = state_.load();
        if (has_new(state, last)) {
            if (state_.compare_exchange_strong(state, state + 1)) {
                take_indices(thread);
                last = state >> 32;
                // As with `sleepers_`: this sees the sleeping caller, or the caller sees the state.
                state_.fetch_sub(1);
                if (caller_sleeps_.load()) {
                    {
                        std::lock_guard<std::mutex> lock(sleep_);
                    }
                    last_left_.notify_one();
                }
                spins = 0;
            }
        } else if (++spins < kSpins) {
            pause();
        } else {
            std::unique_lock<std::mutex> lock(sleep_);
            sleepers_.fetch_add(1);
            wake_.wait(lock, [&] { return stop_.load() || has_new(state_.load(), last); });
            sleepers_.fetch_sub(1);
            spins = 0;
        }
    }
}

}  // namespace lc_trt::cpu
