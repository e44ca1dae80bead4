/* image -- the plugin's file in this process, loaded as the broker does it. */
#ifndef CONFORMANCE_IMAGE_H
#define CONFORMANCE_IMAGE_H

#include "base/base.h"

#include <broker/plugin.h>

#define IMAGE_MAX (256u << 20) /* bytes of a file */

typedef struct image {
    void *dl;
    const broker_plugin_table *table;
    broker_manifest manifest;
    char *path; /* the copy that is loaded */
} image;

/* Load a private copy. False: why in *why. */
bool image_open(const char *file, image *out, sb *why);
/* Unload it. False: its code stays mapped. */
bool image_close(image *im);

/* ---- Threads and files of this process ---- */

typedef struct census {
    int *items; /* thread or file numbers */
    size_t n;
} census;
census census_of_threads(void);
census census_of_files(void);
void census_done(census *c);
bool census_has(const census *c, int item);

/* Until every thread that is not in known waits in the kernel or is gone, at most two seconds: one
 * that runs shows no stack. */
void threads_wait(const census *known);
/* Whether the stack of a thread leads into the image: it runs its code, or was started to. */
bool thread_is_in(int thread, const image *im);
/* What an open file is, "socket:[123]". */
void file_say(int fd, sb *out);

#endif
