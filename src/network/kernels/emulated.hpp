// SPDX-License-Identifier: MPL-2.0
// What convolution.cu needs of a GPU, on a CPU: each thread of a block is a fiber, those of a warp step
// together from one instruction of the warp to the next, and a warp runs ahead to the barrier before
// the next one starts. Half of the copies are made at once, the others only when they are waited for.

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <vector>

using std::max;
using std::min;

#define __device__
#define __global__
#define __shared__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __expf expf

struct Index { unsigned x, y, z; };
static Index blockIdx, threadIdx;
__align__(16) unsigned char memory[1 << 18];

enum State { AT_WARP, AT_BARRIER, DONE };
struct Copy { void* to; const void* from; bool zeros; };

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    State state;
    std::vector<std::vector<Copy>> groups;
    // What the thread puts into an instruction of its warp, and into the one after it.
    unsigned put[2][6];
    const void* row[2];
    int turn;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;

static Fiber& self() { return fibers[threadIdx.x]; }
static Fiber& lane(int k) { return fibers[threadIdx.x / 32 * 32 + k]; }

static void pause(State state) {
    Fiber& fiber = self();
    fiber.state = state;
    swapcontext(&fiber.context, &scheduler);
}

static void __syncthreads() { pause(AT_BARRIER); }
static void __syncwarp() { pause(AT_WARP); }

static float __ldg(const float* pointer) { return *pointer; }
static float __fdividef(float x, float y) { return x / y; }

// Of 16 bytes, as all that works on so many needs them.
static const void* aligned(const void* pointer) {
    assert(uintptr_t(pointer) % 16 == 0);
    return pointer;
}

static void make(const Copy& copy) {
    copy.zeros ? memset(copy.to, 0, 16) : memcpy(copy.to, copy.from, 16);
}

static void copy_16_bytes(void* to, const void* from, bool zeros) {
    static unsigned chance = 1;
    chance = chance * 1664525 + 1013904223;
    const Copy copy = {const_cast<void*>(aligned(to)), aligned(from), zeros};
    chance >> 31 ? make(copy) : self().groups.back().push_back(copy);
}

static void store_16_bytes(void* to, const unsigned (&four)[4]) {
    memcpy(const_cast<void*>(aligned(to)), four, 16);
}

static void end_group() { self().groups.emplace_back(); }

template <int LEFT>
static void wait_for_groups() {
    auto& groups = self().groups;
    // The last is still open.
    while (groups.size() > LEFT + 1) {
        for (const Copy& copy : groups.front()) make(copy);
        groups.erase(groups.begin());
    }
}

static float number(unsigned pair, int half) {
    unsigned bits = half ? pair & 0xffff0000u : pair << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static unsigned rounded(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static unsigned two_bf16(float first, float second) {
    return rounded(first) | rounded(second) << 16;
}

static void load_4_matrices(unsigned (&registers)[4], const void* row) {
    const int turn = self().turn ^= 1, own = threadIdx.x % 32;
    self().row[turn] = aligned(row);
    pause(AT_WARP);
    for (int matrix = 0; matrix < 4; ++matrix)
        memcpy(&registers[matrix],
               static_cast<const char*>(lane(8 * matrix + own / 4).row[turn]) + own % 4 * 4, 4);
}

static void add_product(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const int turn = self().turn ^= 1, own = threadIdx.x % 32;
    const unsigned put[6] = {a[0], a[1], a[2], a[3], b0, b1};
    memcpy(self().put[turn], put, sizeof put);
    pause(AT_WARP);
    for (int k = 0; k < 16; ++k)
        for (int sum = 0; sum < 4; ++sum) {
            const int row = own / 4 + sum / 2 * 8, column = own % 4 * 2 + sum % 2;
            const unsigned in_a = lane(row % 8 * 4 + k % 8 / 2).put[turn][k / 8 * 2 + row / 8];
            const unsigned in_b = lane(column * 4 + k % 8 / 2).put[turn][4 + k / 8];
            sums[sum] += number(in_a, k % 2) * number(in_b, k % 2);
        }
}

static void (*entry)();

static void run() {
    entry();
    self().state = DONE;
    setcontext(&scheduler);
}

// Runs a warp until all its threads have come to the barrier or to the end.
static void advance(unsigned warp) {
    for (bool together = true; together;) {
        together = false;
        for (threadIdx.x = 32 * warp; threadIdx.x < 32 * (warp + 1); ++threadIdx.x) {
            if (self().state == DONE) continue;
            swapcontext(&scheduler, &self().context);
            together |= self().state == AT_WARP;
        }
    }
}

static bool finished() {
    for (const Fiber& fiber : fibers)
        if (fiber.state != DONE) return false;
    return true;
}

static void run_block(unsigned shared) {
    // Not numbers, to be found in results where they are read.
    memset(memory, 0xff, shared);
    for (Fiber& fiber : fibers) {
        fiber.groups.assign(1, {});
        fiber.state = AT_WARP;
        fiber.turn = 0;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, run, 0);
    }
    while (!finished())
        for (unsigned warp = 0; warp < fibers.size() / 32; ++warp) advance(warp);
}
