/* store -- opening, closing, what is interned. See store.h. */
#include "store_inner.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

void say(store *s, uint32_t level, const char *fmt, ...)
{
    sb line = SB_INIT;
    va_list args;

    if (s->options.say == NULL)
        return;
    va_start(args, fmt);
    sb_vprintf(&line, fmt, args);
    va_end(args);
    s->options.say(s->options.say_arg, level, line.data);
    sb_done(&line);
}

/* ---- opening ---- */

static rocksdb_options_t *options_make(store *s, const store_options *o)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

    s->cache = rocksdb_cache_create_lru(o->cache_bytes);
    rocksdb_block_based_options_set_block_cache(table, s->cache);
    rocksdb_block_based_options_set_block_size(table, 16 * 1024);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table); /* the options have a copy */
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_write_buffer_size(options, o->write_buffer_bytes);
    rocksdb_options_set_db_write_buffer_size(options, 2 * o->write_buffer_bytes);
    /* No Bloom filter in memory: RocksDB makes one of a twentieth of the buffer for each slab. */
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, 256);
    /* By itself it starts 16 threads a slab at each opening, and a swap waits for all of them. */
    rocksdb_options_set_max_file_opening_threads(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1); /* it reads every file */
    rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    /* No LOG: when that file cannot be written, the next line to it aborts the process. */
    rocksdb_options_set_info_log_level(options, 6);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_max_total_wal_size(options, 256u << 20);
    return options;
}

static void slab_adopt(store *s, const char *name, rocksdb_column_family_handle_t *cf)
{
    uint32_t id;
    slab *made;

    if (!slab_name_open(name, &id)) {
        rocksdb_column_family_handle_destroy(cf);
        return;
    }
    made = must_alloc(sizeof *made);
    made->id = id;
    made->cf = cf;
    made->newest_ms = -1;
    slab_insert(&s->slabs, made);
}

static bool meta_read(store *s, sb *why)
{
    char *err = NULL;
    size_t len;
    uint8_t bytes[8];
    char *value = rocksdb_get_cf(s->db, s->reads, s->meta, "v", 1, &len, &err);
    rocksdb_writebatch_t *wb;

    if (err == NULL && value != NULL) {
        uint32_t version = len == 4 ? get_u32be((const uint8_t *)value) : 0;

        free(value);
        if (version == 0 || version > FORMAT_VERSION) {
            sb_printf(why,
                      "'%s' has the on-disk format %u; this build reads up to %u. Use the build "
                      "that wrote it, or a newer one",
                      s->options.path, version, FORMAT_VERSION);
            return false;
        }
        value = rocksdb_get_cf(s->db, s->reads, s->meta, "a", 1, &len, &err);
        if (err == NULL && value != NULL && len == 8) {
            s->slabs.ancient_ms = (int64_t)get_u64be((const uint8_t *)value);
            free(value);
            return true;
        }
        free(value);
        sb_printf(why, "'%s' lacks its own description; it was not written by this program",
                  s->options.path);
        free(err);
        return false;
    }
    wb = rocksdb_writebatch_create();
    put_u32be(bytes, FORMAT_VERSION);
    rocksdb_writebatch_put_cf(wb, s->meta, "v", 1, (const char *)bytes, 4);
    s->slabs.ancient_ms = (clock_wall_ms() / SLAB_SPAN_MS - 11) * SLAB_SPAN_MS;
    put_u64be(bytes, (uint64_t)s->slabs.ancient_ms);
    rocksdb_writebatch_put_cf(wb, s->meta, "a", 1, (const char *)bytes, 8);
    if (err == NULL)
        rocksdb_write(s->db, s->sync, wb, &err);
    rocksdb_writebatch_destroy(wb);
    if (err != NULL)
        sb_printf(why, "cannot write to '%s': %s", s->options.path, err);
    free(err);
    return err == NULL;
}

