// Kernels that do one thing wrong each (or just right), to show what the emulator says. `data` holds `count` floats.
#include "ptx.cuh"
#include "reduce.cuh"
#include "types.cuh"

// ---- shared memory

extern "C" __global__ void __launch_bounds__(64) exchange(float* data, int barrier) {
    const SharedArray<float> shared{dynamic_shared()};
    const int i = threadIdx.x;
    shared.set(i, data[i]);
    if (barrier) __syncthreads();
    data[i] = shared.get(63 - i);
}
extern "C" __global__ void __launch_bounds__(32) exchange_in_warp(float* data, int sync) {
    const SharedArray<float> shared{dynamic_shared()};
    const int i = threadIdx.x;
    shared.set(i, data[i]);
    if (sync) __syncwarp();
    data[i] = shared.get(31 - i);
}
// Reads, then overwrites for the next turn without a barrier between.
extern "C" __global__ void __launch_bounds__(64) reuse(float* data, int barrier) {
    const SharedArray<float> shared{dynamic_shared()};
    const int i = threadIdx.x;
    shared.set(i, data[i]);
    __syncthreads();
    const float other = shared.get(63 - i);
    if (barrier) __syncthreads();
    shared.set(i, other + 1.f);
    __syncthreads();
    data[i] = shared.get(i);
}
extern "C" __global__ void __launch_bounds__(32) beyond_shared(float* data, int at) {
    const SharedArray<float> shared{dynamic_shared()};
    if (threadIdx.x == 0) shared.set(at, data[0]);
}
extern "C" __global__ void __launch_bounds__(32) misaligned(float* data, int at) {
    if (threadIdx.x == 0) store_shared(dynamic_shared() + at, data[0]);
}

// ---- asynchronous copies

extern "C" __global__ void __launch_bounds__(32) copy_without_wait(float* data, int wait) {
    char* shared = dynamic_shared();
    copy_async_16(shared + threadIdx.x * 16, data + threadIdx.x * 4, true);
    commit_copies();
    if (wait) wait_copies<0>();
    const float got = load_shared<float>(shared + threadIdx.x * 16);
    wait_copies<0>();
    data[threadIdx.x * 4] = got + 1.f;
}
extern "C" __global__ void __launch_bounds__(64) copy_without_barrier(float* data, int barrier) {
    char* shared = dynamic_shared();
    const int i = threadIdx.x;
    copy_async_16(shared + i * 16, data + i * 4, true);
    commit_copies();
    wait_copies<0>();
    if (barrier) __syncthreads();
    const float other = load_shared<float>(shared + (63 - i) * 16);
    __syncthreads();
    data[i * 4] = other;
}
extern "C" __global__ void __launch_bounds__(32) leaves_copies(float* data, int wait) {
    copy_async_16(dynamic_shared() + threadIdx.x * 16, data + threadIdx.x * 4, true);
    if (wait) {
        commit_copies();
        wait_copies<0>();
    }
}

// ---- warps and blocks

extern "C" __global__ void __launch_bounds__(64) half_of_them_wait(float* data, int all) {
    if (all || threadIdx.x < 32) __syncthreads();
    data[threadIdx.x] = 1.f;
}
extern "C" __global__ void __launch_bounds__(64) waits_forever(float* data, int all) {
    // One warp is at a barrier, the other at a shuffle that one of its lanes never comes to.
    if (threadIdx.x < 32) {
        __syncthreads();
    } else if (all || threadIdx.x != 40) {
        data[threadIdx.x] = warp_sum(data[threadIdx.x]);
        __syncthreads();
    } else {
        __syncthreads();
    }
}
extern "C" __global__ void __launch_bounds__(32) divergent(float* data, int together) {
    if (together || threadIdx.x < 16) {
        data[threadIdx.x] = warp_sum(1.f);
    } else {
        data[threadIdx.x] = static_cast<float>(__ballot_sync(kAllLanes, 1));
    }
}

// ---- global memory

extern "C" __global__ void __launch_bounds__(32) reads_at(float* data, int at) {
    if (threadIdx.x == 3) data[0] = data[at];
}
extern "C" __global__ void __launch_bounds__(32) writes_at(float* data, int at) {
    if (threadIdx.x == 3) data[at] = 7.f;
}
extern "C" __global__ void __launch_bounds__(32) deep(float* data, int depth) {
    volatile char room[4096];
    room[0] = static_cast<char>(depth);
    if (depth > 0) deep(data, depth - 1);
    data[0] = room[0];
}

// Floats summed by atomics in whatever order blocks come: what results must not be.
extern "C" __global__ void __launch_bounds__(32) sums_by_atomics(float* data, int count) {
    if (threadIdx.x == 0) {
        const float mine = 1.f / (1.f + static_cast<float>(blockIdx.x * 7 % static_cast<unsigned>(count)));
        atomicAdd(data, mine);
    }
}
