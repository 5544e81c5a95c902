// A library that stands in for libcuda: the part of CUDA's driver API that src/cuda/gpu uses, over the emulator. It is strict where the
// real one is: a context must be current, shared memory above 48 KB must have been asked for, handles must be live, a stream that captures
// may not be waited for; and where only a checker would tell: whatever was made must be unmade when a context without a fault is released,
// and page-locked memory may not be freed while a copy uses it, or the process aborts.
//
// Streams are as late as CUDA allows: work waits until somebody waits for it, or asks often enough whether it is done.
//
// FAKE_CUDA_VERSION, FAKE_CUDA_CAPABILITY and FAKE_CUDA_LOST (launches until the device is lost) make it another machine.
// tests/kernels/fake_cuda.rs runs the driver on it. What it cannot show is that a GPU does the same.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "api.h"

#define CUDA extern "C" __attribute__((visibility("default"))) int

namespace {

enum { kOk = 0, kInvalidValue = 1, kOutOfMemory = 2, kUnavailable = 46, kInvalidDevice = 101, kInvalidImage = 200, kInvalidContext = 201,
       kInvalidHandle = 400, kNotFound = 500, kNotReady = 600, kIllegalAddress = 700, kCaptureUnsupported = 900,
       kCaptureInvalid = 901 };

struct Image { std::string bytes; };
struct Function {
    Image* image;
    std::string name;
    int allowed = 0;
};
struct Op {
    std::function<void()> run;
    const void* host = nullptr;  // page-locked memory that it uses
};
struct Stream {
    std::deque<Op> waiting;
    size_t asked = 0, done = 0;
    bool capturing = false;
    std::vector<Op> captured;

    int ask(Op op) {
        if (capturing) {
            captured.push_back(std::move(op));
        } else {
            waiting.push_back(std::move(op));
            asked++;
        }
        return kOk;
    }
    void advance() {
        if (waiting.empty()) return;
        const Op op = std::move(waiting.front());
        waiting.pop_front();
        op.run();
        done++;
    }
    void advance_to(size_t position) {
        while (done < position) advance();
    }
};
// An event outlives its handle while work waits for it.
struct Mark {
    Stream* stream = nullptr;
    size_t position = 0;
    double at = -1;
};
struct Event { std::shared_ptr<Mark> mark; };
struct Graph { std::vector<Op> ops; };

std::recursive_mutex lock;
using Guard = std::lock_guard<std::recursive_mutex>;
std::set<void*> memory, pinned, modules, streams, events, functions, graphs;
thread_local void* current = nullptr;
int contexts = 0, fault = kOk;
long launches = 0;
double now = 0;  // milliseconds: a launch takes one, 25 MB over the link take one
char the_context;

long setting(const char* name, long otherwise) {
    const char* text = getenv(name);
    return text ? atol(text) : otherwise;
}

// Faults stick, as on a GPU: every later call that waits or launches gives the first.
int state() { return current != &the_context ? kInvalidContext : fault; }

template <class T>
T* known(const std::set<void*>& live, void* handle) { return live.count(handle) ? static_cast<T*>(handle) : nullptr; }

void finish_all() {
    for (void* s : streams) static_cast<Stream*>(s)->advance_to(static_cast<Stream*>(s)->asked);
}

const void* page_locked(const void* host) { return pinned.count(const_cast<void*>(host)) ? host : nullptr; }

// Copies on `stream`; with memory that is not page-locked at once, as CUDA's staging does.
int copy(void* stream, const void* host, size_t bytes, std::function<int()> work) {
    Stream* s = known<Stream>(streams, stream);
    if (!s) return kInvalidHandle;
    if (const int bad = state()) return bad;
    if (host && !page_locked(host)) {
        if (s->capturing) return kCaptureUnsupported;
        s->advance_to(s->asked);
        return work() ? kInvalidValue : state();
    }
    return s->ask({[work, ms = host ? static_cast<double>(bytes) / 25e6 : 0.0] {
        if (work()) fault = kIllegalAddress;
        now += ms;
    }, host});
}

// The length of an ELF file by its header, or of a text; zero if it is neither.
size_t image_size(const char* p) {
    if (memcmp(p, "\x7f" "ELF", 4) == 0) {
        uint64_t sections;
        uint16_t size, count;
        memcpy(&sections, p + 40, 8);
        memcpy(&size, p + 58, 2);
        memcpy(&count, p + 60, 2);
        return sections + uint64_t{size} * count;
    }
    const size_t length = strlen(p);
    return strstr(p, ".version") && strstr(p, ".target") ? length : 0;
}

template <class T>
int destroy(std::set<void*>& live, void* handle) {
    const Guard guard(lock);
    if (!live.erase(handle)) return kInvalidHandle;
    delete static_cast<T*>(handle);
    return kOk;
}

}  // namespace

