// Layers of the photo family's networks, with weights of their own for each crop. All arrays are f32, [crop][plane][row][column].
#ifdef EMULATE
#include "emulate.h"
#else
#include <cuda_runtime.h>
#define SHARED extern __shared__ float shared[];
#define SYNC __syncthreads();
#define LAUNCH(kernel, grid, threads, bytes, stream, ...)                                           \
    {                                                                                              \
        if ((bytes) > 48000) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes); \
        kernel<<<grid, threads, bytes, (cudaStream_t)stream>>>(__VA_ARGS__);                         \
    }
#endif

struct Conv {
    const float *x, *w, *bias, *add;
    float* y;
    long x_step, w_step, y_step;  // from a crop to the next
    int planes, rows, columns, relu;
};

// y = relu(bias + add + windows of x * w), edges repeated; w is [plane][K*K][output].
template <int O, int K>
__global__ void conv_kernel(Conv a) {
    SHARED
    const int b = blockIdx.z, n = a.planes * K * K * O;
    for (int i = threadIdx.x; i < n; i += blockDim.x) shared[i] = a.w[b * a.w_step + i];
    SYNC
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= a.rows * a.columns) return;
    const int y = place / a.columns, x = place % a.columns;
    float sum[O];
    for (int o = 0; o < O; o++) sum[o] = a.bias ? a.bias[b * a.w_step + o] : 0.0f;
    const int size = a.rows * a.columns;
    const float* in = a.x + b * a.x_step;
    int at[K * K];
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            int r = y + i - K / 2, c = x + j - K / 2;
            r = r < 0 ? 0 : r >= a.rows ? a.rows - 1 : r;
            c = c < 0 ? 0 : c >= a.columns ? a.columns - 1 : c;
            at[i * K + j] = r * a.columns + c;
        }
    const float* w = shared;
    for (int p = 0; p < a.planes; p++, in += size) {
#pragma unroll
        for (int k = 0; k < K * K; k++, w += O) {
            const float v = in[at[k]];
#pragma unroll
            for (int o = 0; o < O; o++) sum[o] += w[o] * v;
        }
    }
    for (int o = 0; o < O; o++) {
        float v = sum[o];
        if (a.add) v += a.add[((long)b * O + o) * size + place];
        if (a.relu && v < 0.0f) v = 0.0f;
        a.y[b * a.y_step + (long)o * size + place] = v;
    }
}

// The gradient of x: `x` is that of y with `outputs` planes, `y` that of x with P planes.
template <int P, int K>
__global__ void conv_input_kernel(Conv a, int outputs) {
    SHARED
    const int b = blockIdx.z, n = P * K * K * outputs;
    // Transposed to [output][k][plane].
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        const int o = i % outputs, k = i / outputs % (K * K), p = i / outputs / (K * K);
        shared[(o * K * K + k) * P + p] = a.w[b * a.w_step + i];
    }
    SYNC
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= a.rows * a.columns) return;
    const int y = place / a.columns, x = place % a.columns, size = a.rows * a.columns;
    float sum[P];
    for (int p = 0; p < P; p++) sum[p] = 0.0f;
    // At an edge, also the places beyond it, which repeat it.
    const int top = K > 1 && y == 0 ? -1 : y, bottom = K > 1 && y == a.rows - 1 ? a.rows : y;
    const int left = K > 1 && x == 0 ? -1 : x, right = K > 1 && x == a.columns - 1 ? a.columns : x;
    for (int r = top; r <= bottom; r++)
        for (int c = left; c <= right; c++) {
            const float* in = a.x + b * a.x_step;
            const float* w = shared;
            for (int o = 0; o < outputs; o++, in += size) {
#pragma unroll
                for (int k = 0; k < K * K; k++, w += P) {
                    const int rr = r - (k / K - K / 2), cc = c - (k % K - K / 2);
                    const float v = rr >= 0 && rr < a.rows && cc >= 0 && cc < a.columns ? in[rr * a.columns + cc] : 0.0f;
#pragma unroll
                    for (int p = 0; p < P; p++) sum[p] += w[p] * v;
                }
            }
        }
    for (int p = 0; p < P; p++) a.y[b * a.y_step + (long)p * size + place] = sum[p];
}

