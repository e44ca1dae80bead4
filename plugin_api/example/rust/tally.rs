// tally -- counts the messages of a stream; GET /tally says how many. The declarations are those
// of broker/plugin.h, as far as they are used here.
#![allow(non_camel_case_types, dead_code)]

use std::ffi::c_void;
use std::os::raw::c_char;
use std::ptr;

// ---- broker/plugin.h ----

type Rc = i32;
const OK: Rc = 0;
const ENOSYS: Rc = -3;
const ESTATE: Rc = -6;
const HOTSWAP: u32 = 1;
const ALL_PARTITIONS: u32 = 0xffff_ffff;

#[repr(C)]
#[derive(Clone, Copy)]
struct Str {
    ptr: *const u8,
    len: usize,
}

#[repr(C)]
struct Host {
    size: u32,
    abi_major: u16,
    abi_minor: u16,
    log: extern "C" fn(*mut Ctx, u32, *const c_char),
    fail: extern "C" fn(*mut Ctx, Rc, *const c_char) -> Rc,
    service: extern "C" fn(*mut Ctx, *const c_char) -> *const c_void,
}

#[repr(C)]
struct Ctx {
    host: *const Host,
}

#[repr(C)]
struct Writer {
    size: u32,
    reserved: u32,
    write: extern "C" fn(*mut Writer, *const c_void, usize) -> Rc,
}

type OnMsgs = extern "C" fn(*mut c_void, *const *const c_void, usize) -> usize;

#[repr(C)]
struct Subscription {
    size: u32,
    flags: u32,
    stream: Str,
    partition: u32,
    reserved: u32,
    on_msgs: OnMsgs,
    this: *mut c_void,
}

#[repr(C)]
struct Bus {
    size: u32,
    reserved: u32,
    subscribe: extern "C" fn(*mut Ctx, *const Subscription, *mut *mut c_void) -> Rc,
}

#[repr(C)]
struct Response {
    size: u32,
    status: u32,
    content_type: *const c_char,
    headers: *const c_void,
    n_headers: usize,
    body: Str,
}

#[repr(C)]
struct Route {
    size: u32,
    flags: u32,
    method: *const c_char,
    path: *const c_char,
    max_body: u64,
    this: *mut c_void,
    on_req: extern "C" fn(*mut c_void, *mut c_void),
    resume_body: *const c_void,
    resume_req: *const c_void,
}

#[repr(C)]
struct Http {
    size: u32,
    reserved: u32,
    route: extern "C" fn(*mut Ctx, *const Route) -> Rc,
    others: [*const c_void; 10], // method, target, param, query, header, user, peer, receive, pause, resume
    reply: extern "C" fn(*mut c_void, *const Response),
}

#[repr(C)]
struct Config {
    size: u32,
    reserved: u32,
    integer: extern "C" fn(*mut Ctx, *const c_char) -> i64,
    boolean: extern "C" fn(*mut Ctx, *const c_char) -> i32,
    string: extern "C" fn(*mut Ctx, *const c_char) -> Str,
}

#[repr(C)]
pub struct Table {
    size: u32,
    reserved: u32,
    config_schema: *const c_char,
    create: extern "C" fn(*mut Ctx, *mut *mut c_void) -> Rc,
    start: extern "C" fn(*mut c_void, Str) -> Rc,
    prepare: Option<extern "C" fn(*mut c_void) -> Rc>,
    quiesce: extern "C" fn(*mut c_void, *mut Writer) -> Rc,
    destroy: extern "C" fn(*mut c_void),
}

unsafe impl Sync for Table {}

#[repr(C)]
pub struct Manifest {
    size: u32,
    abi_major: u16,
    abi_minor: u16,
    layout: u32,
    flags: u32,
    name: [u8; 32],
    version: [u8; 32],
}

#[repr(C, align(4))]
pub struct Note {
    namesz: u32,
    descsz: u32,
    kind: u32,
    owner: [u8; 8],
    manifest: Manifest,
}

// ---- the plugin ----

struct Tally {
    ctx: *mut Ctx,
    bus: *const Bus,
    http: *const Http,
    stream: Str,
    sub: *mut c_void,
    version: u32,
    count: u64, // only the loop touches it
}

macro_rules! c {
    ($text:literal) => {
        concat!($text, "\0").as_ptr() as *const c_char
    };
}

unsafe fn service<T>(ctx: *mut Ctx, id: *const c_char) -> *const T {
    ((*(*ctx).host).service)(ctx, id) as *const T
}

unsafe fn fail(ctx: *mut Ctx, rc: Rc, why: *const c_char) -> Rc {
    ((*(*ctx).host).fail)(ctx, rc, why)
}

