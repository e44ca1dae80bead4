/* parts -- what the files of the stand-in share. Not for others. */
#ifndef ISOLATE_PARTS_H
#define ISOLATE_PARTS_H

#include "isolate/channel.h"
#include "isolate/child.h"
#include "isolate/slots.h"
#include "isolate/standin.h"

#define PATIENCE_MS 20000u       /* to load, create or start              */
#define QUEUED_MAX  (256u << 20) /* not read by a process that talks on   */

/* How far its process is. */
typedef enum stage {
    AWAY, /* there is none, or one that ends */
    LOADING,
    LOADED,
    CREATED,
    STARTING,
    RUNNING,
    QUIET,   /* quiesce() was OK there */
    LEAVING, /* destroyed; only its end is waited for */
} stage;

/* What was asked of the process by a word that has an answer. */
typedef struct answer {
    enum { UNASKED, ASKED, HERE } state;
    broker_rc rc;
    sb bytes;
} answer;

typedef struct keeper keeper;
typedef struct feed feed;
typedef struct intake intake;
typedef struct path path;
typedef struct call call;

struct standin {
    loop *loop;
    char *name, *version, *data_dir;
    unsigned workers, warn_ms;
    int file;
    char *schema; /* NULL: none */
    char id[41];

    broker_ctx *ctx; /* from create() on; the services too */
    const broker_config *config;
    const broker_bus *bus;
    const broker_http *http;
    const broker_access *access;
    const broker_metrics *metrics;
    const broker_sign *sign;
    const broker_node *node;
    sb create; /* WORD_CREATE, as each process gets it */

    child child;
    channel *frames, *asks; /* NULL: it has none */
    uint64_t process;       /* which one it is: what belongs to an earlier one is dropped */
    stage stage;
    bool over;   /* what a pump waits for has come */
    bool alone;  /* nobody waits: the next step follows by itself */
    bool wanted; /* start() was OK, and what it registered is there: restart it */
    answer result, prepared, quiet;
    uint64_t quiet_ms; /* when it became quiet               */
    sb why;            /* why its process had to be ended    */
    bool troubled;     /* the node was told that it is away  */
    bool down;         /* it ended too often                 */
    bool draining;     /* what its subscriptions get is given up, so that a change can go on */
    keeper *keeper;    /* pings, ends and restarts           */

    feed *feeds;              /* subscriptions                              */
    intake *kept, **kept_end; /* admissions that the bus has no room for    */
    size_t under_way;         /* bytes, against WINDOW_INPUT                */
    bool room_asked;
    path *paths, *old_paths; /* routes; those that were taken out          */
    call *calls;             /* requests                                   */
    slots call_slots;
    ids feed_ids, path_ids, metric_ids;
};

/* What is wrong with a word: the process is ended for it. NULL: nothing. */
typedef const char *fault;

static const broker_bytes no_bytes = {NULL, 0};
static inline broker_bytes sb_bytes(const sb *b)
{
    return (broker_bytes){(const uint8_t *)b->data, b->len};
}

/* standin.c */
/* Another process, which is told what to load. */
bool standin_spawn(standin *s, sb *why);
/* Speak with a process through these sockets, which are taken. */
void standin_connect(standin *s, int frames, int asks);
void standin_send(standin *s, uint8_t word, broker_bytes head, broker_bytes rest);
/* The process is of no use any more: it is ended, and what was under way there gets its outcome.
 * why NULL: it has ended by itself. */
void standin_lose(standin *s, const char *why);
/* The process starts anew and will ask again for what is registered. */
void standin_begin_anew(standin *s);
/* Free what an ended one leaves. */
void standin_bury(standin *s);

/* keeper.c [loop] */
void keeper_begin(standin *s);
void keeper_end(standin *s);
void keeper_started(standin *s);
void keeper_lost(standin *s);    /* its process ends and nobody asked for it */
void keeper_stepped(standin *s); /* a restart has come on                    */
void keeper_pong(standin *s);
void keeper_quiesce(standin *s); /* a restart that is under way is given up  */
void keeper_forget(standin *s);  /* it is not to be started again            */
void keeper_leave(standin *s);   /* wait for the end of its process, then standin_bury() */
void keeper_revive(standin *s);  /* it became quiet, and the host wants it to run on     */

/* messages.c [loop] */
fault messages_word(standin *s, uint8_t word, broker_buf *buf, broker_bytes body);
fault messages_subscribe(standin *s, broker_bytes body, words_result *r, sb *text);
void messages_lost(standin *s);  /* what was taken has failed; subscriptions wait     */
void messages_go_on(standin *s); /* what was not asked for again goes                 */
void messages_drain(standin *s);
void messages_forget(standin *s);
void messages_done(standin *s);

/* requests.c [loop] */
fault requests_word(standin *s, uint8_t word, broker_buf *buf, broker_bytes body);
fault requests_route(standin *s, broker_bytes body, words_result *r, sb *text);
/* No worker speaks to the process any more, in the middle of an answer. */
void requests_hush(standin *s);
void requests_lost(standin *s);
void requests_forget(standin *s);
void requests_done(standin *s);

/* asks.c [loop] */
/* One question; its answer refers to *text. */
fault asks_answer(standin *s, uint8_t word, broker_bytes body, words_result *r, sb *text);
fault asks_metric(standin *s, broker_bytes body);
void asks_lost(standin *s);
void asks_forget(standin *s);

#endif
