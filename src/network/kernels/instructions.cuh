// SPDX-License-Identifier: MPL-2.0
// What the kernel needs of a GPU beside C++: its matrix units and copies that nobody waits for. PTX of
// compute capability 8.0; the layouts of fragments are those of mma.m16n8k16 in NVIDIA's PTX manual.

// Where something in shared memory lies, as instructions want it.
__device__ inline unsigned shared_address(const void* pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Starts copying 16 bytes to shared memory, or 16 bytes of zeros.
__device__ inline void copy_16_bytes(void* to, const void* from, bool zeros) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(shared_address(to)), "l"(from), "r"(zeros ? 0 : 16) : "memory");
}

// Ends a group of copies, which may be empty.
__device__ inline void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until no more than some of this thread's groups are on their way.
template <int LEFT>
__device__ inline void wait_for_groups() {
    asm volatile("cp.async.wait_group %0;" :: "n"(LEFT) : "memory");
}

// Loads four 8x8 matrices; lane 8 i + r has the address of row r of matrix i.
__device__ inline void load_4_matrices(unsigned (&registers)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(shared_address(row)) : "memory");
}

// Adds to the sums 16x8 the product of bf16 matrices 16x16 and 16x8.
__device__ inline void add_product(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two numbers as bf16, the first in the lower half.
__device__ inline unsigned two_bf16(float first, float second) {
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
}

// Stores 16 bytes at once.
__device__ inline void store_16_bytes(void* to, const unsigned (&four)[4]) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
                 :: "l"(to), "r"(four[0]), "r"(four[1]), "r"(four[2]), "r"(four[3]) : "memory");
}
