/* fetch -- see fetch.h. A job waits, runs, and is told of its end; what is cancelled while
 * libcurl is calling is ended as soon as libcurl has returned. */
#include "fetch/parts.h"

#include <strings.h>

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* ---- lists ---- */

static void waiting_put(fetcher *f, broker_fetch_job *job)
{
    job->link = f->waiting_end;
    *f->waiting_end = job;
    f->waiting_end = &job->next;
    metric_set(f->waiting_now, ++f->n_waiting);
    tick_start(f);
}

static void unlink_job(broker_fetch_job *job)
{
    fetcher *f = job->f;

    *job->link = job->next;
    if (job->next != NULL)
        job->next->link = job->link;
    else if (!job->running)
        f->waiting_end = job->link;
    if (job->running)
        metric_set(f->running_now, --f->n_running);
    else
        metric_set(f->waiting_now, --f->n_waiting);
    job->next = NULL;
}

static void running_put(fetcher *f, broker_fetch_job *job)
{
    job->running = true;
    job->next = f->running;
    job->link = &f->running;
    if (job->next != NULL)
        job->next->link = &job->next;
    f->running = job;
    metric_set(f->running_now, ++f->n_running);
}

/* ---- what libcurl gives ---- */

static bool body_put(broker_fetch_job *job, const void *bytes, size_t n)
{
    if (job->cap - job->len < n) {
        size_t cap = 2 * job->cap > job->len + n ? 2 * job->cap : job->len + n;
        uint8_t *grown = realloc(job->body, cap);

        if (grown == NULL)
            return false;
        job->body = grown;
        job->cap = cap;
    }
    memcpy(job->body + job->len, bytes, n);
    job->len += n;
    return true;
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *arg)
{
    broker_fetch_job *job = arg;
    ledger *owner = job->owner; /* on_part() may cancel */

    (void)one;
    if (owner == NULL)
        return 0; /* cancelled: end it */
    if (n > job->max_answer - job->got) {
        job->too_long = true;
        return 0;
    }
    job->got += n;
    if (job->on_part == NULL) {
        job->no_memory = !body_put(job, bytes, n);
        return job->no_memory ? 0 : n;
    }
    if (n != 0)
        CROSS(owner, "on_part", job->on_part(job->self, (broker_bytes){(const uint8_t *)bytes, n}));
    return job->owner != NULL ? n : 0;
}

/* ---- the end ---- */

static void job_free(broker_fetch_job *job)
{
    fetcher *f = job->f;

    unlink_job(job);
    if (job->running)
        curl_multi_remove_handle(f->multi, job->easy);
    curl_easy_cleanup(job->easy);
    curl_slist_free_all(job->headers);
    free(job->body);
    free(job);
}

static void tell(broker_fetch_job *job, broker_rc rc, long status, const char *why)
{
    ledger *owner = job->owner;
    broker_bytes body = {job->body, rc == BROKER_OK ? job->len : 0};

    job->owner = NULL;
    metric_add(job->f->results[rc == BROKER_OK ? FETCH_OK : FETCH_FAILED], 1);
    CROSS(owner, "on_done", job->on_done(job->self, rc, (uint32_t)status, body, why));
    atomic_fetch_sub(&owner->fetches, 1);
}

void job_done(broker_fetch_job *job, CURLcode code)
{
    char why[CURL_ERROR_SIZE + 64];
    long status = 0;

    curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
    if (job->too_long)
        snprintf(why, sizeof why, "the answer is longer than %llu bytes",
                 (unsigned long long)job->max_answer);
    else if (job->no_memory)
        snprintf(why, sizeof why, "no memory for the answer");
    else
        snprintf(why, sizeof why, "%s", job->why[0] != '\0' ? job->why : curl_easy_strerror(code));
    if (job->owner != NULL && code == CURLE_OK)
        tell(job, BROKER_OK, status, NULL);
    else if (job->owner != NULL)
        tell(job, job->no_memory ? BROKER_ENOMEM : BROKER_EIO, status, why);
    job_free(job);
}

void fetch_cancel(broker_fetch_job *job)
{
    fetcher *f = job->f;

    if (job->owner == NULL)
        return; /* twice */
    atomic_fetch_sub(&job->owner->fetches, 1);
    job->owner = NULL;
    metric_add(f->results[FETCH_CANCELLED], 1);
    if (f->inside)
        fetch_post(f);
    else
        job_free(job);
}

