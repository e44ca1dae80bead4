/* standin -- see standin.h: a process is loaded, created, started, made quiet and destroyed.
 *
 * Two ways: the loader's calls wait for the process's answer to create() and start(), as they
 * would for a plugin's own; a restart (keeper.c) waits for nothing, and each answer brings the next
 * step (s->alone). */
#include "isolate/parts.h"

#include "pack/pack.h"
#include "run/log.h"

#include <unistd.h>

/* ---- the process ---- */

void standin_send(standin *s, uint8_t word, broker_bytes head, broker_bytes rest)
{
    if (s->frames != NULL)
        channel_send(s->frames, word, head, rest);
}

static log_level level_now(void)
{
    log_level level = LOG_DEBUG;

    while (level > LOG_ERROR && !log_is_on(level))
        level--;
    return level;
}

static void init_send(standin *s)
{
    sb map = SB_INIT;

    pack_map(&map, 5);
    pack_int(&map, "logLevel", level_now());
    pack_bool(&map, "logJson", log_is_json());
    pack_text(&map, "dataDir", s->data_dir);
    pack_uint(&map, "workers", s->workers);
    pack_uint(&map, "warnMs", s->warn_ms);
    standin_send(s, WORD_INIT, sb_bytes(&map), no_bytes);
    sb_done(&map);
}

static void on_frame(void *arg, uint8_t word, broker_buf *buf, broker_bytes body);
static void on_ask(void *arg, uint8_t word, broker_buf *buf, broker_bytes body);
static void on_gone(void *arg, const char *why);

void standin_connect(standin *s, int frames, int asks)
{
    const channel_calls on_frames = {s, on_frame, on_gone}, on_asks = {s, on_ask, on_gone};

    s->process++;
    s->stage = LOADING;
    s->prepared.state = s->quiet.state = UNASKED;
    sb_clear(&s->why);
    s->frames = channel_new(frames, &on_frames);
    s->asks = channel_new(asks, &on_asks);
}

bool standin_spawn(standin *s, sb *why)
{
    if (!child_start(&s->child, s->name, s->file, why))
        return false;
    standin_connect(s, s->child.frames, s->child.asks);
    init_send(s);
    return true;
}

static void channels_free(standin *s)
{
    requests_hush(s); /* workers may be about to speak to it */
    channel_free(s->frames);
    channel_free(s->asks);
    s->frames = s->asks = NULL;
}

void standin_lose(standin *s, const char *why)
{
    if (s->frames == NULL)
        return;
    if (why != NULL) {
        sb_clear(&s->why);
        sb_puts(&s->why, why);
        child_kill(&s->child);
    }
    channels_free(s);
    s->process++;
    s->over = true;
    s->stage = AWAY;
    if (s->ctx != NULL) {
        messages_lost(s);
        requests_lost(s);
        asks_lost(s);
    }
    if (s->wanted)
        keeper_lost(s);
}

static void on_gone(void *arg, const char *why)
{
    standin *s = arg;

    (void)why;
    if (s->stage != LEAVING)
        standin_lose(s, NULL);
}

void standin_begin_anew(standin *s)
{
    messages_lost(s);
    requests_lost(s);
    ids_done(&s->feed_ids);
    ids_done(&s->path_ids);
}

/* ---- what it says ---- */

static void answer_set(answer *a, const words_result *r)
{
    a->state = HERE;
    a->rc = r->rc;
    sb_clear(&a->bytes);
    sb_append(&a->bytes, r->bytes.ptr, r->bytes.len);
}

static bool is_hex(const char *text)
{
    return text[strspn(text, "0123456789abcdef")] == '\0';
}

static fault loaded(standin *s, broker_bytes body)
{
    unpacked *u;
    char *id;

    if (unpack(body.ptr, body.len, &u) != 1)
        return "what it has loaded is no map";
    if (s->schema == NULL)
        s->schema = unpack_text(unpacked_root(u), "schema");
    id = unpack_text(unpacked_root(u), "id");
    if (id != NULL && strlen(id) < sizeof s->id && is_hex(id))
        memcpy(s->id, id, strlen(id) + 1);
    free(id);
    unpacked_free(u);
    s->stage = LOADED;
    return NULL;
}

static fault failed(standin *s, broker_bytes body)
{
    unpacked *u;
    char *why;

    if (unpack(body.ptr, body.len, &u) != 1)
        return "why it failed is no map";
    why = unpack_text(unpacked_root(u), "why");
    standin_lose(s, why != NULL ? why : "it cannot be loaded");
    free(why);
    unpacked_free(u);
    return NULL;
}

