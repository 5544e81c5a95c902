// Bad accesses by a kernel: SIGSEGV is turned into the launch's error.
//
// The handler only notes the address and rewrites the interrupted context to continue in `landed`, on the same fiber's stack but no
// longer inside a signal handler, where building the message is allowed. A fault that is not a running kernel's goes to whoever
// handled the signal before.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <mutex>
#include <new>

#include "block.h"
#include "global_memory.h"

namespace emulator {

namespace {

constexpr size_t kHandlerStack = 64 << 10;
struct sigaction before_segv, before_bus;

[[noreturn]] void landed() {
    const Block& b = block();
    const int overflowed = b.stacks.overflowed(b.fault_address);
    if (overflowed >= 0) fail("the stack of thread " + std::to_string(overflowed) + " overflows: too many locals for the emulator");
    fail(std::string(b.fault_is_write ? "a write to " : "a read of ") + describe_address(b.fault_address));
}

void on_fault(int signal, siginfo_t* info, void* raw) {
    auto* context = static_cast<ucontext_t*>(raw);
    Block* b = running_block;
    if (b && b->current) {
        b->fault_address = info->si_addr;
        b->fault_is_write = context->uc_mcontext.gregs[REG_ERR] & 2;
        // The fiber is given up, so its whole stack is free. 8 below a multiple of 16, as after a call.
        const auto top = reinterpret_cast<uintptr_t>(b->stacks.top(b->current->linear)) & ~uintptr_t{15};
        context->uc_mcontext.gregs[REG_RSP] = static_cast<greg_t>(top - 8);
        context->uc_mcontext.gregs[REG_RIP] = reinterpret_cast<greg_t>(landed);
        return;
    }
    const struct sigaction& previous = signal == SIGSEGV ? before_segv : before_bus;
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signal, info, raw);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
    } else {
        sigaction(signal, &previous, nullptr);  // happens again, and ends the process as it would have
    }
}

}  // namespace

FaultCatcher::FaultCatcher() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction ours {};
        ours.sa_sigaction = on_fault;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&ours.sa_mask);
        sigaction(SIGSEGV, &ours, &before_segv);
        sigaction(SIGBUS, &ours, &before_bus);
    });
    // A fiber whose stack overflowed has no room for a handler: it runs on a stack of its own. Rust gives its threads one.
    stack_t mine{};
    if (sigaltstack(nullptr, &mine) == 0 && !(mine.ss_flags & SS_DISABLE)) return;
    void* memory = mmap(nullptr, kHandlerStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mine = {};
    mine.ss_sp = stack_ = memory;
    mine.ss_size = kHandlerStack;
    sigaltstack(&mine, nullptr);
}

FaultCatcher::~FaultCatcher() {
    if (!stack_) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(stack_, kHandlerStack);
}

}  // namespace emulator