CUDA cuInit(unsigned) { return kOk; }
CUDA cuDriverGetVersion(int* version) { return *version = static_cast<int>(setting("FAKE_CUDA_VERSION", 13000)), kOk; }
CUDA cuDeviceGetCount(int* count) { return *count = 1, kOk; }
CUDA cuDeviceGet(int* device, int ordinal) { return ordinal == 0 ? *device = 0, kOk : kInvalidDevice; }
CUDA cuDeviceGetName(char* name, int room, int) { return snprintf(name, room, "Fake GPU"), kOk; }
CUDA cuDeviceGetPCIBusId(char* id, int room, int) { return snprintf(id, room, "0000:FA:00.0"), kOk; }
CUDA cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = size_t{1} << 32, kOk; }
CUDA cuDeviceGetAttribute(int* value, int attribute, int) {
    // multiprocessors, clocks, bus, L2 (none: then nothing is flushed), memory pools, shared memory of a block
    static const std::map<int, int> values = {{16, 4}, {13, 1980000}, {36, 2619000}, {37, 5120}, {38, 0}, {115, 1}, {97, 163 << 10}};
    const auto capability = static_cast<int>(setting("FAKE_CUDA_CAPABILITY", 80));
    if (attribute == 75 || attribute == 76) return *value = attribute == 75 ? capability / 10 : capability % 10, kOk;
    const auto found = values.find(attribute);
    return found == values.end() ? kInvalidValue : (*value = found->second, kOk);
}

CUDA cuDevicePrimaryCtxRetain(void** context, int) {
    const Guard guard(lock);
    return contexts++, *context = &the_context, kOk;
}
CUDA cuDevicePrimaryCtxRelease_v2(int) {
    const Guard guard(lock);
    if (--contexts == 0 && fault == kOk && memory.size() + pinned.size() + modules.size() + streams.size() + events.size() + graphs.size()) {
        fprintf(stderr, "left behind: %zu arrays, %zu of the host, %zu modules, %zu streams, %zu events, %zu graphs\n", memory.size(),
                pinned.size(), modules.size(), streams.size(), events.size(), graphs.size());
        abort();
    }
    return kOk;
}
CUDA cuCtxGetCurrent(void** context) { return *context = current, kOk; }
CUDA cuCtxSetCurrent(void* context) { return current = context, kOk; }
CUDA cuCtxSynchronize() {
    const Guard guard(lock);
    return finish_all(), state();
}

