/* answer -- query requests and their bodies: a cursor, told in the form asked for.
 *
 * A body holds a snapshot and no more than one message; it is as long as the range. */
#include "format.h"
#include "handover.h"
#include "logstore.h"
#include "query.h"
#include "readers.h"
#include "streamr/streamr.h"
#include "v8.h"

typedef enum framing {
    FRAMED_RAW,    /* u32 length, protobuf */
    FRAMED_STORE,  /* {"messages":[...],"metadata":{...}} */
    FRAMED_STREAM, /* [...] */
    FRAMED_LINES,  /* one object a line */
    FRAMED_BARE,   /* objects with nothing between, as the reference's event stream */
    FRAMED_V8,     /* an array a line, for streamr-client 8 */
} framing;

/* Whose API a request is of. */
typedef enum root { ROOT_STORES, ROOT_STREAMS, ROOT_V8 } root;

typedef struct answer {
    logstore *l;
    query query;
    sb stream, chain; /* copies; the query points to chain */
    uint32_t partition;
    cursor *cursor; /* opened by the first pull(): finding its start may take a while */
    framing framing;
    bool limited, paged, began, has_next, ending; /* paged: by limit=, not by count */
    uint64_t limit, told;
    sb line;        /* FRAMED_V8 */
    uint64_t unfit; /* messages that streamr-client 8 cannot be told */
    /* a message read and not yet written: the writer was full */
    bool pending;
    broker_bytes raw;
    int64_t timestamp_ms;
    int32_t sequence;
    /* another build began it, and its cursor stood there */
    sb place;
    bool inclusive;
} answer;

/* 1: a->raw is the next message; 0: no more; -1: damaged. */
static int message_next(answer *a)
{
    int64_t before_ms = a->timestamp_ms;
    int32_t before = a->sequence;
    bool full;
    int found;

    if (a->pending)
        return 1;
    if (a->ending)
        return 0;
    found = cursor_next(a->cursor, &a->raw, &a->timestamp_ms, &a->sequence);
    full = a->limited && a->told >= a->limit;
    /* A page goes on where a timestamp and sequence number say, so it ends between two of them, not
     * among the messages of several publishers at one. */
    if (a->paged && a->told != 0 && before_ms == a->timestamp_ms && before == a->sequence)
        full = false;
    if (found == 1 && full) {
        a->has_next = a->paged;
        found = 0;
    }
    if (found == 0)
        a->ending = true;
    a->pending = found == 1;
    return found;
}

static broker_rc raw_write(answer *a, broker_writer *out)
{
    uint8_t *to = out->reserve(out, 4 + a->raw.len);

    if (to == NULL)
        return BROKER_AGAIN;
    put_u32be(to, (uint32_t)a->raw.len);
    memcpy(to + 4, a->raw.ptr, a->raw.len);
    out->commit(out, 4 + a->raw.len);
    return BROKER_OK;
}

static broker_rc object_write(answer *a, broker_writer *out)
{
    uint8_t *start = out->reserve(out, format_object_max(a->raw.len) + 2);
    char *to = (char *)start;
    broker_msg m;

    if (start == NULL)
        return BROKER_AGAIN;
    if (streamr_decode(a->raw.ptr, a->raw.len, &m) != NULL)
        return BROKER_EIO; /* it could be read when it was stored */
    if (a->told != 0 && (a->framing == FRAMED_STORE || a->framing == FRAMED_STREAM))
        *to++ = ',';
    to = a->framing == FRAMED_STREAM ? format_stream_object(to, &m) : format_store_object(to, &m);
    if (a->framing == FRAMED_LINES) {
        /* Content may have line ends between its tokens; in strings they are escaped. */
        for (char *p = (char *)start; p < to; p++)
            if (*p == '\n' || *p == '\r')
                *p = ' ';
        *to++ = '\n';
    }
    out->commit(out, (size_t)(to - (char *)start));
    return BROKER_OK;
}

