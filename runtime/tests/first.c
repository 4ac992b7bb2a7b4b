/* A program whose first instructions are one system call, without a C library: getppid, its answer the exit status
 * (errno, or 0). */
#if defined(__x86_64__)
__asm__(
    ".globl _start\n_start:\n\tmov $110, %eax\n\tsyscall\n\tmov %eax, %edi\n\tneg %edi\n\tjns 1f\n\txor %edi, %edi\n"
    "1:\n\tmov $231, %eax\n\tsyscall\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x8, #173\n\tsvc #0\n\tneg x0, x0\n\tcmp x0, #0\n\tcsel x0, x0, xzr, ge\n\t"
        "mov x8, #94\n\tsvc #0\n");
#endif
