/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 4096 };

struct frame {
    struct function *function;
    uint32_t return_address;
    bool tail; /* entered by a tail call: it returns in place of the frame below */
    struct moment entered;
};

static struct function *functions;
static unsigned int function_count, function_room;
static struct function nowhere = {.name = "(no symbol)"};
static struct frame frames[MAX_DEPTH];
static unsigned int depth, overflows;

bool profile_add(uint32_t start, uint32_t size, const char *name) {
    if (function_count == function_room) {
        function_room = function_room ? 2 * function_room : 256;
        struct function *grown = realloc(functions, function_room * sizeof *functions);
        if (!grown)
            return false;
        functions = grown;
    }
    functions[function_count] = (struct function){.start = start & ~1u, .size = size, .name = strdup(name)};
    return functions[function_count++].name != NULL;
}

static int by_address(const void *a, const void *b) {
    const struct function *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

void profile_prepare(void) {
    if (function_count)
        qsort(functions, function_count, sizeof *functions, by_address);
}

struct function *profile_find(uint32_t address) {
    unsigned int low = 0, high = function_count;
    while (low < high) {
        unsigned int middle = (low + high) / 2;
        if (functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low && address - functions[low - 1].start < functions[low - 1].size)
        return &functions[low - 1];
    return &nowhere;
}

static void enter(struct function *function, uint32_t return_address, bool tail, struct moment now) {
    function->calls++;
    if (depth == MAX_DEPTH) {
        overflows++;
        return;
    }
    frames[depth++] = (struct frame){function, return_address, tail, now};
    function->active++;
}

static void leave(struct moment now) {
    struct frame *top = &frames[--depth];
    /* Of a recursion only the outermost frame counts, or its cycles would be counted once a level. */
    if (--top->function->active == 0) {
        top->function->inclusive_cycles += (uint64_t)(now.cycles - top->entered.cycles);
        top->function->inclusive_instructions += now.instructions - top->entered.instructions;
    }
}

/* Close the top frame and all that it stands in for. */
static void leave_chain(struct moment now) {
    bool tail;
    do {
        tail = frames[depth - 1].tail;
        leave(now);
    } while (tail && depth);
}

/* A jump to the start of another function. Where that one is in the same chain of tail calls already (functions that
 * jump to each other in a loop), the chain ends there, so that it cannot grow without end. */
static void enter_by_tail_call(struct function *function, struct moment now) {
    for (unsigned int d = depth; d-- > 0 && frames[d].tail;)
        if (frames[d].function == function) {
            while (depth > d)
                leave(now);
            break;
        }
    enter(function, depth ? frames[depth - 1].return_address : 0, depth > 0, now);
}

void profile_transfer(const struct block *from, const struct block *to, bool taken, struct moment now) {
    if (!taken)
        return;
    if (from->ends_call) {
        enter(to->function, from->fall_through, false, now);
    } else if (from->may_return && depth && frames[depth - 1].return_address == to->start) {
        leave_chain(now);
    } else if (to->is_entry && to->function != from->function && to->function != &nowhere) {
        enter_by_tail_call(to->function, now);
    } else if (from->may_return) {
        /* longjmp, or a return that skips frames: unwind to the frame that returns there, if any. */
        for (unsigned int d = depth; d-- > 0;)
            if (frames[d].return_address == to->start && !frames[d].tail) {
                while (depth > d)
                    leave(now);
                break;
            }
    }
}

void profile_finish(struct moment now) {
    while (depth)
        leave(now);
}

static void write_function(FILE *out, const struct function *f, const char *separator) {
    fprintf(out,
            "%s\n  {\"name\": \"%s\", \"address\": %u, \"calls\": %llu, \"instructions\": %llu, \"cycles\": %llu, "
            "\"inclusive_cycles\": %llu, \"inclusive_instructions\": %llu}",
            separator, f->name, f->start, (unsigned long long)f->calls, (unsigned long long)f->instructions,
            (unsigned long long)f->self_cycles, (unsigned long long)f->inclusive_cycles,
            (unsigned long long)f->inclusive_instructions);
}

void profile_write(FILE *out) {
    const char *separator = "";
    fprintf(out, "\"functions\": [");
    for (unsigned int i = 0; i < function_count; i++)
        if (functions[i].instructions || functions[i].calls) {
            write_function(out, &functions[i], separator);
            separator = ",";
        }
    if (nowhere.instructions)
        write_function(out, &nowhere, separator);
    fprintf(out, "]");
}

unsigned int profile_depth_overflows(void) {
    return overflows;
}
