/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thimble's timing plugin for QEMU: what QEMU calls. Arguments: config=FILE,out=FILE. */
#include "blocks.h"
#include "config.h"
#include "engine.h"
#include "qemu_api.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = 1;

static char out_path[1024];

static void on_block(unsigned int vcpu, void *userdata) {
    (void)vcpu;
    engine_enter(userdata);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *userdata) {
    (void)vcpu;
    engine_access(userdata, (uint32_t)address, 1u << qemu_plugin_mem_size_shift(info), qemu_plugin_mem_is_store(info));
}

/* With memory modelling off: only whether a conditional access happened. */
static void on_conditional_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *userdata) {
    (void)vcpu, (void)info, (void)address;
    engine_executed(userdata);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *b = block_begin((uint32_t)qemu_plugin_tb_vaddr(tb), count);
    (void)id;
    if (!b)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *q = qemu_plugin_tb_get_insn(tb, i);
        struct insn *in = block_decode(b, i, (uint32_t)qemu_plugin_insn_vaddr(q), qemu_plugin_insn_data(q));
        if (config.memory)
            qemu_plugin_register_vcpu_mem_cb(q, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, in);
        else if (in->conditional_memory)
            qemu_plugin_register_vcpu_mem_cb(q, on_conditional_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, in);
    }
    block_end(b);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, b);
}

static void on_exit_report(qemu_plugin_id_t id, void *userdata) {
    (void)id, (void)userdata;
    engine_finish();
    report_write(out_path);
    engine_stop();
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    bool configured = false;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "config=", 7))
            configured = config_read(argv[i] + 7);
        else if (!strncmp(argv[i], "out=", 4))
            snprintf(out_path, sizeof out_path, "%s", argv[i] + 4);
    }
    if (!configured || !out_path[0] || !engine_start())
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_report, NULL);
    return 0;
}
