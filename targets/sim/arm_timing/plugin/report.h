/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef THIMBLE_REPORT_H
#define THIMBLE_REPORT_H

/* Write what the run counted as JSON to `path`. */
void report_write(const char *path);

#endif
