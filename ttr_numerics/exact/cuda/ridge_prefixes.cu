// Ridge regression at every position by innovations, one thread block a head, C tokens at a time:
//
//     [Z | E] = L^-1 [KP | V - KS],  I + KPK' = LL';   O = QS + tril(QZ') E;   [P | -S] <- [P | -S] - Z'[Z | E].
//
// q, k (heads, tokens, D_K), v, o (heads, tokens, D_V), root (heads, tokens) of the weights; before the first token the
// inverse P (heads, D_K, D_K) of H + ridge and the solution S (heads, D_K, D_V); failed (heads) set to 1 where a pivot
// has lost all digits. All row-major. [P | -S] stays in shared memory, of which Innovation<real, C, D_K, D_V>::size
// numbers are needed. Follows tiles.cu.

template <typename real, int C, int D_K, int D_V>
struct Innovation {
    static_assert(C % 4 == 0, "a chunk is made of tiles of 4 tokens");
    static constexpr int K = next_multiple_of_4(D_K), V = next_multiple_of_4(D_V), J = K + V;
    // Rows of 4 more than their length: a column then spreads over the banks of shared memory, still 16-byte aligned.
    static constexpr int COLUMN = 2 * C + 4, GRAM = C + 4;
    static constexpr int size = K * J + C * J + K * COLUMN + C * V + 2 * C * GRAM;

    real *joint;    // [P | -S]                            (K, J)
    real *rows;     // [0 | V], [KP | V - KS], [Z | E]     (C, J)
    real *columns;  // [K; Q]'                             (K, COLUMN)
    real *known;    // -QS                                 (C, V)
    real *gram;     // I + KPK', then triu(ZQ')            (C, GRAM)
    real *factor;   // L, with 1 / L_jj on its diagonal    (C, GRAM)

    __device__ explicit Innovation(real *memory)
        : joint(memory), rows(joint + K * J), columns(rows + C * J), known(columns + K * COLUMN),
          gram(known + C * V), factor(gram + C * GRAM) {}

    __device__ void clear()
    {
        for (int i = threadIdx.x; i < size; i += blockDim.x) joint[i] = 0;
    }

    __device__ void load_state(const real *P, const real *S)
    {
        transfer<D_K * D_K>([&](int i) { return P[i]; }, [&](int i, real x) { joint[i / D_K * J + i % D_K] = x; });
        transfer<D_K * D_V>([&](int i) { return S[i]; }, [&](int i, real x) { joint[i / D_V * J + K + i % D_V] = -x; });
    }

    // K and V times the root of their weights; zero past the last of `here` tokens, whose row is read in their place.
    __device__ void load_chunk(const real *q, const real *k, const real *v, const real *root, int here)
    {
        const auto row = [&](int c) { return c < here ? c : here - 1; };
        transfer<C * D_K>(
            [&](int i) { return root[row(i / D_K)] * k[row(i / D_K) * D_K + i % D_K]; },
            [&](int i, real x) { columns[i % D_K * COLUMN + i / D_K] = i / D_K < here ? x : real(0); });
        transfer<C * D_K>(
            [&](int i) { return q[row(i / D_K) * D_K + i % D_K]; },
            [&](int i, real x) { columns[i % D_K * COLUMN + C + i / D_K] = i / D_K < here ? x : real(0); });
        transfer<C * D_V>(
            [&](int i) { return root[row(i / D_V)] * v[row(i / D_V) * D_V + i % D_V]; },
            [&](int i, real x) { rows[i / D_V * J + K + i % D_V] = i / D_V < here ? x : real(0); });
    }

    // rows = [KP | V - KS] and known = -QS.
    __device__ void predict()
    {
        constexpr int across = (J + V) / 4;  // tiles of K [P | -S], then of Q (-S)
        for (int tile = threadIdx.x; tile < C / 4 * across; tile += blockDim.x) {
            const int i = tile / across * 4, j = tile % across * 4;
            const bool of_query = j >= J, of_value = j >= K && j < J;
            const int stride = of_query ? V : J;
            real *to = of_query ? known + i * V + j - J : rows + i * J + j;
            real c[4][4];
#pragma unroll
            for (int a = 0; a < 4; ++a)
#pragma unroll
                for (int b = 0; b < 4; ++b) c[a][b] = of_value ? to[a * stride + b] : real(0);
            add_product<K, COLUMN, J>(c, columns + (of_query ? C : 0) + i, joint + (of_query ? j - V : j));
#pragma unroll
            for (int a = 0; a < 4; ++a)
#pragma unroll
                for (int b = 0; b < 4; ++b) to[a * stride + b] = c[a][b];
        }
    }

    // gram = I + KPK', its lower half; the diagonal also where the factor's will be, as the level of the pivots.
    __device__ void form_gram()
    {
        for (int i = threadIdx.x; i < C * C; i += blockDim.x) {
            const int r = i / C, s = i % C;
            if (s > r) continue;
            const real w = (r == s ? 1 : 0) + dot<K, COLUMN>(rows + r * J, columns + s);
            gram[r * GRAM + s] = w;
            if (r == s) factor[r * GRAM + r] = w;
        }
    }

