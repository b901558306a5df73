// SPDX-License-Identifier: MPL-2.0
// A 3x3 convolution of a dense block over feature maps that stay where they are: it reads the first
// channels of an N x C/16 x H x W x 16 buffer and writes its own behind them, so that nothing is
// concatenated; what it takes at once, 16 channels of pixels side by side, lies side by side in memory.
//
// A block of threads computes 16x32 pixels, each warp four rows of 16, as a matrix product: rows are
// pixels, columns are output channels, and the sum runs over taps and input channels, 16 at a time. These
// lie in shared memory as two halves of eight channels, 16 bytes each, which change places every four
// columns, so that a half of eight pixels side by side, wherever a tap puts them, is read from all banks at
// once.

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

// What a kernel works on; `input` finds x at the output's path, and of `outputs` channels.
struct Convolution {
    bf16* maps;           // N x planes x height x width x 16
    const bf16* weights;  // groups x inputs/16 x taps x halves x 8 TILES x 8
    const float* bias;    // groups x 8 TILES
    Output output;
    int height, width, planes, inputs, outputs, groups;
};

// 16 input channels of a patch, and their weights.
template <int TILES>
struct Stage {
    bf16 pixels[PATCH][2][HALF];
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

// 16 channels of a picture.
__device__ inline bf16* find_plane(const Convolution& given, int picture, int plane) {
    return given.maps + (size_t(picture) * given.planes + plane) * given.height * given.width * STEP;
}

// Where a half of a pixel's channels lies in shared memory, by the pixel's column in the patch.
__device__ inline int place_of_half(int half, int column) { return half ^ (column / 4 % 2); }

// Finds the pixels of the patch that a thread copies, half a step of each; -1 outside the picture.
__device__ inline void find_pixels(int (&pixels)[COPIES], const Convolution& given,
                                   const Place& place) {
#pragma unroll
    for (int k = 0; k < COPIES; ++k) {
        const int pixel = (threadIdx.x + k * THREADS) / 2;
        const int y = place.top - 1 + pixel / PATCH_WIDTH, x = place.left - 1 + pixel % PATCH_WIDTH;
        const bool outside = y < 0 || y >= given.height || x < 0 || x >= given.width;
        pixels[k] = outside ? -1 : y * given.width + x;
    }
}

template <int TILES>
__device__ inline void load(Stage<TILES>& stage, const Convolution& given,
                            const int (&pixels)[COPIES], const Place& place, const bf16* weights,
                            int step) {
    const int half = threadIdx.x % 2;
    const bf16* channels = find_plane(given, place.picture, step) + half * HALF;
#pragma unroll
    for (int k = 0; k < COPIES; ++k) {
        const int pixel = (threadIdx.x + k * THREADS) / 2;
        if (pixel < PATCH)
            copy_16_bytes(stage.pixels[pixel][place_of_half(half, pixel % PATCH_WIDTH)],
                          channels + size_t(max(pixels[k], 0)) * STEP, pixels[k] < 0);
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
    const bf16(*pixels)[2][HALF] = stage.pixels + top * PATCH_WIDTH + lane % 16;
#pragma unroll 1
    for (int dx = 0; dx < 3; ++dx) {
        const int half = place_of_half(lane / 16, lane % 16 + dx);
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
            load_4_matrices(a, pixels[row * PATCH_WIDTH + dx][half]);
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

// exp(exponent * tanh(y / 2)).
__device__ inline float bounded_exp(float exponent, float y) {
    return __expf(exponent * (1 - __fdividef(2, __expf(y) + 1)));
}

// Calls `use` for each of a lane's pixels within the picture, by row and column in the warp's rows, with the
// sums of two channels of each tile.
template <int TILES, typename Use>
__device__ inline void for_each_pixel(const Convolution& given, const Place& place,
                                      const float (&sums)[ROWS][TILES][4], Use use) {
    const int lane = threadIdx.x % 32, top = place.top + threadIdx.x / 32 * ROWS;
    float bias[TILES][2];
#pragma unroll
    for (int k = 0; k < 2 * TILES; ++k)
        bias[k / 2][k % 2] = given.bias[8 * (place.group * TILES + k / 2) + lane % 4 * 2 + k % 2];
#pragma unroll
    for (int k = 0; k < 2 * ROWS; ++k) {
        const int row = k / 2, side = k % 2, column = lane / 4 + 8 * side;
        if (top + row >= given.height || place.left + column >= given.width) continue;
        float pairs[TILES][2];
#pragma unroll
        for (int i = 0; i < 2 * TILES; ++i)
            pairs[i / 2][i % 2] = sums[row][i / 2][2 * side + i % 2] + bias[i / 2][i % 2];
        use(row, column, pairs);
    }
}

// Writes feature maps behind those that were read. The columns of a hidden convolution come in such an order
// that a lane's are eight channels side by side.
__device__ inline void store_hidden(const Convolution& given, const Place& place,
                                    const float (&sums)[ROWS][4][4]) {
    const int own = threadIdx.x % 4, top = place.top + threadIdx.x / 32 * ROWS;
    bf16* channels = find_plane(given, place.picture, given.inputs / STEP + own / 2) + own % 2 * HALF;
    for_each_pixel(given, place, sums, [&](int row, int column, const float (&pairs)[4][2]) {
        unsigned eight[4];
#pragma unroll
        for (int tile = 0; tile < 4; ++tile)
            eight[tile] = two_bf16(leaky_relu(pairs[tile][0]), leaky_relu(pairs[tile][1]));
        const size_t pixel = size_t(top + row) * given.width + place.left + column;
        store_16_bytes(channels + pixel * STEP, eight);
    });
}

// Has the outputs take effect. Those of a row lie side by side in memory, not in a warp's registers: they go
// through shared memory, where each warp has room of its own.
template <int TILES>
__device__ inline void store_last(const Convolution& given, const Place& place,
                                  const float (&sums)[ROWS][TILES][4], float* room) {
    constexpr int COLUMNS = 8 * TILES;
    const int lane = threadIdx.x % 32, top = place.top + threadIdx.x / 32 * ROWS;
    room += threadIdx.x / 32 * ROWS * WIDTH * COLUMNS;
    for_each_pixel(given, place, sums, [&](int row, int column, const float (&pairs)[TILES][2]) {
#pragma unroll
        for (int k = 0; k < 2 * TILES; ++k)
            room[(row * WIDTH + column) * COLUMNS + k / 2 * 8 + lane % 4 * 2 + k % 2] = pairs[k / 2][k % 2];
    });
    __syncwarp();
    const Output& output = given.output;
    const int first = place.group * COLUMNS, channels = min(COLUMNS, given.outputs - first);
    const int values = min(WIDTH, given.width - place.left) * channels;
    // i / channels is i * reciprocal / 65536 for each of so few.
    const int reciprocal = (65536 + channels - 1) / channels;
    for (int row = 0; row < min(ROWS, given.height - top); ++row) {
        const size_t start = (size_t(place.picture) * given.height + top + row) * given.width + place.left;
#pragma unroll 4
        for (int i = lane; i < values; i += 32) {
            const int column = i * reciprocal >> 16, channel = i - column * channels;
            const float y = room[(row * WIDTH + column) * COLUMNS + channel];
            const size_t position = (start + column) * given.outputs + first + channel;
            float x = __ldg(output.path + position);
            if (output.exponent != 0) x *= bounded_exp(output.exponent, y);
            output.result[position] = x + output.sum * y;
        }
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
        if (step < steps) load(stages[step], given, pixels, place, weights, step);
        end_group();
    }
    int stage = 0;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        wait_for_groups<STAGES - 2>();
        __syncthreads();
        const int next = step + STAGES - 1, last = stage == 0 ? STAGES - 1 : stage - 1;
        if (next < steps) load(stages[last], given, pixels, place, weights, next);
        end_group();
        multiply(sums, stages[stage]);
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    if constexpr (LAST) {
        // The room is that of stages that other warps may still read.
        __syncthreads();
        store_last(given, place, sums, reinterpret_cast<float*>(memory));
    } else {
        store_hidden(given, place, sums);
    }
}

#define KERNEL(NAME, TILES, LAST) \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) NAME(const Convolution given) { \
        convolve<TILES, LAST>(given); \
    }

// Rounds a block's input, N x height x width x outputs in f32, to its first channels; zeros are behind it. A
// thread has eight channels of a pixel.
extern "C" __global__ void __launch_bounds__(THREADS) input(const Convolution given) {
    const int pixels = given.height * given.width, eights = given.inputs / HALF;
    const int number = blockIdx.x * THREADS + threadIdx.x;
    const int pixel = number / eights, first = number % eights * HALF, picture = blockIdx.z;
    if (pixel >= pixels) return;
    const float* x = given.output.path + (size_t(picture) * pixels + pixel) * given.outputs;
    float values[HALF];
#pragma unroll
    for (int k = 0; k < HALF; ++k)
        values[k] = first + k < given.outputs ? __ldg(x + first + k) : 0;
    unsigned eight[HALF / 2];
#pragma unroll
    for (int k = 0; k < HALF / 2; ++k) eight[k] = two_bf16(values[2 * k], values[2 * k + 1]);
    bf16* channels = find_plane(given, picture, first / STEP) + first % STEP;
    store_16_bytes(channels + size_t(pixel) * STEP, eight);
}

KERNEL(hidden, 4, false)
KERNEL(last_1, 1, true)
KERNEL(last_2, 2, true)
KERNEL(last_3, 3, true)
KERNEL(last_4, 4, true)
