// SPDX-License-Identifier: MPL-2.0
// A 3x3 convolution of a dense block over feature maps that stay where they are: it reads the first
// channels of an N x H x W x C buffer and writes its own behind them, so that nothing is concatenated.
//
// A block of threads computes 16x32 pixels, each warp four rows of 16, as a matrix product: rows are
// pixels, columns are output channels, and the sum runs over taps and input channels, 16 at a time. These
// lie in shared memory as two halves of eight channels, 16 bytes a pixel, so that eight pixels side by
// side, wherever a tap puts them, are read from all banks at once.

typedef unsigned short bf16;

constexpr int WIDTH = 16, HEIGHT = 32, WARPS = 8, THREADS = 32 * WARPS, ROWS = HEIGHT / WARPS;
constexpr int TAPS = 9, STEP = 16, HALF = 8, STAGES = 3;
// With the neighbours that the taps reach.
constexpr int PATCH_WIDTH = WIDTH + 2, PATCH = PATCH_WIDTH * (HEIGHT + 2);
// Of 16 bytes, which a thread makes of a patch.
constexpr int COPIES = (2 * PATCH + THREADS - 1) / THREADS;
constexpr float NEGATIVE_SLOPE = 0.2f;

// Of a block's last convolution, N x height x width x outputs: its outputs y make of each value of the path
// path * exp(exponent * tanh(y / 2)) + sum * y.
struct Output {
    const float* path;
    float* result;
    float sum, exponent;
};

struct Convolution {
    bf16* maps;           // N x height x width x stride
    const bf16* weights;  // groups x inputs/16 x taps x halves x 8 TILES x 8
    const float* bias;    // groups x 8 TILES
    Output output;
    int height, width, stride, inputs, outputs, groups;
};

// 16 input channels of a patch, and their weights.
template <int TILES>
struct Stage {
    bf16 pixels[2][PATCH][HALF];
    bf16 weights[TAPS][2][8 * TILES][HALF];
};

// Where a block of threads works. Those of the same pixels lie side by side.
struct Place {
    int group, left, top, picture;
};

__device__ inline Place find_place(const Convolution& given) {
    return {int(blockIdx.x) % given.groups, int(blockIdx.x) / given.groups * WIDTH,
            int(blockIdx.y) * HEIGHT, int(blockIdx.z)};
}

__device__ inline int position(const Convolution& given, int picture, int y, int x) {
    return (picture * given.height + y) * given.width + x;
}

// Finds the pixels of the patch that a thread copies, half a step of each; -1 outside the picture.
__device__ inline void find_pixels(int (&pixels)[COPIES], const Convolution& given,
                                   const Place& place) {
#pragma unroll
    for (int k = 0; k < COPIES; ++k) {
        const int pixel = (threadIdx.x + k * THREADS) / 2;
        const int y = place.top - 1 + pixel / PATCH_WIDTH, x = place.left - 1 + pixel % PATCH_WIDTH;
        const bool outside = y < 0 || y >= given.height || x < 0 || x >= given.width;
        pixels[k] = outside ? -1 : position(given, place.picture, y, x);
    }
}

template <int TILES>
__device__ inline void load(Stage<TILES>& stage, const Convolution& given,
                            const int (&pixels)[COPIES], const bf16* weights, int step) {
    const int half = threadIdx.x % 2;
    const bf16* channels = given.maps + step * STEP + half * HALF;
#pragma unroll
    for (int k = 0; k < COPIES; ++k) {
        const int pixel = (threadIdx.x + k * THREADS) / 2;
        if (pixel < PATCH)
            copy_16_bytes(stage.pixels[half][pixel],
                          channels + size_t(max(pixels[k], 0)) * given.stride, pixels[k] < 0);
    }
    constexpr int ROWS_OF_WEIGHTS = TAPS * 2 * 8 * TILES;
#pragma unroll
    for (int first = 0; first < ROWS_OF_WEIGHTS; first += THREADS) {
        const int row = first + threadIdx.x;
        if (row < ROWS_OF_WEIGHTS)
            copy_16_bytes(stage.weights[0][0][row],
                          weights + (size_t(step) * ROWS_OF_WEIGHTS + row) * HALF, false);
    }
}

