/* upload -- POST /stores/{id}/data/partitions/{p}: signed messages in, after the fsync an
 * answer. (Body: u32 big-endian length, protobuf StreamMessage, and again.)
 *
 * Messages are cut out of the buffers they arrived in; only one that lies across two
 * buffers is copied. What has arrived completely is admitted at once, so an upload of any
 * length takes little memory; the bus being full pauses the client's TCP window.
 *
 * Asked for lines (Accept: application/x-ndjson) it answers beside the body: one line for
 * each part of it that is settled, the totals last. */
#include "handover.h"
#include "lines.h"
#include "logstore.h"
#include "streamr/streamr.h"

#define ADMIT_MAX    1024u
#define REJECTED_MAX 1000u

typedef struct upload {
    logstore *l;
    broker_req *req;
    sb stream;
    uint32_t partition;

    /* a frame that is not complete yet: its length and its first bytes */
    uint8_t length[4];
    size_t have_length;
    broker_buf *partial;
    size_t partial_len, partial_at;

    /* frames[at..n_frames) wait to be admitted; they are of one part of the body */
    broker_frame *frames;
    size_t at, n_frames, cap;
    uint64_t index;     /* of frames[at] in the body */
    uint64_t waiting;   /* admitted, without an outcome */
    bool full;          /* failed, for want of room */
    bool stopped;       /* the bus was full: on_room() goes on */
    bool ended;         /* the body is over, or broken */
    bool finished;      /* answered, while the host still has of the body to tell */
    bool told;          /* it has told all */
    const char *broken; /* why the rest of the body is not read */

    uint64_t stored, duplicates, rejected, failed;
    sb rejections; /* {"index":..,"reason":..},... up to REJECTED_MAX */
    sb failure;
    lines *lines; /* NULL: one answer at the end */
} upload;

/* One admission's outcomes need to know where it began. */
typedef struct admitted {
    upload *u;
    uint64_t index;
} admitted;

static void step(upload *u);

static void frames_release(upload *u, size_t n)
{
    for (size_t i = 0; i < n; i++)
        u->l->bus->buf_release(u->frames[u->at + i].buf);
    u->at += n;
    if (u->at == u->n_frames)
        u->at = u->n_frames = 0;
}

static void upload_free(upload *u)
{
    frames_release(u, u->n_frames - u->at);
    free(u->frames);
    if (u->partial != NULL)
        u->l->bus->buf_release(u->partial);
    sb_done(&u->stream);
    sb_done(&u->rejections);
    sb_done(&u->failure);
    lines_release(u->lines);
    u->l->uploads--;
    free(u);
}

static void totals(const upload *u, sb *out)
{
    sb_printf(out, "{\"stored\":%llu,\"duplicates\":%llu,\"rejected\":[",
              (unsigned long long)u->stored, (unsigned long long)u->duplicates);
    sb_append(out, u->rejections.data, u->rejections.len);
    sb_putc(out, ']');
    if (u->rejected > REJECTED_MAX)
        sb_printf(out, ",\"rejectedTotal\":%llu", (unsigned long long)u->rejected);
    if (u->failed != 0)
        sb_printf(out, ",\"failed\":%llu", (unsigned long long)u->failed);
    if (u->broken != NULL || u->failed != 0) {
        const char *why = u->broken != NULL ? u->broken : u->failure.data;

        sb_puts(out, ",\"error\":");
        sb_json_string(out, why, strlen(why));
    }
    sb_putc(out, '}');
}

static void finish(upload *u)
{
    sb body = SB_INIT;
    uint32_t status = 200;

    if (u->failed != 0)
        status = u->full ? 507 : 503;
    else if (u->broken != NULL)
        status = 400;
    totals(u, &body);
    if (u->lines != NULL) {
        lines_add(u->lines, &body);
        lines_end(u->lines);
    } else {
        reply_json(u->l, u->req, status, &body);
    }
    sb_done(&body);
    if (u->lines == NULL || u->told) /* reply() has ended the reading too */
        upload_free(u);
    else
        u->finished = true;
}

