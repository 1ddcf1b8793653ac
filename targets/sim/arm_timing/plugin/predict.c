/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Branch prediction of the scoreboard pipes: a two-bit counter a branch, the last target of an indirect one, and a
 * return stack that is always right. */
#include "timing.h"

int64_t predict_branch(struct block *b, bool taken, uint32_t target) {
    if (b->end == END_NONE)
        return 0;
    if (b->insns[b->count - 1].cls == C_LOOP_END)
        return taken ? core.rules[R_LOOP_OVERHEAD] : core.rules[R_MISPREDICT];
    if (!core.rules[R_PREDICTOR])
        return taken ? (b->end <= END_DIRECT ? core.rules[R_TAKEN_BRANCH] : core.rules[R_MISPREDICT_INDIRECT]) : 0;
    if (b->end == END_CONDITIONAL) {
        bool predicted = b->counter >= 2;
        if (taken && b->counter < 3)
            b->counter++;
        else if (!taken && b->counter > 0)
            b->counter--;
        return predicted != taken ? core.rules[R_MISPREDICT] : taken ? core.rules[R_TAKEN_BRANCH] : 0;
    }
    if (!taken)
        return 0;
    bool known = b->end == END_DIRECT || b->may_return || b->last_target == target;
    b->last_target = target;
    return core.rules[known ? R_TAKEN_BRANCH : R_MISPREDICT_INDIRECT];
}
