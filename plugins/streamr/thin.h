/* thin -- stream parts by way of proxies alone. */
#ifndef STREAMR_THIN_H
#define STREAMR_THIN_H

#include "control/entry.h"
#include "rpc/rpc.h"

typedef struct thin thin;
typedef void (*thin_message)(void *arg, pb_bytes part, pb_bytes raw);

thin *thin_new(peers *p, const pb_bytes *proxies, size_t n, thin_message on_message, void *arg);
void thin_free(thin *t);
void thin_join(thin *t, pb_bytes part);
void thin_leave(thin *t, pb_bytes part);
void thin_publish(thin *t, pb_bytes part, pb_bytes raw);

#endif
