/*
 * broker/plugin.h -- everything a broker plugin needs, in one header.
 *
 * A plugin is a shared library that carries two things:
 *
 *   1. a manifest, stored as an ELF note, which the host reads from the file
 *      BEFORE it loads it (so an incompatible build never gets to run), and
 *   2. one exported symbol, `broker_plugin`, a constant table of callbacks.
 *
 * BROKER_PLUGIN() at the end of this file writes both. The host passes a
 * `broker_host` table back; every other facility is a small table fetched by
 * name, so a plugin can ask whether the host it landed on has it:
 *
 *      const broker_http *http = BROKER_SERVICE(ctx, broker_http);
 *      if (http == NULL)
 *          return ctx->host->fail(ctx, BROKER_ENOSYS, "this host serves no HTTP");
 *
 * Threads. Each function below names where it may be called, each callback
 * where it is called:
 *   [loop]    the host's event loop thread; never block here
 *   [worker]  a host worker thread; blocking is fine
 *   [any]     any thread, concurrently
 *
 * Memory. Nobody frees what the other side allocated.
 *   - A pointer handed to a callback is borrowed until the callback returns.
 *   - A pointer handed to a service is borrowed until the call returns, unless
 *     the function says that it keeps it.
 *   - To keep a message or a buffer, retain it; release it when done. [any]
 *   - Strings are (pointer, length), UTF-8, not NUL-terminated, unless the
 *     parameter is a `const char *`.
 *   - `self` and `arg` come back untouched in the callback they were given with.
 *
 * Plugins start no threads and leave no thread-local destructor behind: the
 * host could not unload them.
 *
 * ABI. Tables and host-allocated structs only ever grow at the end; each starts
 * with its own size. plugin_api/ABI.md is the promise in full.
 * Change log, newest first (the host refuses another major):
 *   1.0  first stable ABI
 */
#ifndef BROKER_PLUGIN_H
#define BROKER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* Laid out by hand: it is read more often than written. */
/* clang-format off */

