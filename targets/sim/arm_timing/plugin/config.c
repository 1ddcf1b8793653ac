/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the file that the Python side writes: one statement a line, words separated by blanks. */
#include "config.h"
#include "memory.h"
#include "profile.h"

#include <stdlib.h>
#include <string.h>

struct core core;
struct config config;

static const char *const rule_names[] = {
#define RULE(symbol, name) name,
#include "rules.def"
#undef RULE
};

static const char *const unit_names[] = {
    "any", "alu", "shifter", "mac", "memory", "port", "fp", "vector_integer", "vector_multiply", "branch", "alone"};

static bool read_rule(const char *line) {
    char name[64];
    int value;
    if (sscanf(line, "%63s %d", name, &value) != 2)
        return false;
    for (unsigned int r = 0; r < R_COUNT; r++)
        if (!strcmp(name, rule_names[r])) {
            core.rules[r] = value;
            return true;
        }
    return false;
}

static bool read_row(const char *line) {
    char name[64], unit[32];
    int cycles, per_register, latency;
    if (sscanf(line, "%63s %d %d %d %31s", name, &cycles, &per_register, &latency, unit) != 5)
        return false;
    unsigned int u = 0;
    while (u < UNIT_COUNT && strcmp(unit, unit_names[u]))
        u++;
    for (unsigned int c = 0; c < C_COUNT && u < UNIT_COUNT; c++)
        if (!strcmp(name, insn_class_name(c))) {
            core.rows[c] = (struct row){true, (int16_t)cycles, (int16_t)per_register, (int16_t)latency, (uint8_t)u};
            return true;
        }
    return false;
}

static bool read_cache(const char *line) {
    if (cache_count == MAX_CACHES)
        return false;
    struct cache *c = &caches[cache_count++];
    return sscanf(line, "%u %u %u %u", &c->line_bytes, &c->sector_bytes, &c->lines, &c->ways) == 4;
}

static bool read_region(const char *line) {
    if (region_count == MAX_REGIONS)
        return false;
    struct region *r = &regions[region_count++];
    unsigned int fetch_wait, data_wait, prefetch, flash, lookup, grant_cycles;
    int fetch_cache, data_cache;
    if (sscanf(line, "%31s %x %x %u %u %d %d %u %u %u %u", r->name, &r->base, &r->size, &fetch_wait, &data_wait,
               &fetch_cache, &data_cache, &prefetch, &flash, &lookup, &grant_cycles) != 11)
        return false;
    r->fetch_wait = (uint16_t)fetch_wait;
    r->data_wait = (uint16_t)data_wait;
    r->lookup = (uint16_t)lookup;
    r->grant_cycles = (uint16_t)grant_cycles;
    r->fetch_cache = (int8_t)fetch_cache;
    r->data_cache = (int8_t)data_cache;
    r->prefetch = prefetch;
    r->is_flash = flash;
    return fetch_cache < (int)MAX_CACHES && data_cache < (int)MAX_CACHES;
}

static bool read_function(const char *line) {
    unsigned int start, size;
    char name[256];
    return sscanf(line, "%x %x %255s", &start, &size, name) == 3 && profile_add(start, size, name);
}

static bool read_statement(const char *word, const char *rest) {
    if (!strcmp(word, "pipe")) {
        core.pipe = !strncmp(rest, "dual", 4) ? PIPE_DUAL : PIPE_SINGLE;
        return true;
    }
    if (!strcmp(word, "rule"))
        return read_rule(rest);
    if (!strcmp(word, "class"))
        return read_row(rest);
    if (!strcmp(word, "cache"))
        return read_cache(rest);
    if (!strcmp(word, "region"))
        return read_region(rest);
    if (!strcmp(word, "function"))
        return read_function(rest);
    if (!strcmp(word, "memory"))
        return sscanf(rest, "%d", &config.memory) == 1;
    if (!strcmp(word, "stack"))
        return sscanf(rest, "%x %x", &config.stack_low, &config.stack_high) == 2;
    if (!strcmp(word, "trace"))
        return sscanf(rest, "%x %x %lu", &config.trace_low, &config.trace_high, &config.trace_limit) == 3;
    if (!strcmp(word, "trace_file"))
        return sscanf(rest, "%1023[^\n]", config.trace_file) == 1;
    return false;
}

bool config_read(const char *path) {
    char line[2048], word[32];
    FILE *in = fopen(path, "r");
    if (!in)
        return false;
    bool ok = true;
    while (ok && fgets(line, sizeof line, in)) {
        int used = 0;
        if (sscanf(line, "%31s %n", word, &used) != 1)
            continue;
        ok = read_statement(word, line + used);
        if (!ok)
            fprintf(stderr, "thimble-timing: bad statement: %s", line);
    }
    fclose(in);
    profile_prepare();
    return ok && memory_prepare();
}
