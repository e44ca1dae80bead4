/* logstore: what retention keeps, forgets and counts, on a real RocksDB. */
#include "eth/eth.h"
#include "store_inner.h"
#include "streamr/streamr.h"
#include "tests/unit/store_folder.h"

#include <criterion/criterion.h>
#include <unistd.h>

#define A   "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/a"
#define B   "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/b"
#define DAY 86400000ll

/* Not signed: the store does not look. */
static int32_t put(store *s, const char *stream, int64_t ms, size_t content_len)
{
    static uint8_t content[65536], address[20] = {1}, signature[65];
    broker_msg m = {
        .size = sizeof m,
        .stream = {stream, strlen(stream)},
        .timestamp_ms = ms,
        .publisher = {address, 20},
        .chain = {"c", 1},
        .body = BROKER_BODY_CONTENT,
        .content = {content, content_len},
        .content_type = BROKER_CONTENT_BINARY,
        .signature = {signature, 65},
        .signature_type = BROKER_SIGNATURE_SECP256K1,
    };
    const broker_msg *one = &m;
    broker_outcome outcome;
    sb bytes = SB_INIT;

    random_bytes(content, 8);
    if (content_len == 0) /* the same bytes each time */
        memset(content, 0, 8);
    else
        random_bytes(content, content_len);
    streamr_encode(&m, &bytes);
    m.raw = (broker_bytes){(const uint8_t *)bytes.data, bytes.len};
    store_write(s, &one, &outcome, 1);
    sb_done(&bytes);
    return outcome.code;
}

/* What a query gives, in order. */
static counts query(store *s, const char *stream)
{
    range all = {.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    cursor *c = store_range(s, (broker_str){stream, strlen(stream)}, 0, &all);
    counts out = {0};
    broker_bytes raw;
    int64_t ms, last = -1;
    int32_t sequence;
    int found;

    while ((found = cursor_next(c, &raw, &ms, &sequence)) == 1) {
        cr_assert_gt(ms, last, "out of order: %lld behind %lld", (long long)ms, (long long)last);
        last = ms;
        counts_add(&out, &(counts){1, raw.len, ms, ms});
    }
    cr_assert_eq(found, 0);
    cursor_close(c);
    return out;
}

/* How many there are; what the store says of them is what a query gives. */
static size_t has(store *s, const char *stream)
{
    counts told = {0}, read = query(s, stream);

    store_part(s, (broker_str){stream, strlen(stream)}, 0, &told);
    cr_assert_eq(told.messages, read.messages, "%zu are told, %zu read", (size_t)told.messages,
                 (size_t)read.messages);
    if (read.messages != 0)
        cr_assert(told.bytes == read.bytes && told.first_ms == read.first_ms &&
                      told.last_ms == read.last_ms,
                  "bytes %zu %zu, first %lld %lld, last %lld %lld", (size_t)told.bytes,
                  (size_t)read.bytes, (long long)told.first_ms, (long long)read.first_ms,
                  (long long)told.last_ms, (long long)read.last_ms);
    return read.messages;
}

/* Bytes of the table files in a folder. */
static uint64_t tables_bytes(const char *path)
{
    char command[160];
    unsigned long long bytes = 0;
    FILE *p;

    snprintf(command, sizeof command, "cat %s/*.sst 2>/dev/null | wc -c", path);
    p = popen(command, "r");
    cr_assert_eq(fscanf(p, "%llu", &bytes), 1);
    pclose(p);
    return bytes;
}

/* ---- size ---- */

Test(retention, by_size_forgets_the_oldest_and_counts_what_is_left)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 400000};
    char *path = folder_new();
    store *s = store_at(path, &keep, 1);
    int64_t start = clock_wall_ms() - DAY;
    size_t n;

    for (int i = 0; i < 1000; i++)
        cr_assert_eq(put(s, A, start + i * 1000, 1000), BROKER_STORED, "message %d", i);
    n = has(s, A);
    cr_assert(n > 300 && n < 400, "%zu messages are left", n); /* 7/8 to 8/8 of some 370 */
    cr_assert_eq(query(s, A).last_ms, start + 999 * 1000, "the newest are kept");
    cr_assert_leq(store_retained(s, 0), 400000);
    cr_assert_leq(store_count(s).slabs, 10, "%zu slabs", store_count(s).slabs);
    cr_assert_eq(store_count(s).forgotten_by_size, 1000 - n);
    store_close(s);
    s = store_at(path, &keep, 1);
    cr_assert_eq(has(s, A), n, "after a reopening");
    store_close(s);
}

