// The kernels of one emulated library by name. build.rs writes the table from the signatures it parses.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

namespace emulator {

struct Entry {
    const char* name;
    void* function;
    void (*call)(void* function, void** arguments);
    const size_t* parameter_bytes;  // ended by 0
};

// One table a source file, each ended by an entry without a name; the list ends with null.
extern const Entry* const kernel_tables[];

// cuLaunchKernel's convention: arguments[i] points to the i-th parameter's value.
template <class... Parameters>
void call_with(void* function, void** arguments) {
    [&]<size_t... I>(std::index_sequence<I...>) {
        reinterpret_cast<void (*)(Parameters...)>(function)(*static_cast<std::remove_cv_t<Parameters>*>(arguments[I])...);
    }(std::index_sequence_for<Parameters...>{});
}

template <class... Parameters>
inline constexpr size_t kParameterBytes[] = {sizeof(std::remove_cv_t<Parameters>)..., 0};

template <class... Parameters>
constexpr Entry entry(const char* name, void (*function)(Parameters...)) {
    return {name, reinterpret_cast<void*>(function), call_with<Parameters...>, kParameterBytes<Parameters...>};
}

}  // namespace emulator