/* A restart could not create or start it. */
static void lose_failed(standin *s, const char *step)
{
    sb why = SB_INIT;

    sb_printf(&why, "its %s() failed: %.*s", step, (int)s->result.bytes.len,
              s->result.bytes.len != 0 ? s->result.bytes.data : "");
    standin_lose(s, why.data);
    sb_done(&why);
}

static void begins(standin *s)
{
    s->stage = RUNNING;
    s->alone = false;
    messages_go_on(s);
    keeper_started(s);
}

/* The next step of a restart. */
static void step(standin *s, uint8_t word)
{
    keeper_stepped(s);
    switch (word) {
    case WORD_LOADED:
        standin_send(s, WORD_CREATE, sb_bytes(&s->create), no_bytes);
        break;
    case WORD_CREATED:
        if (s->result.rc != BROKER_OK) {
            lose_failed(s, "create");
            break;
        }
        s->stage = STARTING;
        standin_send(s, WORD_START, no_bytes, no_bytes);
        break;
    default:
        if (s->result.rc != BROKER_OK)
            lose_failed(s, "start");
        else
            begins(s);
    }
}

/* Words about its life. */
static fault keeper_word(standin *s, uint8_t word, broker_bytes body)
{
    static const stage when[] = {
        [WORD_LOADED - WORD_LOADED] = LOADING,
        [WORD_FAILED - WORD_LOADED] = LOADING,
        [WORD_CREATED - WORD_LOADED] = LOADED,
        [WORD_STARTED - WORD_LOADED] = STARTING,
    };
    words_result r;
    fault wrong = NULL;

    if (s->stage != when[word - WORD_LOADED])
        return "it answers what was not asked";
    if (word == WORD_FAILED)
        return failed(s, body);
    if (word == WORD_LOADED) {
        wrong = loaded(s, body);
    } else {
        if (!words_read_result(body, &r))
            return "a result is too short";
        answer_set(&s->result, &r);
        if (word == WORD_CREATED && r.rc == BROKER_OK)
            s->stage = CREATED;
    }
    s->over = true;
    if (wrong == NULL && s->alone)
        step(s, word);
    return wrong;
}

static fault quiet_word(standin *s, uint8_t word, broker_bytes body)
{
    answer *a = word == WORD_QUIET ? &s->quiet : &s->prepared;
    words_result r;

    if (a->state != ASKED)
        return "it answers what was not asked";
    if (!words_read_result(body, &r))
        return "a result is too short";
    answer_set(a, &r);
    if (word == WORD_QUIET && r.rc == BROKER_OK) {
        s->stage = QUIET;
        s->quiet_ms = clock_mono_ns() / 1000000;
    }
    return NULL;
}

static fault state_word(standin *s, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    uint32_t state;
    char *why;

    if (!view_u32be(&v, &state) || state > BROKER_STATE_DEGRADED)
        return "there is no such state";
    why = must_strndup((const char *)v.p, view_left(&v));
    s->troubled = false;
    s->node->state(s->ctx, state, why);
    free(why);
    return NULL;
}

static fault heard(standin *s, uint8_t word, broker_buf *buf, broker_bytes body)
{
    if (channel_queued(s->frames) > QUEUED_MAX)
        return "it does not read what it is told";
    switch (word) {
    case WORD_LOADED:
    case WORD_FAILED:
    case WORD_CREATED:
    case WORD_STARTED:
        return keeper_word(s, word, body);
    case WORD_PREPARED:
    case WORD_QUIET:
        return quiet_word(s, word, body);
    case WORD_PONG:
        keeper_pong(s);
        return NULL;
    }
    if (s->ctx == NULL)
        return "it speaks before it was created";
    switch (word) {
    case WORD_STATE:
        return state_word(s, body);
    case WORD_METRIC:
        return asks_metric(s, body);
    case WORD_TOOK:
    case WORD_SETTLE:
    case WORD_UNSUBSCRIBE:
    case WORD_ADMIT:
    case WORD_PUBLISH:
        return messages_word(s, word, buf, body);
    default:
        return requests_word(s, word, buf, body);
    }
}

static void violated(standin *s, uint8_t word, fault wrong)
{
    sb why = SB_INIT;

    sb_printf(&why, "it said what it may not (word %u: %s)", word, wrong);
    standin_lose(s, why.data);
    sb_done(&why);
}

static void on_frame(void *arg, uint8_t word, broker_buf *buf, broker_bytes body)
{
    standin *s = arg;
    fault wrong;

    if (s->stage == LEAVING)
        return;
    wrong = heard(s, word, buf, body);
    if (wrong != NULL)
        violated(s, word, wrong);
}