broker_str fetch_header(broker_fetch_job *job, const char *name)
{
    struct curl_header *found;

    /* -1: of the last answer, where redirects led through others. */
    if (curl_easy_header(job->easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
        return (broker_str){NULL, 0};
    if (found->amount > 1)
        curl_easy_header(job->easy, name, found->amount - 1, CURLH_HEADER, -1, &found);
    return (broker_str){found->value, strlen(found->value)};
}

void fetch_forget(fetcher *f, const ledger *owner)
{
    broker_fetch_job *const lists[] = {f->running, f->waiting};

    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (broker_fetch_job *job = lists[i], *next; job != NULL; job = next) {
            next = job->next;
            if (job->owner == owner)
                fetch_cancel(job);
        }
}

/* ---- the beginning ---- */

static bool has_line_end(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] == '\r' || s[i] == '\n' || s[i] == '\0')
            return true;
    return false;
}

/* False: a header that would be two. */
static bool headers_set(broker_fetch_job *job, const broker_fetch_request *what)
{
    bool has_type = false;

    for (size_t i = 0; i < what->n_headers; i++) {
        const broker_header *h = &what->headers[i];
        sb line = SB_INIT;

        if (has_line_end(h->name, strlen(h->name)) || has_line_end(h->value.ptr, h->value.len))
            return false;
        has_type = has_type || strcasecmp(h->name, "Content-Type") == 0;
        /* "Name;" is how libcurl is told of an empty value. */
        sb_printf(&line, h->value.len != 0 ? "%s: %.*s" : "%s;", h->name, (int)h->value.len,
                  h->value.ptr);
        job->headers = curl_slist_append(job->headers, line.data);
        sb_done(&line);
    }
    if (!has_type)
        job->headers = curl_slist_append(job->headers, "Content-Type:"); /* libcurl's guess */
    job->headers = curl_slist_append(job->headers, "Expect:");
    return true;
}

static void method_set(CURL *e, const broker_fetch_request *what)
{
    bool has_body = what->body.len != 0 || strcmp(what->method, "POST") == 0 ||
                    strcmp(what->method, "PUT") == 0;

    if (has_body) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)what->body.len);
        curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS,
                         what->body.len != 0 ? (const char *)what->body.ptr : "");
    }
    if (strcmp(what->method, "HEAD") == 0)
        curl_easy_setopt(e, CURLOPT_NOBODY, 1l);
    else if (!(has_body ? strcmp(what->method, "POST") == 0 : strcmp(what->method, "GET") == 0))
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, what->method);
}

/* Where certificates are looked for, when the environment says so; as OpenSSL has it. */
static void authorities_set(CURL *e)
{
    const char *file = getenv("SSL_CERT_FILE"), *folder = getenv("SSL_CERT_DIR");

    if (file != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, file);
    if (folder != NULL)
        curl_easy_setopt(e, CURLOPT_CAPATH, folder);
}

static bool easy_make(broker_fetch_job *job, const broker_fetch_request *what, sb *why)
{
    bool secure = strncasecmp(what->url, "https://", 8) == 0;
    CURL *e = curl_easy_init();

    must(e != NULL);
    job->easy = e;
    if (!secure && strncasecmp(what->url, "http://", 7) != 0) {
        sb_puts(why, "a fetch wants a URL that begins with http:// or https://");
        return false;
    }
    if (curl_easy_setopt(e, CURLOPT_URL, what->url) != CURLE_OK ||
        has_line_end(what->url, strlen(what->url)) ||
        has_line_end(what->method, strlen(what->method)) || !headers_set(job, what)) {
        sb_puts(why, "a URL, method or header of a fetch has a line end in it");
        return false;
    }
    method_set(e, what);
    authorities_set(e);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 1l);
    curl_easy_setopt(e, CURLOPT_MAXREDIRS, FETCH_REDIRECTS);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1l);
    /* Ended while a name is looked up: the loop does not wait for that thread. */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1l);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, FETCH_CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "logstore-broker/" LOGSTORE_VERSION);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, job->headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, job);
    curl_easy_setopt(e, CURLOPT_PRIVATE, job);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, job->why);
    return true;
}

