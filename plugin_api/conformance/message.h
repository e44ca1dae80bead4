/* message -- see message.c. */
#ifndef CONFORMANCE_MESSAGE_H
#define CONFORMANCE_MESSAGE_H

#include "kit.h"

#include "eth/eth.h"

#define MESSAGE       0x6d657373u
#define MESSAGE_KINDS 7u

typedef struct message {
    object o;
    broker_msg m;
    sb raw;                /* m points into it; empty once nobody may look */
    atomic_int ours, held; /* references of the kit, of the plugin; under the kit's lock */
} message;

/* The message, or NULL and a finding. */
message *message_of(const broker_msg *msg, call which);
void message_take(message *m);

/* The bus table's functions. */
void message_retain(const broker_msg *msg);
void message_release(const broker_msg *msg);
broker_buf *buffer_grant(broker_ctx *ctx, size_t len);
void buffer_retain(broker_buf *buf);
void buffer_release(broker_buf *buf);

void buffer_take(broker_buf *buf);
bool buffer_has(broker_buf *buf, broker_bytes part);

#endif