Test(retention, by_size_is_of_all_stream_parts_together)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 400000};
    store *s = store_at(folder_new(), &keep, 1);
    int64_t start = clock_wall_ms() - DAY;

    for (int i = 0; i < 300; i++)
        cr_assert_eq(put(s, A, start + i, 1000), BROKER_STORED);
    for (int i = 0; i < 300; i++)
        cr_assert_eq(put(s, B, start + 1000 + i, 1000), BROKER_STORED);
    cr_assert_eq(has(s, B), 300, "the newer ones are all there");
    cr_assert_lt(has(s, A), 70);
    cr_assert_leq(query(s, A).bytes + query(s, B).bytes, 400000);
    store_close(s);
}

Test(retention, by_size_leaves_other_streams_alone)
{
    const retention keep = {(char[]){"*/a"}, 0, 100000};
    store *s = store_at(folder_new(), &keep, 1);
    int64_t start = clock_wall_ms() - DAY;

    for (int i = 0; i < 300; i++) {
        cr_assert_eq(put(s, A, start + i, 1000), BROKER_STORED);
        cr_assert_eq(put(s, B, start + i, 1000), BROKER_STORED);
    }
    cr_assert_eq(has(s, B), 300);
    cr_assert_lt(has(s, A), 100);
    store_close(s);
}

Test(retention, by_size_takes_nothing_older_than_all_when_it_is_nearly_full)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 400000};
    store *s = store_at(folder_new(), &keep, 1);
    int64_t start = clock_wall_ms() - DAY;
    size_t n;

    cr_assert_eq(put(s, A, start - 60 * DAY, 1000), BROKER_STORED, "there is room");
    for (int i = 0; i < 1000 || store_retained(s, 0) < 360000; i++)
        cr_assert_eq(put(s, A, start + i * 1000, 1000), BROKER_STORED);
    n = has(s, A);
    cr_assert_eq(put(s, A, start - 60 * DAY, 1000), BROKER_REJECTED);
    cr_assert_eq(put(s, A, query(s, A).first_ms + 1, 1000), BROKER_STORED,
                 "in between it is taken");
    cr_assert_geq(has(s, A), n - 50);
    store_close(s);
}

Test(retention, by_size_forgets_a_message_that_alone_is_over)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 10000};
    store *s = store_at(folder_new(), &keep, 1);

    cr_assert_eq(put(s, A, clock_wall_ms(), 20000), BROKER_STORED);
    cr_assert_eq(has(s, A), 0);
    cr_assert_eq(put(s, A, clock_wall_ms(), 100), BROKER_STORED);
    cr_assert_eq(has(s, A), 1);
    store_close(s);
}

Test(retention, by_size_and_by_age_both_count)
{
    const retention both = {(char[]){"0x19e7*"}, 8 * DAY, 400000};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t now = clock_wall_ms();

    for (int i = 0; i < 20; i++)
        cr_assert_eq(put(s, A, now - (20 - i) * DAY, 1000), BROKER_STORED);
    store_close(s);
    s = store_at(path, &both, 1);
    cr_assert_eq(query(s, A).messages, 7);
    cr_assert_eq(put(s, A, now - 9 * DAY, 1000), BROKER_REJECTED);
    for (int i = 0; i < 800; i++)
        cr_assert_eq(put(s, A, now + i, 1000), BROKER_STORED);
    cr_assert_leq(store_retained(s, 0), 400000);
    cr_assert_eq(query(s, A).last_ms, now + 799);
    cr_assert_gt(query(s, A).first_ms, now);
    store_close(s);
}

/* ---- age ---- */

Test(retention, by_age_refuses_what_is_older)
{
    const retention keep = {(char[]){"0x19e7*"}, 3600000, 0};
    store *s = store_at(folder_new(), &keep, 1);

    cr_assert_eq(put(s, A, clock_wall_ms() - 7200000, 10), BROKER_REJECTED);
    cr_assert_eq(put(s, A, clock_wall_ms() - 60000, 10), BROKER_STORED);
    cr_assert_eq(has(s, A), 1);
    store_close(s);
}

Test(retention, what_is_refused_leaves_no_name_behind)
{
    const retention keep[] = {{(char[]){"*/a"}, 3600000, 0}, {(char[]){"*/b*"}, 0, 100000}};
    store *s = store_at(folder_new(), keep, 2);
    int64_t now = clock_wall_ms();

    cr_assert_eq(put(s, A, now - 7200000, 10), BROKER_REJECTED);
    cr_assert_eq(s->next_part, 0);
    cr_assert_eq(s->next_publisher, 0);
    for (int i = 0; i < 90; i++)
        cr_assert_eq(put(s, B, now + i, 1000), BROKER_STORED);
    cr_assert_gt(store_retained(s, 1), 87500, "it is nearly full");
    cr_assert_eq(put(s, B "b", now - 60 * DAY, 10), BROKER_REJECTED);
    cr_assert_eq(s->next_part, 1);
    store_close(s);
}

