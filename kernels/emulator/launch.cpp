// A launch: finds the kernel, spreads its blocks over OS threads in an order that depends on the seed, and reports the first fault.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>
#include <thread>

#include "api.h"
#include "block.h"
#include "global_memory.h"
#include "registry.h"

namespace emulator {

namespace {

constexpr unsigned kMostThreads = 1024;
constexpr uint32_t kMostShared = 227 << 10;  // of a block on sm_90

const Entry* find(const char* name) {
    for (const Entry* const* table = kernel_tables; *table; table++) {
        for (const Entry* e = *table; e->name; e++) {
            if (strcmp(e->name, name) == 0) return e;
        }
    }
    return nullptr;
}

// Block numbers in an order of the seed's: first + i * step, with a step that meets every number once.
struct Order {
    uint64_t total, first, step;
    Order(uint64_t count, uint64_t seed) : total(count), first(seed * 7919 % count), step(1) {
        if (seed == 0) return;
        step = seed * 104729 % count;
        while (std::gcd(step, count) != 1) step++;
    }
    uint64_t operator[](uint64_t i) const { return (first + i % total * (step % total)) % total; }
};

std::string run(const char* name, const EmulatorLaunch& config, void** arguments, EmulatorCounters& sum) {
    const Entry* entry = find(name);
    if (!entry) return std::string("no kernel '") + name + "' in the emulator";
    Launch launch;
    launch.kernel = entry->name;
    launch.grid = {config.grid[0], config.grid[1], config.grid[2]};
    launch.block = {config.block[0], config.block[1], config.block[2]};
    launch.shared_bytes = config.shared_bytes;
    launch.seed = config.seed;
    launch.landing = static_cast<Landing>(config.landing);
    launch.call = entry->call;
    launch.function = entry->function;
    launch.arguments = arguments;
    const uint64_t blocks = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
    const uint64_t threads = uint64_t{launch.block.x} * launch.block.y * launch.block.z;
    if (blocks == 0 || threads == 0 || threads > kMostThreads || launch.shared_bytes > kMostShared) {
        return std::string("CUDA allows no launch of ") + name + " with " + std::to_string(blocks) + " blocks of " + std::to_string(threads) +
               " threads and " + std::to_string(launch.shared_bytes) + " bytes of shared memory";
    }

    const Order order(blocks, launch.seed);
    std::atomic<uint64_t> next{0};
    std::mutex counting;
    const auto work = [&] {
        const FaultCatcher catcher;
        Block b(launch, static_cast<unsigned>(threads));
        for (uint64_t i; !launch.failed && (i = next++) < blocks;) b.run(order[i]);
        const std::lock_guard lock(counting);
        sum.mma += b.counters.mma;
        sum.ldmatrix += b.counters.ldmatrix;
        sum.async_copies += b.counters.async_copies;
        sum.shared_conflicts += b.counters.shared_conflicts;
        sum.barriers += b.counters.barriers;
        sum.wgmma += b.counters.wgmma;
    };
    const uint64_t workers = std::min<uint64_t>(std::max(config.workers, 1u), blocks);
    std::vector<std::thread> others;
    for (uint64_t i = 1; i < workers; i++) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
    if (launch.failed) return launch.failure;
    const std::string damage = damaged_guards();
    return damage.empty() ? damage : damage + " [kernel " + name + "]";
}

}  // namespace
}  // namespace emulator

int emulator_launch(const char* kernel, const EmulatorLaunch* launch, void** arguments, EmulatorCounters* counters, char* message,
                    size_t room) {
    // One kernel at a time, as on one stream: what damaged guards show afterwards is then this launch's doing.
    static std::mutex device;
    const std::lock_guard turn(device);
    std::string failure;
    try {
        failure = emulator::run(kernel, *launch, arguments, *counters);
    } catch (const std::exception& e) {
        failure = std::string("the emulator ran out of something: ") + e.what();
    }
    if (failure.empty()) return 0;
    const size_t length = std::min(failure.size(), room - 1);
    memcpy(message, failure.data(), length);
    message[length] = 0;
    return 1;
}

const size_t* emulator_parameter_bytes(const char* kernel) {
    const emulator::Entry* entry = emulator::find(kernel);
    return entry ? entry->parameter_bytes : nullptr;
}

void* emulator_allocate(size_t bytes) { return emulator::allocate(bytes); }

int emulator_release(void* memory) { return emulator::release(memory) ? 0 : 1; }

int emulator_write(void* to, const void* host, size_t bytes) {
    if (!emulator::is_allocated(to, bytes)) return 1;
    memcpy(to, host, bytes);
    return 0;
}

int emulator_read(void* host, const void* from, size_t bytes) {
    if (!emulator::is_allocated(from, bytes)) return 1;
    memcpy(host, from, bytes);
    return 0;
}