CUDA cuStreamCreate(void** stream, unsigned) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    streams.insert(*stream = new Stream);
    return kOk;
}
CUDA cuStreamSynchronize(void* stream) {
    const Guard guard(lock);
    Stream* s = known<Stream>(streams, stream);
    if (!s) return kInvalidHandle;
    if (s->capturing) return kCaptureUnsupported;
    return s->advance_to(s->asked), state();
}
CUDA cuStreamDestroy_v2(void* stream) {
    const Guard guard(lock);
    if (Stream* s = known<Stream>(streams, stream)) s->advance_to(s->asked);
    return destroy<Stream>(streams, stream);
}
CUDA cuStreamWaitEvent(void* stream, void* event, unsigned) {
    const Guard guard(lock);
    Stream* s = known<Stream>(streams, stream);
    Event* e = known<Event>(events, event);
    if (!s || !e) return kInvalidHandle;
    return s->ask({[mark = e->mark] {
        if (mark->stream) mark->stream->advance_to(mark->position);
    }});
}
CUDA cuStreamBeginCapture_v2(void* stream, int) {
    const Guard guard(lock);
    Stream* s = known<Stream>(streams, stream);
    if (!s || s->capturing) return s ? kCaptureInvalid : kInvalidHandle;
    return s->capturing = true, kOk;
}
CUDA cuStreamEndCapture(void* stream, void** graph) {
    const Guard guard(lock);
    Stream* s = known<Stream>(streams, stream);
    if (!s || !s->capturing) return s ? kCaptureInvalid : kInvalidHandle;
    s->capturing = false;
    graphs.insert(*graph = new Graph{std::move(s->captured)});
    s->captured.clear();
    return kOk;
}
CUDA cuGraphInstantiateWithFlags(void** exec, void* graph, unsigned long long) {
    const Guard guard(lock);
    Graph* g = known<Graph>(graphs, graph);
    if (!g) return kInvalidHandle;
    graphs.insert(*exec = new Graph(*g));
    return kOk;
}
CUDA cuGraphDestroy(void* graph) { return destroy<Graph>(graphs, graph); }
CUDA cuGraphExecDestroy(void* exec) { return destroy<Graph>(graphs, exec); }
CUDA cuGraphLaunch(void* exec, void* stream) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    Graph* g = known<Graph>(graphs, exec);
    Stream* s = known<Stream>(streams, stream);
    if (!g || !s) return kInvalidHandle;
    for (const Op& op : g->ops) s->ask(op);
    return kOk;
}

CUDA cuMemGetInfo_v2(size_t* unused, size_t* all) { return *unused = size_t{3} << 30, *all = size_t{1} << 32, state(); }
CUDA cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    if (bytes == 0) return kInvalidValue;
    void* found = bytes < size_t{1} << 32 ? emulator_allocate(bytes) : nullptr;
    if (!found) return kOutOfMemory;
    memory.insert(found);
    return *address = reinterpret_cast<uint64_t>(found), kOk;
}
CUDA cuMemFree_v2(uint64_t address) {
    const Guard guard(lock);
    void* found = reinterpret_cast<void*>(address);
    finish_all();
    if (!memory.erase(found)) return kInvalidValue;
    emulator_release(found);
    return kOk;
}
CUDA cuMemHostAlloc(void** host, size_t bytes, unsigned) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    pinned.insert(*host = calloc(1, bytes));
    return kOk;
}
CUDA cuMemFreeHost(void* host) {
    const Guard guard(lock);
    for (void* s : streams) {
        for (const Op& op : static_cast<Stream*>(s)->waiting) {
            if (op.host == host) {
                fprintf(stderr, "page-locked memory is freed while a copy uses it\n");
                abort();
            }
        }
    }
    if (!pinned.erase(host)) return kInvalidValue;
    free(host);
    return kOk;
}
CUDA cuMemcpyHtoDAsync_v2(uint64_t to, const void* host, size_t bytes, void* stream) {
    const Guard guard(lock);
    return copy(stream, host, bytes, [=] { return emulator_write(reinterpret_cast<void*>(to), host, bytes); });
}
CUDA cuMemcpyDtoHAsync_v2(void* host, uint64_t from, size_t bytes, void* stream) {
    const Guard guard(lock);
    return copy(stream, host, bytes, [=] { return emulator_read(host, reinterpret_cast<void*>(from), bytes); });
}
CUDA cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    const Guard guard(lock);
    return copy(stream, nullptr, bytes, [=] {
        std::string held(bytes, 0);
        return emulator_read(held.data(), reinterpret_cast<void*>(from), bytes) ||
               emulator_write(reinterpret_cast<void*>(to), held.data(), bytes);
    });
}
CUDA cuMemsetD8Async(uint64_t to, unsigned char byte, size_t bytes, void* stream) {
    const Guard guard(lock);
    return copy(stream, nullptr, bytes, [=] {
        return emulator_write(reinterpret_cast<void*>(to), std::string(bytes, static_cast<char>(byte)).data(), bytes);
    });
}