/* A message a day for n days, the last one yesterday. */
static void days_put(store *s, const char *stream, int n)
{
    int64_t now = clock_wall_ms();

    for (int i = n; i > 0; i--)
        cr_assert_eq(put(s, stream, now - i * DAY, 20000), BROKER_STORED);
}

Test(retention, a_slab_past_its_age_gives_its_disk_space_back_while_the_store_is_open)
{
    const retention year = {(char[]){"0x19e7*"}, 365 * DAY, 0}, week = {year.pattern, 7 * DAY, 0};
    char *path = folder_new();
    store *s = store_at(path, &year, 1);

    days_put(s, A, 300);
    store_flush(s);
    store_close(s);
    cr_assert_gt(tables_bytes(path), 4 << 20);
    s = store_at(path, &week, 1);
    store_tend(s);
    cr_assert_eq(query(s, A).messages, 6);
    cr_assert_lt(tables_bytes(path), 2 << 20, "%llu bytes are left",
                 (unsigned long long)tables_bytes(path));
    store_close(s);
}

/* The full disk is the one that wants the old slabs gone. */
Test(retention, a_full_disk_does_not_keep_it_from_making_room)
{
    char *path = folder_new();
    const retention keep = {(char[]){"0x19e7*"}, 365 * DAY, 0};
    store *s = store_at(path, &keep, 1);

    days_put(s, A, 300);
    store_flush(s);
    s->rules[0].max_age_ms = 7 * DAY; /* as if a year had gone by */
    s->swept_ns = 0;
    s->options.min_free_bytes = UINT64_MAX;
    cr_assert_eq(put(s, A, clock_wall_ms(), 10), BROKER_FULL);
    cr_assert_not(store_is_well(s, NULL));
    cr_assert_lt(tables_bytes(path), 2 << 20);
    store_close(s);
}

Test(retention, a_full_disk_and_a_failed_write_do_not_keep_it_from_making_room)
{
    char *path = folder_new();
    const retention keep = {(char[]){"0x19e7*"}, 365 * DAY, 0};
    store *s = store_at(path, &keep, 1);

    days_put(s, A, 300);
    store_flush(s);
    s->rules[0].max_age_ms = 7 * DAY;
    s->swept_ns = 0;
    s->options.min_free_bytes = UINT64_MAX;
    s->stuck = true;
    cr_assert_eq(put(s, A, clock_wall_ms(), 10), BROKER_FULL);
    cr_assert_lt(tables_bytes(path), 2 << 20, "%zu bytes are left", (size_t)tables_bytes(path));
    s->options.min_free_bytes = 0;
    cr_assert_eq(put(s, A, clock_wall_ms(), 10), BROKER_STORED);
    store_close(s);
}

