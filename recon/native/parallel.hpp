// A persistent thread pool for the native kernels. Work is cut into items by the caller; which thread runs an
// item never changes a result, so kernels that write each item to its own place are deterministic for any
// thread count.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fewview {

class ThreadPool {
 public:
  static ThreadPool& instance() {
    // Never destroyed: worker threads may outlive static destruction when the interpreter exits.
    static ThreadPool* pool = new ThreadPool();
    return *pool;
  }

  // Calls body(item, thread) for item in [0, items); thread is in [0, threads). Blocks until all are done.
  // Calls are serialised, so several Python threads may use the kernels.
  void run(int64_t items, int threads, const std::function<void(int64_t, int)>& body) {
    if (items <= 0) return;
    if (threads > items) threads = static_cast<int>(items);
    if (threads <= 1) {
      for (int64_t i = 0; i < items; ++i) body(i, 0);
      return;
    }
    std::lock_guard<std::mutex> one_call(call_mutex_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(workers_.size()) < threads - 1) {
        const int index = static_cast<int>(workers_.size()) + 1;
        const uint64_t seen = generation_;
        workers_.emplace_back([this, index, seen] { work(index, seen); });
      }
      body_ = &body;
      items_ = items;
      next_.store(0, std::memory_order_relaxed);
      active_ = threads;
      pending_ = threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    drain(body, items, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    body_ = nullptr;
  }

 private:
  void drain(const std::function<void(int64_t, int)>& body, int64_t items, int thread) {
    for (int64_t i = next_.fetch_add(1); i < items; i = next_.fetch_add(1)) body(i, thread);
  }

  void work(int index, uint64_t seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      if (index >= active_) continue;
      const auto* body = body_;
      const int64_t items = items_;
      lock.unlock();
      drain(*body, items, index);
      lock.lock();
      if (--pending_ == 0) done_.notify_one();
    }
  }

  std::mutex call_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t items_ = 0;
  std::atomic<int64_t> next_{0};
  int active_ = 0, pending_ = 0;
  uint64_t generation_ = 0;
};

inline void parallel_for(int64_t items, int threads, const std::function<void(int64_t, int)>& body) {
  ThreadPool::instance().run(items, threads, body);
}

}  // namespace fewview
