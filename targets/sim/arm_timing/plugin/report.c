/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"
#include "blocks.h"
#include "config.h"
#include "engine.h"

/* Give each function what its blocks took; returns the instructions of all. */
static uint64_t sum_blocks(uint64_t *divides) {
    uint64_t instructions = 0;
    for (struct block *b = all_blocks; b; b = b->next) {
        instructions += b->runs * b->count;
        b->function->instructions += b->runs * b->count;
        b->function->self_cycles += b->cycles;
        for (unsigned int i = 0; i < b->count; i++)
            if (b->insns[i].cls == C_DIVIDE)
                *divides += b->runs;
    }
    return instructions;
}

static void write_memory(FILE *out) {
    const char *separator = "";
    fprintf(out, "\"regions\": [");
    for (unsigned int i = 0; i <= region_count; i++) {
        const struct region *r = i < region_count ? &regions[i] : &elsewhere;
        fprintf(out,
                "%s\n  {\"name\": \"%s\", \"loads\": %llu, \"stores\": %llu, \"fetch_misses\": %llu, "
                "\"data_misses\": %llu}",
                separator, r->name, (unsigned long long)r->loads, (unsigned long long)r->stores,
                (unsigned long long)r->fetch_misses, (unsigned long long)r->data_misses);
        separator = ",";
    }
    fprintf(out, "],\n");
}

static void write_unknown(FILE *out) {
    const char *separator = "";
    fprintf(out, "\"unknown\": [");
    for (unsigned int i = 0; i < unknown_count; i++)
        if (unknown[i].block->runs) {
            fprintf(out, "%s\n  {\"address\": %u, \"encoding\": \"%08x\", \"runs\": %llu}", separator,
                    unknown[i].address, unknown[i].encoding, (unsigned long long)unknown[i].block->runs);
            separator = ",";
        }
    fprintf(out, "],\n\"unknown_not_listed\": %u,\n", unknown_lost);
}

void report_write(const char *path) {
    FILE *out = fopen(path, "w");
    uint64_t divides = 0;
    if (!out)
        return;
    uint64_t instructions = sum_blocks(&divides);
    long stack = engine.lowest_store == UINT32_MAX ? -1L : (long)(config.stack_high - engine.lowest_store);
    fprintf(out, "{\"instructions\": %llu,\n\"cycles\": %lld,\n\"divides\": %llu,\n\"unaligned\": %llu,\n",
            (unsigned long long)instructions, (long long)engine.cycles, (unsigned long long)divides,
            (unsigned long long)engine.unaligned);
    fprintf(out, "\"peak_stack_bytes\": %ld,\n\"states\": %u,\n\"full_runs\": %llu,\n", stack, engine.states,
            (unsigned long long)engine.full_runs);
    write_memory(out);
    write_unknown(out);
    profile_write(out);
    fprintf(out, "\n}\n");
    fclose(out);
}