/* Nobody writes to a node that is not well: it is to find out by itself. */
Test(retention, a_failed_write_of_its_own_is_told_and_tried_again_without_a_message)
{
    const retention keep = {(char[]){"0x19e7*"}, 365 * DAY, 0};
    store *s = store_at(folder_new(), &keep, 1);
    range all = {.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    cursor *c;

    days_put(s, A, 300);
    s->rules[0].max_age_ms = 7 * DAY;
    s->swept_ns = 0;
    s->stuck = true;
    c = store_range(s, (broker_str){A, strlen(A)}, 0, &all);
    store_tend(s);
    cr_assert_not(store_is_well(s, NULL), "a query keeps it from being opened again");
    cursor_close(c);
    store_tend(s);
    cr_assert(store_is_well(s, NULL));
    cr_assert_gt(store_count(s).forgotten_by_age, 200);
    store_close(s);
}

Test(retention, parts_of_one_slab_go_by_their_own_age)
{
    /* Both are of the group of 16 hours. */
    const retention keep[] = {{(char[]){"*/a"}, 6 * DAY, 0}, {(char[]){"*/b"}, 10 * DAY, 0}};
    char *path = folder_new();
    store *s = store_at(path, keep, 2);
    int64_t now = clock_wall_ms();

    for (int i = 1; i < 60; i++) {
        if (i < 48)
            cr_assert_eq(put(s, A, now - i * DAY / 10, 1000), BROKER_STORED);
        cr_assert_eq(put(s, B, now - i * DAY / 10, 1000), BROKER_STORED);
    }
    cr_assert_str_eq(s->rules[0].group, s->rules[1].group);
    s->rules[0].max_age_ms = 2 * DAY; /* as if four days had gone by */
    forget_old(s, true);
    cr_assert_eq(query(s, A).messages, 19);
    cr_assert_lt(query(s, A).messages, 47);
    cr_assert_eq(has(s, B), 59);
    store_close(s);
    s = store_at(path, keep, 2);
    cr_assert(has(s, A) >= 19 && has(s, A) <= 27, "%zu", has(s, A));
    cr_assert_eq(has(s, B), 59);
    store_close(s);
}

Test(retention, a_part_that_leaves_a_slab_gives_its_disk_space_back)
{
    const retention day = {(char[]){"*/a"}, DAY, 0};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t then = clock_wall_ms() - 2 * DAY;

    for (int i = 0; i < 100; i++)
        cr_assert_eq(put(s, A, then + i, 40000), BROKER_STORED);
    cr_assert_eq(put(s, B, then, 1000), BROKER_STORED);
    store_flush(s);
    store_close(s);
    s = store_at(path, &day, 1);
    cr_assert_gt(tables_bytes(path), 3 << 20);
    store_tend(s);
    store_compact(s);
    cr_assert_lt(tables_bytes(path), 1 << 20, "%zu bytes are left", (size_t)tables_bytes(path));
    cr_assert_eq(has(s, A), 0);
    cr_assert_eq(has(s, B), 1);
    cr_assert_eq(store_cursors(s), 0);
    store_close(s);
}

Test(retention, what_is_cut_off_gives_its_disk_space_back)
{
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t then = clock_wall_ms() - 2 * DAY;

    for (int i = 0; i < 100; i++)
        cr_assert_eq(put(s, A, then + i, 40000), BROKER_STORED);
    store_flush(s);
    s->rules[0].max_bytes = 1 << 20;
    cr_assert_gt(tables_bytes(path), 3 << 20);
    store_tend(s);
    store_compact(s);
    cr_assert_lt(tables_bytes(path), 3 << 19, "%zu bytes are left", (size_t)tables_bytes(path));
    cr_assert_geq(has(s, A), 20);
    store_close(s);
}

static void remember(void *arg, uint32_t level, const char *line)
{
    (void)level;
    sb_puts(arg, line);
}

Test(retention, the_log_says_whether_one_entry_or_several_are_why)
{
    const retention keep[] = {{(char[]){"*/a"}, 7 * DAY, 0}, {(char[]){"*/b"}, 7 * DAY, 0}};
    store *s = store_at(folder_new(), keep, 2);
    sb said = SB_INIT;

    s->options.say = remember;
    s->options.say_arg = &said;
    cr_assert_eq(put(s, A, clock_wall_ms() - DAY, 10), BROKER_STORED);
    cr_assert_eq(put(s, B, clock_wall_ms() - 4 * DAY, 10), BROKER_STORED);
    s->rules[1].max_age_ms = 2 * DAY; /* as if days had gone by */
    forget_old(s, true);
    cr_assert(strstr(said.data, "retention of '*/b' says"), "%s", said.data);
    sb_clear(&said);
    cr_assert_eq(put(s, B, clock_wall_ms() - DAY, 10), BROKER_STORED);
    s->rules[0].max_age_ms = s->rules[1].max_age_ms = 3600000;
    forget_old(s, true);
    cr_assert(strstr(said.data, "2 stream parts") && strstr(said.data, "and of others says"), "%s",
              said.data);
    sb_done(&said);
    store_close(s);
}

static atomic_bool writes;

static void *compact_on(void *s)
{
    while (atomic_load(&writes))
        store_compact(s);
    return NULL;
}

Test(retention, a_slab_may_go_while_its_disk_space_is_given_back)
{
    const retention keep[] = {{(char[]){"*/a"}, 7 * DAY, 0}, {(char[]){"*/b"}, 7 * DAY, 0}};
    store *s = store_at(folder_new(), keep, 2);
    pthread_t compacting;

    atomic_store(&writes, true);
    cr_assert_eq(pthread_create(&compacting, NULL, compact_on, s), 0);
    for (int round = 0; round < 30; round++) {
        int64_t then = clock_wall_ms() - 2 * DAY;

        for (int i = 0; i < 10; i++) {
            cr_assert_eq(put(s, A, then + i, 20000), BROKER_STORED);
            cr_assert_eq(put(s, B, then + i, 20000), BROKER_STORED);
        }
        for (int i = 1; i >= 0; i--) { /* first one part of the slab, then all of it */
            s->rules[i].max_age_ms = DAY;
            forget_old(s, true);
            forget_dropped(s);
        }
        cr_assert_eq(has(s, A) + has(s, B), 0);
        s->rules[0].max_age_ms = s->rules[1].max_age_ms = 7 * DAY;
    }
    atomic_store(&writes, false);
    pthread_join(compacting, NULL);
    store_close(s);
}

/* ---- changed rules ---- */

typedef struct change {
    const char *what;
    retention before, after;
    size_t n_before, n_after;
    size_t kept, taken; /* of thirty days; and of what is twenty days old, later */
} change;

Test(retention, a_changed_rule_reaches_what_is_stored)
{
    char all[] = "0x19e7*", others[] = "0x77*";
    const change changes[] = {
        {"shorter", {all, 60 * DAY, 0}, {all, 10 * DAY, 0}, 1, 1, 9, 0},
        {"longer", {all, 60 * DAY, 0}, {all, 600 * DAY, 0}, 1, 1, 30, 1},
        {"removed", {all, 60 * DAY, 0}, {all, 0, 0}, 1, 0, 30, 1},
        {"added", {all, 0, 0}, {all, 10 * DAY, 0}, 0, 1, 9, 0},
        {"turned to others", {all, 60 * DAY, 0}, {others, 10 * DAY, 0}, 1, 1, 30, 1},
        {"size added", {all, 0, 0}, {all, 0, 1 << 20}, 0, 1, 30, 1},
        {"size for age", {all, 60 * DAY, 0}, {all, 0, 1 << 20}, 1, 1, 30, 1},
        {"age for size", {all, 0, 1 << 20}, {all, 10 * DAY, 0}, 1, 1, 9, 0},
    };

    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        const change *c = &changes[i];
        char *path = folder_new();
        store *s = store_at(path, &c->before, c->n_before);
        int64_t now = clock_wall_ms(), ago = now - 20 * DAY - DAY / 2;

        days_put(s, A, 30);
        cr_assert_eq(put(s, A, now - DAY / 2, 0), BROKER_STORED);
        store_close(s);
        s = store_at(path, &c->after, c->n_after);
        cr_expect_eq(query(s, A).messages, c->kept + 1, "%s: %zu messages", c->what,
                     (size_t)query(s, A).messages);
        /* What is new goes to another place, and is one stream with the old. */
        cr_expect_eq(put(s, A, now - DAY / 2, 0), BROKER_DUPLICATE, "%s", c->what);
        cr_expect_eq(put(s, A, now - DAY / 4, 0), BROKER_STORED, "%s", c->what);
        cr_expect_eq(put(s, A, now - DAY - DAY / 3, 0), BROKER_STORED, "%s", c->what);
        cr_expect_eq(put(s, A, ago, 0), c->taken ? BROKER_STORED : BROKER_REJECTED, "%s", c->what);
        cr_expect_eq(query(s, A).messages, c->kept + c->taken + 3, "%s: %zu messages", c->what,
                     (size_t)query(s, A).messages);
        store_close(s);
        s = store_at(path, &c->after, c->n_after);
        cr_expect_eq(query(s, A).messages, c->kept + c->taken + 3, "%s, opened again", c->what);
        store_close(s);
    }
}

