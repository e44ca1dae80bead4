/* endpoint -- see endpoint.h. */
#include "endpoint.h"

#include <string.h>

/* "https://node.example/v3/secret" -> "https://node.example"; a user and password go too. */
static char *name_of(const char *url)
{
    const char *host = strstr(url, "://"), *end, *at;
    sb name = SB_INIT;

    if (host == NULL)
        return must_strdup("an endpoint");
    host += 3;
    end = host + strcspn(host, "/?#");
    at = memrchr(host, '@', (size_t)(end - host));
    sb_append(&name, url, (size_t)(host - url));
    if (at != NULL)
        host = at + 1;
    sb_append(&name, host, (size_t)(end - host));
    return name.data;
}

void endpoint_init(endpoint *e, const char *url)
{
    *e = (endpoint){.url = must_strdup(url), .name = name_of(url)};
}

void endpoint_done(endpoint *e)
{
    free(e->url);
    free(e->name);
}

bool endpoint_is_usable(const endpoint *e, uint64_t now)
{
    return now >= e->pause_end;
}

void endpoint_failed(endpoint *e, uint64_t now, uint32_t retry_s)
{
    uint64_t pause = ENDPOINT_PAUSE_MS;
    uint64_t asked = (uint64_t)retry_s * 1000;

    if (now < e->pause_end && asked == 0)
        return;
    for (unsigned i = 0; i < e->failures && pause < ENDPOINT_PAUSE_MAX_MS; i++)
        pause *= 2;
    if (pause < asked)
        pause = asked;
    if (pause > ENDPOINT_PAUSE_MAX_MS)
        pause = ENDPOINT_PAUSE_MAX_MS;
    e->failures++;
    e->pause_end = now + pause;
}

void endpoint_answered(endpoint *e)
{
    e->failures = 0;
    e->pause_end = 0;
}
