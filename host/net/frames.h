/* frames -- WebSocket frames of one connection, on libwslay: bytes in, messages and bytes out.
 *
 * Knows no socket. Outgoing data frames are written by frames_head(), so that the bytes of a
 * message are not copied; control frames come through calls->write. */
#ifndef NET_FRAMES_H
#define NET_FRAMES_H

#include "base/base.h"

#define FRAMES_HEAD_MAX 10

typedef struct frames frames;

typedef struct frames_calls {
    void *self;
    /* One whole message. */
    void (*message)(void *self, const uint8_t *bytes, size_t len, bool text);
    /* Bytes for the peer, to be copied. */
    void (*write)(void *self, const uint8_t *bytes, size_t len);
} frames_calls;

/* A server's end. max_message: bytes; more closes with 1009. */
frames *frames_new(uint32_t max_message, const frames_calls *calls);
void frames_free(frames *f); /* accepts NULL; not from inside a call */

/* Take bytes from the peer. False: nothing more can be read or written. What breaks the rules is
 * answered with a close frame. */
bool frames_feed(frames *f, const uint8_t *bytes, size_t len);
/* The head of an unmasked data frame; its length. */
size_t frames_head(uint8_t out[FRAMES_HEAD_MAX], size_t len, bool text);
void frames_ping(frames *f);
/* Say that it is over; once. */
void frames_close(frames *f, int32_t code, const char *why);
bool frames_close_sent(const frames *f);
bool frames_close_received(const frames *f);
/* The code the peer closed with, or we did; 1006: nobody said. */
int32_t frames_code(const frames *f);
/* What the peer gave as the reason; "" when nothing. */
const char *frames_why(const frames *f);

#endif
