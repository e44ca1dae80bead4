/* channel -- frames over a socket between two processes.
 *
 * What is sent is gathered and leaves when the loop waits again; sending never blocks, so whoever
 * sends keeps to a window of its own. A frame that arrives lies in a counted block: who wants its
 * bytes for longer retains that. */
#ifndef ISOLATE_CHANNEL_H
#define ISOLATE_CHANNEL_H

#include "isolate/words.h"
#include "run/buf.h"
#include "run/loop.h"

typedef struct channel channel;

typedef struct channel_calls {
    void *arg;
    /* [loop] The channel may be closed inside. */
    void (*on_frame)(void *arg, uint8_t word, broker_buf *buf, broker_bytes body);
    /* [loop] The other side is gone, or what came is no frame. Once; nothing follows. */
    void (*on_gone)(void *arg, const char *why);
} channel_calls;

/* Takes the socket. Nothing is read before channel_watch() or channel_pump(). [any] */
channel *channel_new(int fd, const channel_calls *calls);
/* From now on frames arrive on the loop. [loop] */
void channel_watch(channel *c, loop *l);
/* A frame; its body in two parts, either may be empty. [any] */
void channel_send(channel *c, uint8_t word, broker_bytes head, broker_bytes rest);
/* Bytes that have not left yet. [any] */
size_t channel_queued(channel *c);
/* Send, and let frames arrive, of all n channels, without the loop: until *over or for so long;
 * those first in the list come first. Whether *over. [the thread of their loop] */
bool channel_pump(channel *const *list, size_t n, const bool *over, uint64_t ms);
/* Close the socket and free. No callback follows. NULL is fine. [loop] */
void channel_free(channel *c);

#endif
