#include "workload.h"
#include "source.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each call has three parts: three requests; or a request, its words (one line each), and nothing. */
#define PARTS 3

int reports_calls;
long calls;
unsigned char *call_states;
static const unsigned char **at;

uint32_t number_at(const unsigned char *from) { uint32_t value; memcpy(&value, from, 4); return value; }

static const unsigned char *after_part(const unsigned char *part) {
    uint32_t lines = number_at(part);
    part += 4;
    while (lines--) part += 4 + number_at(part);
    return part;
}

void load_workload(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) < 0) die(path);
    const unsigned char *all = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (all == MAP_FAILED) die("mmap");
    close(fd);
    calls = (long)number_at(all);
    reports_calls = (int)number_at(all + 4);
    at = malloc(sizeof *at * (size_t)calls * PARTS);
    call_states = calloc((size_t)calls, 1);
    const unsigned char *part = all + 8;
    for (long each = 0; each < calls * PARTS; each++) { at[each] = part; part = after_part(part); }
}

const unsigned char *request_of(long call, int script) { return at[call * PARTS + script]; }

struct text word_of(long call, enum call_word which) {
    const unsigned char *line = at[call * PARTS + 1] + 4;
    for (int each = 0; each < (int)which; each++) line += 4 + number_at(line);
    return (struct text){(const char *)line + 4, (int)number_at(line)};
}
