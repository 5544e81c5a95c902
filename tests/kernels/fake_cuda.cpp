// A library that stands in for libcuda: the part of CUDA's driver API that src/cuda/gpu uses, over the emulator. It is strict where the
// real one is: a context must be current, shared memory above 48 KB must have been asked for, handles must be live; and where only a
// checker would tell: whatever was made must be unmade when a context without a fault is released, or the process aborts.
// tests/kernels/fake_cuda.rs runs the driver on it. What it cannot show is that a GPU does the same.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "api.h"

#define CUDA extern "C" __attribute__((visibility("default"))) int

namespace {

enum { kOk = 0, kInvalidValue = 1, kOutOfMemory = 2, kInvalidDevice = 101, kInvalidImage = 200, kInvalidContext = 201,
       kInvalidHandle = 400, kNotFound = 500, kIllegalAddress = 700 };

struct Image {
    std::string bytes;
};
struct Function {
    Image* image;
    std::string name;
    int allowed = 0;
};
struct Event {
    double at = -1;
};

std::mutex lock;
std::set<void*> memory, modules, streams, events, functions;
thread_local void* current = nullptr;
int contexts = 0, fault = kOk;
double now = 0;  // milliseconds: every launch takes one
char the_context;

// Faults stick, as on a GPU: every later call that waits or launches gives the first.
int state() { return current != &the_context ? kInvalidContext : fault; }

template <class T>
T* known(const std::set<void*>& live, void* handle) { return live.count(handle) ? static_cast<T*>(handle) : nullptr; }

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

}  // namespace

CUDA cuInit(unsigned) { return kOk; }
CUDA cuDriverGetVersion(int* version) { return *version = 13000, kOk; }
CUDA cuDeviceGetCount(int* count) { return *count = 1, kOk; }
CUDA cuDeviceGet(int* device, int ordinal) { return ordinal == 0 ? *device = 0, kOk : kInvalidDevice; }
CUDA cuDeviceGetName(char* name, int room, int) { return snprintf(name, room, "Fake GPU"), kOk; }
CUDA cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = size_t{1} << 32, kOk; }
CUDA cuDeviceGetAttribute(int* value, int attribute, int) {
    // multiprocessors, clocks, bus, L2 (none: then nothing is flushed), memory pools, capability 8.0, shared memory of a block
    static const std::map<int, int> values = {{16, 4}, {13, 1980000}, {36, 2619000}, {37, 5120}, {38, 0},
                                              {115, 1}, {75, 8}, {76, 0}, {97, 163 << 10}};
    const auto found = values.find(attribute);
    return found == values.end() ? kInvalidValue : (*value = found->second, kOk);
}

CUDA cuDevicePrimaryCtxRetain(void** context, int) {
    const std::lock_guard guard(lock);
    return contexts++, *context = &the_context, kOk;
}
CUDA cuDevicePrimaryCtxRelease_v2(int) {
    const std::lock_guard guard(lock);
    if (--contexts == 0 && fault == kOk && memory.size() + modules.size() + streams.size() + events.size() > 0) {
        fprintf(stderr, "left behind: %zu arrays, %zu modules, %zu streams, %zu events\n", memory.size(), modules.size(), streams.size(),
                events.size());
        abort();
    }
    return kOk;
}
CUDA cuCtxGetCurrent(void** context) { return *context = current, kOk; }
CUDA cuCtxSetCurrent(void* context) { return current = context, kOk; }
CUDA cuCtxSynchronize() { return state(); }

CUDA cuStreamCreate(void** stream, unsigned) {
    if (const int s = state()) return s;
    streams.insert(*stream = new char);
    return kOk;
}
CUDA cuStreamSynchronize(void* stream) { return streams.count(stream) ? state() : kInvalidHandle; }
CUDA cuStreamDestroy_v2(void* stream) { return streams.erase(stream) ? kOk : kInvalidHandle; }