/* BROKER_END: it cannot be told to streamr-client 8, and is left out. */
static broker_rc v8_write(answer *a, broker_writer *out)
{
    broker_msg m;
    v8_fit fit;

    if (streamr_decode(a->raw.ptr, a->raw.len, &m) != NULL)
        return BROKER_EIO; /* it could be read when it was stored */
    sb_clear(&a->line);
    fit = v8_line(&m, &a->line);
    if (fit == V8_FITS)
        return out->write(out, a->line.data, a->line.len);
    a->l->metrics->add(a->l->v8_unfit[fit], 1);
    a->unfit++;
    return BROKER_END;
}

static broker_rc message_write(answer *a, broker_writer *out)
{
    if (a->framing == FRAMED_RAW)
        return raw_write(a, out);
    return a->framing == FRAMED_V8 ? v8_write(a, out) : object_write(a, out);
}

static broker_rc head_write(answer *a, broker_writer *out)
{
    static const char *const heads[] = {
        [FRAMED_RAW] = "",     [FRAMED_STORE] = "{\"messages\":[",
        [FRAMED_STREAM] = "[", [FRAMED_LINES] = "",
        [FRAMED_BARE] = "",    [FRAMED_V8] = "",
    };

    a->began = true;
    return out->write(out, heads[a->framing], strlen(heads[a->framing]));
}

static broker_rc tail_write(answer *a, broker_writer *out)
{
    char text[256], next[96] = "";

    if (a->framing == FRAMED_RAW || a->framing == FRAMED_LINES || a->framing == FRAMED_V8)
        return BROKER_OK;
    if (a->framing == FRAMED_STREAM)
        return out->write(out, "]", 1);
    if (a->framing == FRAMED_BARE)
        return out->write(out, "{\"type\":\"metadata\"}", 19);
    if (a->has_next)
        snprintf(next, sizeof next, ",\"nextTimestamp\":%lld,\"nextSequenceNumber\":%d",
                 (long long)a->timestamp_ms, a->sequence);
    snprintf(text, sizeof text,
             "],\"metadata\":{\"hasNext\":%s%s,\"totalMessages\":%llu,\"type\":\"metadata\"}}",
             a->has_next ? "true" : "false", next, (unsigned long long)a->told);
    return out->write(out, text, strlen(text));
}

static cursor *cursor_open(answer *a)
{
    broker_str stream = {a->stream.data, a->stream.len};
    query *q = &a->query;

    if (q->kind == QUERY_LAST && a->place.len == 0)
        return store_last(a->l->store, stream, a->partition, q->count);
    if (q->range.publisher.len != 0)
        q->range.publisher.ptr = q->publisher_bytes;
    q->range.chain = (broker_str){a->chain.data, a->chain.len};
    if (q->nothing)
        q->range.to_ms = -1;
    return store_range_rest(a->l->store, stream, a->partition, &q->range,
                            (broker_bytes){(const uint8_t *)a->place.data, a->place.len},
                            a->inclusive);
}

/* [worker] */
static broker_rc answer_pull(void *self, broker_writer *out)
{
    answer *a = self;
    uint64_t before = a->told;
    broker_rc rc = BROKER_OK;
    int found = 0;

    if (a->cursor == NULL && !a->ending)
        a->cursor = cursor_open(a);
    if (!a->began)
        head_write(a, out);
    while (rc == BROKER_OK && (found = message_next(a)) == 1) {
        rc = message_write(a, out);
        if (rc == BROKER_OK)
            a->told++;
        if (rc == BROKER_OK || rc == BROKER_END) {
            a->pending = false;
            rc = BROKER_OK;
        }
    }
    a->l->metrics->add(a->l->query_messages, (int64_t)(a->told - before));
    if (found < 0 || rc < 0) {
        a->l->metrics->add(a->l->damaged, 1);
        broker_logf(a->l->ctx, BROKER_LOG_ERROR,
                    "a stored message after timestamp %lld is damaged; the answer is cut. Restore "
                    "the store from a backup or import the stream again",
                    (long long)a->timestamp_ms);
        return BROKER_EIO;
    }
    if (rc == BROKER_AGAIN)
        return BROKER_OK;
    rc = tail_write(a, out);
    return rc == BROKER_AGAIN ? BROKER_OK : BROKER_END;
}

