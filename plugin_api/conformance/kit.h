/* kit -- the recording host: one plugin instance's view of a broker, all in memory.
 *
 * One child process runs one check, on one kit after another (or two at once, for a swap).
 * The main thread is the loop, two threads are workers (loop.c), and the clock jumps ahead
 * when nothing is left to do. What a plugin does wrong becomes a finding, at once.
 *
 * Objects that a plugin got (subscriptions, requests ...) live until kit_free(), so that a
 * stale pointer is recognised. */
#ifndef CONFORMANCE_KIT_H
#define CONFORMANCE_KIT_H

#include "base/base.h"
#include "calls.h"

#include <broker/plugin.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

typedef enum phase {
    PHASE_NEW,
    PHASE_CREATE, /* inside create() */
    PHASE_CREATED,
    PHASE_RUNNING, /* from start() on */
    PHASE_QUIET,   /* quiesce() said OK */
    PHASE_GONE,    /* destroy() has returned */
} phase;

/* What every object that is handed to a plugin begins with. */
typedef struct object {
    struct object *next;
    struct kit *kit;
    uint32_t magic;
    void (*free)(struct object *o);
} object;

typedef struct kit {
    broker_ctx ctx; /* first */
    phase phase;    /* [loop] writes */
    const char *name;
    json_t *section; /* borrowed */
    pthread_mutex_t lock;
    object *objects; /* under lock */
    char *why;       /* what fail() was told last; under lock */
    atomic_uint counts[CALL_KINDS];

    const char *missing; /* service id that is not there */
    call failing;        /* with fail_nth != 0 */
    unsigned fail_nth;
    bool failed; /* the call was made to fail */

    /* What is in flight; all zero when quiet. */
    atomic_int jobs, requests, unsettled, messages, bufs, admissions, checks, fetches, entered,
        conns;
    unsigned outcome, fetch_result; /* [loop] which comes next */
    const broker_carrier *carrier;  /* [loop] */
    uint64_t origin;
} kit;

/* ---- Findings ---- */

/* A promise that was not kept, one sentence. [any] */
void finding(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned findings(void);
/* What is going on, for findings and crashes: "with the state cut to 3 bytes".
 * [loop] */
void scene_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void scene_end(void);
/* Crashes and hangs become findings too; the process ends after limit_s. */
void findings_watch(unsigned limit_s);

/* The callback this thread is inside of, or NULL. */
extern _Thread_local const char *inside;
#define CROSS(callback, call)                                                                      \
    do {                                                                                           \
        const char *outer_ = inside;                                                               \
        inside = (callback);                                                                       \
        call;                                                                                      \
        inside = outer_;                                                                           \
    } while (0)

/* ---- Kits ---- */

kit *kit_new(const char *name, json_t *section);
/* Everything it handed out is freed; nothing of it may be in flight. */
void kit_free(kit *k);
/* What is still in flight, as one sentence, or NULL. The caller frees. */
char *kit_held(kit *k);
/* The host's part of taking a build out: registrations end. */
void kit_forget(kit *k);

/* Every function of a service begins here: the thread, the moment and the count. Returns
 * true when the call is to fail. [any] */
bool called(kit *k, call which);
/* The same for a call on an object; NULL: no such object, and the finding is made. */
kit *called_on(const void *o, uint32_t magic, call which);
/* After called_on(): whether this call is to fail. */
bool call_failed(const kit *k, call which);
static inline kit *kit_of(broker_ctx *ctx)
{
    return (kit *)(void *)ctx;
}
/* As the host: why is what the plugin's failure will be shown with. */
broker_rc refuse(kit *k, call which);

void object_init(kit *k, object *o, uint32_t magic, void (*free_it)(object *o));

/* Whether a struct that the plugin filled in says its size. */
bool size_is_said(uint32_t size, size_t at_least, const char *what);

/* ---- Loop, workers, clock (loop.c) ---- */

typedef enum role { ROLE_STRANGER, ROLE_LOOP, ROLE_WORKER } role;
extern _Thread_local role thread_role;

void kit_loop_init(void);
/* fn(arg) on the loop, later. [any] */
void kit_post(void (*fn)(void *arg), void *arg);
/* The same for what tells of an end. It, and jobs that have not begun, wait while
 * kit_hold(true) holds them back. [any] */
void kit_post_late(void (*fn)(void *arg), void *arg);
void kit_hold(bool on);
/* Run what is there, and what comes of it: until nothing is left but timers that are due
 * later than ahead_ms from now. The clock jumps there. */
void kit_run(uint64_t ahead_ms);
uint64_t kit_now_ms(void);
int64_t kit_clock_ms(void);
/* run(arg) on a worker; jobs of one lane (not 0) of one owner in order. [any] */
void kit_submit(const void *owner, uint32_t lane, void (*run)(void *arg), void *arg);
typedef struct kit_timer kit_timer;
kit_timer *kit_timer_new(uint64_t first_ms, uint64_t every_ms, void (*on_time)(void *arg),
                         void *arg);
void kit_timer_free(kit_timer *t);

/* ---- What services offer to checks ---- */

/* Messages to every subscription: kinds of contents, n rounds. [loop] */
void bus_traffic(kit *k, unsigned rounds);
/* A message on the bus, held once. */
broker_msg *message_new(kit *k, broker_str pattern, uint32_t partition, unsigned kind);
void message_drop(broker_msg *m);
broker_buf *buffer_new(kit *k, const void *bytes, size_t len);
void buffer_drop(broker_buf *b);
void bus_begin(kit *k, unsigned rounds); /* they are on their way */
/* Requests to every route: whole, in parts, left midway. */
void http_traffic(kit *k);
void http_begin(kit *k);      /* one each, on their way */
void http_begin_held(kit *k); /* half of their bodies, and of their answers' */
void http_finish(kit *k);
/* Interest, outgoing messages, signature checks, connections. */
void transport_traffic(kit *k);
void verify_traffic(kit *k);
void net_traffic(kit *k);
/* Registrations end. */
void kit_forget_bus(kit *k);
void kit_forget_work(kit *k);
void kit_forget_http(kit *k);
void kit_forget_registry(kit *k);
void kit_forget_net(kit *k);

/* A writer as the host's: at most room bytes at a time, unless it is empty. */
typedef struct kit_writer {
    broker_writer w;
    sb bytes;
    size_t room, reserved;
} kit_writer;
void writer_init(kit_writer *w, size_t room);

extern const broker_config kit_config;
extern const broker_bus kit_bus;
extern const broker_transport kit_transport;
extern const broker_verify kit_verify;
extern const broker_http kit_http;
extern const broker_access kit_access;
extern const broker_net kit_net;
extern const broker_fetch kit_fetch;
extern const broker_work kit_work;
extern const broker_metrics kit_metrics;
extern const broker_registry kit_registry;
extern const broker_sign kit_sign;
extern const broker_node kit_node;

/* Every service there is. */
typedef struct kit_service {
    const char *id;
    const void *table;
} kit_service;
extern const kit_service kit_services[];
extern const size_t kit_n_services;

/* The key that signs, and its address. */
extern const uint8_t kit_key[32];
const char *kit_address(void); /* "0x..." */

#endif
