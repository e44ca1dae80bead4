/* version -- see version.h. */
#include "version.h"

#include "run/build_id.h"

#include <broker/plugin.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <uv.h>

void version_describe(sb *out)
{
    char id[41] = "none";

    build_id_of(LOGSTORE_VERSION, id);
    sb_printf(out, "logstore-broker %s\nbuild %s", LOGSTORE_VERSION, id);
    sb_printf(out, "\nplugin ABI %u.%u\nlibuv %s, jansson %s, %s\n", BROKER_ABI_MAJOR,
              BROKER_ABI_MINOR, uv_version_string(), jansson_version_str(),
              OpenSSL_version(OPENSSL_VERSION));
}