// Adds the gradient of w: `x` is the input, `g` the gradient of the output, `to` that of w, with the step `w_step`.
template <int K, int N>
__global__ void conv_weight_kernel(Conv a, const float* g, float* to, int outputs, int tile_columns, int tile_rows, int tiles_of_block) {
    SHARED
    const int b = blockIdx.y, size = a.rows * a.columns, M = K / 2;
    const int in_row = tile_columns + 2 * M, in_plane = (tile_rows + 2 * M) * in_row;
    const int pixels = tile_rows * tile_columns, g_step = pixels + 1;
    float* in = shared;
    float* out = shared + a.planes * in_plane;
    const int pairs = a.planes * outputs;
    const int chunks = pairs < (int)blockDim.x ? blockDim.x / pairs : 1;
    const int chunk = pairs < (int)blockDim.x ? threadIdx.x / pairs : 0;
    const int segment = (tile_columns + chunks - 1) / chunks;
    float sum[N][K * K];
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K * K; k++) sum[n][k] = 0.0f;
    const int across = a.columns / tile_columns, tiles = across * (a.rows / tile_rows);
    for (int t = blockIdx.x * tiles_of_block; t < tiles && t < ((int)blockIdx.x + 1) * tiles_of_block; t++) {
        const int y0 = t / across * tile_rows, x0 = t % across * tile_columns;
        SYNC
        for (int i = threadIdx.x; i < a.planes * in_plane; i += blockDim.x) {
            const int p = i / in_plane;
            int r = y0 + i % in_plane / in_row - M, c = x0 + i % in_row - M;
            r = r < 0 ? 0 : r >= a.rows ? a.rows - 1 : r;
            c = c < 0 ? 0 : c >= a.columns ? a.columns - 1 : c;
            in[i] = a.x[b * a.x_step + (long)p * size + r * a.columns + c];
        }
        for (int i = threadIdx.x; i < outputs * pixels; i += blockDim.x) {
            const int o = i / pixels, j = i % pixels;
            out[o * g_step + j] = g[((long)b * outputs + o) * size + (y0 + j / tile_columns) * a.columns + x0 + j % tile_columns];
        }
        SYNC
        for (int n = 0; n < N; n++) {
            const int pair = pairs < (int)blockDim.x ? threadIdx.x % pairs : threadIdx.x + n * blockDim.x;
            if (pair >= pairs || chunk >= chunks) continue;
            const float* ip = in + pair / outputs * in_plane;
            const float* gp = out + pair % outputs * g_step;
            const int from = chunk * segment, end = from + segment < tile_columns ? from + segment : tile_columns;
            for (int y = 0; y < tile_rows && from < end; y++) {
                float v[K][K];
                for (int i = 0; i < K; i++)
                    for (int j = 0; j + 1 < K; j++) v[i][j + 1] = ip[(y + i) * in_row + from + j];
                for (int x = from; x < end; x++) {
                    const float d = gp[y * tile_columns + x];
#pragma unroll
                    for (int i = 0; i < K; i++) {
#pragma unroll
                        for (int j = 0; j + 1 < K; j++) v[i][j] = v[i][j + 1];
                        v[i][K - 1] = ip[(y + i) * in_row + x + K - 1];
#pragma unroll
                        for (int j = 0; j < K; j++) sum[n][i * K + j] += v[i][j] * d;
                    }
                }
            }
        }
    }
    for (int n = 0; n < N; n++) {
        const int pair = pairs < (int)blockDim.x ? threadIdx.x % pairs : threadIdx.x + n * blockDim.x;
        if (pair >= pairs || chunk >= chunks) continue;
        for (int k = 0; k < K * K; k++)
            atomicAdd(&to[b * a.w_step + ((long)(pair / outputs) * K * K + k) * outputs + pair % outputs], sum[n][k]);
    }
}

struct Context {
    const float *own, *coarser, *weights;
    float *own_gradient, *coarser_gradient, *gradient, *bits;
    const int* taps;    // [net][T][4]: 0 own, 1 coarser, -1 none; channel; row; column
    const int* nets;    // [net][4]: place of the weights, number of taps, channel, pass
    long own_step, coarser_step, weight_step;
    int rows, columns, coarser_rows, coarser_columns, tiles_of_block, bits_step;
};

