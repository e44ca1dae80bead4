/* summary -- see summary.h. */
#include "summary.h"

#include <jansson.h>

void summary_done(summary *s)
{
    sb_done(&s->rejections);
    sb_done(&s->error);
}

static uint64_t count(const json_t *answer, const char *name)
{
    json_int_t x = json_integer_value(json_object_get(answer, name));

    return x > 0 ? (uint64_t)x : 0;
}

static void list(summary *s, uint64_t index, const char *reason)
{
    if (s->listed == SUMMARY_REJECTED_MAX)
        return;
    sb_printf(&s->rejections, "%s{\"index\":%llu,\"reason\":", s->listed++ != 0 ? "," : "",
              (unsigned long long)index);
    sb_json_string(&s->rejections, reason, strlen(reason));
    sb_putc(&s->rejections, '}');
}

void summary_reject(summary *s, uint64_t index, const char *reason)
{
    s->rejected++;
    list(s, index, reason);
}

bool summary_add(summary *s, const char *text, size_t len, const uint64_t *index_of, size_t n)
{
    json_t *answer = len != 0 ? json_loadb(text, len, 0, NULL) : NULL, *item;
    json_t *rejected = json_object_get(answer, "rejected");
    const char *error = json_string_value(json_object_get(answer, "error"));
    uint64_t total = count(answer, "rejectedTotal"), listed = json_array_size(rejected);
    bool ok = json_is_integer(json_object_get(answer, "stored")) && json_is_array(rejected);
    size_t i;

    if (!ok)
        goto done;
    s->stored += count(answer, "stored");
    s->duplicates += count(answer, "duplicates");
    s->failed += count(answer, "failed");
    s->rejected += total > listed ? total : listed;
    json_array_foreach(rejected, i, item)
    {
        const char *reason = json_string_value(json_object_get(item, "reason"));
        uint64_t index = count(item, "index");

        if (index_of != NULL && index < n)
            index = index_of[index];
        list(s, index, reason != NULL ? reason : "no reason given");
    }
    if (error != NULL) {
        sb_clear(&s->error);
        sb_puts(&s->error, error);
    }
done:
    json_decref(answer);
    return ok;
}

void summary_text(const summary *s, sb *out)
{
    sb_printf(out, "{\"stored\":%llu,\"duplicates\":%llu,\"rejected\":[",
              (unsigned long long)s->stored, (unsigned long long)s->duplicates);
    sb_append(out, s->rejections.data, s->rejections.len);
    sb_putc(out, ']');
    if (s->rejected > s->listed)
        sb_printf(out, ",\"rejectedTotal\":%llu", (unsigned long long)s->rejected);
    if (s->failed != 0)
        sb_printf(out, ",\"failed\":%llu", (unsigned long long)s->failed);
    if (s->error.len != 0) {
        sb_puts(out, ",\"error\":");
        sb_json_string(out, s->error.data, s->error.len);
    }
    sb_putc(out, '}');
}

bool summary_is_good(const summary *s)
{
    return s->rejected == 0 && s->failed == 0 && s->error.len == 0;
}
