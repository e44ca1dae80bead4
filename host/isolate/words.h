/* words -- what a node and the process of an isolated plugin say to each other.
 *
 * Two sockets lead from one to the other. On the first, both send frames when they have something
 * to say; both read them on their loops. On the second, any thread of the plugin's process asks
 * and waits for the answer: for what a service returns at once (a subscription, a signature).
 * What is asked is answered in the order of arrival, also while the node waits for the plugin's
 * create() or start().
 *
 * A frame is a length (u32, of what follows), a word (u8) and a body. Numbers are big-endian.
 * "map" is one msgpack map (lib/pack) with the keys named; a body that is often sent is laid out by
 * hand, and read by the functions below. Both ends are the same program, so there is one version;
 * the process of a plugin may have lost its mind, though, so the node believes nothing: a frame
 * that is not as it is written here ends the process. */
#ifndef ISOLATE_WORDS_H
#define ISOLATE_WORDS_H

#include "base/base.h"

#include <broker/plugin.h>

#define FRAME_HEAD 5u          /* bytes: length and word */
#define FRAME_MAX  (64u << 20) /* of word and body; an answer made at once may be long */

/* The plugin's process finds these open. */
#define ISOLATED_FRAMES_FD 3 /* the first socket                              */
#define ISOLATED_ASKS_FD   4 /* the second                                    */
#define ISOLATED_FILE_FD   5 /* the build: loaded from /proc/self/fd/5        */

/* How much may be under way; whoever sends keeps to it, and waits for leave. */
#define WINDOW_MESSAGES 4096u          /* of a subscription: sent and not WORD_TOOK          */
#define WINDOW_BYTES    (8u << 20)     /* of a subscription; a single message always fits    */
#define WINDOW_INPUT    (8u << 20)     /* of all admissions and publications without outcome */
#define WINDOW_STREAM   (1u << 20)     /* of a request: parts of its body; of its answer     */
#define INPUT_COST(len) ((len) + 128u) /* of a frame or content, against WINDOW_INPUT     */

enum {
    /* ---- node to plugin ---- */
    WORD_INIT = 1,  /* map: logLevel (int), logJson (bool), dataDir, workers, warnMs           */
    WORD_CREATE,    /* map: section (JSON text, checked, defaults filled in, without the host's
                     * keys), shared (list of {path, text}), keys (bool: broker_access.required) */
    WORD_START,     /* bytes: the state                                                        */
    WORD_PREPARE,   /* nothing; answered by WORD_PREPARED                                      */
    WORD_QUIESCE,   /* nothing; answered by WORD_QUIET. After rc BROKER_OK WORD_START may follow
                     * (with that state) or WORD_DESTROY                                       */
    WORD_DESTROY,   /* nothing; the process calls destroy() and ends with status 0             */
    WORD_PING,      /* nothing; answered by WORD_PONG, from the loop                           */
    WORD_MSGS,      /* u32 sub, then words_msg, to the end                                    */
    WORD_OUTCOMES,  /* u64 admission, then words_outcome                                       */
    WORD_PUBLISHED, /* u64 id, then as said at words_outcome                                  */
    WORD_REQUEST,   /* map: req, route (uint), method, target, user, peer (bytes; user absent:
                     * none), params, headers (lists of {name, value}), resumed (bytes; absent:
                     * a new request, else it is for resume_req())                             */
    WORD_BODY,      /* u64 req, u8 last, bytes; keeps to WINDOW_STREAM                         */
    WORD_ABORT,     /* u64 req: intake->on_abort()                                             */
    WORD_SAVE,      /* u64 req: intake->save(); answered by WORD_SAVED                         */
    WORD_TAKEN,     /* u64 req, u32 n: so many bytes of its streamed answer went on            */
    WORD_CLOSE,     /* u64 req: its streamed answer is over, or its client left: close() it.
                     * Nothing of the request follows; frames about it that cross are dropped  */

