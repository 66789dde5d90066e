// A pool of threads that call one function for many indices.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lc_trt::cpu {

// Memory that starts at a cache line and grows.
class Buffer {
  public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&&) = delete;
    ~Buffer();
    // Contents are lost where it grows.
    uint8_t* at_least(size_t bytes);
    uint8_t* data() { return data_; }

  private:
    uint8_t* data_ = nullptr;
    size_t bytes_ = 0;
};

// `run` is serialised: a caller waits until the call of another thread is done, and takes part in
// its own. Threads of the pool wait busily for some tens of microseconds between calls, then sleep.
class Pool {
  public:
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return static_cast<int>(scratch_.size()); }

    // A forked child has none of the threads.
    bool forked() const;

    // Keeps other callers away over several calls of `each`.
    class Lock {
      public:
        explicit Lock(Pool& pool);

        // Calls function(index, thread) for all indices below count. Indices are taken in order by
        // whichever thread is free; results must not depend on the thread.
        template <class F>
        void each(int64_t count, const F& function) {
            pool_.each(count, &function, [](const void* f, int64_t index, int thread) {
                (*static_cast<const F*>(f))(index, thread);
            });
        }

        int threads() const { return pool_.threads(); }
        // Memory of a thread's own, for the duration of a call of `each`.
        uint8_t* scratch(int thread) { return pool_.scratch_[thread].data(); }
        void reserve_scratch(size_t bytes);

      private:
        Pool& pool_;
        std::lock_guard<std::mutex> guard_;
    };

  private:
    using Function = void (*)(const void*, int64_t, int);

    void each(int64_t count, const void* context, Function function);
    void work(int thread);
    void take_indices(int thread);
    bool has_new(uint64_t state, uint64_t last) const;

    // Of the call under way. Valid for a thread that has entered it.
    const void* context_ = nullptr;
    Function function_ = nullptr;
    int64_t count_ = 0;
    std::atomic<int64_t> next_{0};

    // Number of the call (upper half), whether threads may enter it, and how many have.
    std::atomic<uint64_t> state_{0};
    std::atomic<bool> stop_{false};
    std::atomic<int> sleepers_{0};
    std::atomic<bool> caller_sleeps_{false};
    std::mutex sleep_, callers_;
    std::condition_variable wake_, last_left_;
    std::vector<std::thread> workers_;
    std::vector<Buffer> scratch_;
    const pid_t process_;
};

}  // namespace lc_trt::cpu
