/* probe -- see probe.h. */
#include "plugin/probe.h"

#include <signal.h>
#include <unistd.h>

#define PATIENCE_MS 20000u
#define SAID_MAX    4096u

struct probe {
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t patience;
    unsigned open; /* handles: the process too once it was to be spawned */
    sb said;
    bool exited, eof, late;
    int64_t status;
    int signal;
    void (*done)(void *arg, bool ok, const char *said);
    void *arg;
};

static void on_closed(uv_handle_t *h)
{
    probe *p = h->data;

    if (--p->open != 0)
        return;
    sb_done(&p->said);
    free(p);
}

/* What the process said, on one line. */
static void said_clean(sb *said)
{
    while (said->len != 0 && said->data[said->len - 1] == '\n')
        said->data[--said->len] = '\0';
    for (size_t i = 0; i < said->len; i++)
        if (said->data[i] == '\n')
            said->data[i] = ' ';
}

static void over(probe *p)
{
    sb text = SB_INIT;
    bool ok = p->exited && p->signal == 0 && p->status == 0;

    if (!p->exited || !p->eof)
        return;
    said_clean(&p->said);
    if (p->late)
        sb_printf(&text, "it hangs when it is tried in a process of its own (%u s)",
                  PATIENCE_MS / 1000);
    else if (p->signal != 0)
        sb_printf(&text, "it crashes when it is tried in a process of its own (%s)%s%s",
                  strsignal(p->signal), p->said.len != 0 ? ": " : "",
                  p->said.len != 0 ? p->said.data : "");
    else
        sb_puts(&text, p->said.len != 0 ? p->said.data : "no reason given");
    p->done(p->arg, ok, text.data);
    sb_done(&text);
    if (p->open == 3)
        uv_close((uv_handle_t *)&p->process, on_closed);
    uv_close((uv_handle_t *)&p->pipe, on_closed);
    uv_close((uv_handle_t *)&p->patience, on_closed);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    probe *p = process->data;

    p->exited = true;
    p->status = status;
    p->signal = signal;
    over(p);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    probe *p = h->data;

    (void)suggested;
    *out = uv_buf_init(sb_room(&p->said, 1024), 1024);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    probe *p = s->data;

    (void)buf;
    if (n < 0) {
        p->eof = true;
        over(p);
    } else if (p->said.len < SAID_MAX) { /* what is more is read over */
        p->said.len += (size_t)n;
        sb_room(&p->said, 1)[0] = '\0';
    }
}

void probe_stop(probe *p)
{
    /* What it started may keep the pipe open for ever. */
    uv_read_stop((uv_stream_t *)&p->pipe);
    p->eof = true;
    if (p->exited)
        over(p);
    else
        uv_process_kill(&p->process, SIGKILL);
}

static void on_patience(uv_timer_t *t)
{
    probe *p = t->data;

    p->late = true;
    probe_stop(p);
}

void probe_start(loop *l, const char *config, const char *plugin, const char *file,
                 void (*done)(void *arg, bool ok, const char *said), void *arg, probe **out)
{
    const char *argv[8] = {"logstore-broker", "swap", "--dry-run"};
    size_t n = 3;
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
    uv_process_options_t o = {
        .exit_cb = on_exit_status, .file = "/proc/self/exe", .stdio = stdio, .stdio_count = 3};
    probe *p = must_alloc(sizeof *p);
    uv_file ends[2];
    int rc;

    if (config != NULL) {
        argv[n++] = "--config";
        argv[n++] = config;
    }
    argv[n++] = plugin;
    argv[n++] = file;
    o.args = (char **)(uintptr_t)argv;
    p->done = done;
    p->arg = arg;
    p->open = 2;
    p->process.data = p->pipe.data = p->patience.data = p;
    must(uv_timer_init(loop_uv(l), &p->patience) == 0);
    must(uv_pipe_init(loop_uv(l), &p->pipe, 0) == 0);
    *out = NULL;
    rc = uv_pipe(ends, 0, 0); /* file descriptors may be out */
    if (rc == 0) {
        must(uv_pipe_open(&p->pipe, ends[0]) == 0);
        for (int i = 1; i <= 2; i++)
            stdio[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = ends[1]};
        rc = uv_spawn(loop_uv(l), &p->process, &o);
        close(ends[1]);
        p->open++;
    }
    if (rc == 0) {
        *out = p;
        uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_read);
        uv_timer_start(&p->patience, on_patience, PATIENCE_MS, 0);
        return;
    }
    sb_printf(&p->said, "it cannot be tried in a process of its own (%s)", uv_strerror(rc));
    p->exited = p->eof = true;
    p->status = 1;
    over(p);
}