CUDA cuModuleLoadData(void** module, const void* image) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    const char* text = static_cast<const char*>(image);
    const size_t size = image_size(text);
    if (size == 0 || reinterpret_cast<uintptr_t>(image) % 8 != 0) return kInvalidImage;
    modules.insert(*module = new Image{std::string(text, size)});
    return kOk;
}
CUDA cuModuleUnload(void* module) { return destroy<Image>(modules, module); }
CUDA cuModuleGetFunction(void** function, void* module, const char* name) {
    const Guard guard(lock);
    Image* image = known<Image>(modules, module);
    if (!image) return kInvalidHandle;
    if (image->bytes.find(name) == std::string::npos) return kNotFound;
    functions.insert(*function = new Function{image, name});
    return kOk;
}
CUDA cuFuncGetAttribute(int* value, int attribute, void* function) {
    if (!functions.count(function)) return kInvalidHandle;
    return attribute == 1 ? *value = 0, kOk : kInvalidValue;  // static shared memory
}
CUDA cuFuncSetAttribute(void* function, int attribute, int value) {
    Function* f = known<Function>(functions, function);
    if (!f) return kInvalidHandle;
    if (attribute == 9) return value >= -1 && value <= 100 ? kOk : kInvalidValue;
    if (attribute != 8 || value > 163 << 10) return kInvalidValue;
    return f->allowed = value, kOk;
}
CUDA cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                    void* stream, void** arguments, void** extra) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    Function* f = known<Function>(functions, function);
    Stream* s = known<Stream>(streams, stream);
    if (!f || !modules.count(f->image) || !s) return kInvalidHandle;
    if (extra || (shared > 48 << 10 && static_cast<int>(shared) > f->allowed)) return kInvalidValue;
    if (++launches == setting("FAKE_CUDA_LOST", 0)) return fault = kUnavailable;
    // The arguments are read now; the kernel runs later.
    std::vector<std::vector<uint64_t>> held;
    for (const size_t* bytes = emulator_parameter_bytes(f->name.c_str()); bytes && *bytes; bytes++) {
        held.emplace_back((*bytes + 7) / 8);
        memcpy(held.back().data(), arguments[held.size() - 1], *bytes);
    }
    return s->ask({[name = f->name, held = std::move(held), launch = EmulatorLaunch{{gx, gy, gz}, {bx, by, bz}, shared, 2, 5, 2}]() mutable {
        if (fault) return;
        std::vector<void*> pointers;
        for (auto& words : held) pointers.push_back(words.data());
        EmulatorCounters counters;
        char message[1024];
        if (emulator_launch(name.c_str(), &launch, pointers.data(), &counters, message, sizeof message)) fault = kIllegalAddress;
        now += 1;
    }});
}

CUDA cuEventCreate(void** event, unsigned) {
    const Guard guard(lock);
    if (const int s = state()) return s;
    events.insert(*event = new Event{std::make_shared<Mark>()});
    return kOk;
}
CUDA cuEventRecord(void* event, void* stream) {
    const Guard guard(lock);
    Event* e = known<Event>(events, event);
    Stream* s = known<Stream>(streams, stream);
    if (!e || !s) return kInvalidHandle;
    if (s->capturing) return kCaptureUnsupported;
    e->mark = std::make_shared<Mark>(Mark{s, s->asked + 1, -1});
    s->ask({[mark = e->mark] { mark->at = now; }});
    return state();
}
CUDA cuEventSynchronize(void* event) {
    const Guard guard(lock);
    Event* e = known<Event>(events, event);
    if (!e) return kInvalidHandle;
    if (e->mark->stream) e->mark->stream->advance_to(e->mark->position);
    return state();
}
CUDA cuEventQuery(void* event) {
    const Guard guard(lock);
    Event* e = known<Event>(events, event);
    if (!e) return kInvalidHandle;
    if (const int s = state()) return s;
    Stream* s = e->mark->stream;
    if (!s) return kOk;
    s->advance();
    return s->done >= e->mark->position ? kOk : kNotReady;
}
CUDA cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
    const Guard guard(lock);
    const Event *a = known<Event>(events, begin), *b = known<Event>(events, end);
    if (!a || !b) return kInvalidHandle;
    if (a->mark->at < 0 || b->mark->at < 0) return kNotReady;
    return *milliseconds = static_cast<float>(b->mark->at - a->mark->at), kOk;
}
CUDA cuEventDestroy_v2(void* event) { return destroy<Event>(events, event); }

CUDA cuGetErrorString(int code, const char** text) { return *text = code == kOutOfMemory ? "out of memory" : "an error", kOk; }
CUDA cuGetErrorName(int, const char** text) { return *text = "CUDA_ERROR", kOk; }