#ifdef __cplusplus
extern "C" {
#endif

#define BROKER_ABI_MAJOR 1u
#define BROKER_ABI_MINOR 0u

/* ---- Result codes -------------------------------------------------------
 * Zero is success, negative is an error, positive is an outcome that is not
 * an error. Stored as int32_t, never as an enum, so their size is fixed. */
typedef int32_t broker_rc;

#define BROKER_OK       0
#define BROKER_AGAIN    1    /* not now; the callback named there will fire  */
#define BROKER_END      2    /* nothing more will come                       */
#define BROKER_EINVAL  (-1)  /* a bug in the caller                          */
#define BROKER_ENOMEM  (-2)
#define BROKER_ENOSYS  (-3)  /* this host does not offer that                */
#define BROKER_ECONFIG (-4)  /* the configuration is at fault                */
#define BROKER_EIO     (-5)  /* disk or network                              */
#define BROKER_ESTATE  (-6)  /* state from another build cannot be taken     */
#define BROKER_EBUSY   (-7)  /* taken by somebody else                       */
#define BROKER_EGONE   (-8)  /* the peer, request or provider is gone        */
#define BROKER_EDENIED (-9)  /* not permitted                                */

/* ---- Plain values ------------------------------------------------------- */

typedef struct broker_str   { const char    *ptr; size_t len; } broker_str;
typedef struct broker_bytes { const uint8_t *ptr; size_t len; } broker_bytes;

/* One plugin as the host sees it. Opaque; pass it back on every call. */
typedef struct broker_ctx broker_ctx;

/* A block of bytes that the host allocated and counts references of. What
 * arrives from a socket arrives in one; a message cut from it keeps it alive. */
typedef struct broker_buf {
    uint32_t       size;
    uint32_t       reserved;
    const uint8_t *bytes;
    size_t         len;
} broker_buf;

/* A message on the bus. Allocated by the host only, so it may grow; read the
 * fields, never copy the struct, never change it. Streamr protocol v103,
 * `StreamMessage`. */
typedef struct broker_msg {
    uint32_t     size;
    uint32_t     flags;             /* BROKER_MSG_*                              */
    broker_str   stream;            /* "0x12ab.../sensors", domain in lower case */
    uint32_t     partition;         /* 0..99                                     */
    int32_t      sequence;          /* tells messages of one millisecond apart   */
    int64_t      timestamp_ms;      /* publisher's clock, Unix epoch             */
    broker_bytes publisher;         /* 20 bytes EVM, 33 P-256, 2592 ML-DSA-87    */
    broker_str   chain;             /* message chain id                          */
    broker_bytes content;           /* as sent: ciphertext when encrypted        */
    broker_bytes raw;               /* the protobuf, exactly as received         */
    broker_bytes signature;
    int64_t      prev_timestamp_ms; /* previous reference, with BROKER_MSG_HAS_PREV */
    int32_t      prev_sequence;
    uint8_t      body;              /* BROKER_BODY_*                             */
    uint8_t      content_type;      /* BROKER_CONTENT_*                          */
    uint8_t      encryption_type;   /* BROKER_ENCRYPTION_*                       */
    uint8_t      signature_type;    /* BROKER_SIGNATURE_*                        */
    broker_str   group_key_id;      /* empty when none                           */
    broker_str   new_key_id;        /* empty when no new group key is attached   */
    broker_bytes new_key_data;
    uint64_t     origin;            /* who brought it in; 0: this node           */
} broker_msg;

#define BROKER_MSG_VERIFIED     (1u << 0)  /* the signature was checked                 */
#define BROKER_MSG_UNVERIFIABLE (1u << 1)  /* could not be checked; let in by config    */
#define BROKER_MSG_HAS_PREV     (1u << 2)
#define BROKER_MSG_HAS_KEY_ID   (1u << 3)  /* group_key_id is present, maybe empty      */
#define BROKER_MSG_HAS_NEW_KEY  (1u << 4)  /* new_key_* are present, maybe empty        */
#define BROKER_MSG_HAS_UNKNOWN  (1u << 5)  /* raw carries fields this version ignores   */

#define BROKER_BODY_CONTENT      5u   /* the field numbers of StreamMessage.body */
#define BROKER_BODY_KEY_REQUEST  6u
#define BROKER_BODY_KEY_RESPONSE 7u

#define BROKER_CONTENT_JSON    0u
#define BROKER_CONTENT_BINARY  1u

#define BROKER_ENCRYPTION_NONE 0u
#define BROKER_ENCRYPTION_AES  1u

#define BROKER_SIGNATURE_LEGACY    0u
#define BROKER_SIGNATURE_SECP256K1 1u
#define BROKER_SIGNATURE_ERC_1271  2u
#define BROKER_SIGNATURE_ML_DSA_87 3u
#define BROKER_SIGNATURE_SECP256R1 4u

/* Where a plugin writes bytes of any length (state, HTTP body). Owned by the
 * host, valid during the call it is passed to. [thread of that call] */
typedef struct broker_writer broker_writer;
struct broker_writer {
    uint32_t  size;
    uint32_t  reserved;
    /* All or nothing. BROKER_AGAIN: full; stop, return BROKER_AGAIN, and you are
     * called again when there is room. A write into an empty writer always fits. */
    broker_rc (*write)(broker_writer *w, const void *bytes, size_t len);
    /* Room for at least len bytes to be filled in place, or NULL when full (same
     * rule); then commit() how many were used, at most len. */
    uint8_t  *(*reserve)(broker_writer *w, size_t len);
    void      (*commit)(broker_writer *w, size_t used);
};

/* ---- The host -----------------------------------------------------------*/

#define BROKER_LOG_ERROR 0u   /* somebody must act          */
#define BROKER_LOG_WARN  1u   /* we went on, and how        */
#define BROKER_LOG_INFO  2u   /* events of a life           */
#define BROKER_LOG_DEBUG 3u

typedef struct broker_host {
    uint32_t size;
    uint16_t abi_major;
    uint16_t abi_minor;

    /* [any] One finished line; the host adds time, level and plugin name. */
    void (*log)(broker_ctx *ctx, uint32_t level, const char *line);

    /* [any] Keep `why` as the reason of the failure that is about to be
     * returned; shown to the operator. Returns `rc`, so:
     *     return host->fail(ctx, BROKER_EIO, "cannot open 'db': ..."); */
    broker_rc (*fail)(broker_ctx *ctx, broker_rc rc, const char *why);

    /* [any] A service table by id, or NULL. Valid until destroy() returns. */
    const void *(*service)(broker_ctx *ctx, const char *id);
} broker_host;

/* The context begins with the host table, so the macros below need no second
 * argument. Nothing else in it is for plugins. */
struct broker_ctx { const broker_host *host; };

#define BROKER_SERVICE(ctx, type) \
    ((const type *)(ctx)->host->service((ctx), BROKER_ID_##type))

/* True when `table` is new enough to have `member`. */
#define BROKER_HAS(table, type, member) \
    ((table) != NULL && \
     (table)->size >= offsetof(type, member) + sizeof((table)->member))

/* ---- Service: configuration ---------------------------------------------
 * The plugin's own section, already checked against config_schema and with
 * defaults filled in, so lookups of declared keys cannot fail. A path is keys
 * joined by dots, "db.dataPath"; "" is the whole section. Results are valid
 * until destroy(). */
#define BROKER_ID_broker_config "broker.config/1"
typedef struct broker_config {
    uint32_t size;
    uint32_t reserved;
    int64_t    (*integer)(broker_ctx *ctx, const char *path);   /* [any] 0 when absent     */
    int32_t    (*boolean)(broker_ctx *ctx, const char *path);   /* [any] 0 or 1            */
    broker_str (*string)(broker_ctx *ctx, const char *path);    /* [any] empty when absent */
    broker_str (*json)(broker_ctx *ctx, const char *path);      /* [any] JSON text         */
    /* [any] JSON text of a root that all plugins may read: "mode",
     * "apiAuthentication", "validation", "client.network". Never a key or secret.
     * Empty when absent or not shared. */
    broker_str (*shared)(broker_ctx *ctx, const char *path);
    /* [any] A private directory, mode 0700, that stays across builds. */
    broker_str (*data_dir)(broker_ctx *ctx);
} broker_config;

/* ---- Service: the message bus --------------------------------------------
 * In: transports and uploads admit() signed messages, publish() signs one.
 * The host decodes, joins identical bytes in flight, verifies, and hands each
 * message to every subscription that wants its stream part.
 * Out: batches through on_msgs(); durable subscribers settle() each message,
 * and the admitting side learns the outcome. */
#define BROKER_ID_broker_bus "broker.bus/1"
typedef struct broker_sub broker_sub;

#define BROKER_ALL_PARTITIONS 0xffffffffu

/* What became of one message. */
typedef struct broker_outcome {
    int32_t     code;      /* BROKER_STORED ... BROKER_FULL                       */
    uint32_t    reserved;
    const char *reason;    /* NULL, or one sentence; borrowed until the call ends */
} broker_outcome;

#define BROKER_STORED        1  /* durable at every durable subscriber              */
#define BROKER_DUPLICATE     2  /* was there already, byte for byte                 */
#define BROKER_VARIANT       3  /* there already with the same signed payload       */
#define BROKER_EQUIVOCATION  4  /* the publisher signed two contents for one id     */
#define BROKER_REJECTED      5  /* malformed, badly signed, misplaced, out of date  */
#define BROKER_UNVERIFIABLE  6  /* the signature cannot be checked here             */
#define BROKER_NO_STORE      7  /* delivered, but nobody stores this stream part    */
#define BROKER_FAILED        8  /* our side failed; sending it again may succeed    */
#define BROKER_DENIED        9  /* this publisher may not, by the node's policy     */
#define BROKER_FULL         10  /* our side has no room; again when somebody made some */

/* [loop] Up to n messages in arrival order. Return how many were taken, 0..n.
 * Taking fewer pauses the subscription until bus->resume(). */
typedef size_t (*broker_on_msgs)(void *self, const broker_msg *const *msgs, size_t n);

typedef struct broker_subscription {
    uint32_t       size;
    uint32_t       flags;         /* BROKER_SUB_*                                      */
    broker_str     stream;        /* stream id; '*' stands for any text (a wildcard
                                   * listens to what comes by and creates no interest) */
    uint32_t       partition;     /* or BROKER_ALL_PARTITIONS                          */
    uint32_t       reserved;
    broker_on_msgs on_msgs;
    void          *self;
} broker_subscription;

/* Every message taken must be settled exactly once; the host keeps it alive
 * until then, so a durable subscriber needs no retain(). */
#define BROKER_SUB_DURABLE (1u << 0)

/* One signed message to be let in. */
typedef struct broker_frame {
    broker_bytes raw;             /* protobuf StreamMessage                       */
    broker_buf  *buf;             /* raw lies in it and it is retained; NULL: the
                                   * bytes are copied                             */
} broker_frame;

typedef struct broker_admission {
    uint32_t            size;
    uint32_t            flags;          /* BROKER_ADMIT_*                              */
    const broker_frame *frames;
    size_t              n;
    uint64_t            origin;         /* from transport->origin(), or 0              */
    broker_str          only_stream;    /* others are rejected; empty: any             */
    uint32_t            only_partition; /* or BROKER_ALL_PARTITIONS                    */
    uint32_t            reserved;
    /* [loop] Once, when all n outcomes are known; outcomes[i] is of frames[i]. May
     * be NULL. Never called from inside admit(). */
    void (*done)(void *arg, const broker_outcome *outcomes, size_t n);
    void               *arg;
} broker_admission;

/* New to the network: hand them to the transports too. (What a transport brings in
 * goes to the other transports without it.) */
#define BROKER_ADMIT_CARRY (1u << 0)

/* A message this node writes: the host signs it with the node's key and gives it
 * chain id, sequence number and previous reference (one chain a stream part). */
typedef struct broker_publication {
    uint32_t     size;
    uint32_t     flags;           /* zero                                               */
    broker_str   stream;
    uint32_t     partition;       /* or BROKER_ALL_PARTITIONS: by key, else partition 0 */
    uint32_t     content_type;    /* BROKER_CONTENT_*                                   */
    broker_str   key;             /* partition key, hashed as the Streamr SDK does      */
    broker_str   chain;           /* message chain id, up to 256 bytes; empty: the one
                                   * of this node and stream part                      */
    int64_t      timestamp_ms;    /* 0: now                                             */
    broker_bytes content;
    /* [loop] Once. msg is NULL when the message could not be made. May be NULL.
     * Never called from inside publish(). */
    void (*done)(void *arg, const broker_msg *msg, const broker_outcome *outcome);
    void        *arg;
} broker_publication;

typedef struct broker_bus {
    uint32_t size;
    uint32_t reserved;
    /* [loop] Ends with unsubscribe() or when the build is taken out. */
    broker_rc (*subscribe)(broker_ctx *ctx, const broker_subscription *want, broker_sub **out);
    void (*unsubscribe)(broker_sub *sub);                              /* [loop] */
    void (*resume)(broker_sub *sub);                                   /* [any]  */
    /* [any] Say what became of messages taken by a durable subscription. */
    void (*settle)(broker_sub *sub, const broker_msg *const *msgs,
                   const broker_outcome *outcomes, size_t n);
    void (*retain)(const broker_msg *msg);                             /* [any]  */
    void (*release)(const broker_msg *msg);                            /* [any]  */
    /* [loop] Takes all n frames or none. BROKER_AGAIN: the bus is full, nothing was
     * taken; on_room() says when to try again. */
    broker_rc (*admit)(broker_ctx *ctx, const broker_admission *what);
    /* [loop] Call back once, as soon as the bus takes messages again. */
    broker_rc (*on_room)(broker_ctx *ctx, void (*room)(void *arg), void *arg);
    /* [any] Content is copied. BROKER_AGAIN: the bus is full. */
    broker_rc (*publish)(broker_ctx *ctx, const broker_publication *what);
    /* [any] Partitions of a stream as far as this node knows; 0: not known. */
    uint32_t (*partitions)(broker_ctx *ctx, broker_str stream);
    /* [any] A buffer of len bytes to fill before it is shared; NULL: no memory.
     * Comes with one reference. */
    broker_buf *(*buf_new)(broker_ctx *ctx, size_t len);
    void (*buf_retain)(broker_buf *buf);                               /* [any]  */
    void (*buf_release)(broker_buf *buf);                              /* [any]  */
} broker_bus;

/* ---- Service: transports --------------------------------------------------
 * For plugins that carry messages to and from other nodes. */
#define BROKER_ID_broker_transport "broker.transport/1"
typedef struct broker_carrier {
    uint32_t size;
    uint32_t reserved;
    void    *self;
    /* [loop] Somebody here wants (on = 1) or no longer wants (on = 0) a stream part.
     * Called for what is wanted already right after attach(). */
    void (*on_interest)(void *self, broker_str stream, uint32_t partition, int32_t on);
    /* [loop] Messages to carry away; never those that carry this origin. Retain to
     * keep. All are taken; drop what you cannot queue. */
    void (*on_outgoing)(void *self, const broker_msg *const *msgs, size_t n);
} broker_carrier;

typedef struct broker_transport {
    uint32_t size;
    uint32_t reserved;
    /* [loop] `carrier` must stay valid until the build is taken out. *origin marks
     * messages admitted by this carrier. */
    broker_rc (*attach)(broker_ctx *ctx, const broker_carrier *carrier, uint64_t *origin);
    void (*detach)(broker_ctx *ctx, uint64_t origin);                  /* [loop] */
} broker_transport;

/* ---- Service: signature checks the host cannot make alone -----------------
 * ERC-1271 contracts, permissions on chain. */
#define BROKER_ID_broker_verify "broker.verify/1"
typedef struct broker_check broker_check;

#define BROKER_CHECK_ERC_1271    (1u << 0)
#define BROKER_CHECK_ML_DSA_87   (1u << 1)  /* not asked for: the host checks these itself */
#define BROKER_CHECK_MAY_PUBLISH (1u << 2)

typedef struct broker_checker {
    uint32_t size;
    uint32_t kinds;               /* BROKER_CHECK_* this checker answers          */
    void    *self;
    /* [loop] Decide about n messages, now or later, by one answer(check, ...). They
     * stay valid until then. What has no answer in time is rejected, retryable. */
    void (*check)(void *self, uint32_t kind, const broker_msg *const *msgs, size_t n,
                  broker_check *check);
} broker_checker;

typedef struct broker_verify {
    uint32_t size;
    uint32_t reserved;
    broker_rc (*offer)(broker_ctx *ctx, const broker_checker *checker);  /* [loop] */
    /* [any] ok[i]: 1 accept, 0 reject, -1 could not be found out. Ends the check. */
    void (*answer)(broker_check *check, const int8_t *ok, size_t n);
} broker_verify;

/* ---- Service: HTTP server -------------------------------------------------
 * One listener for all plugins. The host checks Host, Origin, limits and
 * authentication before a handler sees a request. */
#define BROKER_ID_broker_http "broker.http/1"
typedef struct broker_req broker_req;

typedef struct broker_header { const char *name; broker_str value; } broker_header;

typedef struct broker_response {
    uint32_t             size;
    uint32_t             status;
    const char          *type;     /* Content-Type, or NULL                        */
    const broker_header *headers;  /* further ones, copied                         */
    size_t               n_headers;
    broker_bytes         body;     /* reply() only; copied                         */
} broker_response;

/* How a body of any length is produced: the host calls pull() on a worker each
 * time the socket has room, never twice at once, until it returns BROKER_END or
 * an error, or the client leaves; then close(), once. */
typedef struct broker_body {
    uint32_t  size;
    uint32_t  reserved;
    void     *self;
    /* [worker] BROKER_OK or BROKER_AGAIN with something written: called again when
     * there is room. BROKER_AGAIN with nothing written: called again after wake().
     * BROKER_END: complete. Negative: the connection is cut, so that nobody takes
     * the part for the whole. */
    broker_rc (*pull)(void *self, broker_writer *out);
    void      (*close)(void *self);                                    /* [worker] */
    /* [worker] Before the build is swapped: write where the body stands, for
     * resume_body() of the next build. NULL: the swap waits for the end. */
    broker_rc (*save)(void *self, broker_writer *out);
} broker_body;

/* Where a request body goes. */
typedef struct broker_intake {
    uint32_t size;
    uint32_t reserved;
    void    *self;
    /* [loop] The next part, lying in buf (retain it to keep the bytes). last = 1 with
     * the final part, which may be empty. */
    void (*on_body)(void *self, broker_req *req, broker_buf *buf, broker_bytes part, int32_t last);
    /* [loop] The client left or broke the rules before the end, or the answer that was
     * streamed beside it is over. Instead of the last part, so it is the last call. The
     * request must still be ended, if it was not: by reply(), which then goes nowhere. */
    void (*on_abort)(void *self, broker_req *req);
    /* [loop] A swap is near and no more of the body comes: write what the next build's
     * resume_req() needs, free what belongs to the request and forget it. BROKER_AGAIN:
     * something of it is still in flight; asked again. NULL, or any other code: the swap
     * waits for the end. When its answer is streaming already, this saves both: that body
     * is closed next without save(), and stream() of the next build goes on with it (its
     * head is out; a reply() then cuts the connection). */
    broker_rc (*save)(void *self, broker_req *req, broker_writer *out);
} broker_intake;

typedef struct broker_route {
    uint32_t    size;
    uint32_t    flags;             /* BROKER_ROUTE_*                                */
    const char *method;            /* "GET" serves HEAD too                         */
    const char *path;              /* "/stores/{id+}/data/partitions/{p}/{kind}":
                                    * {name} is one segment, {name+} one or more    */
    uint64_t    max_body;          /* bytes; longer is answered 413. 0: no body     */
    void       *self;
    void      (*on_req)(void *self, broker_req *req);                  /* [loop] */
    /* [loop] Continue a body saved by another build. May be NULL: the answer is cut. */
    broker_rc (*resume_body)(void *self, broker_req *req, broker_bytes saved, broker_body *out);
    /* [loop] Continue a request whose body another build was reading (intake->save): as
     * on_req(), with what was saved. May be NULL: the request is answered 503. */
    void      (*resume_req)(void *self, broker_req *req, broker_bytes saved);
} broker_route;

#define BROKER_ROUTE_PUBLIC (1u << 0)   /* served without authentication           */
#define BROKER_ROUTE_STREAM (1u << 1)   /* max_body does not apply; endless uploads */

typedef struct broker_http {
    uint32_t size;
    uint32_t reserved;
    broker_rc  (*route)(broker_ctx *ctx, const broker_route *route);   /* [loop] */
    broker_str (*method)(broker_req *req);                             /* [loop] */
    broker_str (*target)(broker_req *req);                             /* [loop] as sent */
    /* Percent-decoded; ptr is NULL when absent. */
    broker_str (*param)(broker_req *req, const char *name);            /* [loop] */
    broker_str (*query)(broker_req *req, const char *name);            /* [loop] first of its name */
    broker_str (*header)(broker_req *req, const char *name);           /* [loop] */
    broker_str (*user)(broker_req *req);                               /* [loop] authenticated as */
    broker_str (*peer)(broker_req *req);                               /* [loop] "127.0.0.1:5123" */
    /* [loop] Read the body. Without it a body is read and thrown away. */
    broker_rc (*receive)(broker_req *req, const broker_intake *intake);
    void (*pause)(broker_req *req);                                    /* [loop] */
    void (*resume)(broker_req *req);                                   /* [any]  */
    /* [any] Exactly one of reply(), stream() and net->upgrade() ends every request;
     * afterwards req is valid for wake() only, until close(). Harmless when the
     * client has left. */
    void (*reply)(broker_req *req, const broker_response *response);
    /* stream() while the body is being read: reading goes on beside the answer, up to the
     * last part; reply() ends it. */
    void (*stream)(broker_req *req, const broker_response *response, const broker_body *body);
    void (*wake)(broker_req *req);                                     /* [any]  */
} broker_http;

/* ---- Service: API keys -----------------------------------------------------
 * For listeners of a plugin's own. `apiAuthentication` of the plugin's section counts,
 * or else that of the root; a plugin never sees a key. (Routes of broker.http/1 are
 * behind the keys anyway.) */
#define BROKER_ID_broker_access "broker.access/1"
typedef struct broker_access {
    uint32_t size;
    uint32_t reserved;
    int32_t   (*required)(broker_ctx *ctx);                  /* [any] 1: a key must be shown */
    broker_rc (*check)(broker_ctx *ctx, broker_str key);     /* [any] OK or BROKER_EDENIED   */
} broker_access;

/* ---- Service: sockets ------------------------------------------------------
 * TCP, TLS and WebSocket, both roles. The host owns every socket, so that
 * connections outlive a build: what a build leaves open when it is quiet stays open and
 * unread until start() of the next build has returned. That build takes listeners over
 * by listen() and connections by adopt(); the rest is closed (WebSocket code 1012).
 * All [loop]. */
#define BROKER_ID_broker_net "broker.net/1"
typedef struct broker_conn broker_conn;
typedef struct broker_listener broker_listener;

#define BROKER_NET_TCP 0u
#define BROKER_NET_TLS 1u
#define BROKER_NET_WS  2u
#define BROKER_NET_WSS 3u

typedef struct broker_peer_calls {
    uint32_t size;
    uint32_t reserved;
    void    *self;
    void (*on_open)(void *self, broker_conn *conn);
    /* TCP, TLS: bytes as they come. WebSocket: one whole message, text = 1 or 0. */
    void (*on_data)(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text);
    /* Fewer than low_water bytes are queued again. */
    void (*on_drain)(void *self, broker_conn *conn);
    /* Once, and the last call. why is NULL after an orderly end. */
    void (*on_close)(void *self, broker_conn *conn, int32_t code, const char *why);
} broker_peer_calls;

typedef struct broker_net_options {
    uint32_t    size;
    uint32_t    kind;              /* BROKER_NET_*                                   */
    const char *host;
    uint32_t    port;              /* 0: listen on any free port                     */
    uint32_t    max_message;       /* bytes of one WebSocket message                 */
    uint32_t    low_water;         /* bytes                                          */
    uint32_t    high_water;        /* bytes queued at which send() says BROKER_AGAIN */
    uint32_t    connect_timeout_ms;
    uint32_t    ping_ms;           /* WebSocket ping after so long without traffic;
                                    * 0: never                                       */
    uint32_t    silence_ms;        /* closed when nothing came for so long after a
                                    * ping; 0: never                                 */
    uint32_t    max_connections;   /* listener: more are closed at once; 0: 1000     */
    uint32_t    reserved;
    const char *path;              /* WebSocket client: request target               */
    const char *protocol;          /* WebSocket subprotocol, or NULL                 */
    const char *tls_cert_file;     /* listener                                       */
    const char *tls_key_file;
    const char *tls_name;          /* client: name to verify; NULL: host             */
} broker_net_options;

typedef struct broker_net {
    uint32_t size;
    uint32_t reserved;
    /* accepted() is asked for each new connection: fill in *calls and return BROKER_OK,
     * or refuse it: a WebSocket (after its request; target is the request target) with the
     * HTTP status returned, 400 to 599, all else by closing it. on_open() follows.
     * A listener of the build before on the same host and port is taken over. */
    broker_rc (*listen)(broker_ctx *ctx, const broker_net_options *opt,
                        broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                                              broker_peer_calls *calls),
                        void *self, broker_listener **out);
    uint32_t  (*port)(broker_listener *listener);
    void      (*unlisten)(broker_listener *listener);
    broker_rc (*connect)(broker_ctx *ctx, const broker_net_options *opt,
                         const broker_peer_calls *calls, broker_conn **out);
    /* Turn an HTTP request into a WebSocket; ends the request. */
    broker_rc (*upgrade)(broker_req *req, const broker_net_options *opt,
                         const broker_peer_calls *calls, broker_conn **out);
    /* Bytes are copied. BROKER_AGAIN: queued, but above high_water; wait for
     * on_drain(). text matters for WebSockets only. */
    broker_rc (*send)(broker_conn *conn, broker_bytes data, int32_t text);
    /* As send(), keeping buf instead of copying. data lies in buf. */
    broker_rc (*send_buf)(broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text);
    void      (*pause)(broker_conn *conn);
    void      (*resume)(broker_conn *conn);
    size_t    (*queued)(broker_conn *conn);
    broker_str (*address)(broker_conn *conn);
    /* Sends what is queued first; code is the WebSocket close code, or 0. on_close()
     * follows, later. */
    void      (*close)(broker_conn *conn, int32_t code, const char *why);
    /* A number for the state blob; never used twice while the process lives. */
    uint64_t  (*id)(broker_conn *conn);
    /* Take over a connection of the build before. Its callbacks may follow as soon as
     * start() has returned. BROKER_EGONE: it has ended meanwhile. */
    broker_rc (*adopt)(broker_ctx *ctx, uint64_t id, const broker_peer_calls *calls,
                       broker_conn **out);
    /* Inside accepted(): a header of a WebSocket's request; ptr is NULL when absent. Browsers
     * say in "Origin" whose page asks; they let any page ask anybody. */
    broker_str (*header)(broker_conn *conn, const char *name);
} broker_net;

/* ---- Service: HTTP client -------------------------------------------------- */
#define BROKER_ID_broker_fetch "broker.fetch/1"
typedef struct broker_fetch_job broker_fetch_job;

typedef struct broker_fetch_request {
    uint32_t             size;
    uint32_t             timeout_ms;
    const char          *method;
    const char          *url;         /* http or https                             */
    const broker_header *headers;
    size_t               n_headers;
    broker_bytes         body;        /* copied                                    */
    uint64_t             max_answer;  /* bytes; a longer answer is an error        */
    void                *self;
    /* [loop] The answer in parts; may be NULL: then on_done() gets it whole. */
    void (*on_part)(void *self, broker_bytes part);
    /* [loop] Once, unless cancelled. rc is BROKER_OK with any HTTP status. */
    void (*on_done)(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why);
} broker_fetch_request;

typedef struct broker_fetch {
    uint32_t size;
    uint32_t reserved;
    broker_rc (*start)(broker_ctx *ctx, const broker_fetch_request *what,
                       broker_fetch_job **out);                        /* [loop] */
    void (*cancel)(broker_fetch_job *job);                             /* [loop] */
    /* [loop] Inside on_part() and on_done(): a header of the answer, without regard to case; the last
     * one where it stands more than once. ptr is NULL when absent. Valid until the callback returns. */
    broker_str (*header)(broker_fetch_job *job, const char *name);
} broker_fetch;

/* ---- Service: work and timers -------------------------------------------- */
#define BROKER_ID_broker_work "broker.work/1"
typedef struct broker_timer broker_timer;

typedef struct broker_work {
    uint32_t size;
    uint32_t reserved;
    /* [any] run() on a worker, then done() on the loop (may be NULL). Jobs of one
     * lane (1..31, counted per plugin) run one after another, in order; lane 0 means
     * any order. */
    broker_rc (*submit)(broker_ctx *ctx, uint32_t lane, void (*run)(void *arg),
                        void (*done)(void *arg), void *arg);
    /* [loop] every_ms 0: once. */
    broker_rc (*timer)(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                       void (*on_time)(void *arg), void *arg, broker_timer **out);
    void (*timer_stop)(broker_timer *t);                               /* [loop] frees it */
    uint64_t (*now_ms)(broker_ctx *ctx);                               /* [any] monotonic */
    int64_t  (*clock_ms)(broker_ctx *ctx);                             /* [any] Unix epoch */
} broker_work;

/* ---- Service: metrics ----------------------------------------------------
 * Served at /metrics in Prometheus text; names get the prefix "<plugin>_". Counters
 * end in "_total". A metric lives until the build is taken out. */
#define BROKER_ID_broker_metrics "broker.metrics/1"
typedef struct broker_metric broker_metric;

typedef struct broker_metrics {
    uint32_t size;
    uint32_t reserved;
    /* [loop] labels is NULL or "name=\"value\",...". The same name and labels give
     * the same metric, across builds too. */
    broker_rc (*counter)(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                         broker_metric **out);
    broker_rc (*gauge)(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                       broker_metric **out);
    broker_rc (*histogram)(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                           const double *bounds, size_t n, broker_metric **out);
    void (*add)(broker_metric *m, int64_t n);                          /* [any] counter, gauge */
    void (*set)(broker_metric *m, double value);                       /* [any] gauge          */
    void (*observe)(broker_metric *m, double value);                   /* [any] histogram      */
} broker_metrics;

/* ---- Service: what plugins offer each other -------------------------------
 * The offering plugin may be swapped at any moment, so a table is only valid
 * between enter() and leave(); the host holds the swap until all have left. */
#define BROKER_ID_broker_registry "broker.registry/1"
typedef struct broker_peer broker_peer;

typedef struct broker_registry {
    uint32_t size;
    uint32_t reserved;
    /* [loop] id is "<plugin>.<what>/<major>", for example "logstore.read/1". */
    broker_rc (*offer)(broker_ctx *ctx, const char *id, const void *table, void *self);
    /* [loop] Follow an id, offered already or not. */
    broker_rc (*follow)(broker_ctx *ctx, const char *id, broker_peer **out);
    /* [any] The table, and its owner in *self; NULL while nobody offers it. */
    const void *(*enter)(broker_peer *peer, void **self);
    void (*leave)(broker_peer *peer);                                  /* [any] */
} broker_registry;

/* ---- Service: the node's key -----------------------------------------------
 * The key never leaves the host. All [any]. */
#define BROKER_ID_broker_sign "broker.sign/1"
typedef struct broker_sign {
    uint32_t size;
    uint32_t reserved;
    broker_rc (*address)(broker_ctx *ctx, uint8_t out[20]);
    /* personal_sign (EIP-191) over the message; 65 bytes r, s, v with v 27 or 28. */
    broker_rc (*message)(broker_ctx *ctx, broker_bytes message, uint8_t out[65]);
    /* EIP-712: domain separator and struct hash. */
    broker_rc (*typed)(broker_ctx *ctx, const uint8_t domain[32], const uint8_t hash[32],
                       uint8_t out[65]);
    /* A digest as it is, for transactions. */
    broker_rc (*digest)(broker_ctx *ctx, const uint8_t digest[32], uint8_t out[65]);
} broker_sign;

/* ---- Service: the state of the node ---------------------------------------- */
#define BROKER_ID_broker_node "broker.node/1"
#define BROKER_STATE_READY    0u
#define BROKER_STATE_DEGRADED 1u   /* serving, but something is wrong; /readyz says 503 */

typedef struct broker_node {
    uint32_t size;
    uint32_t reserved;
    /* [any] What this plugin says of itself; why is shown at /readyz and logged. */
    void (*state)(broker_ctx *ctx, uint32_t state, const char *why);
    /* [any] Program version, "1.0.0". */
    const char *(*version)(broker_ctx *ctx);
} broker_node;

/* ---- The plugin ---------------------------------------------------------- */

typedef struct broker_plugin_table {
    uint32_t size;
    uint32_t reserved;
    const char *config_schema;   /* JSON Schema text; NULL: takes no settings */

    /* [loop] Allocate, fetch services. Touch no shared resource and register
     * nothing yet: the previous build may still be running. */
    broker_rc (*create)(broker_ctx *ctx, void **self);
    /* [loop] Open resources, register, begin. state is what the previous build's
     * quiesce() wrote, or empty on a first start. */
    broker_rc (*start)(void *self, broker_bytes state);
    /* [loop] A swap or a stop is near; traffic still flows. Do the slow part
     * now (flush, compact a log). BROKER_AGAIN: not ready, ask again. What follows may
     * be given up: then traffic flows on and prepare() comes again some day. May be
     * NULL. */
    broker_rc (*prepare)(void *self);
    /* [loop] Traffic is held back. Finish what is running, close resources,
     * write what the next build needs. BROKER_AGAIN: not finished, ask again; what
     * was written so far is dropped. Close nothing before you can return BROKER_OK: as
     * long as you say AGAIN the host may give up, and the build runs on. After BROKER_OK
     * (all that was registered is gone by then) the next call is destroy(), or start()
     * with this very state if the next build did not come up. */
    broker_rc (*quiesce)(void *self, broker_writer *state);
    /* [loop] Free everything. No callback comes after this one returns. */
    void (*destroy)(void *self);
} broker_plugin_table;

#define BROKER_PLUGIN_HOTSWAP (1u << 0)   /* quiesce()/start() hand state over */

/* ---- The manifest --------------------------------------------------------
 * Read from the file by the host; also `readelf -n` shows it. `layout` folds
 * offsets that may never move, so -m32, -mx32 and -fpack-struct builds are
 * refused. (No sizeof: tables grow, and growing is allowed.) */
typedef struct broker_manifest {
    uint32_t size;
    uint16_t abi_major;
    uint16_t abi_minor;          /* oldest host minor that will do */
    uint32_t layout;
    uint32_t flags;              /* BROKER_PLUGIN_* */
    char     name[32];           /* NUL-padded, [a-z0-9_] */
    char     version[32];
} broker_manifest;

#define BROKER_LAYOUT \
    ((uint32_t)(sizeof(void *) | sizeof(size_t) << 4 | offsetof(broker_msg, raw) << 8 | \
                offsetof(broker_plugin_table, create) << 16 | BROKER_BIG_ENDIAN << 28))
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BROKER_BIG_ENDIAN 1u
#else
#define BROKER_BIG_ENDIAN 0u
#endif

#ifndef BROKER_NEEDS_MINOR
#define BROKER_NEEDS_MINOR BROKER_ABI_MINOR
#endif

#define BROKER_NOTE_OWNER "Broker\0"     /* 8 bytes with the final NUL */
#define BROKER_NOTE_TYPE  0x314b5242u    /* "BRK1" */

typedef struct broker_note {
    uint32_t namesz, descsz, type;
    char     owner[8];
    broker_manifest manifest;
} broker_note;

/* The one exported symbol. Everything else in a plugin stays hidden
 * (-fvisibility=hidden; the CMake helper broker_add_plugin() sets it). */
extern const broker_plugin_table broker_plugin __attribute__((visibility("default")));

/* BROKER_PLUGIN("hello", "1.0.0", BROKER_PLUGIN_HOTSWAP,
 *               schema, create, start, prepare, quiesce, destroy); */
#define BROKER_PLUGIN(NAME, VERSION, FLAGS, ...)                                        \
    __attribute__((section(".note.broker"), used, aligned(4)))                          \
    static const broker_note broker_note_ = {                                           \
        8, sizeof(broker_manifest), BROKER_NOTE_TYPE, BROKER_NOTE_OWNER,                \
        { sizeof(broker_manifest), BROKER_ABI_MAJOR, BROKER_NEEDS_MINOR, BROKER_LAYOUT, \
          (FLAGS), NAME, VERSION } };                                                   \
    const broker_plugin_table broker_plugin = { sizeof(broker_plugin_table), 0, __VA_ARGS__ }

#ifdef __cplusplus
}
#endif
/* clang-format on */
#endif /* BROKER_PLUGIN_H */
