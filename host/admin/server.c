/* server -- the listening end of the admin socket. See admin.h. */
#include "admin/admin.h"

#include "run/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16u

struct admin {
    uv_pipe_t listener;
    void (*ask)(void *arg, const admin_request *r, admin_conn *to);
    void *arg;
    char *path;
    admin_conn *conns;
    unsigned n_conns;
    bool closing, closed;
};

struct admin_conn {
    uv_pipe_t pipe;
    admin *admin;
    admin_conn *next, **link;
    sb in, out;
    uv_write_t write;
    bool asked, answered, closing, closed;
};

static void admin_free_when_over(admin *a)
{
    if (!a->closed || a->n_conns != 0)
        return;
    free(a->path);
    free(a);
}

/* ---- connections ---- */

/* An answer that is still to come needs it. */
static void conn_free_when_over(admin_conn *c)
{
    admin *a = c->admin;

    if (!c->closed || (c->asked && !c->answered))
        return;
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    sb_done(&c->in);
    sb_done(&c->out);
    free(c);
    a->n_conns--;
    admin_free_when_over(a);
}

static void on_conn_closed(uv_handle_t *h)
{
    admin_conn *c = CONTAINER_OF((uv_pipe_t *)h, admin_conn, pipe);

    c->closed = true;
    conn_free_when_over(c);
}

static void conn_close(admin_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->pipe, on_conn_closed);
}

static void on_written(uv_write_t *w, int status)
{
    (void)status;
    conn_close(CONTAINER_OF(w, admin_conn, write));
}

void admin_answer(admin_conn *c, bool ok, const char *text)
{
    uv_buf_t buf;

    c->answered = true;
    if (c->closing) {
        conn_free_when_over(c);
        return;
    }
    admin_answer_write(ok, text, &c->out);
    buf = uv_buf_init(c->out.data, (unsigned)c->out.len);
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) != 0)
        conn_close(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    admin_conn *c = CONTAINER_OF((uv_pipe_t *)h, admin_conn, pipe);

    (void)suggested;
    *out = uv_buf_init(sb_room(&c->in, 4096), 4096);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    admin_conn *c = CONTAINER_OF((uv_pipe_t *)s, admin_conn, pipe);
    admin_request r;
    sb why = SB_INIT;
    int rc;

    (void)buf;
    if (n == 0)
        return;
    if (n < 0 || c->in.len + (size_t)n > ADMIN_REQUEST_MAX) {
        conn_close(c);
        return;
    }
    c->in.len += (size_t)n;
    rc = admin_request_read(c->in.data, c->in.len, &r, &why);
    if (rc != 0) {
        uv_read_stop(s);
        c->asked = true;
    }
    if (rc == 1) {
        c->admin->ask(c->admin->arg, &r, c);
        admin_request_done(&r);
    } else if (rc < 0) {
        admin_answer(c, false, why.data);
    }
    sb_done(&why);
}

static bool peer_may(const uv_pipe_t *pipe)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)pipe, &fd) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    admin *a = CONTAINER_OF((uv_pipe_t *)listener, admin, listener);
    admin_conn *c;

    if (status != 0)
        return;
    c = must_alloc(sizeof *c);
    c->admin = a;
    c->next = a->conns;
    c->link = &a->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    a->conns = c;
    a->n_conns++;
    must(uv_pipe_init(listener->loop, &c->pipe, 0) == 0);
    if (uv_accept(listener, (uv_stream_t *)&c->pipe) != 0 || a->n_conns > CONNECTIONS_MAX ||
        !peer_may(&c->pipe) || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        conn_close(c);
}

/* ---- life ---- */

/* Whether a node listens there already; a socket that a dead one left is removed. */
static bool is_taken(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken;

    memcpy(to.sun_path, path, strlen(path)); /* it fits: admin_new() has looked */
    taken = connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
    if (!taken && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
    return taken;
}

static void on_closed(uv_handle_t *h)
{
    admin *a = CONTAINER_OF((uv_pipe_t *)h, admin, listener);

    a->closed = true;
    admin_free_when_over(a);
}

admin *admin_new(loop *l, const char *path,
                 void (*ask)(void *arg, const admin_request *r, admin_conn *to), void *arg, sb *why)
{
    admin *a = must_alloc(sizeof *a);
    mode_t mask;
    int rc;

    a->path = must_strdup(path);
    a->ask = ask;
    a->arg = arg;
    must(uv_pipe_init(loop_uv(l), &a->listener, 0) == 0);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        rc = UV_ENAMETOOLONG;
    } else if (is_taken(path)) {
        rc = UV_EADDRINUSE;
    } else {
        mask = umask(0177);
        rc = uv_pipe_bind(&a->listener, path);
        umask(mask);
    }
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&a->listener, 16, on_connection);
    if (rc == 0)
        return a;
    sb_printf(why, "cannot listen on the admin socket '%s' (%s); set admin.socket", path,
              uv_strerror(rc));
    a->closing = true;
    uv_close((uv_handle_t *)&a->listener, on_closed);
    return NULL;
}

void admin_close(admin *a)
{
    if (a == NULL || a->closing)
        return;
    a->closing = true;
    for (admin_conn *c = a->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->asked || c->answered)
            conn_close(c);
    }
    uv_close((uv_handle_t *)&a->listener, on_closed); /* removes the file */
}
