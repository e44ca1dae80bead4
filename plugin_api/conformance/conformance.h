/* conformance -- whether a plugin keeps the promises of broker/plugin.h.
 *
 * Each check runs in a process of its own, so that a crash or a hang is a finding. There
 * the plugin meets the recording host of kit.h instead of the broker. */
#ifndef CONFORMANCE_CONFORMANCE_H
#define CONFORMANCE_CONFORMANCE_H

/* Run all checks, or the one named, on the plugin file with the section config (JSON text).
 * A line each on standard output; returns 0 when all are ok, 1 when not, 2 when there is no
 * such check. */
int conformance_check(const char *file, const char *config, const char *only);

/* Print the checks and what each is about. */
void conformance_list(void);

/* The child: run one check, write findings to CONFORMANCE_FD. Returns the exit status. */
int conformance_child(const char *check, const char *file, const char *config);

#define CONFORMANCE_FD 3

#endif