/* RocksDB writes CURRENT last when it makes a database. */
static bool is_new(const store *s)
{
    sb current = SB_INIT;
    bool found;

    sb_printf(&current, "%s/CURRENT", s->options.path);
    found = access(current.data, F_OK) == 0;
    sb_done(&current);
    return !found;
}

bool db_open(store *s, sb *why)
{
    char *err = NULL, **names = NULL;
    const char **wanted;
    const rocksdb_options_t **options;
    rocksdb_column_family_handle_t **handles;
    size_t n = 0;

    if (!is_new(s)) {
        names = rocksdb_list_column_families(s->rocks, s->options.path, &n, &err);
        if (err != NULL) {
            sb_printf(why, "the store '%s' cannot be read: %s", s->options.path, err);
            free(err);
            return false;
        }
    }
    wanted = must_alloc((n + 1) * sizeof *wanted);
    options = must_alloc((n + 1) * sizeof *options);
    handles = must_alloc((n + 1) * sizeof *handles);
    for (size_t i = 0; i < n; i++)
        wanted[i] = names[i];
    if (n == 0)
        wanted[n++] = "default";
    for (size_t i = 0; i < n; i++)
        options[i] = s->rocks;
    s->db = rocksdb_open_column_families(s->rocks, s->options.path, (int)n, wanted, options,
                                         handles, &err);
    for (size_t i = 0; i < n && s->db != NULL; i++) {
        if (strcmp(wanted[i], "default") == 0)
            s->meta = handles[i];
        else
            slab_adopt(s, wanted[i], handles[i]);
    }
    if (s->db == NULL)
        sb_printf(why, "cannot open the store '%s': %s", s->options.path, err);
    free(err);
    free(wanted);
    free(options);
    free(handles);
    if (names != NULL)
        rocksdb_list_column_families_destroy(names, n);
    if (s->db == NULL)
        return false;
    if (meta_read(s, why) && catalog_read(s, why))
        return true;
    db_close(s);
    return false;
}

void db_close(store *s)
{
    catalog_close(s);
    if (s->meta != NULL)
        rocksdb_column_family_handle_destroy(s->meta);
    s->meta = NULL;
    if (s->db != NULL)
        rocksdb_close(s->db);
    s->db = NULL;
}

static bool make_dirs(const char *path, sb *why)
{
    char *copy = must_strdup(path);
    bool ok = true;

    for (char *p = copy + 1; ok; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            sb_printf(why, "cannot make the folder '%s' (%s)", copy, strerror(errno));
            ok = false;
        }
        *p = c;
        if (c == '\0')
            break;
    }
    free(copy);
    return ok;
}

static void rules_make(store *s)
{
    s->n_rules = s->options.n_retention + 1;
    s->rules = must_alloc(s->n_rules * sizeof *s->rules);
    for (size_t i = 0; i < s->n_rules; i++) {
        rule *r = &s->rules[i];

        if (i < s->options.n_retention)
            *r = (rule){.pattern = s->options.retention[i].pattern,
                        .max_age_ms = s->options.retention[i].max_age_ms,
                        .max_bytes = s->options.retention[i].max_bytes};
        rule_init(r);
    }
}

store *store_open(const store_options *o, sb *why)
{
    store *s;

    if (!make_dirs(o->path, why))
        return NULL;
    s = must_alloc(sizeof *s);
    s->options = *o;
    s->options.path = must_strdup(o->path);
    rules_make(s);
    must(pthread_rwlock_init(&s->lock, NULL) == 0);
    s->rocks = options_make(s, o);
    s->sync = rocksdb_writeoptions_create();
#ifndef LOGSTORE_TEST_NO_SYNC
    rocksdb_writeoptions_set_sync(s->sync, 1);
#endif
    s->reads = rocksdb_readoptions_create();
    s->fresh = true;
    if (db_open(s, why))
        return s;
    store_close(s);
    return NULL;
}