template <int R, int H, int THREADS>
__device__ void add_products(const float* in, const float* d, int step, float* sum) {
    constexpr int groups = THREADS / H, N = (R + groups - 1) / groups;
    const int h = threadIdx.x % H, g = threadIdx.x / H;
    if (g >= groups) return;
    for (int j = 0; j < THREADS; j++) {
        const float v = d[h * step + j];
#pragma unroll
        for (int n = 0; n < N; n++)
            if (g + n * groups < R) sum[n] += in[(g + n * groups) * step + j] * v;
        sum[N] += v;
    }
}

template <int R, int H, int THREADS>
__device__ void give(const float* sum, float* weights, float* bias, int rows) {
    constexpr int groups = THREADS / H, N = (R + groups - 1) / groups;
    const int h = threadIdx.x % H, g = threadIdx.x / H;
    if (g >= groups) return;
    for (int n = 0; n < N; n++)
        if (g + n * groups < rows) atomicAdd(&weights[(g + n * groups) * H + h], sum[n]);
    if (bias && g == 0) atomicAdd(&bias[h], sum[N]);
}

// Bits of the latents of one level, and all their gradients.
template <int T, int H>
__global__ void context_kernel(Context a) {
    constexpr int THREADS = 128, STEP = THREADS + 1;
    SHARED
    const int b = blockIdx.z, *net = a.nets + 4 * blockIdx.y, count = net[1], channel = net[2];
    const int *taps = a.taps + 4 * T * blockIdx.y;
    const int dy = net[3] == 1 || net[3] == 3, dx = net[3] == 1 || net[3] == 2;
    float* w1 = shared;
    float* b1 = w1 + T * H;
    float* w2 = b1 + H;
    float* b2 = w2 + H * H;
    float* wo = b2 + H;
    float* bo = wo + 2 * H;
    float* wb = bo + 2;
    float* in = wb + 2 * T;
    float* one = in + T * STEP;
    float* two = one + H * STEP;
    float* d1 = two + H * STEP;
    float* d2 = d1 + H * STEP;
    float* d3 = d2 + H * STEP;
    const float* w = a.weights + b * a.weight_step + net[0];
    const int places[8] = {0, count * H, count * H + H, count * H + H + H * H, count * H + 2 * H + H * H, count * H + 4 * H + H * H, count * H + 4 * H + H * H + 2, 0};
    for (int i = threadIdx.x; i < T * H; i += THREADS) w1[i] = i < count * H ? w[i] : 0.0f;
    for (int i = threadIdx.x; i < H + H * H + H + 2 * H + 2; i += THREADS) b1[i] = w[count * H + i];
    for (int i = threadIdx.x; i < 2 * T; i += THREADS) wb[i] = i < 2 * count ? w[places[6] + i] : 0.0f;
    const int half_columns = (a.columns + 1) / 2, positions = (a.rows + 1) / 2 * half_columns;
    float s1[T / (THREADS / H) + 2] = {}, s2[H / (THREADS / H) + 2] = {}, so[2] = {}, sb[2] = {}, total = 0.0f;
    const float* own = a.own + b * a.own_step;
    const float* coarser = a.coarser + b * a.coarser_step;
    const int size = a.rows * a.columns, coarser_size = a.coarser_rows * a.coarser_columns;
    for (int t = blockIdx.x * a.tiles_of_block; t < ((int)blockIdx.x + 1) * a.tiles_of_block && t * THREADS < positions; t++) {
        const int position = t * THREADS + threadIdx.x;
        const int py = position / half_columns, px = position % half_columns, y = 2 * py + dy, x = 2 * px + dx;
        const bool exists = position < positions && y < a.rows && x < a.columns;
        float v[T], h1[H], h2[H], g1[H], g2[H], out0 = 0.0f, out1 = 0.0f;
        int place[T];
        SYNC
#pragma unroll
        for (int i = 0; i < T; i++) {
            const int kind = taps[4 * i], c = taps[4 * i + 1], dr = taps[4 * i + 2], dc = taps[4 * i + 3];
            place[i] = -1;
            v[i] = 0.0f;
            if (!exists || kind < 0) continue;
            const int r = kind ? py + dr : y + dr, q = kind ? px + dc : x + dc;
            const int rows = kind ? a.coarser_rows : a.rows, columns = kind ? a.coarser_columns : a.columns;
            if (r < 0 || r >= rows || q < 0 || q >= columns) continue;
            place[i] = c * (kind ? coarser_size : size) + r * columns + q;
            v[i] = kind ? coarser[place[i]] : own[place[i]];
        }
        for (int h = 0; h < H; h++) h1[h] = b1[h];
#pragma unroll
        for (int i = 0; i < T; i++)
#pragma unroll
            for (int h = 0; h < H; h++) h1[h] += v[i] * w1[i * H + h];
        for (int h = 0; h < H; h++) {
            h1[h] = h1[h] > 0.0f ? h1[h] : 0.0f;
            h2[h] = b2[h];
        }
#pragma unroll
        for (int i = 0; i < H; i++)
#pragma unroll
            for (int h = 0; h < H; h++) h2[h] += h1[i] * w2[i * H + h];
        out0 = bo[0];
        out1 = bo[1];
#pragma unroll
        for (int h = 0; h < H; h++) {
            h2[h] = h2[h] > 0.0f ? h2[h] : 0.0f;
            out0 += h2[h] * wo[2 * h];
            out1 += h2[h] * wo[2 * h + 1];
        }
#pragma unroll
        for (int i = 0; i < T; i++) {
            out0 += v[i] * wb[2 * i];
            out1 += v[i] * wb[2 * i + 1];
        }
        // The Laplace distribution; see laplace.rs.
        float by_location = 0.0f, by_scale = 0.0f;
        if (exists) {
            const float latent = own[channel * size + y * a.columns + x];
            const float clamped = out1 < -2.5f ? -2.5f : out1 > 5.375f ? 5.375f : out1;
            const float inverse = expf(1.0f - clamped), apart = latent - out0, distance = fabsf(apart);
            const float near = fabsf(distance - 0.5f) * inverse, far = (distance + 0.5f) * inverse;
            const float e_near = expf(-near), e_far = expf(-far);
            const bool outside = distance >= 0.5f;
            const float sign = outside ? 1.0f : -1.0f;
            const float p = (outside ? 0.0f : 1.0f) + 0.5f * (sign * e_near - e_far) + 8e-6f;
            const float slope = -1.44269504f / p;
            const float by_latent = slope * (apart >= 0.0f ? 0.5f : -0.5f) * inverse * (e_far - e_near);
            by_location = -by_latent;
            by_scale = clamped == out1 ? slope * 0.5f * (sign * near * e_near - far * e_far) : 0.0f;
            total -= log2f(p);
            atomicAdd(&a.own_gradient[b * a.own_step + channel * size + y * a.columns + x], by_latent);
        }
#pragma unroll
        for (int h = 0; h < H; h++) g2[h] = h2[h] > 0.0f ? by_location * wo[2 * h] + by_scale * wo[2 * h + 1] : 0.0f;
#pragma unroll
        for (int i = 0; i < H; i++) {
            float s = 0.0f;
#pragma unroll
            for (int h = 0; h < H; h++) s += w2[i * H + h] * g2[h];
            g1[i] = h1[i] > 0.0f ? s : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < T; i++) {
            float s = by_location * wb[2 * i] + by_scale * wb[2 * i + 1];
#pragma unroll
            for (int h = 0; h < H; h++) s += w1[i * H + h] * g1[h];
            if (place[i] >= 0) {
                if (taps[4 * i])
                    atomicAdd(&a.coarser_gradient[b * a.coarser_step + place[i]], s);
                else
                    atomicAdd(&a.own_gradient[b * a.own_step + place[i]], s);
            }
            in[i * STEP + threadIdx.x] = v[i];
        }
#pragma unroll
        for (int h = 0; h < H; h++) {
            one[h * STEP + threadIdx.x] = h1[h];
            two[h * STEP + threadIdx.x] = h2[h];
            d1[h * STEP + threadIdx.x] = g1[h];
            d2[h * STEP + threadIdx.x] = g2[h];
        }
        d3[threadIdx.x] = by_location;
        d3[STEP + threadIdx.x] = by_scale;
        SYNC
        add_products<T, H, THREADS>(in, d1, STEP, s1);
        add_products<H, H, THREADS>(one, d2, STEP, s2);
        add_products<H, 2, THREADS>(two, d3, STEP, so);
        add_products<T, 2, THREADS>(in, d3, STEP, sb);
    }
    float* g = a.gradient + b * a.weight_step + net[0];
    give<T, H, THREADS>(s1, g, g + places[1], count);
    give<H, H, THREADS>(s2, g + places[2], g + places[3], H);
    give<H, 2, THREADS>(so, g + places[4], g + places[5], H);
    give<T, 2, THREADS>(sb, g + places[6], nullptr, count);
    SYNC
    in[threadIdx.x] = total;
    SYNC
    if (threadIdx.x == 0) {
        float s = 0.0f;
        for (int i = 0; i < THREADS; i++) s += in[i];
        atomicAdd(&a.bits[b * a.bits_step], s);
    }
}

