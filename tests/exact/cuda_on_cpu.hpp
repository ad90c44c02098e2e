// CUDA's words in C++20: the threads of a block are threads that meet at a barrier, the blocks run one by one.
#pragma once
#include <barrier>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __shared__
#define __restrict__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(threads, blocks)
#define __syncthreads() meet(__LINE__)

struct Index { unsigned x = 0; };
inline thread_local Index threadIdx;
inline Index blockIdx, blockDim;
inline std::barrier<> *everyone = nullptr;
inline int removed_barrier = 0;  // the line of a barrier that the threads pass without waiting: a planted fault
alignas(16) inline unsigned char memory[232448];  // the dynamic shared memory of a block on sm_90
using std::sqrt;

inline void meet(int line)
{
    if (line != removed_barrier) everyone->arrive_and_wait();
}

// One block. Shared memory starts as NaN, for a device clears nothing; bytes past `size` must stay as they were.
template <typename Kernel>
void run_block(unsigned block, unsigned threads, std::size_t size, Kernel kernel)
{
    std::memset(memory, 0xff, sizeof memory);
    std::barrier<> barrier(threads);
    everyone = &barrier, blockIdx.x = block, blockDim.x = threads;
    std::vector<std::thread> running;
    for (unsigned i = 0; i < threads; ++i)
        running.emplace_back([&, i] {
            threadIdx.x = i;
            kernel();
            everyone->arrive_and_drop();
        });
    for (auto &thread : running) thread.join();
    for (std::size_t i = size; i < sizeof memory; ++i)
        if (memory[i] != 0xff) std::exit(3);
}
