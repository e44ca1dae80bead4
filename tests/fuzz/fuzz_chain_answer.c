/* What endpoints answer: any bytes as JSON-RPC, as results of contracts, as logs and blocks. */
#include "answer.h"
#include "contract.h"
#include "logs.h"

static void on_log(void *arg, const chain_log *log)
{
    must(utf8_ok(log->stream, log->stream_len));
    must(log->block >= 1 && log->block <= 1000);
    ++*(size_t *)arg;
}

static void result_read(const char *text)
{
    sb bytes = SB_INIT;
    uint64_t number;
    contract_rights rights;
    int64_t value;
    size_t n = 0;
    char *reduced;

    answer_bytes(text, &bytes);
    answer_number(text, &number);
    if (contract_read_permissions(text, &rights))
        must(rights.publish_until_s >= 0 && rights.subscribe_until_s >= 0);
    if (contract_read_partitions(text, &value))
        must(value >= 1 && value <= 100);
    contract_read_bool(text, &value);
    contract_read_is_magic(text);
    sb_done(&bytes);
    reduced = logs_reduce(text);
    if (reduced != NULL)
        logs_read(reduced, 1, 1000, on_log, &n);
    free(reduced);
    free(logs_reduce_block(text));
}

static void on_answer(void *arg, const answer *a)
{
    (void)arg;
    if (a->kind == ANSWER_RESULT)
        result_read(a->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = must_strndup((const char *)data, size);
    size_t n = 0;

    answer_read(data, size, on_answer, NULL);
    result_read(text);
    logs_read(text, 1, 1000, on_log, &n);
    free(text);
    return 0;
}
