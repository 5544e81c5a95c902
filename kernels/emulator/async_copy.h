// cp.async: copies from global to shared memory that land between their issue and the wait for their group.
#pragma once
#include <cstring>

#include "block.h"

namespace emulator {

inline void land(AsyncCopy& copy) {
    memcpy(copy.to, copy.from, copy.filled);
    memset(copy.to + copy.filled, 0, copy.bytes - copy.filled);
    copy.landed = true;
}

// `filled` of `bytes` bytes are read from `from`, the rest becomes zero. Until the copy lands the target holds NaN.
inline void async_copy(void* to, const void* from, uint32_t bytes, uint32_t filled) {
    Block& b = block();
    if (reinterpret_cast<uintptr_t>(from) % bytes != 0) fail("cp.async from a misaligned global address");
    b.shadow.copy_issued(to, bytes);
    b.counters.async_copies++;
    memset(to, 0xFF, bytes);
    AsyncCopy copy{static_cast<char*>(to), static_cast<const char*>(from), bytes, filled, false};
    const Landing landing = b.launch.landing;
    if (landing == Landing::kEager || (landing == Landing::kMixed && b.next_random() & 1)) land(copy);
    b.current->copies.push_back(copy);
}

inline void commit_group() {
    Thread& t = self();
    t.group_ends.push_back(t.copies.size());
}

// All but the newest `allowed` groups have landed and may be read by this thread; a barrier shows them to the others.
inline void wait_groups(unsigned allowed) {
    Block& b = block();
    Thread& t = *b.current;
    if (t.group_ends.size() <= allowed) return;
    const size_t groups = t.group_ends.size() - allowed;
    const size_t done = t.group_ends[groups - 1];
    for (size_t i = 0; i < done; i++) {
        if (!t.copies[i].landed) land(t.copies[i]);
        b.shadow.copy_visible(t.copies[i].to, t.copies[i].bytes);
    }
    t.copies.erase(t.copies.begin(), t.copies.begin() + static_cast<std::ptrdiff_t>(done));
    t.group_ends.erase(t.group_ends.begin(), t.group_ends.begin() + static_cast<std::ptrdiff_t>(groups));
    for (size_t& end : t.group_ends) end -= done;
}

}  // namespace emulator
