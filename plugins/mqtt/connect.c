/* connect -- see connect.h. */
#include "connect.h"

#include "publish.h"

#define LEVEL_3_1_1 4
#define LEVEL_5     5

static void refuse(client *c, uint8_t code, mqtt_count why, const char *line)
{
    packet_put_connack(client_out(c), false, code);
    client_close(c, why, line);
}

static bool version_ok(client *c, const packet_connect *p)
{
    if (p->level == LEVEL_3_1_1)
        return true;
    if (p->level == LEVEL_5) {
        packet_put_connack_v5_refusal(client_out(c));
        client_close(c, COUNT_BAD_VERSION, "it speaks MQTT 5, and this node MQTT 3.1.1");
    } else {
        refuse(c, CONNACK_BAD_VERSION, COUNT_BAD_VERSION,
               "it speaks another version than MQTT 3.1.1");
    }
    return false;
}

/* The API key is the password; the user name says nothing. */
static bool key_ok(client *c, const packet_connect *p)
{
    mqtt *m = c->m;

    if (m->access->required(m->ctx) == 0)
        return true;
    if (!p->has_password) {
        refuse(c, CONNACK_NOT_AUTHORISED, COUNT_BAD_KEY,
               "it shows no API key, which goes where MQTT has the password");
        return false;
    }
    if (m->access->check(m->ctx, p->password) == BROKER_OK)
        return true;
    refuse(c, CONNACK_BAD_CREDENTIALS, COUNT_BAD_KEY, "its API key (the password) is not one");
    return false;
}

static bool client_id_ok(client *c, const packet_connect *p)
{
    if (p->client_id.len == 0 && !p->clean)
        refuse(c, CONNACK_BAD_CLIENT_ID, COUNT_BAD_CLIENT_ID,
               "it wants its session kept but has no client id");
    else if (p->client_id.len > CLIENT_ID_MAX)
        refuse(c, CONNACK_BAD_CLIENT_ID, COUNT_BAD_CLIENT_ID,
               "its client id is longer than 1024 bytes");
    else
        return true;
    return false;
}

/* MQTT has no answer that says what is wrong with a will, so there is none. */
static bool will_ok(client *c, const packet_connect *p)
{
    sb why = SB_INIT, line = SB_INIT;
    bool ok = !p->has_will || publish_check(c->m, p->will_topic, p->will_payload, &why);

    if (!ok) {
        sb_printf(&line, "its will cannot be published: %s", why.data);
        client_close(c, COUNT_BAD_WILL, line.data);
    }
    sb_done(&why);
    sb_done(&line);
    return ok;
}

static session *session_new_of(mqtt *m, broker_str id, bool clean)
{
    sb made = SB_INIT;
    session *s;

    if (id.len == 0) {
        publish_draw(&made);
        id = (broker_str){made.data, made.len};
    }
    s = session_add(&m->sessions, id, clean);
    sb_done(&made);
    return s;
}

/* The session of this client id, kept or new. */
static session *session_open(mqtt *m, const packet_connect *p, bool *kept)
{
    session *s = p->client_id.len != 0 ? session_find(&m->sessions, p->client_id) : NULL;

    if (s != NULL && s->client != NULL) {
        client_close(s->client, COUNT_TAKEN_OVER, NULL);
        s = session_find(&m->sessions, p->client_id); /* a clean one went with its connection */
    }
    if (s != NULL && p->clean) {
        session_drop(&m->sessions, s);
        s = NULL;
    }
    *kept = s != NULL;
    if (s == NULL)
        return session_new_of(m, p->client_id, p->clean);
    session_return(&m->sessions, s);
    return s;
}

static void will_keep(client *c, const packet_connect *p)
{
    if (!p->has_will)
        return;
    c->will = must_alloc(sizeof *c->will);
    sb_append(&c->will->topic, p->will_topic.ptr, p->will_topic.len);
    sb_append(&c->will->payload, p->will_payload.ptr, p->will_payload.len);
    c->will->client_id = parcel_retain(c->session->client_id);
}

/* What ends the connection: one and a half times what the client said. */
static uint64_t silence_of(const mqtt *m, uint16_t keep_alive_s)
{
    uint64_t s = keep_alive_s, max = m->settings.keep_alive_max_s;

    if (max != 0 && (s == 0 || s > max))
        s = max;
    return s * 1500;
}

const char *connect_packet(client *c, const packet *connect)
{
    mqtt *m = c->m;
    packet_connect p;
    const char *why = packet_read_connect(connect, &p);
    bool kept;

    if (why != NULL)
        return why;
    if (!version_ok(c, &p) || !key_ok(c, &p) || !client_id_ok(c, &p) || !will_ok(c, &p))
        return NULL;
    c->session = session_open(m, &p, &kept);
    c->session->client = c;
    sb_clear(&c->session->key);
    sb_append(&c->session->key, p.password.ptr, p.password.len);
    publish_chain(c->session->client_id, &c->chain);
    c->silence_ms = silence_of(m, p.keep_alive_s);
    will_keep(c, &p);
    mqtt_count_add(m, COUNT_ACCEPTED, 1);
    m->metrics->set(m->sessions_kept, (double)m->sessions.n);
    packet_put_connack(client_out(c), kept, CONNACK_ACCEPTED);
    client_pump(c);
    return NULL;
}