/* [worker] A build that goes on has a snapshot of its own: what is stored meanwhile may be told
 * too. */
static broker_rc answer_save(void *self, broker_writer *out)
{
    answer *a = self;
    answer_progress p = {.began = a->began,
                         .ending = a->ending,
                         .has_next = a->has_next,
                         .inclusive = a->pending,
                         .told = a->told,
                         .timestamp_ms = a->timestamp_ms,
                         .sequence = a->sequence};
    broker_bytes place = a->cursor != NULL ? cursor_place(a->cursor) : (broker_bytes){NULL, 0};
    sb bytes = SB_INIT;
    broker_rc rc;

    if (a->cursor == NULL) { /* it was resumed, and nothing was asked of it since */
        place = (broker_bytes){(const uint8_t *)a->place.data, a->place.len};
        p.inclusive = a->inclusive;
    }
    sb_append(&p.key, place.ptr, place.len);
    answer_progress_write(&p, &bytes);
    rc = out->write(out, bytes.data, bytes.len);
    answer_progress_done(&p);
    sb_done(&bytes);
    return rc;
}

static void answer_close(void *self)
{
    answer *a = self;

    if (a->unfit != 0)
        broker_logf(a->l->ctx, BROKER_LOG_DEBUG,
                    "%llu messages of '%s' were left out of an answer: streamr-client 8 could not "
                    "read or verify them",
                    (unsigned long long)a->unfit, a->stream.data);
    cursor_close(a->cursor);
    sb_done(&a->line);
    sb_done(&a->place);
    sb_done(&a->stream);
    sb_done(&a->chain);
    free(a);
}

/* ---- requests ---- */

typedef struct request {
    const broker_http *http;
    broker_req *req;
} request;

static broker_str param_of(void *arg, const char *name)
{
    const request *r = arg;

    return r->http->query(r->req, name);
}

static framing framing_of(const logstore *l, broker_req *req, const query *q, root of)
{
    if (of == ROOT_V8)
        return FRAMED_V8; /* whatever format= says: it has this one */
    if (q->form == FORM_RAW)
        return FRAMED_RAW;
    if (q->streams)
        return FRAMED_STREAM;
    if (accepts(l, req, "text/event-stream"))
        return FRAMED_BARE;
    return accepts(l, req, "application/x-ndjson") ? FRAMED_LINES : FRAMED_STORE;
}

static const char *type_of(const logstore *l, broker_req *req, framing f)
{
    switch (f) {
    case FRAMED_RAW:
        return accepts(l, req, "text/event-stream") ? "text/event-stream"
                                                    : "application/octet-stream";
    case FRAMED_BARE:
        return "text/event-stream";
    case FRAMED_LINES:
    case FRAMED_V8:
        return "application/x-ndjson";
    default:
        return "application/json";
    }
}

/* So many were asked for; fewer if limit= says so, and then there is a next page. */
static void limit_to_count(answer *a)
{
    if (a->limited && a->limit <= a->query.count)
        return;
    a->limited = true;
    a->paged = false;
    a->limit = a->query.count;
}

/* The answer to a request; NULL: it has been answered with an error. */
static answer *answer_new(logstore *l, broker_req *req, root of)
{
    request r = {l->http, req};
    sb stream = SB_INIT, why = SB_INIT;
    uint32_t partition;
    unsigned status;
    query q;
    answer *a = NULL;

    if (!path_part(l, req, &stream, &partition))
        goto done;
    status = query_parse(of != ROOT_STORES, l->http->param(req, "kind"), param_of, &r, &q, &why);
    if (status != 0) {
        reply_error(l, req, status, why.data);
        goto done;
    }
    a = must_alloc(sizeof *a);
    a->l = l;
    a->query = q;
    a->partition = partition;
    TAKE(a->stream.data, stream.data);
    a->stream.len = stream.len;
    sb_append(&a->chain, q.range.chain.ptr, q.range.chain.len);
    a->framing = framing_of(l, req, &q, of);
    a->limited = a->paged = q.limited;
    a->limit = q.limit;
    if (q.kind == QUERY_FIRST)
        limit_to_count(a);
done:
    sb_done(&stream);
    sb_done(&why);
    return a;
}

