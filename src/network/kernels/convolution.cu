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
constexpr float NEGATIVE_SLOPE = 0.2f;

struct Convolution {
    bf16* maps;           // N x height x width x stride
    const bf16* weights;  // groups x inputs/16 x taps x halves x 8 TILES x 8
    const float* bias;    // groups x 8 TILES
    float* result;        // N x height x width x outputs, of the last convolution
    int height, width, stride, inputs, outputs, groups;
};

// 16 input channels of a patch, and their weights.
template <int TILES>
struct Stage {
    bf16 pixels[2][PATCH][HALF];
    bf16 weights[TAPS][2][8 * TILES][HALF];
};

template <int TILES>
__device__ inline void load(Stage<TILES>& stage, const Convolution& given, int group, int step) {
    const int left = blockIdx.x * WIDTH - 1, top = blockIdx.y * HEIGHT - 1;
    const size_t picture = size_t(blockIdx.z / given.groups) * given.height;
#pragma unroll 1  // The addresses of all would fill the registers.
    for (int k = threadIdx.x; k < 2 * PATCH; k += THREADS) {
        const int pixel = k / 2, half = k % 2;
        const int y = top + pixel / PATCH_WIDTH, x = left + pixel % PATCH_WIDTH;
        const bool outside = y < 0 || y >= given.height || x < 0 || x >= given.width;
        const size_t position = outside ? 0 : (picture + y) * given.width + x;
        copy_16_bytes(stage.pixels[half][pixel],
                      given.maps + position * given.stride + step * STEP + half * HALF, outside);
    }
    constexpr int ROWS_OF_WEIGHTS = TAPS * 2 * 8 * TILES;
    const size_t first = size_t(group * (given.inputs / STEP) + step) * ROWS_OF_WEIGHTS;
    for (int k = threadIdx.x; k < ROWS_OF_WEIGHTS; k += THREADS)
        copy_16_bytes(stage.weights[0][0][k], given.weights + (first + k) * HALF, false);
}

template <int TILES>
__device__ inline void multiply(float (&sums)[ROWS][TILES][4], const Stage<TILES>& stage) {
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * ROWS;
    const bf16(*pixels)[HALF] = stage.pixels[lane / 16] + row * PATCH_WIDTH + lane % 16;
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) {
        unsigned weights[(TILES + 1) / 2][4];
#pragma unroll
        for (int pair = 0; pair < (TILES + 1) / 2; ++pair) {
            // An odd last tile is loaded twice.
            const int tile = 2 * pair + (2 * pair + 1 < TILES ? lane / 16 : 0);
            load_4_matrices(weights[pair], stage.weights[tap][lane / 8 % 2][8 * tile + lane % 8]);
        }
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            unsigned a[4];
            load_4_matrices(a, pixels[(r + tap / 3) * PATCH_WIDTH + tap % 3]);
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile)
                add_product(sums[r][tile], a, weights[tile / 2][tile % 2 * 2],
                            weights[tile / 2][tile % 2 * 2 + 1]);
        }
    }
}

__device__ inline float leaky_relu(float x) { return x < 0 ? x * NEGATIVE_SLOPE : x; }

// Two neighbouring channels of a pixel.
template <bool LAST>
__device__ inline void store(const Convolution& given, size_t position, int channel, float first,
                             float second) {
    first += given.bias[channel];
    second += given.bias[channel + 1];
    if (LAST) {
        float* result = given.result + position * given.outputs + channel;
        if (channel < given.outputs) result[0] = first;
        if (channel + 1 < given.outputs) result[1] = second;
    } else {
        bf16* maps = given.maps + position * given.stride + given.inputs + channel;
        *reinterpret_cast<unsigned*>(maps) = two_bf16(leaky_relu(first), leaky_relu(second));
    }
}

template <int TILES, bool LAST>
__device__ inline void convolve(const Convolution& given) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto* stages = reinterpret_cast<Stage<TILES>*>(memory);
    const int steps = given.inputs / STEP, group = blockIdx.z % given.groups;
    float sums[ROWS][TILES][4] = {};
    for (int step = 0; step < STAGES - 1; ++step) {
        if (step < steps) load(stages[step], given, group, step);
        end_group();
    }
    for (int step = 0; step < steps; ++step) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        const int next = step + STAGES - 1;
        if (next < steps) load(stages[next % STAGES], given, group, next);
        end_group();
        multiply(sums, stages[step % STAGES]);
    }
    const int lane = threadIdx.x % 32, top = blockIdx.y * HEIGHT + threadIdx.x / 32 * ROWS;
    const size_t picture = size_t(blockIdx.z / given.groups) * given.height;
    for (int r = 0; r < ROWS; ++r)
        for (int side = 0; side < 2; ++side) {
            const int y = top + r, x = blockIdx.x * WIDTH + lane / 4 + 8 * side;
            if (y >= given.height || x >= given.width) continue;
            for (int tile = 0; tile < TILES; ++tile)
                store<LAST>(given, (picture + y) * given.width + x,
                            8 * (group * TILES + tile) + lane % 4 * 2, sums[r][tile][2 * side],
                            sums[r][tile][2 * side + 1]);
        }
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
