/* format -- one stored message in the form a client asked for. Pure, [any].
 *
 * The two object forms: spec "Log Store node" 1.2 (/stores) and "Streamr storage API"
 * 1.8 (/streams). They number enums differently. */
#ifndef LOGSTORE_FORMAT_H
#define LOGSTORE_FORMAT_H

#include "base/base.h"

#include <broker/plugin.h>

/* Bytes that the object of a message of raw_len bytes can take at most. */
size_t format_object_max(size_t raw_len);
/* Write the object at to; the end. */
char *format_store_object(char *to, const broker_msg *m);
char *format_stream_object(char *to, const broker_msg *m);

#endif