static void on_ask(void *arg, uint8_t word, broker_buf *buf, broker_bytes body)
{
    standin *s = arg;
    words_result r = {BROKER_OK, no_bytes};
    sb text = SB_INIT, out = SB_INIT;
    fault wrong;

    (void)buf;
    if (s->stage == LEAVING)
        return;
    if (s->ctx == NULL)
        wrong = "it asks before it was created";
    else if (channel_queued(s->asks) > QUEUED_MAX)
        wrong = "it does not read its answers";
    else
        wrong = asks_answer(s, word, body, &r, &text);
    if (wrong != NULL) {
        violated(s, word, wrong);
    } else {
        words_put_result(&out, &r);
        channel_send(s->asks, WORD_ANSWER, sb_bytes(&out), no_bytes);
    }
    sb_done(&text);
    sb_done(&out);
}

/* ---- steps the loader waits for ---- */

/* Wait for the answer to what was sent last. False: its process is lost, or it said no; why. */
static bool await(standin *s, const char *doing, sb *why)
{
    channel *list[] = {s->frames, s->asks};
    pid_t pid = s->child.pid;

    if (s->frames != NULL && !channel_pump(list, COUNT_OF(list), &s->over, PATIENCE_MS) &&
        s->frames != NULL) {
        sb_printf(why, "it hangs as it is %s in a process of its own (%u s)", doing,
                  PATIENCE_MS / 1000);
        standin_lose(s, why->data);
        child_wait(&s->child, 0);
        return false;
    }
    if (s->frames != NULL)
        return true;
    child_wait(&s->child, 1000);
    if (s->why.len != 0) {
        sb_append(why, s->why.data, s->why.len);
    } else {
        sb_printf(why, "its process (%d) ended as it was %s: ", (int)pid, doing);
        child_say(&s->child, why);
    }
    return false;
}

static bool load(standin *s, sb *why)
{
    s->over = false;
    return standin_spawn(s, why) && await(s, "loaded", why);
}

/* rc of the answer; what it says of a failure goes to *why. */
static broker_rc ask(standin *s, uint8_t word, broker_bytes body, const char *doing, sb *why)
{
    s->over = false;
    standin_send(s, word, body, no_bytes);
    if (!await(s, doing, why))
        return BROKER_EIO;
    if (s->result.rc != BROKER_OK)
        sb_append(why, s->result.bytes.data, s->result.bytes.len);
    /* What is positive is no failure of create() or start(), and no success. */
    return s->result.rc > 0 ? BROKER_EINVAL : s->result.rc;
}

static broker_rc told(standin *s, broker_rc rc, sb *why)
{
    if (rc != BROKER_OK && why->len != 0)
        s->ctx->host->fail(s->ctx, rc, why->data);
    sb_done(why);
    return rc;
}

standin *standin_load(const standin_options *options, int file, sb *why)
{
    standin *s = must_alloc(sizeof *s);

    s->loop = options->loop;
    s->name = must_strdup(options->name);
    s->version = must_strdup(options->version);
    s->data_dir = must_strdup(options->data_dir != NULL ? options->data_dir : "");
    s->workers = options->workers;
    s->warn_ms = options->warn_ms;
    s->file = file;
    s->kept_end = &s->kept;
    if (load(s, why))
        return s;
    standin_free(s);
    return NULL;
}

const char *standin_schema(const standin *s)
{
    return s->schema;
}

const char *standin_build_id(const standin *s)
{
    return s->id;
}

pid_t standin_pid(const standin *s)
{
    return s->frames != NULL ? s->child.pid : 0;
}

/* ---- create ---- */

static void services_fetch(standin *s)
{
    s->config = BROKER_SERVICE(s->ctx, broker_config);
    s->bus = BROKER_SERVICE(s->ctx, broker_bus);
    s->http = BROKER_SERVICE(s->ctx, broker_http);
    s->access = BROKER_SERVICE(s->ctx, broker_access);
    s->metrics = BROKER_SERVICE(s->ctx, broker_metrics);
    s->sign = BROKER_SERVICE(s->ctx, broker_sign);
    s->node = BROKER_SERVICE(s->ctx, broker_node);
}

static void create_write(standin *s)
{
    static const char *const shared[] = {"mode", "validation", "apiAuthentication",
                                         "client.network"};
    broker_str section = s->config->json(s->ctx, ""), texts[COUNT_OF(shared)];
    uint32_t n = 0;

    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        texts[i] = s->config->shared(s->ctx, shared[i]);
        n += texts[i].len != 0;
    }
    sb_clear(&s->create);
    pack_map(&s->create, 3);
    pack_bytes(&s->create, "section", section.ptr, section.len);
    pack_list(&s->create, "shared", n);
    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        if (texts[i].len == 0)
            continue;
        pack_map(&s->create, 2);
        pack_text(&s->create, "path", shared[i]);
        pack_bytes(&s->create, "text", texts[i].ptr, texts[i].len);
    }
    pack_bool(&s->create, "keys", s->access->required(s->ctx) != 0);
}