    /* ---- plugin to node ---- */
    WORD_LOADED = 64, /* map: schema (absent: none), name, version, id (build id, hex)        */
    WORD_FAILED,      /* map: why. Instead of WORD_LOADED                                        */
    WORD_CREATED,     /* words_result                                                            */
    WORD_STARTED,     /* words_result                                                            */
    WORD_PREPARED,    /* words_result; rc may be BROKER_AGAIN                                    */
    WORD_QUIET,       /* words_result; its bytes are the state when rc is BROKER_OK              */
    WORD_PONG,
    WORD_TOOK,        /* u32 sub, u32 n, u32 bytes: on_msgs() took so many                       */
    WORD_SETTLE,      /* u32 sub, then words_outcome, to the end                                 */
    WORD_UNSUBSCRIBE, /* u32 sub: what it has not settled is settled as BROKER_FAILED         */
    WORD_ADMIT,       /* words_admission, then frames; answered by WORD_OUTCOMES       */
    WORD_PUBLISH,     /* map: id, flags, partition, contentType (uint), timestamp (int), stream,
                       * key, chain, content (bytes); answered by WORD_PUBLISHED                 */
    WORD_RECEIVE,     /* u64 req, u8 saves: http->receive(); saves: intake->save is there        */
    WORD_PAUSE,       /* u64 req                                                                 */
    WORD_RESUME,      /* u64 req                                                                 */
    WORD_CREDIT,      /* u64 req, u32 n: so many bytes of its body were handled                  */
    WORD_SAVED,       /* u64 req, i32 rc, bytes. After BROKER_OK the plugin has forgotten it     */
    WORD_REPLY,       /* map: req, status (uint), type (absent: none), headers (list of {name,
                       * value}), body (bytes). Nothing of the request follows from the node     */
    WORD_STREAM,      /* map: the same without a body; WORD_CHUNK and WORD_END follow            */
    WORD_CHUNK,       /* u64 req, bytes; keeps to WINDOW_STREAM                                  */
    WORD_END,         /* u64 req, i32 rc: BROKER_END, or negative: cut. WORD_CLOSE follows       */
    WORD_STATE,       /* u32 state, text: broker_node.state()                                    */
    WORD_METRIC,      /* u32 id, u8 METRIC_*, i64 n or the bits of a double                      */

    /* ---- questions, on the second socket ---- */
    ASK_ROUTE = 128,   /* map: id, flags, maxBody (uint), method, path, resumes (bool:
                        * resume_req is there). A route known from before the process was
                        * started again is taken over                                           */
    ASK_SUBSCRIBE,     /* map: id, flags, partition (uint), stream. The same holds              */
    ASK_PARTITIONS,    /* stream id. Answer: u32                                                */
    ASK_KEY,           /* an API key: broker_access.check()                                     */
    ASK_ADDRESS,       /* nothing. Answer: 20 bytes                                             */
    ASK_SIGN,          /* u8 SIGN_*, then the message; domain and hash; or the digest. Answer:
                        * 65 bytes                                                              */
    ASK_METRIC,        /* map: id, kind (uint, METRIC_*), name, labels (absent: none), help,
                        * bounds (bytes: doubles as u64 bits)                                   */
    WORD_ANSWER = 192, /* words_result: the answer to any of them                             */
};

#define METRIC_COUNTER   0u /* ids of metrics, routes, subscriptions: chosen by the plugin's */
#define METRIC_GAUGE     1u /* process, from 1, below IDS_MAX                                */
#define METRIC_GAUGE_SET 2u
#define METRIC_HISTOGRAM 3u
#define IDS_MAX          65536u

#define SIGN_MESSAGE 0u
#define SIGN_TYPED   1u
#define SIGN_DIGEST  2u

/* i32 rc, then bytes: what was asked for, or with a negative rc why (fail()). */
typedef struct words_result {
    broker_rc rc;
    broker_bytes bytes;
} words_result;
void words_put_result(sb *out, const words_result *r);
bool words_read_result(broker_bytes body, words_result *r);

/* u32 sub, then messages one by one: u64 handle, u32 flags (BROKER_MSG_*), u64 origin, u32 length,
 * the protobuf. handle: for WORD_SETTLE; 0 without BROKER_SUB_DURABLE. */
typedef struct words_msg {
    uint64_t handle, origin;
    uint32_t flags;
    broker_bytes raw;
} words_msg;
void words_put_msg(sb *out, const words_msg *m);
bool words_read_msg(view *v, words_msg *m); /* false: at the end, or not one: view_left() tells */

/* Outcomes: u64 handle or 0, u8 code, u16 length, reason (NUL-terminated, length without it; a
 * length of 0: NULL).
 * WORD_SETTLE: u32 sub, then one for each handle. WORD_OUTCOMES: u64 admission, then one for each
 * frame, in order, handle 0. WORD_PUBLISHED: u64 id, one outcome, then u8 1 and one words_msg, or
 * u8 0 when the message could not be made. */
typedef struct words_outcome {
    uint64_t handle;
    broker_outcome outcome; /* the reason is borrowed from the frame */
} words_outcome;
void words_put_outcome(sb *out, const words_outcome *o);
bool words_read_outcome(view *v, words_outcome *o);

/* WORD_ADMIT: u64 admission, u32 flags, u32 only_partition, u16 length, only_stream, then frames:
 * u32 length, bytes. */
typedef struct words_admission {
    uint64_t id;
    uint32_t flags, only_partition;
    broker_str only_stream;
} words_admission;
void words_put_admission(sb *out, const words_admission *a);
bool words_read_admission(view *v, words_admission *a);
/* Bytes with a length of u32 before them: a frame of an admission. */
void words_put_bytes(sb *out, broker_bytes bytes);
bool words_read_bytes(view *v, broker_bytes *bytes);

void words_put_u8(sb *out, uint8_t x);
void words_put_u16(sb *out, uint16_t x);
void words_put_u32(sb *out, uint32_t x);
void words_put_u64(sb *out, uint64_t x);

#endif
