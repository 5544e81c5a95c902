// The state of one running block: its threads, warps, barriers and shared memory. One OS thread runs one block at a time.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fiber.h"
#include "shadow.h"

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

namespace emulator {

constexpr unsigned kWarpSize = 32;
constexpr unsigned kBarriers = 16;

// When asynchronous copies land. Each is legal on hardware, so a right kernel gives the same bits under all.
enum class Landing : uint32_t { kEager = 0, kLate = 1, kMixed = 2 };

// What a launch counts; summed over blocks.
struct Counters {
    uint64_t mma = 0;
    uint64_t ldmatrix = 0;
    uint64_t async_copies = 0;
    uint64_t shared_conflicts = 0;  // extra passes over the banks by ldmatrix and cp.async
    uint64_t barriers = 0;
    uint64_t wgmma = 0;  // a warp's quarter of one
};

// A global-to-shared copy that has been issued and has not landed.
struct AsyncCopy {
    char* to;
    const char* from;
    uint32_t bytes;
    uint32_t filled;  // bytes really copied; the rest is zero
    bool landed;
};

// A wgmma of one warp that has been issued; its operands are read when it lands.
struct Product {
    uint64_t a, b;  // descriptors
    bool accumulate;
    unsigned columns;
    size_t sums;  // which of the warp's
    bool landed;
};

// Where the products of a warp add up while its registers are not to be touched.
struct Sums {
    float* registers[32];
    std::vector<float> values;  // a lane's after the other's
    unsigned columns = 0;
    size_t in_flight = 0;  // products
};

struct Thread {
    void* stack = nullptr;
    dim3 index;
    unsigned linear = 0, warp = 0, lane = 0;
    bool exited = false;
    const char* waits_at = nullptr;
    std::vector<AsyncCopy> copies;     // committed groups first, then the open group
    std::vector<size_t> group_ends;    // ends of the committed groups in `copies`
    // Of fence.proxy.async: how many, and the block's epoch at the last. Grows over all blocks, as the shadow's memory does.
    uint32_t fences = 0, fenced_at = 0;
};

struct Warp {
    uint32_t existing = 0, runnable = 0, exited = 0;
    uint32_t epoch = 0;  // counts __syncwarp
    // The rendezvous in progress.
    uint32_t wanted = 0, arrived = 0;
    const char* operation = nullptr;
    void* argument[kWarpSize] = {};
    // wgmma: committed groups first, then the open group.
    std::vector<Product> products;
    std::vector<size_t> product_ends;  // of the committed groups
    std::vector<Sums> sums;
    bool fenced = false;
    uint64_t issued = 0;  // a hash of every product so far
    size_t commits = 0;
};

struct Barrier {
    unsigned expected = 0, arrived = 0;
    std::vector<unsigned> waiting;
};

// What all blocks of a launch share.
struct Launch {
    const char* kernel = "";
    dim3 grid, block;
    size_t shared_bytes = 0;
    uint64_t seed = 0;
    Landing landing = Landing::kEager;
    void (*call)(void* function, void** arguments) = nullptr;
    void* function = nullptr;
    void** arguments = nullptr;
    std::atomic<bool> failed{false};
    std::string failure;  // written by the block that set `failed` first
};

struct Block {
    Block(Launch& launch, unsigned threads);
    ~Block();

    // Runs block number `linear` of the grid to its end or to its first fault.
    void run(uint64_t linear);

    Launch& launch;
    dim3 index;
    Counters counters;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    Barrier barriers[kBarriers];
    std::vector<std::vector<uint64_t>> committed;  // of each warpgroup: what its first warp had issued at each commit
    Shadow shadow;
    char* shared = nullptr;
    Thread* current = nullptr;
    unsigned running = 0;  // threads that have not exited
    uint32_t epoch = 0;    // counts blocks and barriers of the whole block, so that what the shadow remembers of a block is void in the next
    uint64_t random = 1;
    Stacks stacks;
    void* runner = nullptr;  // the OS thread's own stack while fibers run
    const void* fault_address = nullptr;  // of the access that ended the launch
    bool fault_is_write = false;

    uint64_t next_random();
};

// The block this OS thread is running.
extern thread_local Block* running_block;

inline Block& block() { return *running_block; }
inline Thread& self() { return *running_block->current; }

// Ends the launch with `what` as its error, naming block and thread. Does not return to the kernel.
[[noreturn]] void fail(const std::string& what);

// Lets others run until someone wakes this thread. `where` is what the deadlock report says.
void wait_here(const char* where);
void wake(unsigned thread);
// A point where other warps may go first.
void maybe_yield();

// `bar.sync id, threads`; all threads of the block if `threads` is 0.
void barrier(unsigned id, unsigned threads, const char* name);

}  // namespace emulator