broker_rc standin_create(standin *s, broker_ctx *ctx)
{
    sb why = SB_INIT;

    s->ctx = ctx;
    services_fetch(s);
    create_write(s);
    if (s->loop != NULL)
        keeper_begin(s);
    return told(s, ask(s, WORD_CREATE, sb_bytes(&s->create), "created", &why), &why);
}

/* ---- start ---- */

/* A process that has created it, in the place of one that ended. */
static broker_rc bring_up(standin *s, sb *why)
{
    child_wait(&s->child, 1000);
    asks_forget(s);
    if (!load(s, why))
        return BROKER_EIO;
    return ask(s, WORD_CREATE, sb_bytes(&s->create), "created", why);
}

broker_rc standin_start(void *self, broker_bytes state)
{
    standin *s = self;
    sb why = SB_INIT;
    broker_rc rc = BROKER_OK;

    if (state.len >= FRAME_MAX - 1) {
        sb_puts(&why, "the state of the build before is too large for another process");
        return told(s, BROKER_ESTATE, &why);
    }
    if (s->stage == AWAY)
        rc = bring_up(s, &why);
    if (rc != BROKER_OK)
        return told(s, rc, &why);
    s->prepared.state = s->quiet.state = UNASKED;
    s->stage = STARTING;
    s->down = s->draining = s->alone = false;
    rc = ask(s, WORD_START, state, "started", &why);
    if (rc == BROKER_OK) {
        s->wanted = true;
        channel_watch(s->frames, s->loop);
        channel_watch(s->asks, s->loop);
        log_info(s->name, "runs in a process of its own (%d)", (int)s->child.pid);
        begins(s);
    } else if (s->frames != NULL) {
        s->stage = CREATED;
    }
    return told(s, rc, &why);
}

/* ---- prepare and quiesce ---- */

/* Ask once; AGAIN until the answer is there. */
static broker_rc asked(standin *s, answer *a, uint8_t word)
{
    if (a->state == UNASKED) {
        a->state = ASKED;
        standin_send(s, word, no_bytes, no_bytes);
    }
    if (a->state == ASKED)
        return BROKER_AGAIN;
    a->state = UNASKED;
    if (a->rc < 0 && a->bytes.len != 0)
        s->ctx->host->fail(s->ctx, a->rc, a->bytes.data);
    return a->rc;
}

broker_rc standin_prepare(void *self)
{
    standin *s = self;

    if (s->stage == RUNNING)
        return asked(s, &s->prepared, WORD_PREPARE);
    if (s->stage == QUIET) {
        keeper_revive(s); /* the change before was given up */
        return BROKER_AGAIN;
    }
    /* Nobody settles what waits for a process that is away. */
    s->draining = true;
    messages_drain(s);
    return BROKER_OK;
}

broker_rc standin_quiesce(void *self, broker_writer *state)
{
    standin *s = self;

    if (s->stage == RUNNING && s->quiet.state == UNASKED && s->kept != NULL)
        return BROKER_AGAIN;
    if (s->stage == RUNNING)
        return asked(s, &s->quiet, WORD_QUIESCE);
    if (s->stage == QUIET) {
        s->quiet_ms = clock_mono_ns() / 1000000;
        return state->write(state, s->quiet.bytes.data, s->quiet.bytes.len);
    }
    keeper_quiesce(s);
    return child_is_over(&s->child) ? BROKER_OK : BROKER_AGAIN;
}

void standin_forget(standin *s)
{
    s->wanted = s->draining = false;
    if (s->ctx == NULL)
        return;
    keeper_forget(s);
    messages_forget(s);
    requests_forget(s);
}

/* ---- the end ---- */

void standin_bury(standin *s)
{
    channels_free(s);
    child_kill(&s->child);
    child_wait(&s->child, 0);
    messages_done(s);
    requests_done(s);
    asks_forget(s);
    close(s->file);
    sb_done(&s->create);
    sb_done(&s->why);
    sb_done(&s->result.bytes);
    sb_done(&s->prepared.bytes);
    sb_done(&s->quiet.bytes);
    free(s->schema);
    free(s->name);
    free(s->version);
    free(s->data_dir);
    free(s);
}

void standin_free(standin *s)
{
    bool created;

    if (s == NULL)
        return;
    created = s->frames != NULL && s->stage >= CREATED && s->keeper != NULL;
    s->wanted = false;
    if (created) {
        s->stage = LEAVING;
        standin_send(s, WORD_DESTROY, no_bytes, no_bytes);
        keeper_leave(s);
        return;
    }
    keeper_end(s);
    standin_bury(s);
}
