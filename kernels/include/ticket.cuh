// Which of several blocks comes last: it adds up what all of them left in slabs, in one launch and in a fixed order.
#pragma once
#include "ptx.cuh"
#include "types.cuh"

// Whether this block is the last of `parts` blocks to come here; everything the others wrote before is then visible to it (read it past
// L1, by __ldcg). The last one sets the ticket back to zero: the next launch, or a replay of a captured one, finds it as this one did.
// Every thread of the block must come. `shared` is 4 bytes that nobody else uses until the next barrier.
DEVICE bool comes_last(uint32_t* ticket, int parts, char* shared) {
    __threadfence();  // each thread's own writes before the ticket
    __syncthreads();
    if (threadIdx.x == 0) {
        const uint32_t before = atomicAdd(ticket, 1u);
        const bool last = before == static_cast<uint32_t>(parts) - 1;
        if (last) *ticket = 0;
        store_shared<uint32_t>(shared, last);
    }
    __syncthreads();
    const bool last = load_shared<uint32_t>(shared) != 0;
    __threadfence();
    return last;
}
