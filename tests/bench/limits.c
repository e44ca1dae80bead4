/* limits -- what the machine could do at best, measured in the same run as the node.
 *
 *   limits recover SECONDS        signatures recovered a second, one thread a core
 *   limits mldsa SECONDS          ML-DSA-87 signatures refused a second at the cost of good
 *                                 ones, and signatures recovered, one thread
 *   limits write DIR COUNT        250-byte records a second: WriteBatch of 1024 + fsync
 *   limits iterate DIR            records a second of an iterator over what write left
 *
 * Prints one number, mldsa two. */
#include "base/base.h"
#include "eth/eth.h"
#include "mldsa/mldsa.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <unistd.h>

#define VALUE_LEN 250
#define BATCH     1024

static uint64_t until_ns;
static _Atomic uint64_t recovered;

static void *recover_main(void *arg)
{
    uint8_t key[32], digest[32], sig[65], pub[64], address[20];
    uint64_t n = 0;

    (void)arg;
    memset(key, 7, sizeof key);
    memset(digest, 9, sizeof digest);
    eth_sign(digest, key, sig);
    while (clock_mono_ns() < until_ns) {
        for (int i = 0; i < 32; i++) {
            must(eth_recover(digest, sig, pub));
            eth_address_of(pub, address);
        }
        n += 32;
    }
    atomic_fetch_add(&recovered, n);
    return NULL;
}

static double recover(double seconds)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[64];
    long n = cores < 64 ? cores : 64;

    until_ns = clock_mono_ns() + (uint64_t)(seconds * 1e9);
    for (long i = 0; i < n; i++)
        must(pthread_create(&threads[i], NULL, recover_main, NULL) == 0);
    for (long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return (double)atomic_load(&recovered) / seconds;
}

/* Zeros pass every check but the last, so they cost what a genuine signature does. */
static double mldsa(double seconds)
{
    static uint8_t key[MLDSA87_KEY_LEN], sig[MLDSA87_SIG_LEN];
    uint64_t start, n = 0;

    /* z is gamma1 minus what is written, 20 bits each: 0x80000. */
    for (size_t i = 64; i < 64 + 7 * 640; i += 5)
        sig[i + 2] = 0x08, sig[i + 4] = 0x80;
    start = clock_mono_ns();
    while (clock_mono_ns() - start < (uint64_t)(seconds * 1e9)) {
        must(!mldsa87_verify(key, &(mldsa_part){key, 250}, 1, sig));
        n++;
    }
    return (double)n / seconds;
}

static double recover_alone(double seconds)
{
    until_ns = clock_mono_ns() + (uint64_t)(seconds * 1e9);
    recover_main(NULL);
    return (double)atomic_load(&recovered) / seconds;
}

static rocksdb_t *db_open(const char *dir)
{
    rocksdb_options_t *o = rocksdb_options_create();
    char *err = NULL;
    rocksdb_t *db;

    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    db = rocksdb_open(o, dir, &err);
    if (err != NULL) {
        fprintf(stderr, "limits: cannot open '%s': %s\n", dir, err);
        exit(1);
    }
    rocksdb_options_destroy(o);
    return db;
}

static double write_records(const char *dir, size_t count)
{
    rocksdb_t *db = db_open(dir);
    rocksdb_writeoptions_t *wo = rocksdb_writeoptions_create();
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    char key[32] = {0}, value[VALUE_LEN], *err = NULL;
    uint64_t start = clock_mono_ns();
    double seconds;

    random_bytes(value, sizeof value);
    rocksdb_writeoptions_set_sync(wo, 1);
    for (size_t i = 0; i < count; i++) {
        put_u64be((uint8_t *)key, i);
        rocksdb_writebatch_put(wb, key, sizeof key, value, sizeof value);
        if ((i + 1) % BATCH == 0 || i + 1 == count) {
            rocksdb_write(db, wo, wb, &err);
            must(err == NULL);
            rocksdb_writebatch_clear(wb);
        }
    }
    seconds = (double)(clock_mono_ns() - start) / 1e9;
    rocksdb_writebatch_destroy(wb);
    rocksdb_writeoptions_destroy(wo);
    rocksdb_close(db);
    return (double)count / seconds;
}

static double iterate(const char *dir)
{
    rocksdb_t *db = db_open(dir);
    rocksdb_readoptions_t *ro = rocksdb_readoptions_create();
    rocksdb_iterator_t *it = rocksdb_create_iterator(db, ro);
    uint64_t start = clock_mono_ns(), n = 0, bytes = 0;
    double seconds;

    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t len;

        must(rocksdb_iter_value(it, &len) != NULL);
        bytes += len;
        n++;
    }
    seconds = (double)(clock_mono_ns() - start) / 1e9;
    must(bytes == n * VALUE_LEN);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(ro);
    rocksdb_close(db);
    return (double)n / seconds;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "recover") == 0)
        printf("%.0f\n", recover(strtod(argv[2], NULL)));
    else if (argc == 3 && strcmp(argv[1], "mldsa") == 0)
        printf("%.0f %.0f\n", mldsa(strtod(argv[2], NULL)), recover_alone(strtod(argv[2], NULL)));
    else if (argc == 4 && strcmp(argv[1], "write") == 0)
        printf("%.0f\n", write_records(argv[2], strtoul(argv[3], NULL, 10)));
    else if (argc == 3 && strcmp(argv[1], "iterate") == 0)
        printf("%.0f\n", iterate(argv[2]));
    else {
        fputs("usage: limits recover SECONDS | mldsa SECONDS | write DIR COUNT | iterate DIR\n",
              stderr);
        return 2;
    }
    return 0;
}
