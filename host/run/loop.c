/* loop -- see loop.h. */
#include "run/loop.h"

#include <pthread.h>

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_t thread;
    uv_mutex_t lock;
    loop_call *head, *tail; /* under lock */
};

static void calls_run(uv_async_t *wake)
{
    loop *l = wake->data;
    loop_call *call;

    uv_mutex_lock(&l->lock);
    call = l->head;
    l->head = l->tail = NULL;
    uv_mutex_unlock(&l->lock);
    while (call != NULL) {
        loop_call *next = call->next; /* fn may free or post the call again */

        call->next = NULL;
        call->fn(call);
        call = next;
    }
}

loop *loop_new(void)
{
    loop *l = must_alloc(sizeof *l);

    must(uv_loop_init(&l->uv) == 0);
    must(uv_mutex_init(&l->lock) == 0);
    must(uv_async_init(&l->uv, &l->wake, calls_run) == 0);
    l->wake.data = l;
    l->thread = pthread_self();
    return l;
}

void loop_free(loop *l)
{
    if (l == NULL)
        return;
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    must(uv_loop_close(&l->uv) == 0); /* EBUSY: somebody left a handle open */
    uv_mutex_destroy(&l->lock);
    free(l);
}

uv_loop_t *loop_uv(loop *l)
{
    return &l->uv;
}

void loop_run(loop *l)
{
    l->thread = pthread_self();
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(loop *l)
{
    uv_stop(&l->uv);
}

void loop_post(loop *l, loop_call *call)
{
    bool was_empty;

    call->next = NULL;
    uv_mutex_lock(&l->lock);
    was_empty = l->head == NULL;
    if (was_empty)
        l->head = call;
    else
        l->tail->next = call;
    l->tail = call;
    /* Under the lock, so that the loop cannot be freed between the two. */
    if (was_empty)
        uv_async_send(&l->wake);
    uv_mutex_unlock(&l->lock);
}

bool loop_is_here(const loop *l)
{
    return pthread_equal(pthread_self(), l->thread) != 0;
}
