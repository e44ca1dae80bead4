/* parts -- what the files of fetch share. Not for others. */
#ifndef FETCH_PARTS_H
#define FETCH_PARTS_H

#include "fetch/fetch.h"
#include "run/metrics.h"

#include <curl/curl.h>

#define FETCH_RUNNING    64u
#define FETCH_WAITING    1024u
#define FETCH_TIMEOUT_MS 30000u
#define FETCH_TICK_MS    100u
#define FETCH_CONNECT_MS 10000l
#define FETCH_REDIRECTS  5l
#define FETCH_ANSWER     (16u << 20)

typedef enum fetch_result {
    FETCH_OK,
    FETCH_FAILED,
    FETCH_CANCELLED,
    FETCH_REFUSED,
    FETCH_RESULTS
} fetch_result;

struct broker_fetch_job {
    fetcher *f;
    broker_fetch_job *next, **link; /* in f->waiting or f->running */
    ledger *owner;                  /* NULL: cancelled, nobody hears of it */
    bool running;
    CURL *easy;
    struct curl_slist *headers;
    uint64_t deadline_ms, max_answer, got;
    void *self;
    void (*on_part)(void *self, broker_bytes part);
    void (*on_done)(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why);
    uint8_t *body;
    size_t len, cap;
    bool too_long, no_memory;
    char why[CURL_ERROR_SIZE];
};

struct fetcher {
    loop *loop;
    CURLM *multi;
    uv_timer_t timer; /* libcurl's */
    uv_timer_t tick;  /* while jobs wait: for those that are late */
    unsigned handles; /* of uv, not closed yet */
    bool inside;      /* libcurl is calling: its handles may not be touched */
    bool closing, posted;
    loop_call call;
    broker_fetch_job *running, *waiting, **waiting_end;
    unsigned n_running, n_waiting;
    void (*closed)(void *arg);
    void *closed_arg;
    metric *results[FETCH_RESULTS], *running_now, *waiting_now;
};

/* fetch.c */
void job_done(broker_fetch_job *job, CURLcode code);
/* Begin what waits, as long as there is room; end what was cancelled. */
void fetch_step(fetcher *f);
void fetch_post(fetcher *f);
/* End what has waited too long for its turn. */
void fetch_late(fetcher *f);

/* multi.c: libcurl and the loop */
void tick_start(fetcher *f);
void multi_open(fetcher *f);
/* All fetches are gone. */
void multi_close(fetcher *f);
void handle_gone(fetcher *f);

#endif
