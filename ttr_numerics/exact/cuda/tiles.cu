// Products in shared memory, a 4 x 4 tile a thread, for any blockDim.x.
// A product's factors have the contracted index first, so that both are read along rows, 16 bytes at a time.
// Rows past the last token and columns past the data are zero in shared memory: they add nothing to any product, so
// that only loads and stores ask where the data end.

__device__ constexpr int next_multiple_of_4(int n) { return (n + 3) / 4 * 4; }

template <typename real>
__device__ constexpr real spacing_at_1()
{
    return sizeof(real) == 4 ? real(1.1920928955078125e-07) : real(2.220446049250313e-16);
}

// write(i, read(i)) for i < COUNT, four numbers of a thread on their way from global memory at a time.
template <int COUNT, typename Read, typename Write>
__device__ void transfer(Read read, Write write)
{
    for (int first = threadIdx.x; first < COUNT; first += 4 * blockDim.x) {
        decltype(read(0)) x[4];
#pragma unroll
        for (int b = 0; b < 4; ++b) {
            const int i = first + b * blockDim.x;
            x[b] = read(i < COUNT ? i : COUNT - 1);
        }
#pragma unroll
        for (int b = 0; b < 4; ++b) {
            const int i = first + b * blockDim.x;
            if (i < COUNT) write(i, x[b]);
        }
    }
}

// c_ij += sum over m < N of a_mi b_mj.
template <int N, int STRIDE_A, int STRIDE_B, typename real>
__device__ void add_product(real (&c)[4][4], const real *a, const real *b)
{
#pragma unroll 4
    for (int m = 0; m < N; ++m) {
        real left[4], right[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            left[i] = a[m * STRIDE_A + i];
            right[i] = b[m * STRIDE_B + i];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) c[i][j] += left[i] * right[j];
    }
}

// sum over m < N of x_m y_m, the second vector a column.
template <int N, int STRIDE, typename real>
__device__ real dot(const real *x, const real *y)
{
    real sum = 0;
#pragma unroll 8
    for (int m = 0; m < N; ++m) sum += x[m] * y[m * STRIDE];
    return sum;
}

// A tile at (i, j) of rows WIDTH long, as far as there are tokens and columns.
template <int WIDTH, typename real>
__device__ void store(real *o, const real (&c)[4][4], int i, int j, int tokens)
{
#pragma unroll
    for (int a = 0; a < 4; ++a)
#pragma unroll
        for (int b = 0; b < 4; ++b)
            if (i + a < tokens && j + b < WIDTH) o[(i + a) * WIDTH + j + b] = c[a][b];
}
