/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef THIMBLE_CONFIG_H
#define THIMBLE_CONFIG_H

#include "timing.h"

struct config {
    int memory;                         /* 0: only blocks are followed, no access */
    unsigned int stack_low, stack_high; /* the stack grows down from stack_high */
    unsigned int trace_low, trace_high; /* addresses to trace, or an empty range */
    unsigned long trace_limit;          /* lines */
    char trace_file[1024];
};

extern struct config config;

#endif
