#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>
struct dim3 { unsigned x, y, z; dim3(unsigned x, unsigned y, unsigned z) : x(x), y(y), z(z) {} };
static thread_local dim3 threadIdx(0, 0, 0), blockIdx(0, 0, 0);
static dim3 blockDim(0, 0, 0);
static std::barrier<>* the_barrier;
static std::vector<float> the_shared;
#define SHARED float* shared = the_shared.data();
#define SYNC the_barrier->arrive_and_wait();
#define __global__ static
#define __device__ static
static void atomicAdd(float* p, float v) { std::atomic_ref<float>(*p).fetch_add(v); }
static void run(dim3 grid, int threads, size_t bytes, std::function<void()> f) {
    blockDim = dim3(threads, 1, 1);
    std::vector<std::thread> pool;
    std::barrier<> end(threads);
    the_shared.assign(bytes / 4 + 4, NAN);
    for (int t = 0; t < threads; t++) pool.emplace_back([&, t] {
        threadIdx.x = t;
        for (unsigned z = 0; z < grid.z; z++) for (unsigned y = 0; y < grid.y; y++) for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = dim3(x, y, z);
            if (t == 0) { delete the_barrier; the_barrier = new std::barrier<>(threads); }
            end.arrive_and_wait();
            f();
            the_barrier->arrive_and_drop();
            end.arrive_and_wait();
        }
    });
    for (auto& t : pool) t.join();
}
#define LAUNCH(kernel, grid, threads, bytes, stream, ...) { run(grid, threads, bytes, [&] { kernel(__VA_ARGS__); }); }