Test(retention, a_new_age_does_not_wait_for_the_end_of_a_slab_of_thirty_days)
{
    const retention hour = {(char[]){"*/a"}, 3600000, 0};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);

    cr_assert_eq(put(s, A, clock_wall_ms() - 7200000, 10), BROKER_STORED);
    cr_assert_eq(put(s, B, clock_wall_ms() - 7200000, 10), BROKER_STORED);
    store_close(s);
    s = store_at(path, &hour, 1);
    store_tend(s);
    cr_assert_eq(has(s, A), 0);
    cr_assert_eq(has(s, B), 1);
    cr_assert_eq(store_count(s).forgotten_by_age, 1);
    store_close(s);
}

/* A build that does not come up after all leaves it as it is, to the one with the old rules. */
Test(retention, opening_alone_forgets_nothing)
{
    const retention less[] = {{(char[]){"*/a"}, DAY, 0}, {(char[]){"*/b"}, 0, 100000}};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);

    days_put(s, A, 100);
    days_put(s, B, 100);
    store_close(s);
    s = store_at(path, less, 2);
    cr_assert_eq(store_count(s).forgotten_by_age + store_count(s).forgotten_by_size, 0);
    store_close(s);
    s = store_at(path, NULL, 0);
    cr_assert_eq(has(s, A), 100);
    cr_assert_eq(has(s, B), 100);
    store_close(s);
    s = store_at(path, less, 2);
    store_tend(s);
    cr_assert_eq(has(s, A), 0);
    cr_assert_lt(has(s, B), 6);
    store_close(s);
}