#define FOR_OUTPUTS(N, CALL) \
    switch (N) {             \
        case 1: CALL(1) break; case 2: CALL(2) break; case 3: CALL(3) break; case 4: CALL(4) break; case 5: CALL(5) break; \
        case 6: CALL(6) break; case 8: CALL(8) break; case 10: CALL(10) break; case 12: CALL(12) break; case 16: CALL(16) break; \
        default: return 1;   \
    }

extern "C" int conv(void* stream, int crops, int window, int outputs, const Conv* a) {
    const dim3 grid((a->rows * a->columns + 127) / 128, 1, crops);
#define CALL(N)                                                                                            \
    if (window == 3) LAUNCH((conv_kernel<N, 3>), grid, 128, a->planes * 9 * N * 4, stream, *a)              \
    else LAUNCH((conv_kernel<N, 1>), grid, 128, a->planes * N * 4, stream, *a)
    FOR_OUTPUTS(outputs, CALL)
#undef CALL
    return 0;
}

extern "C" int conv_input(void* stream, int crops, int window, int outputs, const Conv* a) {
    const dim3 grid((a->rows * a->columns + 127) / 128, 1, crops);
#define CALL(N)                                                                                            \
    if (window == 3) LAUNCH((conv_input_kernel<N, 3>), grid, 128, outputs * 9 * N * 4, stream, *a, outputs) \
    else LAUNCH((conv_input_kernel<N, 1>), grid, 128, outputs * N * 4, stream, *a, outputs)
    FOR_OUTPUTS(a->planes, CALL)
#undef CALL
    return 0;
}

