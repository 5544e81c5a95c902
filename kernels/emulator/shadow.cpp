#include "shadow.h"

#include <string>

#include "block.h"

namespace emulator {

namespace {

[[noreturn]] void race(const char* what, const char* other, int warp, int lane, const void* address) {
    const auto offset = static_cast<const char*>(address) - block().shared;
    const std::string who = warp < 0 ? "several warps" : lane < 0 ? "warp " + std::to_string(warp) :
        "thread " + std::to_string(warp * static_cast<int>(kWarpSize) + lane);
    fail("shared memory race at byte " + std::to_string(offset) + ": " + what + " with nothing ordering it against " + other + " by " + who);
}

}  // namespace

Shadow::Word* Shadow::words(const void* address, size_t bytes, const char* what) {
    const auto offset = static_cast<size_t>(static_cast<const char*>(address) - block().shared);
    if (offset >= bytes_ || bytes_ - offset < bytes) {
        fail(std::string(what) + " outside the " + std::to_string(bytes_) + " bytes of shared memory, at byte " +
             std::to_string(static_cast<int64_t>(offset)));
    }
    if (offset % bytes != 0) fail(std::string(what) + " of " + std::to_string(bytes) + " bytes is misaligned, at byte " + std::to_string(offset));
    return &words_[offset / 4];
}

void Shadow::read(const void* address, size_t bytes, const char* what) {
    const Block& b = block();
    const auto warp = static_cast<int16_t>(b.current->warp), lane = static_cast<int16_t>(b.current->lane);
    const uint32_t warp_epoch = b.warps[b.current->warp].epoch;
    Word* word = words(address, bytes, what);
    for (size_t i = 0; i < bytes / 4; i++, word++) {
        if (word->pending != kNobody) {
            fail(std::string(what) + " of shared memory into which a copy of thread " + std::to_string(word->pending) + " is in flight");
        }
        if (word->write_epoch == b.epoch) {
            const bool other_lane = word->write_lane != lane && word->write_warp_epoch == warp_epoch;
            if (word->write_warp != warp || other_lane) race(what, "a write", word->write_warp, word->write_lane, address);
        }
        if (word->read_epoch != b.epoch) {
            word->read_epoch = b.epoch;
            word->read_warp = warp;
            word->read_lane = lane;
            word->read_warp_epoch = warp_epoch;
        } else if (word->read_warp != warp) {
            word->read_warp = kSeveral;
        } else if (word->read_warp_epoch != warp_epoch) {
            word->read_lane = lane;
            word->read_warp_epoch = warp_epoch;
        } else if (word->read_lane != lane) {
            word->read_lane = kSeveral;
        }
    }
}

void Shadow::check_write(const Word& word, const char* what) const {
    const Block& b = block();
    const auto warp = static_cast<int16_t>(b.current->warp), lane = static_cast<int16_t>(b.current->lane);
    const uint32_t warp_epoch = b.warps[b.current->warp].epoch;
    const char* address = b.shared + (&word - words_.data()) * 4;
    if (word.pending != kNobody) {
        fail(std::string(what) + " to shared memory into which a copy of thread " + std::to_string(word.pending) + " is in flight");
    }
    if (word.async_reads) fail(std::string(what) + " to shared memory that a wgmma in flight reads");
    if (word.write_epoch == b.epoch) {
        const bool other_lane = word.write_lane != lane && word.write_warp_epoch == warp_epoch;
        if (word.write_warp != warp || other_lane) race(what, "a write", word.write_warp, word.write_lane, address);
    }
    if (word.read_epoch == b.epoch) {
        const bool other_lane = word.read_lane != lane && word.read_warp_epoch == warp_epoch;
        if (word.read_warp != warp || other_lane) race(what, "a read", word.read_warp, word.read_lane, address);
    }
}

void Shadow::note_write(Word& word) const {
    const Block& b = block();
    word.write_epoch = b.epoch;
    word.write_warp = static_cast<int16_t>(b.current->warp);
    word.write_lane = static_cast<int16_t>(b.current->lane);
    word.write_warp_epoch = b.warps[b.current->warp].epoch;
    word.write_fences = b.current->fences;
}

void Shadow::write(const void* address, size_t bytes, const char* what) {
    Word* word = words(address, bytes, what);
    for (size_t i = 0; i < bytes / 4; i++, word++) {
        check_write(*word, what);
        note_write(*word);
    }
}

void Shadow::copy_issued(const void* address, size_t bytes) {
    Word* word = words(address, bytes, "cp.async");
    for (size_t i = 0; i < bytes / 4; i++, word++) {
        check_write(*word, "cp.async");
        word->pending = static_cast<int16_t>(block().current->linear);
    }
}

void Shadow::copy_visible(const void* address, size_t bytes) {
    Word* word = words(address, bytes, "cp.async");
    for (size_t i = 0; i < bytes / 4; i++, word++) {
        word->pending = kNobody;
        note_write(*word);
    }
}

void Shadow::async_read_issued(const void* address, size_t bytes, const char* what) {
    const Block& b = block();
    read(address, bytes, what);
    Word* word = words(address, bytes, what);
    for (size_t i = 0; i < bytes / 4; i++, word++) {
        word->async_reads++;
        if (word->write_warp < 0) continue;
        const unsigned writer = static_cast<unsigned>(word->write_warp) * kWarpSize + static_cast<unsigned>(word->write_lane);
        const Thread& thread = b.threads[writer];
        const bool behind_barrier = word->write_warp == static_cast<int>(b.current->warp) || thread.fenced_at < b.epoch;
        if (thread.fences == word->write_fences || !behind_barrier) {
            fail(std::string(what) + " reads what thread " + std::to_string(writer) + " stored without a fence.proxy.async and a barrier after it");
        }
    }
}

void Shadow::async_read_done(const void* address, size_t bytes) {
    Word* word = words(address, bytes, "wgmma");
    read(address, bytes, "wgmma");
    for (size_t i = 0; i < bytes / 4; i++, word++) word->async_reads--;
}

}  // namespace emulator
