/* SPDX-License-Identifier: 0BSD */
/* Files, console and exit on the host, by the operations of Arm semihosting (Arm document "Semihosting for AArch32
 * and AArch64"). host_call.h says how a call reaches the host: an Arm chip needs QEMU, or a debugger with semihosting
 * switched on, and stops at the first call without one. No stdio, no heap, no state. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

/* Modes of semihosting_open: fopen's "rb" and "wb". */
#define SEMIHOSTING_READ 1u
#define SEMIHOSTING_WRITE 5u

/* Opens a file in the host's working directory; returns its handle, or -1. */
int32_t semihosting_open(const char *path, uint32_t mode);

/* Closes a file; returns 0, or -1. What was written is on the host's disk only after this. */
int32_t semihosting_close(int32_t handle);

/* Reads up to `bytes` bytes into `data`; returns the bytes read, 0 at the end of the file, -1 on an error. */
int32_t semihosting_read(int32_t handle, void *data, uint32_t bytes);

/* Moves to byte `position` of the file, from where the next read goes on; returns 0, or -1. */
int32_t semihosting_seek(int32_t handle, uint32_t position);

/* Writes `bytes` bytes of `data`; returns 0, or -1 where not all of them were written. */
int32_t semihosting_write(int32_t handle, const void *data, uint32_t bytes);

/* Prints text, an unsigned number, or a number in hexadecimal with 0x on the host's console. */
void semihosting_write0(const char *text);
void semihosting_write_u32(uint32_t value);
void semihosting_write_hex(uint32_t value);

/* Ends the simulation or stops the debugger with an exit code of 0 (success) to 255, which stands for all
 * others too. Never returns. */
__attribute__((noreturn)) void semihosting_exit(int32_t code);

#endif
