/* The header of a reader: whatever it is, it is none, wrong with a reason, or names who signed it.
 */
#include "credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t user[20];
    const char *why = NULL;
    credential_kind kind = credential_read((const char *)data, size, user, &why);

    must((kind == CREDENTIAL_WRONG) == (why != NULL));
    return 0;
}
