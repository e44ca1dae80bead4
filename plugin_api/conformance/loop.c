/* loop -- the kit's event loop, two workers, and a clock that jumps.
 *
 * The loop is the main thread, inside kit_run(). Nothing ever waits for time to pass:
 * when no event and no job is left, the clock goes to the next timer. */
#include "kit.h"

#define WORKERS 2u

typedef struct event {
    struct event *next;
    void (*fn)(void *arg);
    void *arg;
    const void *owner; /* jobs: whose, in which lane */
    uint32_t lane;
} event;

typedef struct queue {
    event *first, **last;
} queue;

struct kit_timer {
    kit_timer *next;
    uint64_t due_ms, every_ms;
    void (*on_time)(void *arg);
    void *arg;
};

_Thread_local role thread_role;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t for_loop = PTHREAD_COND_INITIALIZER;
static pthread_cond_t for_workers = PTHREAD_COND_INITIALIZER;
static queue events = {NULL, &events.first}; /* under lock */
static queue waiting = {NULL, &waiting.first};
static queue late = {NULL, &late.first}; /* under lock */
static bool holding;                     /* under lock */
static event *running[WORKERS];          /* under lock */
static unsigned busy;                    /* jobs waiting or running; under lock */
static atomic_ullong ahead;              /* ms the clock has jumped */
static kit_timer *timers;                /* [loop] */

static void queue_put(queue *q, event *e)
{
    e->next = NULL;
    *q->last = e;
    q->last = &e->next;
}

static event *queue_cut(queue *q, event **at)
{
    event *e = *at;

    *at = e->next;
    if (q->last == &e->next)
        q->last = at;
    return e;
}

/* ---- workers ---- */

static bool lane_is_busy(const event *e)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (running[i] != NULL && e->lane != 0 && running[i]->lane == e->lane &&
            running[i]->owner == e->owner)
            return true;
    return false;
}

static event *job_next(void)
{
    for (event **at = &waiting.first; !holding && *at != NULL; at = &(*at)->next)
        if (!lane_is_busy(*at))
            return queue_cut(&waiting, at);
    return NULL;
}

static void *work(void *arg)
{
    event **mine = arg;

    thread_role = ROLE_WORKER;
    pthread_mutex_lock(&lock);
    for (;;) {
        event *e = job_next();

        if (e == NULL) {
            pthread_cond_wait(&for_workers, &lock);
            continue;
        }
        *mine = e;
        pthread_mutex_unlock(&lock);
        e->fn(e->arg);
        pthread_mutex_lock(&lock);
        *mine = NULL;
        free(e);
        busy--;
        pthread_cond_broadcast(&for_workers); /* its lane is free */
        pthread_cond_signal(&for_loop);
    }
    return NULL;
}

void kit_submit(const void *owner, uint32_t lane, void (*run)(void *arg), void *arg)
{
    event *e = must_alloc(sizeof *e);

    *e = (event){NULL, run, arg, owner, lane};
    pthread_mutex_lock(&lock);
    queue_put(&waiting, e);
    busy++;
    pthread_cond_signal(&for_workers);
    pthread_mutex_unlock(&lock);
}

/* ---- loop ---- */

static void post(void (*fn)(void *arg), void *arg, bool is_late)
{
    event *e = must_alloc(sizeof *e);

    *e = (event){NULL, fn, arg, NULL, 0};
    pthread_mutex_lock(&lock);
    queue_put(is_late && holding ? &late : &events, e);
    pthread_cond_signal(&for_loop);
    pthread_mutex_unlock(&lock);
}

void kit_loop_init(void)
{
    thread_role = ROLE_LOOP;
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_t t;

        must(pthread_create(&t, NULL, work, &running[i]) == 0);
        pthread_detach(t);
    }
}

void kit_post(void (*fn)(void *arg), void *arg)
{
    post(fn, arg, false);
}

void kit_post_late(void (*fn)(void *arg), void *arg)
{
    post(fn, arg, true);
}

void kit_hold(bool on)
{
    pthread_mutex_lock(&lock);
    holding = on;
    while (!on && late.first != NULL)
        queue_put(&events, queue_cut(&late, &late.first));
    pthread_cond_broadcast(&for_workers);
    pthread_mutex_unlock(&lock);
}

uint64_t kit_now_ms(void)
{
    return clock_mono_ns() / 1000000 + ahead;
}

int64_t kit_clock_ms(void)
{
    return clock_wall_ms() + (int64_t)ahead;
}

kit_timer *kit_timer_new(uint64_t first_ms, uint64_t every_ms, void (*on_time)(void *arg),
                         void *arg)
{
    kit_timer *t = must_alloc(sizeof *t);

    *t = (kit_timer){timers, kit_now_ms() + first_ms, every_ms, on_time, arg};
    timers = t;
    return t;
}

void kit_timer_free(kit_timer *t)
{
    kit_timer **at = &timers;

    while (*at != t) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = t->next;
    free(t);
}

/* Fire the timer that is due first, if that is before until_ms. */
static bool timer_fire(uint64_t until_ms)
{
    kit_timer *first = NULL;
    uint64_t now = kit_now_ms();

    for (kit_timer *t = timers; t != NULL; t = t->next)
        if (t->due_ms <= until_ms && (first == NULL || t->due_ms < first->due_ms))
            first = t;
    if (first == NULL)
        return false;
    /* At least a little, or a timer that sets itself anew would never let the clock go on. */
    ahead += first->due_ms > now ? first->due_ms - now : 1;
    first->due_ms = first->every_ms != 0 ? kit_now_ms() + first->every_ms : UINT64_MAX;
    first->on_time(first->arg); /* may free it */
    return true;
}

void kit_run(uint64_t ahead_ms)
{
    uint64_t until_ms = kit_now_ms() + ahead_ms;

    for (;;) {
        event *e;

        pthread_mutex_lock(&lock);
        while (events.first == NULL && busy != 0 && !holding)
            pthread_cond_wait(&for_loop, &lock);
        e = events.first != NULL ? queue_cut(&events, &events.first) : NULL;
        pthread_mutex_unlock(&lock);
        if (e != NULL) {
            e->fn(e->arg);
            free(e);
        } else if (!timer_fire(until_ms)) {
            return;
        }
    }
}
