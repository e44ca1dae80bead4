/* What a client may send to a WebSocket listener; see fuzz_ws.h. */
#include "fuzz_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static head h;
    const char *why = NULL;
    size_t len = head_length((const char *)data, size);
    char *text;

    if (len != 0) {
        text = must_strndup((const char *)data, len);
        if (head_parse(text, len, &h, &why) == 0 && shake_check(&h, &why) == 0) {
            sb answer = SB_INIT;

            shake_agree(&h, "echo.v1", &answer);
            must(memcmp(answer.data, "HTTP/1.1 101 ", 13) == 0);
            sb_done(&answer);
        } else {
            must(why != NULL);
        }
        free(text);
    }
    frames_fuzz(true, data + len, size - len);
    return 0;
}
