// Who last touched each word of shared memory, to find races and reads of what has not arrived.
//
// Two accesses race if at least one writes and nothing orders them: no barrier of the whole block between them and, for lanes of one
// warp, no __syncwarp. Shuffles, ldmatrix and mma do not order memory, so they do not count. The unit is a word of 4 bytes; narrower
// accesses are not offered.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulator {

class Shadow {
public:
    explicit Shadow(size_t bytes) : words_((bytes + 3) / 4), bytes_(bytes) {}

    // Checks an access by the running thread and remembers it. `what` names it in the error.
    void read(const void* address, size_t bytes, const char* what);
    void write(const void* address, size_t bytes, const char* what);

    // An asynchronous copy into these bytes was issued, or has become visible to the thread that issued it.
    void copy_issued(const void* address, size_t bytes);
    void copy_visible(const void* address, size_t bytes);

    // The asynchronous proxy (wgmma) reads these bytes from its issue until it is waited for. What threads stored there must lie behind a
    // fence.proxy.async of theirs and, between warps, a barrier after it.
    void async_read_issued(const void* address, size_t bytes, const char* what);
    void async_read_done(const void* address, size_t bytes);

private:
    static constexpr int16_t kNobody = -1, kSeveral = -2;
    struct Word {
        uint32_t write_epoch = 0, read_epoch = 0;            // of the block
        uint32_t write_warp_epoch = 0, read_warp_epoch = 0;  // of the warp
        int16_t write_warp = kNobody, read_warp = kNobody;
        int16_t write_lane = kNobody, read_lane = kNobody;
        int16_t pending = kNobody;  // the thread whose copy is in flight
        uint16_t async_reads = 0;   // in flight
        uint32_t write_fences = 0;  // the writer's fences before
    };
    Word* words(const void* address, size_t bytes, const char* what);
    void check_write(const Word& word, const char* what) const;
    void note_write(Word& word) const;

    std::vector<Word> words_;
    size_t bytes_;
};

}  // namespace emulator