extern "C" fn on_msgs(this: *mut c_void, _msgs: *const *const c_void, n: usize) -> usize {
    let tally = unsafe { &mut *(this as *mut Tally) };
    tally.count += n as u64;
    n
}

extern "C" fn on_get(this: *mut c_void, req: *mut c_void) {
    let tally = unsafe { &*(this as *const Tally) };
    let text = format!("{}\n", tally.count);
    let answer = Response {
        size: std::mem::size_of::<Response>() as u32,
        status: 200,
        content_type: c!("text/plain"),
        headers: ptr::null(),
        n_headers: 0,
        body: Str { ptr: text.as_ptr(), len: text.len() },
    };
    unsafe { ((*tally.http).reply)(req, &answer) }
}

extern "C" fn create(ctx: *mut Ctx, this: *mut *mut c_void) -> Rc {
    unsafe {
        let bus = service::<Bus>(ctx, c!("broker.bus/1"));
        let http = service::<Http>(ctx, c!("broker.http/1"));
        let config = service::<Config>(ctx, c!("broker.config/1"));
        if bus.is_null() || http.is_null() || config.is_null() {
            return fail(ctx, ENOSYS, c!("this host lacks broker.bus, broker.http or broker.config"));
        }
        let stream = ((*config).string)(ctx, c!("stream"));
        let tally = Tally { ctx, bus, http, stream, sub: ptr::null_mut(), version: 1, count: 0 };
        *this = Box::into_raw(Box::new(tally)) as *mut c_void;
        OK
    }
}

extern "C" fn start(this: *mut c_void, state: Str) -> Rc {
    let tally = unsafe { &mut *(this as *mut Tally) };
    if state.len != 0 {
        let state = unsafe { std::slice::from_raw_parts(state.ptr, state.len) };
        if state.len() != 12 || state[..4] != tally.version.to_le_bytes() {
            return unsafe { fail(tally.ctx, ESTATE, c!("the state is of another version")) };
        }
        let mut count = [0; 8];
        count.copy_from_slice(&state[4..]);
        tally.count = u64::from_le_bytes(count) & (u64::MAX >> 1); // never near an overflow
    }
    let route = Route {
        size: std::mem::size_of::<Route>() as u32,
        flags: 0,
        method: c!("GET"),
        path: c!("/tally"),
        max_body: 0,
        this,
        on_req: on_get,
        resume_body: ptr::null(),
        resume_req: ptr::null(),
    };
    let want = Subscription {
        size: std::mem::size_of::<Subscription>() as u32,
        flags: 0,
        stream: tally.stream,
        partition: ALL_PARTITIONS,
        reserved: 0,
        on_msgs,
        this,
    };
    unsafe {
        let rc = ((*tally.http).route)(tally.ctx, &route);
        if rc != OK {
            return rc;
        }
        ((*tally.bus).subscribe)(tally.ctx, &want, &mut tally.sub)
    }
}

extern "C" fn quiesce(this: *mut c_void, state: *mut Writer) -> Rc {
    let tally = unsafe { &*(this as *const Tally) };
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&tally.version.to_le_bytes());
    bytes[4..].copy_from_slice(&tally.count.to_le_bytes());
    unsafe { ((*state).write)(state, bytes.as_ptr() as *const c_void, bytes.len()) }
}

extern "C" fn destroy(this: *mut c_void) {
    drop(unsafe { Box::from_raw(this as *mut Tally) })
}

const fn padded(text: &str) -> [u8; 32] {
    let from = text.as_bytes();
    let mut to = [0; 32];
    let mut i = 0;
    while i < from.len() {
        to[i] = from[i];
        i += 1;
    }
    to
}

// BROKER_LAYOUT of the header: pointer size, size_t size, offset of broker_msg.raw and of
// broker_plugin_table.create, byte order.
const LAYOUT: u32 = 8 | 8 << 4 | 88 << 8 | 16 << 16;

#[used]
#[link_section = ".note.broker"]
pub static NOTE: Note = Note {
    namesz: 8,
    descsz: std::mem::size_of::<Manifest>() as u32,
    kind: 0x314b_5242,
    owner: *b"Broker\0\0",
    manifest: Manifest {
        size: std::mem::size_of::<Manifest>() as u32,
        abi_major: 1,
        abi_minor: 0,
        layout: LAYOUT,
        flags: HOTSWAP,
        name: padded("tally"),
        version: padded("1.0.0"),
    },
};

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static broker_plugin: Table = Table {
    size: std::mem::size_of::<Table>() as u32,
    reserved: 0,
    config_schema: c!(
        r#"{"type":"object","additionalProperties":false,"required":["stream"],"properties":{"stream":{"type":"string","minLength":1}}}"#
    ),
    create,
    start,
    prepare: None,
    quiesce,
    destroy,
};