Test(retention, a_smaller_size_takes_away_after_the_next_opening)
{
    const retention more = {(char[]){"0x19e7*"}, 0, 400000}, less = {more.pattern, 0, 100000};
    char *path = folder_new();
    store *s = store_at(path, &more, 1);
    int64_t start = clock_wall_ms() - DAY;

    for (int i = 0; i < 300; i++)
        cr_assert_eq(put(s, A, start + i, 1000), BROKER_STORED);
    store_close(s);
    s = store_at(path, &less, 1);
    store_tend(s);
    cr_assert_leq(store_retained(s, 0), 100000);
    cr_assert(has(s, A) > 30 && has(s, A) < 95, "%zu", has(s, A));
    store_close(s);
}

Test(retention, a_part_that_comes_under_a_size_goes_from_slabs_that_others_keep)
{
    const retention keep = {(char[]){"*/a"}, 0, 100000};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t start = clock_wall_ms() - DAY;
    size_t n;

    for (int i = 0; i < 200; i++) {
        cr_assert_eq(put(s, A, start + i, 1000), BROKER_STORED);
        cr_assert_eq(put(s, B, start + i, 1000), BROKER_STORED);
    }
    store_close(s);
    s = store_at(path, &keep, 1);
    store_tend(s);
    n = has(s, A);
    cr_assert(n > 70 && n < 95, "%zu messages are left", n); /* 3/4 to 4/4 of some 92 */
    cr_assert_eq(query(s, A).last_ms, start + 199, "the newest are kept");
    cr_assert_eq(has(s, B), 200);
    cr_assert_eq(store_count(s).forgotten_by_size, 200 - n);
    cr_assert_eq(put(s, A, start + 1000, 1000), BROKER_STORED);
    cr_assert_eq(has(s, A), n + 1);
    store_close(s);
    s = store_at(path, &keep, 1);
    cr_assert_eq(has(s, A), n + 1, "after a reopening");
    store_close(s);
}

Test(retention, a_new_size_keeps_the_newest_of_all_parts_of_a_slab)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 200000};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t start = clock_wall_ms() - DAY, now;

    for (int i = 0; i < 300; i++) { /* ever faster */
        now = start + 3600000 - 3600000ll / (i + 1);
        cr_assert_eq(put(s, A, now, 1000), BROKER_STORED);
        cr_assert_eq(put(s, B, now, 1000), BROKER_STORED);
    }
    store_close(s);
    s = store_at(path, &keep, 1);
    store_tend(s);
    cr_assert(store_retained(s, 0) > 150000 && store_retained(s, 0) <= 200000, "%zu bytes",
              (size_t)store_retained(s, 0));
    cr_assert(has(s, A) > 60 && has(s, B) > 60, "%zu and %zu", has(s, A), has(s, B));
    cr_assert_leq(llabs(query(s, A).first_ms - query(s, B).first_ms), 3600,
                  "they lose the same time");
    cr_assert_eq(query(s, A).last_ms, now);
    cr_assert_eq(query(s, B).last_ms, now);
    store_close(s);
}

Test(retention, a_size_cuts_a_slab_a_step_at_a_time_when_it_is_large)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 2 << 20};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t start = clock_wall_ms() - DAY;
    uint64_t before;

    for (int i = 0; i < 400; i++)
        cr_assert_eq(put(s, A, start + i, 60000), BROKER_STORED);
    store_close(s);
    s = store_at(path, NULL, 0);
    s->rules[0].max_bytes = keep.max_bytes;
    for (int steps = 0; s->rules[0].bytes > keep.max_bytes; steps++) {
        cr_assert_lt(steps, 10);
        before = s->rules[0].bytes;
        forget_surplus(s, 0);
        cr_assert(before - s->rules[0].bytes > 0 && before - s->rules[0].bytes < 17 << 20,
                  "%zu went in one step", (size_t)(before - s->rules[0].bytes));
    }
    cr_assert_geq(has(s, A), 30);
    cr_assert_eq(query(s, A).last_ms, start + 399);
    store_close(s);
}

Test(retention, an_open_query_reads_on_what_is_cut_off_meanwhile)
{
    store *s = store_at(folder_new(), NULL, 0);
    range all = {.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    int64_t start = clock_wall_ms() - DAY, ms;
    int32_t sequence;
    broker_bytes raw;
    size_t read = 0;
    cursor *c;

    for (int i = 0; i < 200; i++)
        cr_assert_eq(put(s, A, start + i, 1000), BROKER_STORED);
    c = store_range(s, (broker_str){A, strlen(A)}, 0, &all);
    cr_assert_eq(cursor_next(c, &raw, &ms, &sequence), 1);
    s->rules[0].max_bytes = 100000;
    store_tend(s);
    for (read = 1; cursor_next(c, &raw, &ms, &sequence) == 1; read++)
        ;
    cr_assert_eq(read, 200);
    cursor_close(c);
    cr_assert_gt(query(s, A).first_ms, start + 100);
    store_close(s);
}

Test(retention, a_new_size_takes_late_messages_that_are_not_the_oldest)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 100000};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t now = clock_wall_ms();

    for (int i = 0; i < 80; i++)
        cr_assert_eq(put(s, A, now - 200 * DAY + i, 1000), BROKER_STORED);
    store_close(s);
    s = store_at(path, &keep, 1);
    cr_assert_eq(put(s, A, now, 5000), BROKER_STORED);
    cr_assert_gt(store_retained(s, 0), 87500, "it is nearly full");
    cr_assert_eq(put(s, A, now - 100 * DAY, 100), BROKER_STORED);
    cr_assert_eq(put(s, A, now - 300 * DAY, 100), BROKER_REJECTED);
    cr_assert_eq(has(s, A), 82);
    store_close(s);
}

