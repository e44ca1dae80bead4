/* What a server may answer to a WebSocket client; see fuzz_ws.h. */
#include "fuzz_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static head h;
    unsigned status = 0;
    size_t len = head_length((const char *)data, size);

    if (len != 0) {
        char *text = must_strndup((const char *)data, len);

        if (head_parse_answer(text, len, &h, &status) == NULL) {
            must(status >= 100 && status <= 999);
            (void)shake_verify(&h, status, "dGhlIHNhbXBsZSBub25jZQ==", "echo.v1");
        }
        free(text);
    }
    frames_fuzz(false, data + len, size - len);
    return 0;
}
