// Warp collectives by rendezvous: every lane of the mask brings its arguments, the last to arrive does the work for all, reading and
// writing the arguments where they lie on the other lanes' stacks.
#pragma once
#include <cstring>
#include <string>

#include "block.h"

namespace emulator {

// `work(arguments)` runs once, when every lane of `mask` has come to the same operation; arguments[lane] is null for lanes outside.
template <class Argument, class Work>
inline void collective(const char* operation, uint32_t mask, Argument& mine, Work work) {
    Thread& t = self();
    Warp& warp = block().warps[t.warp];
    const uint32_t wanted = mask & warp.existing;
    if (!(wanted >> t.lane & 1)) fail(std::string(operation) + ": the calling lane is not in its own mask");
    if (wanted & warp.exited) fail(std::string(operation) + " waits for lanes that have exited");
    if (warp.arrived == 0) {
        warp.operation = operation;
        warp.wanted = wanted;
    } else if (warp.wanted != wanted || (warp.operation != operation && strcmp(warp.operation, operation) != 0)) {
        fail(std::string("divergent warp: one lane is at ") + operation + " while others wait at " + warp.operation);
    }
    warp.argument[t.lane] = &mine;
    warp.arrived |= 1u << t.lane;
    if (warp.arrived != wanted) {
        wait_here(operation);
        return;
    }
    warp.arrived = 0;
    Argument* all[kWarpSize];
    for (unsigned lane = 0; lane < kWarpSize; lane++) {
        all[lane] = wanted >> lane & 1 ? static_cast<Argument*>(warp.argument[lane]) : nullptr;
    }
    work(all);
    warp.runnable |= wanted;
}

struct Nothing {};

inline void sync_warp(uint32_t mask) {
    Nothing nothing;
    collective("__syncwarp", mask, nothing, [](Nothing**) { block().warps[self().warp].epoch++; });
}

// Every lane of `mask` reads the value of lane `from` as that lane gave it; a lane outside 0..31 or outside the mask gives back one's own.
template <class T>
inline T shuffle(const char* operation, uint32_t mask, T value, int from) {
    struct Argument {
        T value, result;
        int from;
    } mine{value, value, from};
    collective(operation, mask, mine, [](Argument** all) {
        for (unsigned lane = 0; lane < kWarpSize; lane++) {
            if (!all[lane]) continue;
            const int source = all[lane]->from;
            if (source >= 0 && source < static_cast<int>(kWarpSize) && all[source]) all[lane]->result = all[source]->value;
        }
    });
    return mine.result;
}

inline uint32_t ballot(const char* operation, uint32_t mask, bool predicate) {
    struct Argument {
        bool predicate;
        uint32_t result;
    } mine{predicate, 0};
    collective(operation, mask, mine, [](Argument** all) {
        uint32_t votes = 0;
        for (unsigned lane = 0; lane < kWarpSize; lane++) {
            if (all[lane] && all[lane]->predicate) votes |= 1u << lane;
        }
        for (unsigned lane = 0; lane < kWarpSize; lane++) {
            if (all[lane]) all[lane]->result = votes;
        }
    });
    return mine.result;
}

}  // namespace emulator
