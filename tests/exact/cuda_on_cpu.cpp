// A kernel on arrays from standard input, in the order of its arguments; all, as it left them, to standard output.
// Arguments: blocks, tokens, threads of a block, bytes of shared memory, line of the barrier to remove or 0, then the
// bytes of each array. Compiled with KERNEL_SOURCE, KERNEL (an instantiation) and SHARED_BYTES.
#include "cuda_on_cpu.hpp"
#include KERNEL_SOURCE
#include <cstdio>
#include <string>
#include <utility>

using Arrays = std::vector<std::vector<char>>;

template <typename T>
T argument(Arrays &arrays, std::size_t i, long long tokens)
{
    if constexpr (std::is_pointer_v<T>) return reinterpret_cast<T>(arrays[i].data());
    else return tokens;
}

template <typename... T, std::size_t... i>
void call(void (*kernel)(T...), Arrays &arrays, long long tokens, std::index_sequence<i...>)
{
    kernel(argument<T>(arrays, i, tokens)...);
}

template <typename... T>
void call(void (*kernel)(T...), Arrays &arrays, long long tokens)
{
    if (arrays.size() + 1 != sizeof...(T)) std::exit(2);
    call(kernel, arrays, tokens, std::index_sequence_for<T...>());
}

int main(int count, char **words)
{
    const long long blocks = std::stoll(words[1]), tokens = std::stoll(words[2]);
    const std::size_t size = std::stoll(words[4]);
    if (size != SHARED_BYTES) return 4;
    removed_barrier = std::stoi(words[5]);
    Arrays arrays;
    for (int i = 6; i < count; ++i) {
        arrays.emplace_back(std::stoll(words[i]));
        if (std::fread(arrays.back().data(), 1, arrays.back().size(), stdin) != arrays.back().size()) return 2;
    }
    for (long long block = 0; block < blocks; ++block)
        run_block(block, std::stoi(words[3]), size, [&] { call(KERNEL, arrays, tokens); });
    for (const auto &array : arrays) std::fwrite(array.data(), 1, array.size(), stdout);
}
