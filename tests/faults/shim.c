// A library for LD_PRELOAD that makes the n-th system call of a kind on files under a directory
// fail.
//
// A seccomp filter turns the system calls that concern files into SIGSYS, whoever makes them: the C
// library, or Rust code that issues them itself. The handler counts those under the directory, and
// makes the others. Its own calls come from one instruction, in `fault_gate`, which the filter lets
// pass.
//
// FAULT_DIRECTORY  the directory
// FAULT_TRACE      a file that gets a line for each call: its kind and its path, after `!` if it
//                  failed
// FAULT_KIND       the kind of the call that fails
// FAULT_NUMBER     its number among the calls of the kind, counted from 1
// FAULT_WHAT       the error's number, or `short`, `kill` or `torn`; `full` for a disk that is full
//                  from this call on

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#define GATE                                                                                       \
    ".text\n.globl fault_gate\n.hidden fault_gate\n.globl fault_gate_end\n.hidden fault_gate_end\n"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
static void arguments(const ucontext_t *context, long *to) {
    const int registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    for (int i = 0; i < 6; i++) to[i] = context->uc_mcontext.gregs[registers[i]];
}
__asm__(GATE
        "fault_gate:\n mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n"
        " mov %r8, %r10\n mov %r9, %r8\n mov 8(%rsp), %r9\n syscall\nfault_gate_end:\n ret\n");
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define RESULT(context) (context)->uc_mcontext.regs[0]
static void arguments(const ucontext_t *context, long *to) {
    for (int i = 0; i < 6; i++) to[i] = context->uc_mcontext.regs[i];
}
__asm__(GATE
        "fault_gate:\n mov x8, x0\n mov x0, x1\n mov x1, x2\n mov x2, x3\n mov x3, x4\n"
        " mov x4, x5\n mov x5, x6\n svc #0\nfault_gate_end:\n ret\n");
#endif

long fault_gate(long number, long a, long b, long c, long d, long e, long f);
extern const char fault_gate_end[];

// How a call names its file: its first argument is a descriptor or a path, or its second a path.
enum { DESCRIPTOR, PATH, PATH_AT };

static const struct {
    long number;
    const char *kind;
    int names;
} CALLS[] = {
#ifdef SYS_open
    {SYS_open, "open", PATH},         {SYS_creat, "open", PATH},     {SYS_rename, "rename", PATH},
    {SYS_link, "rename", PATH},       {SYS_unlink, "unlink", PATH},  {SYS_rmdir, "unlink", PATH},
    {SYS_mkdir, "mkdir", PATH},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "rename", PATH_AT},
#endif
    {SYS_openat, "open", PATH_AT},    {SYS_renameat2, "rename", PATH_AT},
    {SYS_linkat, "rename", PATH_AT},  {SYS_unlinkat, "unlink", PATH_AT},
    {SYS_mkdirat, "mkdir", PATH_AT},  {SYS_truncate, "truncate", PATH},
    {SYS_read, "read", DESCRIPTOR},   {SYS_pread64, "read", DESCRIPTOR},
    {SYS_readv, "read", DESCRIPTOR},  {SYS_write, "write", DESCRIPTOR},
    {SYS_pwrite64, "write", DESCRIPTOR}, {SYS_writev, "write", DESCRIPTOR},
    {SYS_fsync, "sync", DESCRIPTOR},  {SYS_fdatasync, "sync", DESCRIPTOR},
    {SYS_ftruncate, "truncate", DESCRIPTOR},
};
enum { COUNT = sizeof CALLS / sizeof CALLS[0] };

static const char *directory, *kind, *what;
static long wanted, seen;
static int trace = -1;

static long make(long number, const long *a) {
    return fault_gate(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// The path of the file of a call, or an empty text.
static void path_of(int names, const long *a, char *path, size_t size) {
    path[0] = 0;
    if (names == DESCRIPTOR) {
        char link[40];
        snprintf(link, sizeof link, "/proc/self/fd/%d", (int)a[0]);
        long length = fault_gate(SYS_readlinkat, AT_FDCWD, (long)link, (long)path, size - 1, 0, 0);
        path[length > 0 ? length : 0] = 0;
    } else {
        const char *given = (const char *)a[names == PATH_AT];
        if (given) strncpy(path, given, size - 1), path[size - 1] = 0;
    }
}

// Makes half of a read or write. One byte is made as a whole.
static long make_half(long number, const long *a) {
    long half[6];
    memcpy(half, a, sizeof half);
    if (number == SYS_writev || number == SYS_readv) {
        const struct iovec *parts = (const struct iovec *)a[1];
        number = number == SYS_writev ? SYS_write : SYS_read;
        half[1] = (long)parts[0].iov_base;
        half[2] = parts[0].iov_len;
    }
    half[2] = (half[2] + 1) / 2;
    return make(number, half);
}

static void die(void) {
    fault_gate(SYS_kill, fault_gate(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
}

static long answer(long number, const long *a) {
    int at = 0;
    while (at < COUNT && CALLS[at].number != number) at++;
    char path[4096];
    path_of(at < COUNT ? CALLS[at].names : PATH, a, path, sizeof path);
    size_t length = strlen(directory);
    if (at == COUNT || strncmp(path, directory, length) || (path[length] && path[length] != '/'))
        return make(number, a);
    int fails = 0;
    if (kind && !strcmp(kind, CALLS[at].kind)) {
        long own = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
        fails = own == wanted || (own > wanted && !strcmp(what, "full"));
    }
    char line[4200];
    int size = snprintf(line, sizeof line, "%s%s %s\n", fails ? "!" : "", CALLS[at].kind, path);
    fault_gate(SYS_write, trace, (long)line, size, 0, 0, 0);
    if (!fails) return make(number, a);
    if (!strcmp(what, "short")) return make_half(number, a);
    if (!strcmp(what, "torn")) make_half(number, a);
    if (!strcmp(what, "kill") || !strcmp(what, "torn")) die();
    return strcmp(what, "full") ? -atol(what) : -ENOSPC;
}

static void on_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    long a[6];
    arguments(context, a);
    RESULT((ucontext_t *)context) = answer(info->si_syscall, a);
}

static void refuse(const char *reason) {
    perror(reason);
    _exit(99);
}

__attribute__((constructor)) static void begin(void) {
    directory = getenv("FAULT_DIRECTORY");
    kind = getenv("FAULT_KIND");
    what = getenv("FAULT_WHAT");
    if (!directory) return;
    wanted = atol(kind ? getenv("FAULT_NUMBER") : "0");
    trace = open(getenv("FAULT_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (trace < 0) refuse("fault shim: trace");

    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL)) refuse("fault shim: sigaction");

    struct sock_filter filter[COUNT + 16];
    int end = 0;
    const uint64_t gate = (uint64_t)(uintptr_t)fault_gate_end;
    const int low = offsetof(struct seccomp_data, instruction_pointer);
#define ADD(...) filter[end++] = (struct sock_filter)__VA_ARGS__
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)gate, 0, 3));
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low + 4));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(gate >> 32), 0, 1));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    for (int i = 0; i < COUNT; i++)
        ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, COUNT - i, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
    struct sock_fprog program = {.len = end, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        refuse("fault shim: seccomp");
}