void store_close(store *s)
{
    if (s == NULL)
        return;
    must(atomic_load(&s->cursors) == 0);
    db_close(s);
    catalog_done(s);
    for (size_t i = 0; i < s->n_rules; i++)
        free(s->rules[i].group);
    free(s->rules);
    rocksdb_readoptions_destroy(s->reads);
    rocksdb_writeoptions_destroy(s->sync);
    rocksdb_options_destroy(s->rocks);
    rocksdb_cache_destroy(s->cache);
    pthread_rwlock_destroy(&s->lock);
    sb_done(&s->sick);
    sb_done(&s->reason);
    free((char *)(uintptr_t)s->options.path);
    free(s);
}

static void flush_one(store *s, rocksdb_flushoptions_t *fo, rocksdb_column_family_handle_t *cf)
{
    char *err = NULL;

    rocksdb_flush_cf(s->db, fo, cf, &err);
    free(err); /* the WAL has it all; opening takes longer, that is all */
}

void store_flush(store *s)
{
    rocksdb_flushoptions_t *fo = rocksdb_flushoptions_create();

    rocksdb_flushoptions_set_wait(fo, 1);
    pthread_rwlock_rdlock(&s->lock);
    if (s->db != NULL) { /* what is not compacted yet is so when RocksDB does it by itself */
        rocksdb_disable_manual_compaction(s->db);
        rocksdb_enable_manual_compaction(s->db);
    }
    for (size_t i = 0; s->db != NULL && i < s->slabs.n; i++)
        if (!s->slabs.items[i]->dropped)
            flush_one(s, fo, s->slabs.items[i]->cf);
    /* The names too, and last: as long as one family has something in a WAL, opening reads it. */
    if (s->db != NULL)
        flush_one(s, fo, s->meta);
    pthread_rwlock_unlock(&s->lock);
    rocksdb_flushoptions_destroy(fo);
}

/* ---- what there is ---- */

bool store_part(store *s, broker_str stream, uint32_t partition, counts *out)
{
    sb key = SB_INIT;
    const entry *e;

    part_key_make(&key, stream, partition);
    pthread_rwlock_rdlock(&s->lock);
    e = entry_find(s, key.data, key.len);
    if (e != NULL)
        *out = e->all;
    pthread_rwlock_unlock(&s->lock);
    sb_done(&key);
    return e != NULL && out->messages != 0;
}

void store_parts(store *s,
                 bool (*each)(void *arg, broker_str stream, uint32_t partition, const counts *c),
                 void *arg)
{
    bool more = true;

    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; more && i < MAP_SLOTS; i++)
        for (const entry *e = s->entries[i]; more && e != NULL; e = e->next) {
            broker_str stream;
            uint32_t partition;

            if (e->is_part && e->all.messages != 0 &&
                part_key_open(e->name, e->name_len, &stream, &partition))
                more = each(arg, stream, partition, &e->all);
        }
    pthread_rwlock_unlock(&s->lock);
}

bool store_is_well(store *s, sb *why)
{
    bool well;

    pthread_rwlock_rdlock(&s->lock);
    well = s->sick.len == 0;
    if (!well && why != NULL)
        sb_append(why, s->sick.data, s->sick.len);
    pthread_rwlock_unlock(&s->lock);
    return well;
}

unsigned store_cursors(const store *s)
{
    return atomic_load(&s->cursors);
}

store_stats store_count(store *s)
{
    store_stats out = {.forgotten_by_age = s->forgotten_by_age,
                       .forgotten_by_size = s->forgotten_by_size};

    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->slabs.n; i++)
        out.slabs += !s->slabs.items[i]->dropped;
    pthread_rwlock_unlock(&s->lock);
    return out;
}

uint64_t store_retained(store *s, size_t i)
{
    uint64_t bytes;

    pthread_rwlock_rdlock(&s->lock);
    bytes = s->rules[i].bytes;
    pthread_rwlock_unlock(&s->lock);
    return bytes;
}
