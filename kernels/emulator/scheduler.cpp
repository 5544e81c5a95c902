// Which fiber runs next, barriers, and what is said when nothing can run.
#include <map>
#include <utility>

#include "block.h"

namespace emulator {

thread_local Block* running_block = nullptr;

namespace {

// The lanes of a warp run in a direction that depends on the seed, so that neither order is relied on.
unsigned first_lane(const Block& b, uint32_t runnable) {
    return b.launch.seed & 1 ? 31 - static_cast<unsigned>(__builtin_clz(runnable)) : static_cast<unsigned>(__builtin_ctz(runnable));
}

// Stays in the warp as long as it can run, which makes collectives cheap; otherwise takes a warp at random.
Thread* next_thread(Block& b, bool leave_warp) {
    if (b.current && !leave_warp) {
        const Warp& warp = b.warps[b.current->warp];
        if (warp.runnable) return &b.threads[b.current->warp * kWarpSize + first_lane(b, warp.runnable)];
    }
    const auto count = static_cast<unsigned>(b.warps.size());
    const auto start = static_cast<unsigned>(b.next_random() % count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned w = (start + i) % count;
        if (b.warps[w].runnable) return &b.threads[w * kWarpSize + first_lane(b, b.warps[w].runnable)];
    }
    return nullptr;
}

void switch_to(Block& b, Thread* next) {
    Thread* from = b.current;
    if (next == from) return;
    b.current = next;
    emulator_switch_stack(&from->stack, next->stack);
}

// "threads 0-31, 40 wait at __syncthreads": every place with who waits there.
std::string who_waits_where(const Block& b) {
    std::map<std::string, std::vector<unsigned>> places;
    for (const Thread& t : b.threads) {
        if (!t.exited) places[t.waits_at ? t.waits_at : "?"].push_back(t.linear);
    }
    std::string text;
    for (const auto& [place, threads] : places) {
        text += text.empty() ? "threads " : "; threads ";
        for (size_t i = 0, end; i < threads.size(); i = end) {
            for (end = i + 1; end < threads.size() && threads[end] == threads[end - 1] + 1; end++) {
            }
            text += (i ? ", " : "") + std::to_string(threads[i]);
            if (end - i > 1) text += "-" + std::to_string(threads[end - 1]);
        }
        text += " wait at " + place;
    }
    const auto exited = b.threads.size() - b.running;
    if (exited) text += "; " + std::to_string(exited) + " threads have exited";
    return text;
}

void check_nothing_in_flight(const Thread& t) {
    if (!t.copies.empty()) fail("the thread exits with " + std::to_string(t.copies.size()) + " asynchronous copies in flight");
    const Warp& warp = block().warps[t.warp];
    if (!warp.products.empty()) fail("the thread exits with " + std::to_string(warp.products.size()) + " wgmma in flight");
    // A warp that issued none has no say in its group's: it may have had other work.
    if (warp.commits && warp.commits != block().committed[t.warp / 4].size()) fail("the warps of a warpgroup issued different numbers of wgmma");
}

void fiber_main() {
    Block& b = block();
    b.launch.call(b.launch.function, b.launch.arguments);
    Thread& t = self();
    check_nothing_in_flight(t);
    Warp& warp = b.warps[t.warp];
    if (warp.arrived && warp.wanted >> t.lane & 1) {
        fail(std::string("the thread exits while its warp waits for it at ") + warp.operation);
    }
    t.exited = true;
    b.running--;
    warp.exited |= 1u << t.lane;
    warp.runnable &= ~(1u << t.lane);
    Thread* next = next_thread(b, false);
    if (!next && b.running) fail("deadlock: " + who_waits_where(b));
    void* dead;
    if (!next) emulator_switch_stack(&dead, b.runner);
    b.current = next;
    emulator_switch_stack(&dead, next->stack);
    __builtin_unreachable();
}

}  // namespace

Block::Block(Launch& shared_launch, unsigned count)
    : launch(shared_launch), threads(count), warps((count + kWarpSize - 1) / kWarpSize), shadow(launch.shared_bytes), stacks(count) {
    shared = static_cast<char*>(::operator new(launch.shared_bytes + 16, std::align_val_t(1024)));
}

Block::~Block() { ::operator delete(shared, std::align_val_t(1024)); }

uint64_t Block::next_random() {  // splitmix64
    uint64_t z = (random += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void Block::run(uint64_t linear) {
    running_block = this;
    const dim3 grid = launch.grid, size = launch.block;
    index = {static_cast<unsigned>(linear % grid.x), static_cast<unsigned>(linear / grid.x % grid.y),
             static_cast<unsigned>(linear / grid.x / grid.y)};
    random = launch.seed * 0x2545F4914F6CDD1Du + linear;
    epoch++;
    running = static_cast<unsigned>(threads.size());
    __builtin_memset(shared, 0xFF, launch.shared_bytes);  // NaN, as f32 and as bf16
    for (Warp& warp : warps) warp = {};
    for (Barrier& b : barriers) b = {};
    committed.assign((warps.size() + 3) / 4, {});
    for (unsigned i = 0; i < threads.size(); i++) {
        Thread& t = threads[i];
        t.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
        t.linear = i;
        t.warp = i / kWarpSize;
        t.lane = i % kWarpSize;
        t.exited = false;
        t.waits_at = nullptr;
        t.copies.clear();
        t.group_ends.clear();
        t.fences++;  // what was written for an earlier block is nobody's concern
        t.fenced_at = epoch - 1;
        t.stack = stacks.prepare(i, fiber_main);
        warps[t.warp].existing |= 1u << t.lane;
    }
    for (Warp& warp : warps) warp.runnable = warp.existing;
    current = nullptr;
    current = next_thread(*this, true);
    emulator_switch_stack(&runner, current->stack);
    current = nullptr;
    running_block = nullptr;
}

void fail(const std::string& what) {
    Block& b = block();
    if (!b.launch.failed.exchange(true)) {
        const auto triple = [](dim3 d) { return std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z); };
        b.launch.failure = what + " [kernel " + b.launch.kernel + ", block " + triple(b.index);
        if (b.current) b.launch.failure += ", thread " + triple(b.current->index);
        b.launch.failure += "]";
    }
    void* abandoned;
    emulator_switch_stack(&abandoned, b.runner);
    __builtin_unreachable();
}

void wait_here(const char* where) {
    Block& b = block();
    Thread& t = *b.current;
    t.waits_at = where;
    b.warps[t.warp].runnable &= ~(1u << t.lane);
    Thread* next = next_thread(b, false);
    if (!next) fail("deadlock: " + who_waits_where(b));
    switch_to(b, next);
}

void wake(unsigned thread) {
    Block& b = block();
    const Thread& t = b.threads[thread];
    b.warps[t.warp].runnable |= 1u << t.lane;
}

void maybe_yield() {
    Block& b = block();
    if (b.next_random() & 1) switch_to(b, next_thread(b, true));
}

void barrier(unsigned id, unsigned expected, const char* name) {
    Block& b = block();
    Barrier& bar = b.barriers[id];
    const bool whole = expected == 0;
    if (whole) {
        expected = static_cast<unsigned>(b.threads.size());
        if (b.running != expected) fail(std::string(name) + " of the whole block after some of its threads have exited");
    }
    if (bar.arrived && bar.expected != expected) fail(std::string(name) + ": threads disagree about how many take part");
    bar.expected = expected;
    if (++bar.arrived < expected) {
        bar.waiting.push_back(b.current->linear);
        wait_here(name);
        return;
    }
    for (unsigned thread : bar.waiting) wake(thread);
    bar.waiting.clear();
    bar.arrived = 0;
    b.counters.barriers++;
    // Only a barrier of the whole block orders everybody's accesses.
    if (expected == b.threads.size()) b.epoch++;
}

}  // namespace emulator
