/* Preloaded under a process: appends to one trace file what it does to the folder,
 * and the files below it, in the order in which it does it. disk.py reads it.
 *
 * A write is recorded before it is made and a sync after it has returned, so that the trace never
 * shows something told or done later than it was, nor something durable earlier. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct record {
    char what;
    int32_t thread;
    int64_t offset;
    uint32_t path_length;
    uint32_t data_length;
} __attribute__((packed));

static const char *root;
static size_t root_length;
static int trace = -1;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
#define REAL(type, name) ((type)real(name))

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("CRASH_TRACE");
    root = getenv("CRASH_ROOT");
    if (!root || !file)
        return;
    root_length = strlen(root);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0600);
    /* Out of the way of programs that count on the low numbers. */
    trace = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    syscall(SYS_close, fd);
}

static int is_traced(const char *path)
{
    return trace >= 0 && !strncmp(path, root, root_length) &&
           (path[root_length] == '/' || !path[root_length]);
}

static int path_of(int fd, char *path)
{
    char link[64];
    if (trace < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_traced(path);
}

static int absolute(const char *name, char *path)
{
    char folder[PATH_MAX];
    if (name[0] == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else if (getcwd(folder, sizeof folder))
        snprintf(path, PATH_MAX, "%.2000s/%.2000s", folder, name);
    else
        return 0;
    return is_traced(path);
}

/* One write to a file that is open for appending, so that records of all threads and processes
 * come out whole and in order. */
static void record(char what, const char *path, int64_t offset, const void *data, size_t length)
{
    int kept = errno;
    struct record head = {what, (int32_t)syscall(SYS_gettid), offset, (uint32_t)strlen(path),
                          (uint32_t)length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path_length},
                            {(void *)data, length}};
    if (syscall(SYS_writev, trace, parts, length ? 3 : 2) < 0)
        _exit(99);
    errno = kept;
}

static int opened(int fd, int flags, int was_there)
{
    char path[PATH_MAX];
    if (fd >= 0 && path_of(fd, path)) {
        if ((flags & O_CREAT) && !was_there)
            record('C', path, 0, "", 0);
        else if (flags & O_TRUNC)
            record('T', path, 0, "", 0);
    }
    return fd;
}

#define MODE(flags)                                                                                \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0;                       \
    va_end(list);

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        MODE(flags)                                                                                \
        int was_there = !faccessat(AT_FDCWD, path, F_OK, 0);                                       \
        int fd = REAL(int (*)(const char *, int, ...), #name)(path, flags, mode);                  \
        return opened(fd, flags, was_there);                                                       \
    }
#define OPENAT(name)                                                                               \
    int name(int folder, const char *path, int flags, ...)                                         \
    {                                                                                              \
        MODE(flags)                                                                                \
        int was_there = !faccessat(folder, path, F_OK, 0);                                         \
        int fd = REAL(int (*)(int, const char *, int, ...), #name)(folder, path, flags, mode);     \
        return opened(fd, flags, was_there);                                                       \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t length)
{
    char path[PATH_MAX];
    if (path_of(fd, path)) {
        /* Where an append ends up is known only once it is made. */
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        record('W', path, appends ? -1 : lseek(fd, 0, SEEK_CUR), data, length);
    }
    return REAL(ssize_t(*)(int, const void *, size_t), "write")(fd, data, length);
}

#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *data, size_t length, off_t offset)                            \
    {                                                                                              \
        char path[PATH_MAX];                                                                       \
        if (path_of(fd, path))                                                                     \
            record('W', path, offset, data, length);                                               \
        return REAL(ssize_t(*)(int, const void *, size_t, off_t), #name)(fd, data, length, offset); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(name)                                                                             \
    int name(int fd, off_t length)                                                                 \
    {                                                                                              \
        char path[PATH_MAX];                                                                       \
        if (path_of(fd, path))                                                                     \
            record('T', path, length, "", 0);                                                      \
        return REAL(int (*)(int, off_t), #name)(fd, length);                                       \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        char path[PATH_MAX];                                                                       \
        int traced = path_of(fd, path);                                                            \
        if (traced)                                                                                \
            record('B', path, 0, "", 0);                                                           \
        int failed = REAL(int (*)(int), #name)(fd);                                                \
        if (traced && !failed)                                                                     \
            record('S', path, 0, "", 0);                                                           \
        return failed;                                                                             \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *name)
{
    char path[PATH_MAX];
    int traced = absolute(name, path);
    int failed = REAL(int (*)(const char *), "unlink")(name);
    if (traced && !failed)
        record('U', path, 0, "", 0);
    return failed;
}

int rename(const char *from, const char *to)
{
    char path[PATH_MAX], target[PATH_MAX];
    int traced = absolute(from, path) && absolute(to, target);
    int failed = REAL(int (*)(const char *, const char *), "rename")(from, to);
    if (traced && !failed)
        record('R', path, 0, target, strlen(target));
    return failed;
}

int mkdir(const char *name, mode_t mode)
{
    char path[PATH_MAX];
    int traced = absolute(name, path);
    int failed = REAL(int (*)(const char *, mode_t), "mkdir")(name, mode);
    if (traced && !failed)
        record('M', path, 0, "", 0);
    return failed;
}
