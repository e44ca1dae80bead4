/* store_folder -- a store in a new folder, as the tests of the store open it. */
#ifndef TESTS_STORE_FOLDER_H
#define TESTS_STORE_FOLDER_H

#include "store_inner.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static inline char *folder_new(void)
{
    static char path[64];

    snprintf(path, sizeof path, P_tmpdir "/test-store-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static inline store *store_at(const char *path, const retention *r, size_t n)
{
    store_options o = {.path = path,
                       .cache_bytes = 1 << 20,
                       .write_buffer_bytes = 1 << 20,
                       .retention = r,
                       .n_retention = n};
    sb why = SB_INIT;
    store *s = store_open(&o, &why);

    cr_assert_not_null(s, "%s", why.data);
    sb_done(&why);
    return s;
}

#endif
