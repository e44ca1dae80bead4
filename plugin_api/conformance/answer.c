/* answer -- the body of an answer that a plugin streams: pulled on a worker, part by part. */
#include "request.h"

#define BODY_MAX   (64u << 20)
#define WRITER_LEN 4096u /* what a pull() may write at a time */

static void close_run(void *arg)
{
    broker_req *q = arg;

    CROSS("close", q->body.close(q->body.self));
    atomic_fetch_sub(&q->o.kit->requests, 1);
}

/* The answer that was streamed beside the body is over, so nobody reads on. */
static void abort_run(void *arg)
{
    broker_req *q = arg;

    if (q->over)
        return;
    q->over = true;
    CROSS("on_abort", q->intake.on_abort(q->intake.self, q));
}

void answer_close(broker_req *q)
{
    bool first;

    pthread_mutex_lock(&q->o.kit->lock);
    first = !q->closed;
    q->closed = true;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (!first)
        return;
    kit_submit(q, 1, close_run, q);
    if (q->received)
        kit_post(abort_run, q);
}

/* [worker] Pulls a part; goes on as the answer says. */
static void pull_run(void *arg)
{
    broker_req *q = arg;
    kit *k = q->o.kit;
    broker_rc rc = BROKER_EIO;
    kit_writer w;
    bool again, gone;

    writer_init(&w, WRITER_LEN);
    CROSS("pull", rc = q->body.pull(q->body.self, &w.w));
    q->n_parts++;
    q->n_bytes += w.bytes.len;
    if (rc == BROKER_OK && w.bytes.len == 0)
        finding("pull() returned BROKER_OK and had written nothing; BROKER_AGAIN waits for wake()");
    pthread_mutex_lock(&k->lock);
    q->pulling = false;
    gone = q->left || (q->plan.leaves && q->n_parts > 1) || q->n_bytes > BODY_MAX ||
           (rc != BROKER_OK && rc != BROKER_AGAIN) || (rc == BROKER_OK && w.bytes.len == 0);
    again = !gone && !q->plan.held && (w.bytes.len != 0 || q->woken);
    q->waiting = !gone && !again;
    pthread_mutex_unlock(&k->lock);
    sb_done(&w.bytes);
    if (gone)
        answer_close(q);
    else if (again)
        answer_pull(q);
}

void answer_pull(broker_req *q)
{
    bool go;

    pthread_mutex_lock(&q->o.kit->lock);
    go = !q->pulling && !q->closed;
    if (go)
        q->pulling = true;
    q->waiting = q->woken = false;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (go)
        kit_submit(q, 1, pull_run, q);
}

void answer_wake(broker_req *q)
{
    bool now;

    if (called_on(q, REQUEST, CALL_http_wake) == NULL)
        return;
    pthread_mutex_lock(&q->o.kit->lock);
    now = q->waiting && !q->closed && !q->plan.held;
    q->woken = true;
    pthread_mutex_unlock(&q->o.kit->lock);
    if (q->end != STREAMED)
        finding("http.wake() was called on a request that does not stream");
    else if (now)
        answer_pull(q);
}