extern "C" int conv_weight(void* stream, int crops, int window, int outputs, const Conv* a, const float* g, float* to) {
    const int columns = a->columns < 128 ? a->columns : 128;
    int rows = 128 / columns;
    while (a->rows % rows) rows /= 2;
    if (a->columns % columns) return 2;
    const int tiles = a->columns / columns * (a->rows / rows);
    const int each = tiles >= 64 ? tiles / 32 : tiles > 4 ? (tiles + 3) / 4 : tiles;
    const dim3 grid((tiles + each - 1) / each, crops, 1);
    const int margin = window / 2;
    const int bytes = 4 * (a->planes * (rows + 2 * margin) * (columns + 2 * margin) + outputs * (rows * columns + 1));
    const int pairs = a->planes * outputs;
    if (pairs > 256) return 3;
    if (window == 3) LAUNCH((conv_weight_kernel<3, 1>), grid, 256, bytes, stream, *a, g, to, outputs, columns, rows, each)
    else LAUNCH((conv_weight_kernel<1, 1>), grid, 256, bytes, stream, *a, g, to, outputs, columns, rows, each)
    return 0;
}

extern "C" int context(void* stream, int crops, int nets, int taps, int hidden, Context* a) {
    const int positions = (a->rows + 1) / 2 * ((a->columns + 1) / 2), tiles = (positions + 127) / 128;
    a->tiles_of_block = tiles >= 64 ? 16 : tiles >= 8 ? 8 : tiles;
    const dim3 grid((tiles + a->tiles_of_block - 1) / a->tiles_of_block, nets, crops);
    const int bytes = 4 * (taps * hidden + hidden * hidden + 4 * hidden + 2 + 2 * taps + (taps + 4 * hidden + 2) * 129);
#define CONTEXT(T, H) if (taps == T && hidden == H) { LAUNCH((context_kernel<T, H>), grid, 128, bytes, stream, *a) return 0; }
    CONTEXT(9, 8) CONTEXT(15, 12) CONTEXT(24, 16) CONTEXT(18, 16)
    return 1;
}

#ifndef EMULATE
extern "C" int last_error() { return (int)cudaGetLastError(); }
#endif