/* ---- reading over slabs that overlap ---- */

Test(retention, the_newest_are_found_over_slabs_that_overlap)
{
    const retention keep = {(char[]){"0x19e7*"}, 60 * DAY, 0};
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    int64_t start = clock_wall_ms() - 2 * DAY, ms;
    int32_t sequence;
    broker_bytes raw;

    for (int i = 0; i < 100; i += 2)
        cr_assert_eq(put(s, A, start + i, 10), BROKER_STORED);
    store_close(s);
    s = store_at(path, &keep, 1);
    for (int i = 1; i < 100; i += 2)
        cr_assert_eq(put(s, A, start + i, 10), BROKER_STORED);
    cr_assert_eq(has(s, A), 100);
    for (uint64_t n = 1; n < 110; n++) {
        cursor *c = store_last(s, (broker_str){A, strlen(A)}, 0, n);
        int64_t expected = start + (n < 100 ? 100 - (int64_t)n : 0);

        while (cursor_next(c, &raw, &ms, &sequence) == 1)
            cr_assert_eq(ms, expected++, "last %zu", (size_t)n);
        cr_assert_eq(expected, start + 100, "last %zu ends early", (size_t)n);
        cursor_close(c);
    }
    store_close(s);
}

Test(retention, an_open_query_reads_on_what_is_forgotten_meanwhile)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 100000};
    store *s = store_at(folder_new(), &keep, 1);
    range all = {.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    int64_t start = clock_wall_ms() - DAY, ms;
    int32_t sequence;
    broker_bytes raw;
    cursor *c;
    size_t n, read = 0;

    for (int i = 0; i < 80; i++)
        put(s, A, start + i, 1000);
    n = has(s, A);
    c = store_range(s, (broker_str){A, strlen(A)}, 0, &all);
    cr_assert_eq(cursor_next(c, &raw, &ms, &sequence), 1);
    for (int i = 80; i < 300; i++)
        put(s, A, start + i, 1000);
    for (read = 1; cursor_next(c, &raw, &ms, &sequence) == 1; read++)
        ;
    cr_assert_eq(read, n);
    cursor_close(c);
    cr_assert_gt(query(s, A).first_ms, start + 100);
    store_close(s);
}

/* ---- slabs ---- */