static void rejection_put(sb *out, uint64_t index, const char *reason)
{
    sb_printf(out, "%s{\"index\":%llu,\"reason\":", out->len != 0 ? "," : "",
              (unsigned long long)index);
    sb_json_string(out, reason, strlen(reason));
    sb_putc(out, '}');
}

/* What became of one admission, as a line has it. */
typedef struct part_outcome {
    unsigned stored, duplicates, failed;
    sb rejections;
} part_outcome;

static void rejection_note(upload *u, part_outcome *p, uint64_t index, const char *reason)
{
    if (u->lines != NULL)
        rejection_put(&p->rejections, index, reason);
    if (u->rejected++ < REJECTED_MAX)
        rejection_put(&u->rejections, index, reason);
}

static void line_add(upload *u, const admitted *a, size_t n, const part_outcome *p)
{
    sb line = SB_INIT;

    sb_printf(&line, "{\"index\":%llu,\"count\":%zu,\"stored\":%u,\"duplicates\":%u,\"rejected\":[",
              (unsigned long long)a->index, n, p->stored, p->duplicates);
    sb_append(&line, p->rejections.data, p->rejections.len);
    sb_putc(&line, ']');
    if (p->failed != 0)
        sb_printf(&line, ",\"failed\":%u", p->failed);
    sb_putc(&line, '}');
    lines_add(u->lines, &line);
    sb_done(&line);
}

static void on_done(void *arg, const broker_outcome *outcomes, size_t n)
{
    admitted *a = arg;
    upload *u = a->u;
    part_outcome p = {0, 0, 0, SB_INIT};

    for (size_t i = 0; i < n; i++) {
        switch (outcomes[i].code) {
        case BROKER_STORED:
            p.stored++;
            break;
        case BROKER_DUPLICATE:
            p.duplicates++;
            break;
        case BROKER_FULL:
        case BROKER_FAILED:
            p.failed++;
            u->full = outcomes[i].code == BROKER_FULL;
            sb_clear(&u->failure);
            sb_puts(&u->failure, outcomes[i].reason != NULL ? outcomes[i].reason : "not stored");
            break;
        case BROKER_NO_STORE:
            rejection_note(u, &p, a->index + i,
                           outcomes[i].reason != NULL ? outcomes[i].reason
                                                      : "this node does not track the stream part, "
                                                        "see mode.trackedStreams");
            break;
        default:
            rejection_note(u, &p, a->index + i,
                           outcomes[i].reason != NULL ? outcomes[i].reason : "refused");
        }
    }
    u->stored += p.stored;
    u->duplicates += p.duplicates;
    u->failed += p.failed;
    if (u->lines != NULL)
        line_add(u, a, n, &p);
    sb_done(&p.rejections);
    u->waiting -= n;
    free(a);
    step(u);
}

static void on_room(void *arg)
{
    upload *u = arg;

    u->stopped = false;
    step(u);
}

/* Give the next frames to the bus. False: it is full; on_room() comes. */
static bool admit_some(upload *u)
{
    size_t n = u->n_frames - u->at < ADMIT_MAX ? u->n_frames - u->at : ADMIT_MAX;
    admitted *a = must_alloc(sizeof *a);
    broker_admission what = {
        .size = sizeof what,
        .frames = u->frames + u->at,
        .n = n,
        .only_stream = {u->stream.data, u->stream.len},
        .only_partition = u->partition,
        .done = on_done,
        .arg = a,
    };
    broker_rc rc;

    *a = (admitted){u, u->index};
    rc = u->l->bus->admit(u->l->ctx, &what);
    if (rc == BROKER_AGAIN) {
        free(a);
        u->stopped = true;
        u->l->bus->on_room(u->l->ctx, on_room, u);
        return false;
    }
    if (rc != BROKER_OK) {
        free(a);
        u->failed += n;
        sb_clear(&u->failure);
        sb_puts(&u->failure, "out of memory");
    } else {
        u->waiting += n;
    }
    u->index += n;
    frames_release(u, n);
    return true;
}

