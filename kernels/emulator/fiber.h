// Fibers: one for each CUDA thread of a block, switched by hand without a system call.
//
// A fiber never moves to another OS thread and is never unwound: when a block fails, its fibers are abandoned where they stand.
// Nothing on a fiber's stack may therefore own memory; what owns memory lives in Thread and Block.
#pragma once
#include <cstddef>

namespace emulator {

// Saves the callee-saved registers on the current stack, leaves its pointer in *save and continues where `load` was saved.
extern "C" void emulator_switch_stack(void** save, void* load);

// Stacks of one OS thread, one after the other, each with unmapped pages below it so that an overflow is caught.
class Stacks {
public:
    static constexpr size_t kBytes = 144 << 10;
    static constexpr size_t kGuard = 16 << 10;  // more than the locals of one function, which need not be touched in order

    explicit Stacks(unsigned count);
    ~Stacks();
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;

    unsigned count() const { return count_; }
    char* top(unsigned index) const { return base_ + (index + 1) * kBytes; }
    // The fiber whose guard pages hold `address`, or -1.
    int overflowed(const void* address) const;
    // A saved context that starts `entry` on stack `index`.
    void* prepare(unsigned index, void (*entry)()) const;

private:
    char* base_;
    unsigned count_;
};

}  // namespace emulator
