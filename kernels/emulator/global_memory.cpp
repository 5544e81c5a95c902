#include "global_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>

namespace emulator {

namespace {

constexpr size_t kRegion = size_t{256} << 30;  // of address space, not of memory
constexpr size_t kPage = 4096;
// As bytes FD FF: NaN in f32 and in bf16, so that reading a guard shows too.
inline unsigned char pattern(const char* at) { return reinterpret_cast<uintptr_t>(at) & 1 ? 0xFF : 0xFD; }

void lay_pattern(char* from, const char* to) {
    for (; from < to; from++) *from = static_cast<char>(pattern(from));
}

struct Allocation {
    char* pages;
    size_t page_bytes;
    size_t bytes;
};

struct Region {
    std::mutex mutex;
    char* base = nullptr;
    size_t used = 0;
    std::map<const char*, Allocation> allocations;       // by their first byte
    std::multimap<size_t, size_t> free_ranges;           // length to offset; never merged: allocations of a test repeat their sizes
};

Region& region() {
    static Region* const instance = new Region;  // lives as long as the process: a fault handler may ask at any time
    return *instance;
}

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// A range never used before as long as there is one, so that the use of a freed allocation is a fault and not another's data.
char* take_range(Region& r, size_t bytes) {
    if (kRegion - r.used >= bytes) {
        char* at = r.base + r.used;
        r.used += bytes;
        return at;
    }
    const auto found = r.free_ranges.find(bytes);
    if (found == r.free_ranges.end()) return nullptr;
    char* at = r.base + found->second;
    r.free_ranges.erase(found);
    return at;
}

}  // namespace

void* allocate(size_t bytes) {
    Region& r = region();
    const std::lock_guard lock(r.mutex);
    if (!r.base) {
        void* memory = mmap(nullptr, kRegion, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return nullptr;
        r.base = static_cast<char*>(memory);
    }
    if (bytes > kRegion / 2) return nullptr;
    const size_t room = round_up(bytes, 16);
    const size_t page_bytes = round_up(room + 16, kPage);
    char* at = take_range(r, page_bytes + 2 * kPage);
    if (!at) return nullptr;
    char* pages = at + kPage;
    if (mprotect(pages, page_bytes, PROT_READ | PROT_WRITE) != 0) return nullptr;
    char* memory = pages + page_bytes - room;
    lay_pattern(pages, memory);
    memset(memory, 0xFF, bytes);
    lay_pattern(memory + bytes, pages + page_bytes);
    r.allocations[memory] = {pages, page_bytes, bytes};
    return memory;
}

bool release(void* memory) {
    Region& r = region();
    const std::lock_guard lock(r.mutex);
    const auto found = r.allocations.find(static_cast<const char*>(memory));
    if (found == r.allocations.end()) return false;
    const Allocation a = found->second;
    r.allocations.erase(found);
    madvise(a.pages, a.page_bytes, MADV_DONTNEED);
    mprotect(a.pages, a.page_bytes, PROT_NONE);  // a use after this is a fault
    r.free_ranges.emplace(a.page_bytes + 2 * kPage, a.pages - kPage - r.base);
    return true;
}

bool is_allocated(const void* address, size_t bytes) {
    Region& r = region();
    const std::lock_guard lock(r.mutex);
    const auto* at = static_cast<const char*>(address);
    auto next = r.allocations.upper_bound(at);
    if (next == r.allocations.begin()) return false;
    const auto& [first, a] = *--next;
    const auto offset = static_cast<size_t>(at - first);
    return offset <= a.bytes && a.bytes - offset >= bytes;
}

std::string damaged_guards() {
    Region& r = region();
    const std::lock_guard lock(r.mutex);
    for (const auto& [memory, a] : r.allocations) {
        for (const char* p = a.pages; p < a.pages + a.page_bytes; p++) {
            if (p == memory) p += a.bytes;
            if (p < a.pages + a.page_bytes && static_cast<unsigned char>(*p) != pattern(p)) {
                const bool before = p < memory;
                lay_pattern(a.pages, memory);
                lay_pattern(a.pages + (memory - a.pages) + a.bytes, a.pages + a.page_bytes);
                return "a write " + std::to_string(before ? memory - p : p - memory - static_cast<std::ptrdiff_t>(a.bytes)) + " bytes " +
                       (before ? "before" : "after") + " an allocation of " + std::to_string(a.bytes) + " bytes";
            }
        }
    }
    return {};
}

bool in_region(const void* address) {
    const Region& r = region();
    const auto* at = static_cast<const char*>(address);
    return r.base && at >= r.base && at < r.base + kRegion;
}

std::string describe_address(const void* address) {
    Region& r = region();
    const std::lock_guard lock(r.mutex);
    const auto* at = static_cast<const char*>(address);
    if (!at) return "a null pointer";
    // The nearer of the allocations before and after, if one is near.
    constexpr std::ptrdiff_t kNear = 4 * kPage;
    const auto next = r.allocations.upper_bound(at);
    const std::ptrdiff_t before = next == r.allocations.end() ? kNear : next->first - at;
    std::ptrdiff_t after = kNear;
    if (next != r.allocations.begin()) {
        const auto& [memory, a] = *std::prev(next);
        after = at - memory - static_cast<std::ptrdiff_t>(a.bytes);
    }
    if (after < kNear && after <= before) {
        return std::to_string(after) + " bytes after the end of an allocation of " + std::to_string(std::prev(next)->second.bytes) + " bytes";
    }
    if (before < kNear) return std::to_string(before) + " bytes before an allocation of " + std::to_string(next->second.bytes) + " bytes";
    return in_region(at) ? "memory that is not allocated" : "an address that is no device memory";
}

}  // namespace emulator
