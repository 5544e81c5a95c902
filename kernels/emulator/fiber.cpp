#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#if !defined(__x86_64__) || !defined(__linux__)
#error "the emulator switches stacks in x86-64 assembly on Linux; port emulator_switch_stack, prepare and fault.cpp"
#endif

// System V calling convention: rbx, rbp, r12-r15 survive a call, everything else is the caller's to save.
__asm__(
    ".text\n"
    ".p2align 4\n"
    ".hidden emulator_switch_stack\n"
    ".globl emulator_switch_stack\n"
    ".type emulator_switch_stack, @function\n"
    "emulator_switch_stack:\n"
    "    pushq %rbx\n"
    "    pushq %rbp\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbp\n"
    "    popq %rbx\n"
    "    ret\n"
    ".size emulator_switch_stack, .-emulator_switch_stack\n");

namespace emulator {

Stacks::Stacks(unsigned count) : count_(count) {
    void* memory = mmap(nullptr, count * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<char*>(memory);
    for (unsigned i = 0; i < count; i++) mprotect(base_ + i * kBytes, kGuard, PROT_NONE);
}

Stacks::~Stacks() { munmap(base_, count_ * kBytes); }

int Stacks::overflowed(const void* address) const {
    const auto offset = static_cast<size_t>(static_cast<const char*>(address) - base_);
    return offset < count_ * kBytes && offset % kBytes < kGuard ? static_cast<int>(offset / kBytes) : -1;
}

void* Stacks::prepare(unsigned index, void (*entry)()) const {
    // Six registers and the return address. At entry the stack must be 8 below a multiple of 16, as after a call.
    void** frame = reinterpret_cast<void**>(top(index)) - 8;
    memset(frame, 0, 8 * sizeof(void*));
    frame[6] = reinterpret_cast<void*>(entry);
    return frame;
}

}  // namespace emulator