static bool admit(upload *u)
{
    while (u->n_frames != 0)
        if (u->stopped || !admit_some(u))
            return false;
    return true;
}

/* On to whatever is next: admitting, reading on, answering. */
static void step(upload *u)
{
    if (u->failed != 0 && u->broken == NULL && !u->ended) {
        /* Nothing more will fit: what has been committed is answered now. */
        u->ended = true;
        frames_release(u, u->n_frames - u->at);
    }
    if (!admit(u))
        return;
    if (u->ended) {
        if (u->waiting == 0 && !u->stopped)
            finish(u);
        return;
    }
    if (u->lines == NULL || !lines_are_full(u->lines))
        u->l->http->resume(u->req);
}

/* Take a frame; it keeps buf. */
static void frame_add(upload *u, broker_buf *buf, broker_bytes raw)
{
    if (u->n_frames == u->cap) {
        u->cap = u->cap != 0 ? u->cap * 2 : ADMIT_MAX;
        u->frames = must_realloc(u->frames, u->cap * sizeof *u->frames);
    }
    u->frames[u->n_frames++] = (broker_frame){raw, buf};
}

/* The rest of a frame that began in another buffer. False: it is still not complete. */
static bool partial_go_on(upload *u, view *in)
{
    while (u->have_length < 4 && view_left(in) != 0)
        u->length[u->have_length++] = *in->p++;
    if (u->have_length < 4)
        return false;
    if (u->partial == NULL) {
        u->partial_len = get_u32be(u->length);
        u->partial_at = 0;
        if (u->partial_len > STREAMR_MESSAGE_MAX) {
            u->broken = "a frame is longer than 1 MiB; the frames before it were stored";
            return false;
        }
        u->partial = u->l->bus->buf_new(u->l->ctx, u->partial_len);
        if (u->partial == NULL) {
            u->broken = "out of memory";
            return false;
        }
    }
    if (u->partial_len != u->partial_at) {
        size_t n = u->partial_len - u->partial_at;

        n = n < view_left(in) ? n : view_left(in);
        memcpy((uint8_t *)(uintptr_t)u->partial->bytes + u->partial_at, in->p, n);
        u->partial_at += n;
        in->p += n;
    }
    if (u->partial_at < u->partial_len)
        return false;
    frame_add(u, u->partial, (broker_bytes){u->partial->bytes, u->partial_len});
    u->partial = NULL;
    u->have_length = 0;
    return true;
}

static void on_body(void *self, broker_req *req, broker_buf *buf, broker_bytes part, int32_t last)
{
    upload *u = self;
    view in = view_of(part.ptr, part.len);

    (void)req;
    u->told = last != 0;
    if (u->finished) {
        if (last)
            upload_free(u);
        return;
    }
    while (u->broken == NULL && view_left(&in) != 0) {
        uint32_t len;

        if (u->have_length != 0 || view_left(&in) < 4 ||
            view_left(&in) - 4 < (len = get_u32be(in.p))) {
            partial_go_on(u, &in);
            continue;
        }
        u->l->bus->buf_retain(buf);
        frame_add(u, buf, (broker_bytes){in.p + 4, len});
        in.p += 4 + (size_t)len;
    }
    if (u->broken == NULL && last && u->have_length != 0)
        u->broken = "the body ends inside a frame; the frames before it were stored";
    if (last || u->broken != NULL)
        u->ended = true;
    if (!u->ended)
        u->l->http->pause(u->req);
    step(u);
}

static void on_abort(void *self, broker_req *req)
{
    upload *u = self;

    (void)req;
    u->told = true;
    if (u->finished) {
        upload_free(u);
        return;
    }
    u->broken = "the body broke off; what came before was stored";
    u->ended = true;
    step(u);
}

