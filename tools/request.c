/* request -- HTTP to the node, over libcurl. See client.h. */
#include "client.h"

#include <curl/curl.h>
#include <strings.h>

#define REFUSAL_MAX (1u << 20)  /* of an answer that is shown  */
#define ANSWER_MAX  (16u << 20) /* of a summary that is parsed */

typedef struct exchange {
    client *c;
    sink out;
    source in;
    void *arg;
    answer *a;
    bool stopped; /* by out or in, which have said why */
    char why[CURL_ERROR_SIZE];
} exchange;

void answer_done(answer *a)
{
    sb_done(&a->body);
    sb_done(&a->message_id);
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    static const char name[] = "X-Message-Id:";
    exchange *x = arg;
    size_t len = size * n, at = sizeof name - 1;

    if (len < at || strncasecmp(bytes, name, at) != 0)
        return len;
    while (at < len && bytes[at] == ' ')
        at++;
    sb_clear(&x->a->message_id);
    sb_append(&x->a->message_id, bytes + at, strcspn(bytes + at, "\r\n"));
    return len;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    exchange *x = arg;
    size_t len = size * n, room = x->out != NULL ? REFUSAL_MAX : ANSWER_MAX;
    long status = 0;

    curl_easy_getinfo(x->c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200 && x->out != NULL) {
        x->stopped = !x->out(x->arg, (const uint8_t *)bytes, len);
        return x->stopped ? 0 : len;
    }
    room -= x->a->body.len;
    sb_append(&x->a->body, bytes, len < room ? len : room);
    return len;
}

static size_t on_source(char *bytes, size_t size, size_t n, void *arg)
{
    exchange *x = arg;
    int64_t got = x->in(x->arg, (uint8_t *)bytes, size * n);

    if (got < 0) {
        x->stopped = true;
        return CURL_READFUNC_ABORT;
    }
    return (size_t)got;
}

static int failed(const exchange *x, CURLcode code)
{
    const char *why = x->why[0] != '\0' ? x->why : curl_easy_strerror(code);

    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        fprintf(stderr,
                "'%s' is no URL of a node (%s); expected something like "
                "http://127.0.0.1:7171\n",
                x->c->url, why);
        return EXIT_USAGE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
        fprintf(stderr,
                "cannot reach the node at %s: %s; is it running? (--url or "
                "$LOGSTORE_URL "
                "says where)\n",
                x->c->url, why);
        return EXIT_UNREACHABLE;
    default:
        fprintf(stderr,
                "the node at %s ended the exchange before it was complete: %s; its "
                "log says why\n",
                x->c->url, why);
        return EXIT_UNREACHABLE;
    }
}

static struct curl_slist *header_add(struct curl_slist *list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(list, text);

    must(longer != NULL);
    return longer;
}

static int perform(exchange *x, const char *path, const char *type)
{
    struct curl_slist *headers = NULL;
    client *c = x->c;
    sb text = SB_INIT;
    size_t url_len = strlen(c->url);
    CURLcode code;

    if (c->curl == NULL)
        c->curl = curl_easy_init();
    must(c->curl != NULL);
    curl_easy_reset(c->curl); /* keeps the connection */
    while (url_len != 0 && c->url[url_len - 1] == '/')
        url_len--;
    sb_printf(&text, "%.*s%s", (int)url_len, c->url, path);
    curl_easy_setopt(c->curl, CURLOPT_URL, text.data);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, x->why);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "logstore/" LOGSTORE_VERSION);
    if (c->api_key != NULL) {
        sb_clear(&text);
        sb_printf(&text, "Authorization: bearer %s", c->api_key);
        headers = header_add(headers, text.data);
    }
    if (x->in != NULL) {
        sb_clear(&text);
        sb_printf(&text, "Content-Type: %s", type);
        headers = header_add(headers, text.data);
        headers = header_add(headers, "Expect:");
        headers = header_add(headers, "Transfer-Encoding: chunked");
        curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_source);
        curl_easy_setopt(c->curl, CURLOPT_READDATA, x);
        curl_easy_setopt(c->curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    }
    sb_done(&text);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c->curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &x->a->status);
    curl_slist_free_all(headers);
    if (x->stopped)
        return EXIT_REFUSED;
    /* A node that refuses early closes while the rest is still being sent. */
    if (code == CURLE_SEND_ERROR && x->a->status >= 400)
        return EXIT_GOOD;
    return code == CURLE_OK ? EXIT_GOOD : failed(x, code);
}

int client_refused(const answer *a)
{
    const char *hint = "";

    if (a->status == 401 || a->status == 403)
        hint = "; if the node has API keys, give one with --api-key or "
               "$LOGSTORE_API_KEY";
    else if (a->status == 404)
        hint = "; does the node have the plugin for this path?";
    fprintf(stderr, "the node refused (status %ld): %s%s\n", a->status,
            a->body.len != 0 ? a->body.data : "no reason given", hint);
    return EXIT_REFUSED;
}

int client_get(client *c, const char *path, sink out, void *arg)
{
    answer a = {0};
    exchange x = {.c = c, .out = out, .arg = arg, .a = &a};
    int result = perform(&x, path, NULL);

    if (result == EXIT_GOOD && a.status != 200)
        result = client_refused(&a);
    answer_done(&a);
    return result;
}

int client_post(client *c, const char *path, const char *type, source in, void *arg, answer *a)
{
    exchange x = {.c = c, .in = in, .arg = arg, .a = a};

    *a = (answer){0};
    return perform(&x, path, type);
}

void client_path(const char *root, const char *stream, sb *out)
{
    char *id = curl_easy_escape(NULL, stream, 0);

    must(id != NULL);
    sb_printf(out, "/%s/%s", root, id);
    curl_free(id);
}

void client_done(client *c)
{
    curl_easy_cleanup(c->curl);
    c->curl = NULL;
}
