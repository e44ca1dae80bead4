/* request -- HTTP to the node, over libcurl. See client.h. */
#include "client.h"

#include <curl/curl.h>

typedef struct exchange {
    client *c;
    CURL *curl;
    sink out;
    source in;
    void *arg;
    sb error; /* the body of an answer that is not 200 */
    bool stopped;
} exchange;

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    exchange *x = arg;
    long status = 0;

    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 || x->out == NULL) {
        if (x->error.len < (64u << 20))
            sb_append(&x->error, bytes, size * n);
        return size * n;
    }
    if (!x->out(x->arg, (const uint8_t *)bytes, size * n)) {
        x->stopped = true;
        return 0;
    }
    return size * n;
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

static int unreachable(const client *c, CURLcode code)
{
    fprintf(
        stderr,
        "cannot talk to the node at %s: %s; is it running? (--url or $LOGSTORE_URL says where)\n",
        c->url, curl_easy_strerror(code));
    return EXIT_UNREACHABLE;
}

static CURLcode perform(exchange *x, const char *path, long *status)
{
    struct curl_slist *headers = NULL;
    sb text = SB_INIT;
    CURLcode code;

    x->curl = curl_easy_init();
    must(x->curl != NULL);
    sb_printf(&text, "%s%s", x->c->url, path);
    curl_easy_setopt(x->curl, CURLOPT_URL, text.data);
    sb_done(&text);
    if (x->c->api_key != NULL) {
        sb_printf(&text, "Authorization: bearer %s", x->c->api_key);
        headers = curl_slist_append(headers, text.data);
        sb_done(&text);
    }
    if (x->in != NULL) {
        headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
        headers = curl_slist_append(headers, "Expect:");
        headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
        curl_easy_setopt(x->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(x->curl, CURLOPT_READFUNCTION, on_source);
        curl_easy_setopt(x->curl, CURLOPT_READDATA, x);
    }
    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(x->curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    code = curl_easy_perform(x->curl);
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(x->curl);
    return code;
}

int client_get(client *c, const char *path, sink out, void *arg)
{
    exchange x = {.c = c, .out = out, .arg = arg};
    long status = 0;
    CURLcode code = perform(&x, path, &status);
    int result = EXIT_GOOD;

    if (x.stopped)
        result = EXIT_REFUSED; /* whoever stopped it has said why */
    else if (code != CURLE_OK)
        result = unreachable(c, code);
    else if (status != 200) {
        fprintf(stderr, "the node answered %ld: %s\n", status,
                x.error.data != NULL ? x.error.data : "");
        result = EXIT_REFUSED;
    }
    sb_done(&x.error);
    return result;
}

int client_post(client *c, const char *path, source in, void *arg, sb *answer, long *status)
{
    exchange x = {.c = c, .in = in, .arg = arg};
    CURLcode code = perform(&x, path, status);

    *answer = x.error;
    if (x.stopped)
        return EXIT_REFUSED;
    return code == CURLE_OK ? EXIT_GOOD : unreachable(c, code);
}

void client_path(const client *c, const char *root, const char *stream, sb *out)
{
    char *id = curl_easy_escape(NULL, stream, 0);

    sb_printf(out, "/%s/%s", root, id);
    if (strcmp(root, "stores") == 0)
        sb_printf(out, "/data/partitions/%u", c->partition);
    curl_free(id);
}