CUDA cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    if (const int s = state()) return s;
    if (bytes == 0) return kInvalidValue;
    void* found = bytes < size_t{1} << 32 ? emulator_allocate(bytes) : nullptr;
    if (!found) return kOutOfMemory;
    const std::lock_guard guard(lock);
    memory.insert(found);
    return *address = reinterpret_cast<uint64_t>(found), kOk;
}
CUDA cuMemFree_v2(uint64_t address) {
    const std::lock_guard guard(lock);
    void* found = reinterpret_cast<void*>(address);
    if (!memory.erase(found)) return kInvalidValue;
    emulator_release(found);
    return kOk;
}
CUDA cuMemcpyHtoDAsync_v2(uint64_t to, const void* host, size_t bytes, void* stream) {
    if (!streams.count(stream)) return kInvalidHandle;
    if (const int s = state()) return s;
    return emulator_write(reinterpret_cast<void*>(to), host, bytes) ? kInvalidValue : kOk;
}
CUDA cuMemcpyDtoHAsync_v2(void* host, uint64_t from, size_t bytes, void* stream) {
    if (!streams.count(stream)) return kInvalidHandle;
    if (const int s = state()) return s;
    return emulator_read(host, reinterpret_cast<void*>(from), bytes) ? kInvalidValue : kOk;
}
CUDA cuMemsetD8Async(uint64_t to, unsigned char byte, size_t bytes, void* stream) {
    return cuMemcpyHtoDAsync_v2(to, std::string(bytes, static_cast<char>(byte)).data(), bytes, stream);
}

CUDA cuModuleLoadData(void** module, const void* image) {
    if (const int s = state()) return s;
    const char* text = static_cast<const char*>(image);
    const size_t size = image_size(text);
    if (size == 0 || reinterpret_cast<uintptr_t>(image) % 8 != 0) return kInvalidImage;
    modules.insert(*module = new Image{std::string(text, size)});
    return kOk;
}
CUDA cuModuleUnload(void* module) {
    if (!modules.erase(module)) return kInvalidHandle;
    delete static_cast<Image*>(module);
    return kOk;
}
CUDA cuModuleGetFunction(void** function, void* module, const char* name) {
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
    if (const int s = state()) return s;
    Function* f = known<Function>(functions, function);
    if (!f || !modules.count(f->image) || !streams.count(stream)) return kInvalidHandle;
    if (extra || (shared > 48 << 10 && static_cast<int>(shared) > f->allowed)) return kInvalidValue;
    const EmulatorLaunch launch{{gx, gy, gz}, {bx, by, bz}, shared, 2, 5, 2};
    EmulatorCounters counters;
    char message[1024];
    // A fault of a kernel comes to light later.
    if (emulator_launch(f->name.c_str(), &launch, arguments, &counters, message, sizeof message)) fault = kIllegalAddress;
    now += 1;
    return kOk;
}

CUDA cuEventCreate(void** event, unsigned) {
    if (const int s = state()) return s;
    events.insert(*event = new Event);
    return kOk;
}
CUDA cuEventRecord(void* event, void* stream) {
    Event* e = known<Event>(events, event);
    if (!e || !streams.count(stream)) return kInvalidHandle;
    return e->at = now, state();
}
CUDA cuEventSynchronize(void* event) { return events.count(event) ? state() : kInvalidHandle; }
CUDA cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
    const Event *a = known<Event>(events, begin), *b = known<Event>(events, end);
    if (!a || !b || a->at < 0 || b->at < a->at) return kInvalidHandle;
    return *milliseconds = static_cast<float>(b->at - a->at), kOk;
}
CUDA cuEventDestroy_v2(void* event) {
    if (!events.erase(event)) return kInvalidHandle;
    delete static_cast<Event*>(event);
    return kOk;
}

CUDA cuGetErrorString(int code, const char** text) { return *text = code == kOutOfMemory ? "out of memory" : "an error", kOk; }
CUDA cuGetErrorName(int, const char** text) { return *text = "CUDA_ERROR", kOk; }