    // factor = L with LL' = gram; false, in every thread alike, where a pivot has lost all digits or is not a number.
    // The columns of gram are left unscaled until all are known, so that a column costs one barrier.
    __device__ bool cholesky()
    {
        for (int j = 0; j < C; ++j) {
            const real pivot = gram[j * GRAM + j];
            if (!(pivot > C * spacing_at_1<real>() * factor[j * GRAM + j])) return false;
            for (int i = threadIdx.x; i < C * C; i += blockDim.x) {
                const int r = i / C, s = i % C;
                if (j < s && s <= r) gram[r * GRAM + s] -= gram[r * GRAM + j] * gram[s * GRAM + j] / pivot;
            }
            __syncthreads();
        }
        for (int i = threadIdx.x; i < C * C; i += blockDim.x) {
            const int r = i / C, s = i % C;
            const real root = sqrt(gram[s * GRAM + s]);
            if (s <= r) factor[r * GRAM + s] = s == r ? 1 / root : gram[r * GRAM + s] / root;
        }
        return true;
    }

    // rows = L^-1 rows, a column of it in the registers of one thread.
    __device__ void substitute()
    {
        for (int j = threadIdx.x; j < J; j += blockDim.x) {
            real x[C];
#pragma unroll
            for (int c = 0; c < C; ++c) x[c] = rows[c * J + j];
#pragma unroll
            for (int c = 0; c < C; ++c) {
                x[c] *= factor[c * GRAM + c];
#pragma unroll
                for (int r = c + 1; r < C; ++r) x[r] -= factor[r * GRAM + c] * x[c];
            }
#pragma unroll
            for (int c = 0; c < C; ++c) rows[c * J + j] = x[c];
        }
    }

    // gram = triu(ZQ'), the transpose of tril(QZ').
    __device__ void form_attention()
    {
        for (int i = threadIdx.x; i < C * C; i += blockDim.x) {
            const int s = i / C, c = i % C;
            gram[s * GRAM + c] = s <= c ? dot<K, COLUMN>(rows + s * J, columns + C + c) : real(0);
        }
    }

    // o = QS + tril(QZ') E.
    __device__ void answer(real *o, int here)
    {
        for (int tile = threadIdx.x; tile < C / 4 * (V / 4); tile += blockDim.x) {
            const int i = tile / (V / 4) * 4, j = tile % (V / 4) * 4;
            real c[4][4];
#pragma unroll
            for (int a = 0; a < 4; ++a)
#pragma unroll
                for (int b = 0; b < 4; ++b) c[a][b] = -known[(i + a) * V + j + b];
            add_product<C, GRAM, J>(c, gram + i, rows + K + j);
            store<D_V>(o, c, i, j, here);
        }
    }

    // [P | -S] -= Z'[Z | E]. Both halves of P lose the same products in the same order: it stays as symmetric as it came.
    __device__ void update()
    {
        for (int tile = threadIdx.x; tile < K / 4 * (J / 4); tile += blockDim.x) {
            const int i = tile / (J / 4) * 4, j = tile % (J / 4) * 4;
            real c[4][4] = {};
            add_product<C, J, J>(c, rows + i, rows + j);
#pragma unroll
            for (int a = 0; a < 4; ++a)
#pragma unroll
                for (int b = 0; b < 4; ++b) joint[(i + a) * J + j + b] -= c[a][b];
        }
    }
};

template <typename real, int C, int D_K, int D_V>
__global__ void __launch_bounds__(256, 1) ridge_prefixes(
    const real *__restrict__ q, const real *__restrict__ k, const real *__restrict__ v,
    const real *__restrict__ root, const real *__restrict__ P, const real *__restrict__ S,
    real *__restrict__ o, int *__restrict__ failed, long long tokens)
{
    extern __shared__ __align__(16) unsigned char memory[];
    Innovation<real, C, D_K, D_V> head(reinterpret_cast<real *>(memory));
    const long long number = blockIdx.x, first = number * tokens;
    head.clear();
    __syncthreads();
    head.load_state(P + number * D_K * D_K, S + number * D_K * D_V);
    for (long long t = 0; t < tokens; t += C) {
        const long long row = first + t;
        const int here = tokens - t < C ? int(tokens - t) : C;
        head.load_chunk(q + row * D_K, k + row * D_K, v + row * D_V, root + row, here);
        __syncthreads();
        head.predict();
        __syncthreads();
        head.form_gram();
        __syncthreads();
        if (!head.cholesky()) {
            if (threadIdx.x == 0) failed[number] = 1;
            return;
        }
        __syncthreads();
        head.substitute();
        __syncthreads();
        head.form_attention();
        __syncthreads();
        head.answer(o + row * D_V, here);
        head.update();
        __syncthreads();
    }
}