broker_rc fetch_start(fetcher *f, ledger *owner, const broker_fetch_request *given,
                      broker_fetch_job **out, sb *why)
{
    broker_fetch_request what = {0};
    broker_fetch_job *job;

    memcpy(&what, given, given->size < sizeof what ? given->size : sizeof what);
    if (what.method == NULL || what.url == NULL || what.on_done == NULL) {
        sb_puts(why, "a fetch wants a method, a URL and on_done()");
        return BROKER_EINVAL;
    }
    if (f->n_waiting >= FETCH_WAITING) {
        metric_add(f->results[FETCH_REFUSED], 1);
        sb_printf(why, "%u fetches run and %u wait; try again later", f->n_running, f->n_waiting);
        return BROKER_EBUSY;
    }
    job = must_alloc(sizeof *job);
    job->f = f;
    job->owner = owner;
    job->self = what.self;
    job->on_part = what.on_part;
    job->on_done = what.on_done;
    job->max_answer = what.max_answer != 0 ? what.max_answer : FETCH_ANSWER;
    job->deadline_ms = now_ms() + (what.timeout_ms != 0 ? what.timeout_ms : FETCH_TIMEOUT_MS);
    if (!easy_make(job, &what, why)) {
        curl_easy_cleanup(job->easy);
        curl_slist_free_all(job->headers);
        free(job);
        return BROKER_EINVAL;
    }
    atomic_fetch_add(&owner->fetches, 1);
    waiting_put(f, job);
    fetch_post(f);
    *out = job;
    return BROKER_OK;
}

static void begin(broker_fetch_job *job)
{
    fetcher *f = job->f;
    uint64_t now = now_ms();

    unlink_job(job);
    running_put(f, job);
    /* What is late already gets a millisecond, and then the same words as others. */
    curl_easy_setopt(job->easy, CURLOPT_TIMEOUT_MS,
                     job->deadline_ms > now ? (long)(job->deadline_ms - now) : 1l);
    must(curl_multi_add_handle(f->multi, job->easy) == CURLM_OK);
}

void fetch_late(fetcher *f)
{
    broker_fetch_job *job;
    uint64_t now = now_ms();

    do { /* from the start again: on_done() may do anything */
        for (job = f->waiting; job != NULL && (job->owner == NULL || now < job->deadline_ms);)
            job = job->next;
        if (job != NULL) {
            tell(job, BROKER_EIO, 0, "it waited too long for its turn");
            job_free(job);
        }
    } while (job != NULL);
}

void fetch_step(fetcher *f)
{
    for (broker_fetch_job *job = f->running, *next; job != NULL; job = next) {
        next = job->next;
        if (job->owner == NULL)
            job_free(job);
    }
    for (broker_fetch_job *job = f->waiting, *next; job != NULL; job = next) {
        next = job->next;
        if (job->owner == NULL)
            job_free(job);
    }
    while (f->waiting != NULL && f->n_running < FETCH_RUNNING)
        begin(f->waiting);
}

static void on_post(loop_call *call)
{
    fetcher *f = CONTAINER_OF(call, fetcher, call);

    f->posted = false;
    if (f->closing)
        handle_gone(f);
    else
        fetch_step(f);
}

void fetch_post(fetcher *f)
{
    if (f->posted)
        return;
    f->posted = true;
    loop_post(f->loop, &f->call);
}

/* ---- life ---- */

fetcher *fetcher_new(loop *l)
{
    static const char *const results[FETCH_RESULTS] = {"ok", "failed", "cancelled", "refused"};
    fetcher *f = must_alloc(sizeof *f);
    char label[32];

    f->loop = l;
    f->call.fn = on_post;
    f->waiting_end = &f->waiting;
    for (unsigned i = 0; i < FETCH_RESULTS; i++) {
        snprintf(label, sizeof label, "result=\"%s\"", results[i]);
        f->results[i] = metrics_counter("fetch_total", label, "HTTP requests made for plugins.");
    }
    f->running_now = metrics_gauge("fetch_running", NULL, "HTTP requests under way.");
    f->waiting_now =
        metrics_gauge("fetch_waiting", NULL, "HTTP requests that wait for their turn.");
    multi_open(f);
    return f;
}

void handle_gone(fetcher *f)
{
    if (--f->handles != 0 || !f->closing)
        return;
    f->closed(f->closed_arg);
    curl_global_cleanup();
    free(f);
}

void fetcher_close(fetcher *f, void (*closed)(void *arg), void *arg)
{
    must(!f->inside);
    f->closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    if (f->posted)
        f->handles++; /* on_post() is one of those waited for */
    while (f->running != NULL || f->waiting != NULL) {
        broker_fetch_job *job = f->running != NULL ? f->running : f->waiting;

        if (job->owner != NULL)
            fetch_cancel(job);
        else
            job_free(job);
    }
    multi_close(f);
}