// Adds a step's products to the sums. A row of pixels is loaded once for the three rows that it counts
// in; all nine taps unrolled would take more registers than there are.
template <int TILES>
__device__ inline void multiply(float (&sums)[ROWS][TILES][4], const Stage<TILES>& stage) {
    constexpr int PAIRS = (TILES + 1) / 2;
    const int lane = threadIdx.x % 32, top = threadIdx.x / 32 * ROWS;
    const bf16(*pixels)[HALF] = stage.pixels[lane / 16] + top * PATCH_WIDTH + lane % 16;
#pragma unroll 1
    for (int dx = 0; dx < 3; ++dx) {
        unsigned weights[3][PAIRS][4];
#pragma unroll
        for (int k = 0; k < 3 * PAIRS; ++k) {
            const int dy = k / PAIRS, pair = k % PAIRS;
            // An odd last tile is loaded twice.
            const int tile = 2 * pair + (2 * pair + 1 < TILES ? lane / 16 : 0);
            load_4_matrices(weights[dy][pair],
                            stage.weights[3 * dy + dx][lane / 8 % 2][8 * tile + lane % 8]);
        }
#pragma unroll
        for (int row = 0; row < ROWS + 2; ++row) {
            unsigned a[4];
            load_4_matrices(a, pixels[row * PATCH_WIDTH + dx]);
#pragma unroll
            for (int k = 0; k < 3 * TILES; ++k) {
                const int dy = k / TILES, tile = k % TILES, sum = row - dy;
                const unsigned* b = weights[dy][tile / 2] + tile % 2 * 2;
                if (sum >= 0 && sum < ROWS) add_product(sums[sum][tile], a, b[0], b[1]);
            }
        }
    }
}

__device__ inline float leaky_relu(float x) { return x < 0 ? x * NEGATIVE_SLOPE : x; }

__device__ inline void apply(const Output& output, size_t place, float y) {
    const float factor = expf(output.exponent * tanhf(y / 2));
    output.result[place] = output.path[place] * factor + output.sum * y;
}

// A lane's sums of a pixel, two channels of each tile. Of a hidden convolution its columns come in such an
// order that they are eight channels side by side.
template <int TILES, bool LAST>
__device__ inline void store(const Convolution& given, const float (&pairs)[TILES][2], int group,
                             size_t position) {
    const int own = threadIdx.x % 4;
    if constexpr (LAST) {
#pragma unroll
        for (int k = 0; k < 2 * TILES; ++k) {
            const int channel = 8 * (group * TILES + k / 2) + 2 * own + k % 2;
            if (channel >= given.outputs) continue;
            apply(given.output, position * given.outputs + channel, pairs[k / 2][k % 2]);
        }
    } else {
        unsigned eight[TILES];
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile)
            eight[tile] = two_bf16(leaky_relu(pairs[tile][0]), leaky_relu(pairs[tile][1]));
        store_16_bytes(given.maps + position * given.stride + given.inputs + own * HALF, eight);
    }
}

template <int TILES, bool LAST>
__device__ inline void finish(const Convolution& given, const float (&sums)[ROWS][TILES][4],
                              const Place& place) {
    const int lane = threadIdx.x % 32;
    float bias[TILES][2];
#pragma unroll
    for (int k = 0; k < 2 * TILES; ++k)
        bias[k / 2][k % 2] = given.bias[8 * (place.group * TILES + k / 2) + lane % 4 * 2 + k % 2];
#pragma unroll
    for (int k = 0; k < 2 * ROWS; ++k) {
        const int row = k / 2, side = k % 2;
        const int y = place.top + threadIdx.x / 32 * ROWS + row;
        const int x = place.left + lane / 4 + 8 * side;
        if (y >= given.height || x >= given.width) continue;
        float pairs[TILES][2];
#pragma unroll
        for (int i = 0; i < 2 * TILES; ++i)
            pairs[i / 2][i % 2] = sums[row][i / 2][2 * side + i % 2] + bias[i / 2][i % 2];
        store<TILES, LAST>(given, pairs, place.group, position(given, place.picture, y, x));
    }
}

template <int TILES, bool LAST>
__device__ inline void convolve(const Convolution& given) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto* stages = reinterpret_cast<Stage<TILES>*>(memory);
    const Place place = find_place(given);
    const int steps = given.inputs / STEP;
    const bf16* weights = given.weights + size_t(place.group * steps) * TAPS * 2 * 8 * TILES * HALF;
    int pixels[COPIES];
    find_pixels(pixels, given, place);
    float sums[ROWS][TILES][4] = {};
    for (int step = 0; step < STAGES - 1; ++step) {
        if (step < steps) load(stages[step], given, pixels, weights, step);
        end_group();
    }
    int stage = 0;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        const int next = step + STAGES - 1, last = stage == 0 ? STAGES - 1 : stage - 1;
        if (next < steps) load(stages[last], given, pixels, weights, next);
        end_group();
        multiply(sums, stages[stage]);
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    finish<TILES, LAST>(given, sums, place);
}

#define KERNEL(NAME, TILES, LAST) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) NAME(const Convolution given) { \
        convolve<TILES, LAST>(given); \
    }

KERNEL(hidden, 4, false)
KERNEL(last_1, 1, true)
KERNEL(last_2, 2, true)
KERNEL(last_3, 3, true)
KERNEL(last_4, 4, true)
