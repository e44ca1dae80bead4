/* parts -- what the files of the guest share. Not for others. */
#ifndef GUEST_PARTS_H
#define GUEST_PARTS_H

#include "bus/msg.h"
#include "http/part.h"
#include "http/target.h"
#include "isolate/channel.h"
#include "isolate/words.h"
#include "pack/pack.h"
#include "plugin/build.h"
#include "run/watchdog.h"

#define INPUT_SLOTS   4096u
#define REQUEST_SLOTS 1024u

/* Numbers for what the node is told of, from 1; one is given again when all others have been. */
typedef struct numbers {
    void **items; /* by number */
    uint32_t cap, last;
} numbers;

/* A part of the node's configuration. */
typedef struct shared_text {
    char *path, *text;
} shared_text;

/* An admission or publication without outcome. */
typedef struct input {
    struct input *next;
    uint64_t id;
    size_t cost, n;
    void (*done)(void *arg, const broker_outcome *outcomes, size_t n);
    void (*published)(void *arg, const broker_msg *msg, const broker_outcome *outcome);
    void *arg;
} input;

typedef struct watch watch;

typedef struct room_wish {
    struct room_wish *next;
    void (*room)(void *arg);
    void *arg;
} room_wish;

/* All [loop] but where said. */
typedef struct guest {
    loop *loop;
    pool *pool;
    channel *frames; /* [any] to send */
    net *net;
    fetcher *fetcher;
    host_parts parts;
    char *data_dir;
    build *build;                 /* set before the plugin runs; [any] */
    bool created, ready, leaving; /* create() was called; it was well */
    bool parked;                  /* its sockets, for as long as the node asks it to be quiet */
    uv_timer_t calm, tick, last;  /* unpark; metrics; wait for what still runs */
    uv_timer_t hush;              /* wait for what still runs, before it is said to be quiet */
    bool hushed, hush_told;       /* quiesce() was well, and that is not said; what it holds is */
    uint64_t hush_ms;             /* since when */
    sb state;                     /* that quiesce() wrote */
    loop_call over;
    watch *watch;
    watchdog
        *watchdog; /* names who keeps the loop; the node ends the process when it does too long */

    uv_mutex_t ask_lock;
    bool asks_over;      /* under ask_lock */
    uint8_t address[20]; /* under ask_lock */
    bool has_address;    /* under ask_lock */

    shared_text *shared; /* from create() on constant; [any] */
    uint32_t n_shared;
    bool keys;

    numbers subs, routes;
    broker_sub *ended;   /* by us: the plugin may still name them until nothing of it runs */
    atomic_uint quieted; /* how often all subscriptions were over */

    uv_mutex_t input_lock;
    input *inputs[INPUT_SLOTS]; /* under input_lock */
    uint64_t last_input;        /* the same         */
    size_t under_way;           /* the same; bytes  */
    room_wish *rooms, **last_room;
    loop_call room;
    bool room_posted;

    broker_req *requests[REQUEST_SLOTS];
    size_t n_requests;

    broker_metric *metrics;
    uint32_t n_metrics;
    uv_mutex_t observed_lock;
    struct observed *observed; /* under observed_lock */
    size_t n_observed;         /* the same            */
} guest;

static inline guest *guest_of(broker_ctx *ctx)
{
    return CONTAINER_OF(build_of(ctx)->parts, guest, parts);
}

static inline broker_bytes bytes_of(const sb *s)
{
    return (broker_bytes){(const uint8_t *)s->data, s->len};
}

/* What the node said is not as words.h has it. Ends the process. [any] */
_Noreturn void guest_broken(const char *what);

/* numbers.c */
uint32_t numbers_take(numbers *t, void *what); /* 0: all are taken */
void *numbers_get(const numbers *t, uint32_t number);
void numbers_drop(numbers *t, uint32_t number);
void numbers_done(numbers *t);

/* ask.c */
/* Ask the node and wait. What is asked for is appended to *answer, NULL: not wanted. With a
 * negative result why, if the node said so, is the plugin's failure now. BROKER_EGONE: there is no
 * node any more. [any] */
broker_rc guest_ask(guest *g, uint8_t word, broker_bytes body, sb *answer);

/* subs.c */
void guest_msgs(guest *g, broker_buf *buf, broker_bytes body);
/* Make *m of what came; its bytes stay where they are. */
void guest_msg_fill(msg *m, const words_msg *w);
/* They are over, but for what is not settled yet. */
void guest_subs_end(guest *g);
/* The node is told nothing more of those there were. */
void guest_subs_quiet(guest *g);

/* input.c */
broker_rc guest_admit(broker_ctx *ctx, const broker_admission *what);
broker_rc guest_on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg);
broker_rc guest_publish(broker_ctx *ctx, const broker_publication *what);
void guest_input_init(guest *g);
void guest_outcomes(guest *g, broker_buf *buf, broker_bytes body);
void guest_published(guest *g, broker_buf *buf, broker_bytes body);
void guest_rooms_end(guest *g);
void guest_input_done(guest *g);

/* requests.c */
void guest_request(guest *g, broker_buf *buf, broker_bytes body);
void guest_body(guest *g, broker_buf *buf, broker_bytes body);
void guest_abort(guest *g, broker_buf *buf, broker_bytes body);
void guest_save(guest *g, broker_buf *buf, broker_bytes body);
void guest_routes_end(guest *g);
/* Nothing of the requests that are open is wanted any more. */
void guest_requests_end(guest *g);

/* answers.c */
void guest_taken(guest *g, broker_buf *buf, broker_bytes body);
void guest_close(guest *g, broker_buf *buf, broker_bytes body);

/* metrics.c */
void guest_metrics_init(guest *g);
void guest_metrics_tell(guest *g); /* what has gathered */
void guest_metrics_done(guest *g);

/* tables.c */
const service_entry *guest_services(void);
extern const broker_bus guest_bus;         /* subs.c     */
extern const broker_http guest_http;       /* requests.c */
extern const broker_metrics guest_metrics; /* metrics.c  */
/* OK, or why the node has no key. [any] */
broker_rc guest_address(guest *g, uint8_t out[20]);

/* watch.c */
/* End the process when the node has gone, whatever the loop does. */
watch *guest_watch_new(void);
void guest_watch_free(watch *w);

#endif
