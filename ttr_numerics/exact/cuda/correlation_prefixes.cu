// Causal linear attention, one thread block a head, C tokens at a time:
//
//     O = QS + tril(QK') V;   S <- S + K'V.
//
// q, k (heads, tokens, D_K), v, o (heads, tokens, D_V), before, after (heads, D_K, D_V) the state; all row-major.
// S stays in shared memory, of which Correlation<real, C, D_K, D_V>::size numbers are needed. Follows tiles.cu.

template <typename real, int C, int D_K, int D_V>
struct Correlation {
    static_assert(C % 4 == 0, "a chunk is made of tiles of 4 tokens");
    static constexpr int K = next_multiple_of_4(D_K), V = next_multiple_of_4(D_V), J = K + V;
    // Rows of 4 more than their length: a column then spreads over the banks of shared memory, still 16-byte aligned.
    static constexpr int COLUMN = C + 4;
    static constexpr int size = K * V + C * J + K * COLUMN + C * COLUMN;

    real *state;    // S            (K, V)
    real *rows;     // [K | V]      (C, J)
    real *columns;  // Q'           (K, COLUMN)
    real *gram;     // triu(KQ')    (C, COLUMN)

    __device__ explicit Correlation(real *memory)
        : state(memory), rows(state + K * V), columns(rows + C * J), gram(columns + K * COLUMN) {}

    __device__ void clear()
    {
        for (int i = threadIdx.x; i < size; i += blockDim.x) state[i] = 0;
    }

    __device__ void load_state(const real *S)
    {
        transfer<D_K * D_V>([&](int i) { return S[i]; }, [&](int i, real x) { state[i / D_V * V + i % D_V] = x; });
    }

    // Zero past the last of `here` tokens, whose row is read in their place.
    __device__ void load_chunk(const real *q, const real *k, const real *v, int here)
    {
        const auto row = [&](int c) { return c < here ? c : here - 1; };
        transfer<C * D_K>(
            [&](int i) { return k[row(i / D_K) * D_K + i % D_K]; },
            [&](int i, real x) { rows[i / D_K * J + i % D_K] = i / D_K < here ? x : real(0); });
        transfer<C * D_K>(
            [&](int i) { return q[row(i / D_K) * D_K + i % D_K]; },
            [&](int i, real x) { columns[i % D_K * COLUMN + i / D_K] = i / D_K < here ? x : real(0); });
        transfer<C * D_V>(
            [&](int i) { return v[row(i / D_V) * D_V + i % D_V]; },
            [&](int i, real x) { rows[i / D_V * J + K + i % D_V] = i / D_V < here ? x : real(0); });
    }

    // gram = triu(KQ'), the transpose of tril(QK').
    __device__ void form_attention()
    {
        for (int i = threadIdx.x; i < C * C; i += blockDim.x) {
            const int s = i / C, c = i % C;
            gram[s * COLUMN + c] = s <= c ? dot<K, COLUMN>(rows + s * J, columns + c) : real(0);
        }
    }

    // o = QS + tril(QK') V.
    __device__ void answer(real *o, int here)
    {
        for (int tile = threadIdx.x; tile < C / 4 * (V / 4); tile += blockDim.x) {
            const int i = tile / (V / 4) * 4, j = tile % (V / 4) * 4;
            real c[4][4] = {};
            add_product<K, COLUMN, V>(c, columns + i, state + j);
            add_product<C, COLUMN, J>(c, gram + i, rows + K + j);
            store<D_V>(o, c, i, j, here);
        }
    }

    // S += K'V.
    __device__ void update()
    {
        for (int tile = threadIdx.x; tile < K / 4 * (V / 4); tile += blockDim.x) {
            const int i = tile / (V / 4) * 4, j = tile % (V / 4) * 4;
            real c[4][4] = {};
            add_product<C, J, J>(c, rows + i, rows + K + j);
#pragma unroll
            for (int a = 0; a < 4; ++a)
#pragma unroll
                for (int b = 0; b < 4; ++b) state[(i + a) * V + j + b] += c[a][b];
        }
    }

    __device__ void store_state(real *S) const
    {
        for (int i = threadIdx.x; i < D_K * D_V; i += blockDim.x) S[i] = state[i / D_V * V + i % D_V];
    }
};

template <typename real, int C, int D_K, int D_V>
__global__ void __launch_bounds__(256, 1) correlation_prefixes(
    const real *__restrict__ q, const real *__restrict__ k, const real *__restrict__ v,
    const real *__restrict__ before, real *__restrict__ o, real *__restrict__ after, long long tokens)
{
    extern __shared__ __align__(16) unsigned char memory[];
    Correlation<real, C, D_K, D_V> head(reinterpret_cast<real *>(memory));
    const long long number = blockIdx.x, first = number * tokens;
    head.clear();
    __syncthreads();
    head.load_state(before + number * D_K * D_V);
    for (long long t = 0; t < tokens; t += C) {
        const long long row = first + t;
        const int here = tokens - t < C ? int(tokens - t) : C;
        head.load_chunk(q + row * D_K, k + row * D_K, v + row * D_V, here);
        __syncthreads();
        head.form_attention();
        __syncthreads();
        head.answer(o + row * D_V, here);
        __syncthreads();
        head.update();
        __syncthreads();
    }
    head.store_state(after + number * D_K * D_V);
}