static broker_body body_of(answer *a)
{
    return (broker_body){.size = sizeof(broker_body),
                         .self = a,
                         .pull = answer_pull,
                         .close = answer_close,
                         .save = answer_save};
}

static void answer_begin(logstore *l, broker_req *req, unsigned of)
{
    broker_response response = {.size = sizeof response, .status = 200};
    answer *a = answer_new(l, req, (root)of);
    broker_body body;

    if (a == NULL)
        return;
    l->metrics->add(l->queries, 1);
    response.type = type_of(l, req, a->framing);
    body = body_of(a);
    l->http->stream(req, &response, &body);
}

static void on_query(logstore *l, broker_req *req, root of)
{
    if (l->readers != NULL)
        readers_ask(l->readers, req, answer_begin, of);
    else
        answer_begin(l, req, of);
}

/* An answer that another build began. */
static broker_rc resume(logstore *l, broker_req *req, broker_bytes saved, root of, broker_body *out)
{
    answer_progress p;
    answer *a;

    if (!answer_progress_read(saved.ptr, saved.len, &p))
        return BROKER_ESTATE;
    a = answer_new(l, req, of);
    if (a == NULL) { /* this build understands the request in another way */
        answer_progress_done(&p);
        return BROKER_ESTATE;
    }
    a->began = p.began;
    a->ending = p.ending;
    a->has_next = p.has_next;
    a->told = p.told;
    a->timestamp_ms = p.timestamp_ms;
    a->sequence = p.sequence;
    a->inclusive = p.inclusive;
    if (p.key.len != 0 && a->query.kind == QUERY_LAST) {
        /* No more than were asked for, though others may have come behind them. */
        limit_to_count(a);
        a->query.range = (range){.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    }
    TAKE(a->place.data, p.key.data);
    a->place.len = p.key.len;
    answer_progress_done(&p);
    *out = body_of(a);
    return BROKER_OK;
}

static broker_rc resume_store(void *self, broker_req *req, broker_bytes saved, broker_body *out)
{
    return resume(self, req, saved, ROOT_STORES, out);
}

static broker_rc resume_stream(void *self, broker_req *req, broker_bytes saved, broker_body *out)
{
    return resume(self, req, saved, ROOT_STREAMS, out);
}

static broker_rc resume_v8(void *self, broker_req *req, broker_bytes saved, broker_body *out)
{
    return resume(self, req, saved, ROOT_V8, out);
}

static void on_stores(void *self, broker_req *req)
{
    on_query(self, req, ROOT_STORES);
}

static void on_streams(void *self, broker_req *req)
{
    on_query(self, req, ROOT_STREAMS);
}

static void on_v8(void *self, broker_req *req)
{
    on_query(self, req, ROOT_V8);
}

broker_rc query_routes(logstore *l)
{
    static const struct {
        const char *path;
        void (*on_req)(void *self, broker_req *req);
        broker_rc (*resume)(void *self, broker_req *req, broker_bytes saved, broker_body *out);
    } routes[] = {
        {"/stores/{id+}/data/partitions/{partition}/{kind}", on_stores, resume_store},
        {"/streams/{id+}/data/partitions/{partition}/{kind}", on_streams, resume_stream},
        {"/v8/streams/{id+}/data/partitions/{partition}/{kind}", on_v8, resume_v8},
    };
    broker_rc rc = BROKER_OK;

    for (size_t i = 0; rc == BROKER_OK && i < COUNT_OF(routes); i++) {
        broker_route r = {.size = sizeof r,
                          .method = "GET",
                          .self = l,
                          .path = routes[i].path,
                          .on_req = routes[i].on_req,
                          .resume_body = routes[i].resume};

        rc = l->http->route(l->ctx, &r);
    }
    return rc;
}