Test(slabs, are_no_more_than_their_limit_whatever_comes)
{
    enum { RULES = SLABS_MAX + 40 };
    static retention keep[RULES];
    char *path = folder_new(), stream[128];
    int64_t now = clock_wall_ms();
    store *s;

    for (size_t i = 0; i < RULES; i++) {
        sb pattern = SB_INIT;

        sb_printf(&pattern, "*/%zu", i);
        keep[i] = (retention){pattern.data, 0, 10000};
    }
    s = store_at(path, keep, RULES);
    for (size_t i = 0; i < RULES; i++) {
        snprintf(stream, sizeof stream, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/%zu", i);
        cr_assert_eq(put(s, stream, now - (int64_t)i * 60 * DAY, 3000), BROKER_STORED);
        cr_assert_leq(s->slabs.n, SLABS_MAX);
    }
    cr_assert_eq(store_count(s).slabs, SLABS_MAX);
    for (size_t round = 1; round < 6; round++)
        for (size_t i = RULES - 10; i < RULES; i++) {
            snprintf(stream, sizeof stream, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/%zu", i);
            cr_assert_eq(put(s, stream, now - (int64_t)i * 60 * DAY + (int64_t)round, 3000),
                         BROKER_STORED);
            cr_assert_leq(has(s, stream), 3);
            cr_assert_leq(store_retained(s, i), 10000, "kept where others are too");
        }
    store_close(s);
    s = store_at(path, keep, RULES);
    for (size_t i = 0; i < RULES; i++) {
        snprintf(stream, sizeof stream, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/%zu", i);
        cr_assert_gt(has(s, stream), 0, "stream %zu", i);
        free(keep[i].pattern);
    }
    store_close(s);
}

/* A slab of the limit's time took what is older than itself, as the nearest. */
Test(slabs, that_have_only_what_is_older_than_themselves_are_not_split)
{
    const retention keep = {(char[]){"0x19e7*"}, 0, 100000};
    char *path = folder_new();
    store *s = store_at(path, &keep, 1);
    int64_t now = clock_wall_ms();
    slab *sl;

    cr_assert_eq(put(s, A, now - DAY, 20000), BROKER_STORED);
    sl = s->slabs.items[0];
    sl->start_ms = now - DAY + 1;
    cr_assert_eq(put(s, A, sl->start_ms + 1, 1000), BROKER_STORED);
    store_close(s);
    s = store_at(path, &keep, 1);
    cr_assert_eq(has(s, A), 2);
    store_close(s);
}

Test(slabs, of_many_ages_are_shared)
{
    enum { RULES = 1000 };
    static retention keep[RULES];
    char stream[128];
    int64_t now = clock_wall_ms();
    store *s;

    for (int i = 0; i < RULES; i++) {
        sb pattern = SB_INIT;

        sb_printf(&pattern, "*/%d", i);
        keep[i] = (retention){pattern.data, 8 * DAY + i * 60000, 0};
    }
    s = store_at(folder_new(), keep, RULES);
    for (int i = 0; i < RULES; i += 10)
        for (int day = 0; day < 8; day++) {
            snprintf(stream, sizeof stream, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/%d", i);
            cr_assert_eq(put(s, stream, now - day * DAY, 10), BROKER_STORED);
        }
    cr_assert_leq(store_count(s).slabs, 14, "%zu slabs", store_count(s).slabs);
    store_close(s);
    for (size_t i = 0; i < RULES; i++)
        free(keep[i].pattern);
}

Test(slabs, a_family_without_a_record_is_dropped_at_opening)
{
    char *path = folder_new(), *err = NULL, **names;
    store *s = store_at(path, NULL, 0);
    rocksdb_options_t *o = rocksdb_options_create();
    size_t n;

    put(s, A, clock_wall_ms(), 10);
    rocksdb_column_family_handle_destroy(
        rocksdb_create_column_family(s->db, s->rocks, "slab-77", &err));
    cr_assert_null(err, "%s", err);
    store_close(s);
    s = store_at(path, NULL, 0);
    cr_assert_eq(has(s, A), 1);
    store_close(s);
    names = rocksdb_list_column_families(o, path, &n, &err);
    cr_assert_eq(n, 2, "%zu families", n);
    rocksdb_list_column_families_destroy(names, n);
    rocksdb_options_destroy(o);
}

Test(slabs, a_damaged_message_is_mended_by_its_copy_and_counted_once)
{
    char *path = folder_new(), *err = NULL;
    store *s = store_at(path, NULL, 0);
    rocksdb_writeoptions_t *wo = rocksdb_writeoptions_create();
    rocksdb_iterator_t *it;
    int64_t now = clock_wall_ms(), ms;
    int32_t sequence;
    size_t len;
    const char *key;
    broker_bytes raw;
    cursor *c;

    cr_assert_eq(put(s, A, now, 0), BROKER_STORED);
    it = rocksdb_create_iterator_cf(s->db, s->reads, s->slabs.items[0]->cf);
    rocksdb_iter_seek_to_first(it);
    key = rocksdb_iter_key(it, &len);
    rocksdb_put_cf(s->db, wo, s->slabs.items[0]->cf, key, len, "\1\0damaged", 9, &err);
    rocksdb_iter_destroy(it);
    c = store_last(s, (broker_str){A, strlen(A)}, 0, 1);
    cr_assert_eq(cursor_next(c, &raw, &ms, &sequence), -1);
    cursor_close(c);
    cr_assert_eq(put(s, A, now, 0), BROKER_STORED);
    cr_assert_eq(has(s, A), 1);
    cr_assert_eq(put(s, A, now, 0), BROKER_DUPLICATE);
    rocksdb_writeoptions_destroy(wo);
    store_close(s);
}

Test(slabs, a_record_that_is_not_understood_is_refused)
{
    char *path = folder_new(), *err = NULL;
    store *s = store_at(path, NULL, 0);
    store_options o = {.path = path, .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20};
    sb why = SB_INIT;

    put(s, A, clock_wall_ms(), 10);
    rocksdb_put_cf(s->db, s->sync, s->meta, "n\0\0\0\0\0\0\0\0", 9, "short", 5, &err);
    store_close(s);
    cr_assert_null(store_open(&o, &why));
    cr_assert(strstr(why.data, "a record that this build does not understand"), "%s", why.data);
    sb_done(&why);
}
