/* manifest -- read a plugin's manifest from its file without loading it. */
#ifndef PLUGIN_MANIFEST_H
#define PLUGIN_MANIFEST_H

#include <broker/plugin.h>

/* Read the manifest of the library at path into *out.
 * Returns BROKER_OK, or a negative code with one sentence in why. */
broker_rc manifest_read(const char *path, broker_manifest *out, char *why, size_t why_len);

/* The same over the bytes of a library. */
broker_rc manifest_parse(const void *bytes, size_t len, broker_manifest *out, char *why,
                         size_t why_len);

/* Whether this host can run a plugin with manifest m; if not, why says what
 * was found, what was needed and what to do about it. */
broker_rc manifest_check(const broker_manifest *m, char *why, size_t why_len);

#endif
