/* The state of another build: any bytes are refused, or mean what is written again in the same way.
 */
#include "facts.h"
#include "past.h"

static void facts_try(const uint8_t *data, size_t size)
{
    facts *f = facts_new(16), *again = facts_new(16);
    sb once = SB_INIT, twice = SB_INIT;

    if (facts_load(f, data, size, UINT64_MAX)) {
        must(facts_count(f) <= 16);
        facts_save(f, 0, &once);
        must(facts_load(again, once.data, once.len, UINT64_MAX));
        facts_save(again, 0, &twice);
        must(once.len == twice.len &&
             (once.len == 0 || memcmp(once.data, twice.data, once.len) == 0));
    }
    sb_done(&once);
    sb_done(&twice);
    facts_free(f);
    facts_free(again);
}

static void past_try(const uint8_t *data, size_t size)
{
    past p = {.events = NULL}, again = {.events = NULL};
    view in = view_of(data, size), back;
    sb once = SB_INIT, twice = SB_INIT;

    if (past_load(&p, &in)) {
        past_save(&p, &once);
        back = view_of(once.data, once.len);
        must(past_load(&again, &back));
        past_save(&again, &twice);
        must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    past_done(&p);
    past_done(&again);
    sb_done(&once);
    sb_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    facts_try(data, size);
    past_try(data, size);
    return 0;
}
