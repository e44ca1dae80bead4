/* A key, a signature and a message, one after another: any bytes are valid or not, and how
 * the message is cut does not change it. */
#include "mldsa/mldsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *key, *sig, *m;
    view in = view_of(data, size);
    mldsa_part parts[2];
    size_t len, cut;
    bool whole;

    if (!view_skip(&in, MLDSA87_KEY_LEN, &key) || !view_skip(&in, MLDSA87_SIG_LEN, &sig))
        return 0;
    len = view_left(&in);
    m = in.p;
    cut = len == 0 ? 0 : m[0] % len;
    parts[0] = (mldsa_part){m, len};
    whole = mldsa87_verify(key, parts, 1, sig);
    parts[0] = (mldsa_part){m, cut};
    parts[1] = (mldsa_part){m + cut, len - cut};
    must(mldsa87_verify(key, parts, 2, sig) == whole);
    return 0;
}