/* All that has arrived is settled, but for the beginning of a frame. One that has ended needs no
 * other build: its answer goes out, and nothing more of its body is wanted. */
static broker_rc save(void *self, broker_req *req, broker_writer *out)
{
    upload *u = self;
    upload_progress p = {.index = u->index,
                         .stored = u->stored,
                         .duplicates = u->duplicates,
                         .rejected = u->rejected};
    sb bytes = SB_INIT;
    broker_rc rc;

    (void)req;
    if (u->ended)
        return BROKER_EBUSY;
    if (u->waiting != 0 || u->n_frames != 0 || u->stopped)
        return BROKER_AGAIN;
    sb_append(&p.rejections, u->rejections.data, u->rejections.len);
    sb_append(&p.partial, u->length, u->have_length);
    if (u->partial != NULL)
        sb_append(&p.partial, u->partial->bytes, u->partial_at);
    if (u->lines != NULL)
        lines_take(u->lines, &p.lines);
    upload_progress_write(&p, &bytes);
    rc = out->write(out, bytes.data, bytes.len);
    upload_progress_done(&p);
    sb_done(&bytes);
    if (rc == BROKER_OK)
        upload_free(u);
    return rc;
}

/* NULL: it has been answered with an error. */
static upload *upload_new(logstore *l, broker_req *req)
{
    upload *u = must_alloc(sizeof *u);

    u->l = l;
    u->req = req;
    l->uploads++;
    if (path_part(l, req, &u->stream, &u->partition)) {
        if (accepts(l, req, "application/x-ndjson"))
            u->lines = lines_new(l->http, req);
        return u;
    }
    upload_free(u);
    return NULL;
}

static void receive(upload *u)
{
    broker_intake intake = {
        .size = sizeof intake, .self = u, .on_body = on_body, .on_abort = on_abort, .save = save};

    if (u->l->http->receive(u->req, &intake) != BROKER_OK) {
        lines_release(u->lines); /* it is answered in one piece */
        u->lines = NULL;
        on_abort(u, u->req);
        return;
    }
    if (u->lines != NULL) {
        broker_response response = {
            .size = sizeof response, .status = 200, .type = "application/x-ndjson"};
        broker_body body = lines_body(u->lines);

        u->l->http->stream(u->req, &response, &body);
    }
}

static void on_upload(void *self, broker_req *req)
{
    upload *u = upload_new(self, req);

    if (u != NULL)
        receive(u);
}

/* An upload that another build began. */
static void resume(void *self, broker_req *req, broker_bytes saved)
{
    logstore *l = self;
    upload *u = upload_new(l, req);
    upload_progress p;
    view partial;

    if (u == NULL)
        return;
    if (!upload_progress_read(saved.ptr, saved.len, &p)) {
        upload_free(u);
        reply_error(l, req, 503, "another build of the store began this; send it again");
        return;
    }
    u->index = p.index;
    u->stored = p.stored;
    u->duplicates = p.duplicates;
    u->rejected = p.rejected;
    TAKE(u->rejections.data, p.rejections.data);
    u->rejections.len = p.rejections.len;
    partial = view_of(p.partial.data, p.partial.len);
    partial_go_on(u, &partial);
    if (u->lines != NULL && p.lines.len != 0) {
        p.lines.len--; /* lines_add() ends the last of them */
        lines_add(u->lines, &p.lines);
    }
    upload_progress_done(&p);
    receive(u);
}

broker_rc upload_routes(logstore *l)
{
    broker_route r = {.size = sizeof r,
                      .flags = BROKER_ROUTE_STREAM,
                      .method = "POST",
                      .self = l,
                      .on_req = on_upload,
                      .resume_req = resume,
                      .path = "/stores/{id+}/data/partitions/{partition}"};

    return l->http->route(l->ctx, &r);
}
